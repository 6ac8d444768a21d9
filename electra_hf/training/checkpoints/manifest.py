"""The manifest of a checkpoint: what it was made with, and the size and SHA-256 of each of its files.

It is written last, and a checkpoint without one is not complete. It holds the SHA-256 of its own content and has one
canonical form, so that any changed bit in it is seen, too. It proves that nothing was damaged; it does not prove who
wrote it.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from electra_hf.corpora.storage import sha256_of, to_json
from electra_hf.errors import CheckpointError, explain_os_error

MANIFEST_NAME = "manifest.json"
_FORMAT, _VERSION = "electra_hf checkpoint", 1
_THREADS = min(8, os.cpu_count() or 1)  # hashing and fsync both leave the interpreter's lock

Result = TypeVar("Result")


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint says about itself.

    Attributes:
        step: optimiser steps done.
        world_size: processes.
        global_batch_size: rows of one optimiser step, over accumulation steps and processes.
        seed: of masks and noise.
        data_seed: of the order of the data; None follows `seed`.
        train_rows: rows of the training data; None for a stream.
        row_length: tokens of a row; None if the data does not say.
        masking: option -> value of what tokens were masked by; None if nothing was masked.
        objective: setting -> value of what was learnt; None if the model does not say.
        milestone: the per cent of all steps that it marks, so that it is never removed; None for an ordinary one.
        save_only_model: there are weights only, so training cannot go on from it.
        files: relative path -> {bytes, sha256}.
    """

    step: int
    world_size: int
    global_batch_size: int
    seed: int
    data_seed: int | None = None
    train_rows: int | None = None
    row_length: int | None = None
    masking: dict[str, Any] | None = None
    objective: dict[str, Any] | None = None
    milestone: float | None = None
    save_only_model: bool = False
    files: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def total_bytes(self) -> int:
        """Size of all files."""
        return sum(record["bytes"] for record in self.files.values())

    def to_bytes(self) -> bytes:
        """The file, in its one canonical form."""
        content = {"format": _FORMAT, "version": _VERSION, **dataclasses.asdict(self)}
        for name in ("masking", "objective"):
            if content[name] is None:  # as in the checkpoints of before it was noted
                del content[name]
        return to_json({**content, "sha256": hashlib.sha256(to_json(content)).hexdigest()})


def describe_files(folder: Path, then: Callable[[Path], None]) -> dict[str, dict[str, Any]]:
    """Size and SHA-256 of every file of a folder, its subfolders included.

    Args:
        folder: All of it but a manifest at its root.
        then: Called with each file, in one of several threads.

    Raises:
        OSError: If a file cannot be read.
    """

    def describe(path: Path) -> dict[str, Any]:
        then(path)
        return {"bytes": path.stat().st_size, "sha256": sha256_of(path)}

    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / MANIFEST_NAME]
    records = _in_threads(describe, paths)
    return {path.relative_to(folder).as_posix(): record for path, record in zip(paths, records, strict=True)}


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a checkpoint, itself checked.

    Args:
        folder: The checkpoint.

    Raises:
        CheckpointError: If there is none, or it was changed, or a newer version wrote it.
    """
    path = folder / MANIFEST_NAME
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{folder} has no {MANIFEST_NAME}: it was not finished, or another version or program wrote it"
        ) from error
    except OSError as error:
        raise CheckpointError(f"cannot read {explain_os_error(error, path)}") from error
    try:
        content = json.loads(data)
        if content.pop("format") != _FORMAT:
            raise CheckpointError(f"{path} is not the manifest of a checkpoint of pre-training or fine-tuning")
        if (version := content.pop("version")) != _VERSION:
            raise CheckpointError(
                f"{path} has version {version}, and this program reads {_VERSION}: use the program that wrote it"
            )
        content.pop("sha256")
        manifest = Manifest(**content)
        intact = manifest.to_bytes() == data
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        intact = False
    if not intact:
        raise CheckpointError(f"{path} was changed or damaged after it was written")
    return manifest


def verify(folder: Path) -> Manifest:
    """Check every byte of a checkpoint.

    Args:
        folder: The checkpoint.

    Returns:
        Its manifest.

    Raises:
        CheckpointError: Naming the first file that is missing, or of another size or content, than when it was
            written.
    """
    manifest = read_manifest(folder)
    # Sizes first: they are known at once.
    for name, record in manifest.files.items():
        try:
            size = (folder / name).stat().st_size
        except OSError as error:
            raise CheckpointError(f"{folder} is damaged: {explain_os_error(error, name)}") from error
        if size != record["bytes"]:
            raise CheckpointError(f"{folder} is damaged: {name} has {size:,} bytes instead of {record['bytes']:,}")

    def problem(name: str) -> str | None:
        try:
            return None if sha256_of(folder / name) == manifest.files[name]["sha256"] else f"{name} was changed"
        except OSError as error:
            return explain_os_error(error, name)

    problems = [found for found in _in_threads(problem, list(manifest.files)) if found is not None]
    if problems:
        raise CheckpointError(f"{folder} is damaged: {problems[0]} (its SHA-256 is not the one in {MANIFEST_NAME})")
    return manifest


def check_resumable(folder: Path) -> Manifest:
    """As `verify`, and the checkpoint has what training needs to go on.

    Raises:
        CheckpointError: If it is damaged, or holds weights only.
    """
    manifest = verify(folder)
    if manifest.save_only_model:
        raise CheckpointError(
            f"{folder} holds the weights only (--save_only_model), so training cannot go on from it: start a run with "
            "--model_name_or_path on it, and save without that option to be able to resume"
        )
    return manifest


def _in_threads(work: Callable[[Any], Result], items: list[Any]) -> list[Result]:
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(work, items))
