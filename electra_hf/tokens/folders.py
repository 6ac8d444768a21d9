"""What may happen to a prepared folder: it is started, continued, refused or emptied, never mixed."""

import re
from pathlib import Path
from typing import Any

from electra_hf.corpora import storage
from electra_hf.corpora.remote import explain_failure, network_errors
from electra_hf.errors import PreparationError
from electra_hf.tokens import shards
from electra_hf.tokens.remote import file_names, make_folder
from electra_hf.tokens.shards import OVERWRITE

_OURS = re.compile(
    r"(blocks|lengths|first_lengths|pair_labels)-\d{5,}-\d{5,}\.npy|shard-\d{5,}-\d{5,}\.json|part-\d{5,}\.json"
    r"|settings\.json|manifest\.json|\..*\.tmp"
)
_HOLDS_WORK = re.compile(r"manifest\.json|part-|shard-")


def start(folder: Path, asked: dict[str, Any], *, overwrite: bool = False) -> bool:
    """Make a folder ready for its shares; False if it is prepared already.

    Args:
        folder: made if it is not there.
        asked: `preparation_settings`.
        overwrite: remove what was prepared in it before.

    Raises:
        PreparationError: the folder holds something else, was made with other settings, or cannot be written.
        UsageError: it is a URL that shards cannot be written to.
    """
    try:
        make_folder(folder)
        _refuse_foreign_files(folder)
        if overwrite:
            _remove_all(folder)
        names = file_names(folder)
        if any(_HOLDS_WORK.match(name) for name in names):  # settings alone are of a start that came to nothing
            _refuse_other_settings(folder, asked)
        if shards.MANIFEST in names:
            return False
        storage.remove_abandoned(folder)
        storage.publish(folder / shards.SETTINGS, storage.to_json(asked))
    except (OSError, *network_errors()) as error:
        raise PreparationError(explain_failure(error, folder)) from error
    return True


def _refuse_foreign_files(folder: Path) -> None:
    foreign = [name for name in file_names(folder) if not _OURS.fullmatch(name)]
    manifest = folder / shards.MANIFEST
    if not foreign and manifest.exists():
        content = storage.read_json(manifest)
        if content is not None and content.get("format") != shards.FORMAT:
            foreign = [manifest.name]
    if foreign:
        raise PreparationError(
            f"{folder}: holds files that are no prepared corpus ({', '.join(foreign[:3])}): give an empty or a new "
            "folder"
        )


def _refuse_other_settings(folder: Path, asked: dict[str, Any]) -> None:
    for name in (shards.MANIFEST, shards.SETTINGS):
        path = folder / name
        if not path.exists():
            continue
        content = storage.read_json(path)
        found = content.get("settings", content) if content is not None else None
        if found is None:
            raise PreparationError(f"{path}: is broken: give another folder, or {OVERWRITE} to make it again")
        if found == asked:
            continue
        old, new = _flat(found), _flat(asked)
        name = next((name for name in sorted(old | new) if old.get(name) != new.get(name)), "settings")
        raise PreparationError(
            f"{folder}: was prepared with {name} = {old.get(name)!r}, and {new.get(name)!r} is asked for: give "
            f"another folder, or {OVERWRITE} to replace what it holds"
        )


def _flat(content: Any, prefix: str = "") -> dict[str, Any]:
    """{"packing": {"seed": 1}} -> {"packing.seed": 1}"""
    if not isinstance(content, dict):
        return {prefix: content}
    items: dict[str, Any] = {}
    for name, value in content.items():
        items |= _flat(value, f"{prefix}.{name}" if prefix else name)
    return items


def remove_prepared(folder: Path) -> None:
    """Remove what was prepared in a folder, if anything.

    Raises:
        PreparationError: the folder holds something else, or cannot be written.
    """
    try:
        _refuse_foreign_files(folder)
        _remove_all(folder)
    except (OSError, *network_errors()) as error:
        raise PreparationError(explain_failure(error, folder)) from error


def _remove_all(folder: Path) -> None:
    storage.remove(folder, shards.MANIFEST)  # first: a folder without it is unfinished, never wrong
    storage.remove(folder, "*")


def remove_others(folder: Path, manifest: dict[str, Any]) -> None:
    """Remove shards of a longer text that was interrupted here, with the same description."""
    listed = {name for entry in manifest["shards"] for name in (*entry["files"], shards.sidecar_name(entry["name"]))}
    for path in folder.glob("*-*-*.*"):
        if path.name not in listed and not path.name.startswith(".") and _OURS.fullmatch(path.name):
            path.unlink(missing_ok=True)
