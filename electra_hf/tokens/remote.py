"""Prepared folders at URLs: written to object stores, and copied to this machine before they are trained from."""

import hashlib
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from filelock import FileLock
from huggingface_hub import constants
from tqdm import tqdm

from electra_hf.corpora import storage
from electra_hf.corpora.remote import explain_failure, is_remote, network_errors
from electra_hf.errors import PreparationError, UsageError
from electra_hf.tokens import shards

COPYING_THREADS = 8

logger = logging.getLogger(__name__)


def cache_folder(fingerprint: str) -> Path:
    """The folder of the Hugging Face cache for a prepared corpus."""
    return Path(constants.HF_HOME) / "electra_hf" / "prepared" / fingerprint


def make_folder(folder: Path) -> None:
    """Make a local or remote folder, if it is not there.

    Raises:
        UsageError: the protocol of a remote folder is no place for shards.
        OSError: it cannot be made.
    """
    if is_remote(folder):
        from upath.implementations.cloud import CloudPath

        remote: Any = folder
        if remote.protocol in ("http", "https"):
            raise UsageError(f"{folder}: nothing can be written to {remote.protocol}://: give a folder or a store")
        if remote.protocol == "hf" and not remote.path.startswith("buckets/"):
            raise UsageError(
                f"{folder}: every file would be a commit of its own: prepare a local folder, and upload it with "
                "`hf upload-large-folder`"
            )
        if isinstance(remote, CloudPath):
            return  # a store has no folders, and a bucket with a mistyped name must not be made
    folder.mkdir(parents=True, exist_ok=True)


def file_names(folder: Path) -> list[str]:
    """What is in a folder, sorted; nothing if there is no such folder."""
    return sorted(path.name for path in folder.iterdir() if path.name) if folder.is_dir() else []


def local_copy(folder: Path, manifest: dict[str, Any]) -> Path:
    """Copy the files of a remote prepared folder that are missing here into the Hugging Face cache.

    The folder there is the one where this machine would have prepared the same corpus. The manifest comes last.

    Args:
        folder: the remote folder.
        manifest: what its manifest says.

    Returns:
        The local folder.

    Raises:
        PreparationError: a file cannot be read or written, or is not what the manifest says.
    """
    _check_names(folder, manifest)
    local = cache_folder(manifest["fingerprint"])
    try:
        local.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{local}.lock"):  # the processes of a machine open the folder at the same time
            known = storage.read_json(local / shards.MANIFEST)
            if known != manifest:
                (local / shards.MANIFEST).unlink(missing_ok=True)  # a folder without it is unfinished, never wrong
            _copy_missing(folder, local, manifest, by_hash=known not in (None, manifest))
            if known != manifest:
                storage.publish(local / shards.MANIFEST, storage.to_json(manifest))
    except OSError as error:
        raise PreparationError(f"{explain_failure(error, local)}. What was copied is kept") from error
    return local


def _copy_missing(folder: Path, local: Path, manifest: dict[str, Any], *, by_hash: bool) -> None:
    """Copy the files that are not there; their sizes tell, or their hashes if they were another corpus's."""
    files = {name: file for shard in manifest["shards"] for name, file in shard["files"].items()}
    missing = {name: file for name, file in files.items() if not _is_there(local / name, file, by_hash)}
    if not missing:
        return
    size = sum(file["bytes"] for file in missing.values())
    logger.info("Copying %d files (%d bytes) of %s to %s", len(missing), size, folder, local)
    with (
        tqdm(desc=f"Copying {folder}", total=size, unit="B", unit_scale=True, disable=None) as bar,
        ThreadPoolExecutor(COPYING_THREADS) as pool,
    ):
        for copied in pool.map(lambda name: _copy(folder / name, local / name, missing[name]), missing):
            bar.update(copied)


def _check_names(folder: Path, manifest: dict[str, Any]) -> None:
    """A manifest from elsewhere must not name files outside of the folder."""
    names = [name for shard in manifest["shards"] for name in shard["files"]]
    kinds = shards.array_kinds(manifest["settings"]["packing"])
    expected = [shards.array_name(kind, shard["name"]) for shard in manifest["shards"] for kind in kinds]
    if (
        sorted(names) != sorted(expected)
        or not all(re.fullmatch(r"\d{5,}-\d{5,}", shard["name"]) for shard in manifest["shards"])
        or not re.fullmatch(r"[0-9a-f]{64}", manifest["fingerprint"])
    ):
        raise PreparationError(
            f"{folder / shards.MANIFEST}: names files that no preparation makes: give the folder of a prepared corpus"
        )


def _is_there(path: Path, file: dict[str, Any], by_hash: bool) -> bool:
    if not path.is_file() or path.stat().st_size != file["bytes"]:
        return False
    return not by_hash or storage.sha256_of(path) == file["sha256"]


def _copy(source: Path, target: Path, file: dict[str, Any]) -> int:
    try:
        data = source.read_bytes()
    except (OSError, *network_errors()) as error:
        raise PreparationError(f"{explain_failure(error, source)}. What was copied before is kept") from error
    if hashlib.sha256(data).hexdigest() != file["sha256"]:
        raise PreparationError(
            f"{source}: damaged ({len(data)} bytes, not the SHA-256 of the manifest): prepare the corpus again, which "
            "makes what is damaged anew"
        )
    storage.publish(target, data)
    return len(data)
