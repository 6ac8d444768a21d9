"""Where a run may write, and where it goes on from."""

import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch

from electra_hf.errors import CheckpointError, ElectraHfError, UsageError, explain_os_error
from electra_hf.training.checkpoints.manifest import Manifest, check_resumable, verify
from electra_hf.training.checkpoints.publishing import remove_leftovers
from electra_hf.training.checkpoints.retention import checkpoints_in, step_of

logger = logging.getLogger(__name__)

_RUN_FILES = ("model.safetensors", "trainer_state.json", "model.safetensors.index.json")
_DAMAGED, _SUPERSEDED = "_damaged", "_superseded"  # uploads leave out what begins with _

Result = TypeVar("Result")


def resolve_resume(resume_from_checkpoint: str | None, output_dir: str | Path) -> Path | None:
    """The checkpoint to resume from, every byte of it checked.

    With several processes the first one looks, and all get its answer or its error; all must call it. If every machine
    saves to a disk of its own (--save_on_each_node), the first one decides for all, and the Trainer checks each copy.

    Args:
        resume_from_checkpoint: A folder; `true` for the newest complete checkpoint, which must exist; `auto` for the
            newest complete checkpoint, or a fresh start if there is none; None or `false` for a fresh start.
        output_dir: The run's folder. For `auto` and `true`, checkpoints that are newer than the one returned are
            damaged, and renamed to `_damaged-checkpoint-N`.

    Returns:
        The checkpoint, or None for a fresh start.

    Raises:
        CheckpointError: If what was asked for does not exist, is damaged or holds weights only, or there are
            checkpoints and none of them is complete; nothing is renamed then.
    """
    wish = str(resume_from_checkpoint or "false").strip()
    if wish.lower() == "false":
        return None
    if wish.lower() in ("true", "auto"):
        return first_process_decides(lambda: _newest_complete(Path(output_dir), must_exist=wish.lower() == "true"))
    return first_process_decides(lambda: _named(Path(wish)))


def first_process_decides(decide: Callable[[], Result]) -> Result:
    """Let the first process decide, and give all of them the outcome or the error.

    Raises:
        ElectraHfError: What `decide` raised; every process raises it.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return decide()
    outcome: list[Any] = [None]
    if torch.distributed.get_rank() == 0:
        try:
            outcome = [decide()]
        except ElectraHfError as error:
            outcome = [error]
    torch.distributed.broadcast_object_list(outcome)
    if isinstance(outcome[0], ElectraHfError):
        raise outcome[0]
    return outcome[0]


def _named(folder: Path) -> Path:
    if not folder.is_dir():
        raise CheckpointError(
            f"--resume_from_checkpoint {folder}: there is no such folder. Give a checkpoint-N folder, or auto"
        )
    try:
        check_resumable(folder)
    except CheckpointError as error:
        raise CheckpointError(f"--resume_from_checkpoint {folder} cannot be used: {error}") from error
    return folder


def _newest_complete(output_dir: Path, must_exist: bool) -> Path | None:
    try:
        remove_leftovers(output_dir)
    except OSError as error:
        raise CheckpointError(f"cannot clean up {explain_os_error(error, error.filename or output_dir)}") from error
    damaged: list[tuple[Path, str]] = []
    for folder in reversed(checkpoints_in(output_dir)):
        manifest, reason = _examine(folder)
        if manifest is None:
            damaged.append((folder, reason))
            continue
        if manifest.save_only_model:
            check_resumable(folder)
        for path, why in damaged:
            aside = _set_aside(path, _DAMAGED)
            logger.warning("%s: it is kept as %s, and %s is used", why, aside.name, folder.name)
        return folder
    if damaged:
        raise CheckpointError(
            f"{output_dir} holds checkpoints, and none can be used: {'; '.join(why for _, why in damaged)}. Start "
            "afresh in another --output_dir, or move them away"
        )
    if must_exist:
        raise CheckpointError(
            f"{output_dir} holds no checkpoint to resume from: use --resume_from_checkpoint auto to start afresh "
            "when there is none"
        )
    return None


def _examine(folder: Path) -> tuple[Manifest | None, str]:
    try:
        return verify(folder), ""
    except CheckpointError as error:
        return None, str(error)


def set_newer_aside(checkpoint: Path, output_dir: Path) -> None:
    """Rename the checkpoints of a branch that is left, so that `auto` does not return to it.

    Args:
        checkpoint: The one that training goes on from; nothing happens if it is not in the run's folder.
        output_dir: The run's folder.

    Raises:
        CheckpointError: If they cannot be renamed.
    """
    if checkpoint.resolve().parent != output_dir.resolve():
        return
    # A replaced one among them would get the name back that is free then.
    remove_leftovers(output_dir)
    for newer in checkpoints_in(output_dir):
        if step_of(newer) > step_of(checkpoint):
            aside = _set_aside(newer, _SUPERSEDED)
            logger.warning(
                "%s is newer than %s, which training goes on from: it is kept as %s",
                newer,
                checkpoint.name,
                aside.name,
            )


def _set_aside(folder: Path, why: str) -> Path:
    """Rename to `_damaged-checkpoint-N` or `_superseded-checkpoint-N`, with a number where the name is taken."""
    name, number = f"{why}-{folder.name}", 1
    while folder.with_name(name).exists():
        number += 1
        name = f"{why}-{folder.name}-{number}"
    try:
        return folder.rename(folder.with_name(name))
    except OSError as error:
        raise CheckpointError(f"cannot rename {explain_os_error(error, folder)}") from error


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
        remove_leftovers(folder)
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
