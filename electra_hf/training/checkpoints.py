"""Where a run may write, and where it goes on from."""

import logging
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from electra_hf.errors import CheckpointError, UsageError, explain_os_error, is_storage_error

logger = logging.getLogger(__name__)

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
# The Trainer writes trainer_state.json last of all.
_CHECKPOINT_FILES = ("trainer_state.json", "config.json")
_RUN_FILES = ("model.safetensors", "trainer_state.json", "model.safetensors.index.json")


def resolve_resume(resume_from_checkpoint: str | None, output_dir: str | Path) -> Path | None:
    """The checkpoint folder to resume from.

    Args:
        resume_from_checkpoint: A folder; `true` for the newest complete checkpoint, which must exist; `auto` for the
            newest complete checkpoint, or a fresh start if there is none; None or `false` for a fresh start.
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
        last = _newest_complete(Path(output_dir))
        if last is None and wish.lower() == "true":
            raise CheckpointError(
                f"{output_dir} holds no checkpoint to resume from: use --resume_from_checkpoint auto to start afresh "
                "when there is none"
            )
        return last
    folder = Path(wish)
    missing = _missing_files(folder)
    if missing:
        raise CheckpointError(f"--resume_from_checkpoint {folder} is no checkpoint: no {', no '.join(missing)} in it")
    return folder


def _missing_files(folder: Path) -> list[str]:
    return [name for name in _CHECKPOINT_FILES if not (folder / name).is_file()]


def _newest_complete(output_dir: Path) -> Path | None:
    """A run that was killed or met a full disk while it saved leaves half a checkpoint, which is passed over."""
    steps = {int(match[1]): path for path in output_dir.glob("*") if (match := _CHECKPOINT.fullmatch(path.name))}
    for _, folder in sorted(steps.items(), reverse=True):
        missing = _missing_files(folder)
        if not missing:
            return folder
        logger.warning("%s is incomplete (no %s): an older checkpoint is used", folder, ", no ".join(missing))
    return None


@contextmanager
def explain_save_errors(folder: str | Path) -> Iterator[None]:
    """Turn what saving a model or its optimiser raises on a full disk into one sentence that names the folder.

    Raises:
        CheckpointError: If the operating system could not write, as Python, safetensors or torch report it.
    """
    try:
        yield
    except OSError as error:
        if not is_storage_error(error):
            raise
        raise _cannot_save(explain_os_error(error, folder)) from error
    except SafetensorError as error:
        # "... I/O error: No space left on device (os error 28)"
        number = re.search(r"\(os error (\d+)\)", str(error))
        reason = OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(str(error))
        raise _cannot_save(explain_os_error(reason, folder)) from error
    except RuntimeError as error:
        # torch.save's writer in C++ tells neither a number nor a cause.
        if not any(name in str(error) for name in ("inline_container", "PytorchStreamWriter")):
            raise
        raise _cannot_save(
            f"{folder}: torch could not write the file, which happens when the disk is full: free some space, or "
            "choose a folder on another disk"
        ) from error


def _cannot_save(reason: str) -> CheckpointError:
    return CheckpointError(
        f"cannot save to {reason}; then go on from the last complete checkpoint with --resume_from_checkpoint auto"
    )


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
