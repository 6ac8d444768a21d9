"""Checkpoints that are there whole or not at all: how they are written, proved, kept, and gone on from.

output_dir/checkpoint-N/              complete: it has a manifest, and every byte can be checked against it
output_dir/_tmp-checkpoint-N/         one that is being written; a killed run leaves it, the next one removes it
output_dir/_damaged-checkpoint-N/     one that did not pass the check, kept for inspection
output_dir/_superseded-checkpoint-N/  one of a branch that was left, since an older checkpoint was gone on from
"""

from electra_hf.training.checkpoints.failures import explain_load_errors, explain_save_errors
from electra_hf.training.checkpoints.manifest import MANIFEST_NAME, Manifest, read_manifest, verify
from electra_hf.training.checkpoints.process_state import Stateful
from electra_hf.training.checkpoints.publishing import remove
from electra_hf.training.checkpoints.resume import claim_output_dir, first_process_decides, resolve_resume
from electra_hf.training.checkpoints.retention import checkpoints_in, milestone_of, parse_milestones
from electra_hf.training.checkpoints.trainer import CheckpointingTrainer

__all__ = [
    "MANIFEST_NAME",
    "CheckpointingTrainer",
    "Manifest",
    "Stateful",
    "checkpoints_in",
    "claim_output_dir",
    "explain_load_errors",
    "explain_save_errors",
    "first_process_decides",
    "milestone_of",
    "parse_milestones",
    "read_manifest",
    "remove",
    "resolve_resume",
    "verify",
]
