"""Where a run may write, and where it goes on from."""

import os
import tempfile
from pathlib import Path

from transformers.trainer_utils import get_last_checkpoint

from electra_hf.errors import CheckpointError, UsageError, explain_os_error

_RUN_FILES = ("model.safetensors", "trainer_state.json", "model.safetensors.index.json")


def resolve_resume(resume_from_checkpoint: str | None, output_dir: str | Path) -> Path | None:
    """The checkpoint folder to resume from.

    Args:
        resume_from_checkpoint: A folder; `true` for the newest checkpoint, which must exist; `auto` for the newest
            checkpoint, or a fresh start if there is none; None or `false` for a fresh start.
        output_dir: The run's folder.

    Returns:
        The checkpoint, or None for a fresh start.

    Raises:
        CheckpointError: If what was asked for does not exist or is no checkpoint.
    """
    wish = str(resume_from_checkpoint or "false").strip()
    if wish.lower() == "false":
        return None
    if wish.lower() in ("true", "auto"):
        last = get_last_checkpoint(str(output_dir)) if Path(output_dir).is_dir() else None
        if last is None and wish.lower() == "true":
            raise CheckpointError(
                f"{output_dir} holds no checkpoint to resume from: use --resume_from_checkpoint auto to start afresh "
                "when there is none"
            )
        return Path(last) if last else None
    folder = Path(wish)
    missing = [name for name in ("trainer_state.json", "config.json") if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(f"--resume_from_checkpoint {folder} is no checkpoint: no {', no '.join(missing)} in it")
    return folder


def claim_output_dir(output_dir: str | Path, resume: bool) -> None:
    """Make the output folder, prove that it can be written, and refuse one that holds another run.

    Args:
        output_dir: The run's folder.
        resume: --resume_from_checkpoint was given, so an earlier run is expected there.

    Raises:
        UsageError: If the folder holds a run and nothing was said about resuming.
        CheckpointError: If it cannot be written.
    """
    folder = Path(output_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        used = sorted(path.name for path in folder.glob("checkpoint-*")) + [
            name for name in _RUN_FILES if (folder / name).exists()
        ]
        if used and not resume:
            raise UsageError(
                f"{folder} already holds a run ({used[0]}): go on with --resume_from_checkpoint auto, or choose "
                "another --output_dir"
            )
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0" * 4096)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        raise CheckpointError(f"cannot write to {explain_os_error(error, folder)}") from error
