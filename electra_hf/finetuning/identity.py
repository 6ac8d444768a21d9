"""What decides the outcome of a seed: a result is used again only where all of this is the same."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from electra_hf.corpora.storage import sha256_of
from electra_hf.finetuning.scores import describe_data
from electra_hf.finetuning.task_run import TaskRun

# Options that change where and how a run reports and what is evaluated, not what is trained.
_OUTWARD = frozenset(
    {
        *("output_dir", "num_seeds", "seed", "resume_from_checkpoint", "cache_dir", "push_to_hub"),
        *("do_eval", "do_predict", "per_device_eval_batch_size", "eval_accumulation_steps", "tune_allocator"),
        *("max_train_minutes", "hang_timeout"),
        *("disable_tqdm", "report_to", "run_name", "project", "log_level", "log_level_replica", "log_on_each_node"),
    }
)
_OUTWARD_BEGINNINGS = ("hpo", "hub_", "logging_", "dataloader_", "save_")
_MODEL_FILES = ("config.json", "*.safetensors", "pytorch_model*.bin", "tokenizer*", "vocab*", "*.model", "merges.txt")


def is_outward(option: str) -> bool:
    """Whether an option leaves the trained weights as they are.

    >>> is_outward("hub_model_id"), is_outward("dataloader_drop_last"), is_outward("learning_rate")
    (True, False, False)
    """
    return option in _OUTWARD or (option.startswith(_OUTWARD_BEGINNINGS) and option != "dataloader_drop_last")


def inward_options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The options that decide the trained weights."""
    # Which checkpoints there are decides which one is the best.
    selecting = settings.get("load_best_model_at_end", False)
    return {
        name: value
        for name, value in settings.items()
        if not is_outward(name) or (selecting and name.startswith("save_"))
    }


def identify(run: TaskRun) -> dict[str, str]:
    """The task, the examples of each split, and the model: what options only point to."""
    splits = [name for name in run.data.splits if name != "train"]
    facts = {
        f"{split} data": f"{found['rows']:,} rows, sha256 {found['sha256'][:16]}"
        for split, found in describe_data(run.data, splits).items()
    }
    names = [run.model_args.model_name_or_path, run.model_args.tokenizer_name]
    folders = [Path(name) for name in names if name is not None and Path(name).exists()]
    if folders:
        facts["model files"] = f"sha256 {_digest(folders)[:16]}"
    if commit := getattr(run.config, "_commit_hash", None):
        facts["model commit"] = commit
    return {"task_name": run.data.task.name, **facts}


def _digest(places: list[Path]) -> str:
    digest = hashlib.sha256()
    for place in places:
        files = {path for pattern in _MODEL_FILES for path in place.glob(pattern)} if place.is_dir() else {place}
        for path in sorted(path for path in files if path.is_file()):
            digest.update(f"{path.name} {sha256_of(path)}\n".encode())
    return digest.hexdigest()


def outcome_settings(
    run: TaskRun, settings: Mapping[str, Any], facts: Mapping[str, str], searched: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything that decides the outcome of a seed besides its number: options, decided ones, and `identify`."""
    return {
        **inward_options(settings),
        **searched,
        **run.decided,
        "examples_per_step": run.examples_per_step,
        **facts,
    }
