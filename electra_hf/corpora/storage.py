"""Files that are there whole or not at all, and JSON that comes out as the same bytes."""

import contextlib
import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from electra_hf.corpora.remote import is_absence, is_remote

ABANDONED_AFTER = 3600.0  # seconds; who writes a temporary file changes it more often


@contextlib.contextmanager
def published(path: Path) -> Iterator[Path]:
    """A temporary name to write a local file under; it gets its own when all of it is on the disk."""
    # Processes of several machines, or containers with equal process ids, may write the same file.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def publish(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, also after a power cut.

    A remote file is written in one piece: object stores publish it when it is complete.
    """
    if is_remote(path):
        path.write_bytes(data)
        return
    with published(path) as temporary:
        temporary.write_bytes(data)


def remove(folder: Path, pattern: str) -> None:
    """Remove the files of a folder that match a glob."""
    for path in folder.glob(pattern):
        path.unlink(missing_ok=True)


def remove_abandoned(folder: Path) -> None:
    """Remove temporary files of a process that was killed; those of one that runs beside us are young."""
    for path in folder.glob(".*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > ABANDONED_AFTER:
                path.unlink()


def to_json(content: dict[str, Any]) -> bytes:
    """JSON for people and for comparison: indented, sorted, the same bytes for the same content."""
    text = json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    # Names of files may hold bytes that are no UTF-8, which Python keeps as surrogates.
    return text.encode("utf-8", "surrogatepass")


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file; None if there is none or it is broken."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        if not is_absence(error):
            raise
        return None
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def fingerprint(content: dict[str, Any]) -> str:
    """SHA-256 of JSON values, whatever the order of their names."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
