"""A folder becomes a checkpoint at one instant: all is written under another name, proved, flushed, and renamed.

A process that is killed at any moment leaves the old state or the new one. A checkpoint of the same step is renamed
before the new one takes its name; who dies in between is repaired by `remove_leftovers`.
"""

import dataclasses
import json
import logging
import os
import re
import shutil
import struct
import zipfile
from pathlib import Path

from electra_hf.errors import CheckpointError
from electra_hf.training.checkpoints.manifest import MANIFEST_NAME, Manifest, describe_files

logger = logging.getLogger(__name__)

_REPLACED = "_tmp-replaced-"
_REMOVED = "_tmp-removed-"
_LEFTOVER = re.compile(r"_tmp-(removed-|replaced-)?checkpoint-\d+")
# What is not in the estimate: configurations, the tokenizer, states of single processes.
_SPARE_BYTES = 2**20


def staging_folder(checkpoint: Path) -> Path:
    """Where a checkpoint is written before it gets its name."""
    return checkpoint.with_name(f"_tmp-{checkpoint.name}")


def remove_leftovers(run_dir: Path) -> None:
    """Remove what a killed run left of checkpoints that it was writing, replacing or removing.

    Raises:
        OSError: If something cannot be removed.
    """
    for path in run_dir.glob(f"{_REPLACED}checkpoint-*"):
        checkpoint = path.with_name(path.name.removeprefix(_REPLACED))
        if not checkpoint.exists():
            path.rename(checkpoint)
    for path in run_dir.glob("_tmp-*checkpoint-*"):
        if _LEFTOVER.fullmatch(path.name):
            shutil.rmtree(path)


def prepare(checkpoint: Path, bytes_needed: int) -> None:
    """Make the empty folder that a checkpoint is written to.

    Args:
        checkpoint: The name that it will get.
        bytes_needed: Estimated size.

    Raises:
        CheckpointError: If the disk has too little space.
        OSError: If the folder cannot be made.
    """
    run_dir = checkpoint.parent
    run_dir.mkdir(parents=True, exist_ok=True)
    remove_leftovers(run_dir)
    free, needed = shutil.disk_usage(run_dir).free, bytes_needed + _SPARE_BYTES
    if free < needed:
        raise CheckpointError(
            f"cannot save to {checkpoint}: it takes about {needed / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are left "
            "on the disk: free some space, or keep fewer checkpoints with --save_total_limit"
        )
    staging_folder(checkpoint).mkdir()


def publish(checkpoint: Path, facts: Manifest) -> Manifest:
    """Give a finished folder its manifest and its name.

    Args:
        checkpoint: The name; the files are in `staging_folder(checkpoint)`.
        facts: The manifest without its files.

    Returns:
        The manifest with them.

    Raises:
        CheckpointError: If a file is not whole.
        OSError: If the system fails; the former state is as it was.
    """
    staging = staging_folder(checkpoint)

    def finish(path: Path) -> None:
        _check_whole(path)
        _flush(path)

    manifest = dataclasses.replace(facts, files=describe_files(staging, finish))
    (staging / MANIFEST_NAME).write_bytes(manifest.to_bytes())
    _flush(staging / MANIFEST_NAME)
    for folder in (*(path for path in staging.rglob("*") if path.is_dir()), staging):
        _flush(folder)
    _take_name(staging, checkpoint)
    return manifest


def _take_name(staging: Path, checkpoint: Path) -> None:
    replaced = checkpoint.with_name(_REPLACED + checkpoint.name)
    if replaces := checkpoint.exists():
        checkpoint.rename(replaced)
    try:
        staging.rename(checkpoint)
        _flush_or_undo(staging, checkpoint)
    except OSError:
        if replaces:
            replaced.rename(checkpoint)
        raise
    if replaces:
        # What stays is removed with the leftovers of killed runs.
        shutil.rmtree(replaced, ignore_errors=True)


def _flush_or_undo(staging: Path, checkpoint: Path) -> None:
    try:
        _flush(checkpoint.parent)
    except OSError as error:
        try:
            checkpoint.rename(staging)
        except OSError:
            # It is whole and has its name, and cannot be unmade.
            logger.warning("%s is complete, but a power cut may lose it: %s", checkpoint, error)
        else:
            raise


def discard(checkpoint: Path) -> None:
    """Remove what was written of a checkpoint that failed; what cannot be removed is left to the next attempt."""
    shutil.rmtree(staging_folder(checkpoint), ignore_errors=True)


def remove(folder: Path) -> None:
    """Remove a folder such that no half of it is ever seen under its name.

    Raises:
        OSError: If it cannot be removed.
    """
    shutil.rmtree(folder.rename(folder.with_name(_REMOVED + folder.name)))


def give_usual_permissions(folder: Path) -> None:
    """Let others read the weights as they may read any new file: safetensors makes its files for their owner alone."""
    mask = os.umask(0o077)  # the only way to read it; nothing becomes more open meanwhile
    os.umask(mask)
    for path in (*folder.glob("*.safetensors"), *folder.glob("generator/*.safetensors")):
        path.chmod(0o666 & ~mask)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_whole(path: Path) -> None:
    """Refuse a file whose end is missing: the writers of torch and safetensors lose errors of their last write."""
    if path.suffix in (".pt", ".pth", ".bin"):
        whole = zipfile.is_zipfile(path)
    elif path.suffix == ".safetensors":
        whole = path.stat().st_size == _safetensors_size(path)
    elif path.suffix == ".json":
        whole = _is_json(path)
    else:
        return
    if not whole:
        raise CheckpointError(f"cannot save to {path}: the file came out incomplete, as on a full or failing disk")


def _safetensors_size(path: Path) -> int:
    """What the header says: 8 bytes of its own length, itself, and the tensors."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length))
    except (struct.error, ValueError, OverflowError, MemoryError):
        return -1
    ends = (tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__")
    return 8 + length + max(ends, default=0)


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True
