"""The folder in which duplicates are looked for: its settings, and its files."""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from electra_hf.corpora.corpus import Corpus
from electra_hf.corpora.deduplication.signatures import DeduplicationSettings
from electra_hf.corpora.remote import as_path, is_remote
from electra_hf.corpora.storage import publish, remove, remove_abandoned, to_json
from electra_hf.errors import CorpusError, UsageError, explain_os_error

SCHEMA_VERSION = 1
FORMAT = "electra_hf duplicates"
SETTINGS = "settings.json"
REPORT = "report.json"

_OURS = re.compile(r"(signatures|dropped)-\d{5,}\.npy|settings\.json|report\.json|\..*\.tmp")


def signatures_name(part: int) -> str:
    return f"signatures-{part:05d}.npy"


def dropped_name(part: int) -> str:
    return f"dropped-{part:05d}.npy"


def deduplication_settings(corpus: Corpus, settings: DeduplicationSettings) -> dict[str, Any]:
    """Everything that decides which records are duplicates, as JSON values."""
    content = {"schema_version": SCHEMA_VERSION, **settings.identity(), "corpus": corpus.describe()}
    return json.loads(json.dumps(content))  # tuples become lists, as they will read from the file


def start(folder: str | Path, asked: dict[str, Any], *, overwrite: bool = False) -> bool:
    """Make a folder ready for `make_signatures`; False if the duplicates are found already.

    Args:
        folder: Made if it is not there.
        asked: `deduplication_settings`.
        overwrite: Remove what was found in it before.

    Raises:
        CorpusError: The folder holds something else, is of other settings, or cannot be written.
        UsageError: The folder is a URL.
    """
    folder = local_folder(folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        foreign = sorted(path.name for path in folder.iterdir() if not _OURS.fullmatch(path.name))
        if foreign:
            raise CorpusError(
                f"{folder}: holds files that are not from looking for duplicates ({', '.join(foreign[:3])}): give an "
                "empty or a new folder"
            )
        if overwrite:
            for name in (REPORT, "*"):  # first the report: a folder without it is unfinished, never wrong
                remove(folder, name)
        _refuse_other_settings(folder, asked)
        if (folder / REPORT).exists():
            return False
        remove_abandoned(folder)
        publish(folder / SETTINGS, to_json(asked))
    return True


def local_folder(folder: str | Path) -> Path:
    """The folder's path.

    Raises:
        UsageError: It is a URL: signatures are read through memory maps.
    """
    path = as_path(folder)
    if is_remote(path):
        raise UsageError(f"{folder}: duplicates are looked for in a folder of this machine: give a path, not a URL")
    return path


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file of the folder; None if there is no such file.

    Raises:
        CorpusError: The file is broken or cannot be read.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CorpusError(explain_os_error(error, path)) from error
    except ValueError as error:
        raise CorpusError(f"{path}: is broken ({error}): remove the folder, or give another one") from error
    return content


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Explain a disk that is full, read-only or forbidden."""
    try:
        yield
    except OSError as error:
        raise CorpusError(explain_os_error(error, error.filename or folder)) from error


def _refuse_other_settings(folder: Path, asked: dict[str, Any]) -> None:
    found = read_json(folder / SETTINGS)
    if found is None or found == asked:
        return
    name = next(name for name in sorted(found | asked) if found.get(name) != asked.get(name))
    shown = f"{name} = {found.get(name)!r}, and {asked.get(name)!r} is asked for"
    if name == "corpus":
        shown = "another corpus, or with files that were changed since"
    raise CorpusError(f"{folder}: was made with {shown}: give another folder, or overwrite what it holds")
