"""Local files as a corpus: paths, globs and folders to documents, whatever the format.

The files are found when the corpus is made, so that a wrong path is reported before anything long starts; they are
opened when the documents are read.
"""

import glob
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from electra_hf.corpora.corpus import Corpus
from electra_hf.corpora.decoding import COMPRESSIONS, check_encoding, read_head, reading_errors
from electra_hf.corpora.formats import (
    DOCUMENT_SEPARATORS,
    PARQUET,
    SUPPORTED_FORMATS,
    Format,
    ReadingOptions,
    choose_format,
)
from electra_hf.corpora.parts import Part
from electra_hf.corpora.remote import as_path, explain_failure, is_remote, network_errors
from electra_hf.errors import CorpusError, UsageError, explain_os_error

# Small files are read together up to this size, so that a shard is not as small as they are.
PART_BYTES = 2**26
_LISTED_FILES = 100

logger = logging.getLogger(__name__)


class LocalFiles(Corpus):
    """The documents of text, WikiExtractor, JSON Lines, CSV, TSV and Parquet files.

    Args:
        patterns: Paths, globs (`**` too) or folders. A folder stands for all files in it, at any depth, hidden ones
            left out; files in it that hold no text are left out with a warning. Named files and files that match a
            glob must be usable. Files are read in the order of the patterns, sorted within each, and only once.
        text_column_name: Column that holds the text, for JSON Lines, CSV, TSV and Parquet.
        document_separator: What ends a document in a .txt file: `blank_line` (one sentence a line, blank lines between
            documents), `file` (a file is a document) or `line` (a line is a document).
        encoding: Text encoding of all files but Parquet.
        encoding_errors: What to do with invalid bytes: `strict`, `replace`, `ignore` or `backslashreplace`.

    Raises:
        UsageError: No pattern, or an option with an unknown value.
        CorpusError: A path that is not there, a pattern without files, or a folder that cannot be listed.
    """

    def __init__(
        self,
        patterns: Sequence[str],
        *,
        text_column_name: str = "text",
        document_separator: str = "blank_line",
        encoding: str = "utf-8",
        encoding_errors: str = "strict",
    ) -> None:
        if not patterns:
            raise UsageError("no file was named: give at least one path, glob or folder")
        if document_separator not in DOCUMENT_SEPARATORS:
            raise UsageError(
                f"unknown document separator {document_separator!r}: use one of {', '.join(DOCUMENT_SEPARATORS)}"
            )
        check_encoding(encoding, encoding_errors)
        self.options = ReadingOptions(text_column_name, document_separator, encoding, encoding_errors)
        self.name = ", ".join(patterns) if len(patterns) <= 3 else f"{patterns[0]} and {len(patterns) - 1} more"
        # The value tells whether the user meant this very file (by name or glob) or only the folder it is in.
        self._files: dict[Path, bool] = {}
        self._formats: dict[Path, Format] | None = None
        seen: set[Path] = set()
        for pattern in patterns:
            found, named = find_files(pattern)
            for path in found:
                if (resolved := path if is_remote(path) else path.resolve()) not in seen:
                    seen.add(resolved)
                    self._files[path] = named

    @property
    def files(self) -> list[Path]:
        """The files in reading order."""
        return list(self._files)

    def describe(self) -> dict[str, Any]:
        """The files by name, size and time of change (not by folder), and the versions of their formats' rules."""
        files: Any = [file_identity(path) for path in self._files]
        if len(files) > _LISTED_FILES:
            content = json.dumps(files, sort_keys=True).encode()
            files = {"number": len(files), "sha256": hashlib.sha256(content).hexdigest()}
        rules = {kind.name: kind.version for kind in self._formats_of_files().values()}
        return {"kind": "files", "files": files, "formats": rules, **asdict(self.options)}

    def parts(self) -> list[Part]:
        """A part is one large file, or small ones that follow one another."""
        parts: list[Part] = []
        gathered: list[tuple[Path, Format]] = []
        size = 0
        for path, kind in self._formats_of_files().items():
            bytes_ = file_identity(path)["size"]
            if gathered and (size + bytes_ > PART_BYTES or kind.convert != gathered[-1][1].convert):
                parts.append(self._part(gathered))
                gathered, size = [], 0
            gathered.append((path, kind))
            size += bytes_
        return [*parts, self._part(gathered)]

    def _part(self, files: list[tuple[Path, Format]]) -> Part:
        name = files[0][0].name + (f" and {len(files) - 1} more" if len(files) > 1 else "")
        return Part(name, partial(_read_files, files, self.options), files[0][1].convert)

    def _formats_of_files(self) -> dict[Path, Format]:
        """The usable files and how they are read; they are looked at once."""
        if self._formats is not None:
            return self._formats
        formats = {}
        for path, named in self._files.items():
            kind = self._format(path, named)
            if kind is not None:
                formats[path] = kind
        if not formats:
            raise CorpusError(f"{self.name}: no usable file in this folder; supported are {SUPPORTED_FORMATS}")
        self._formats = formats
        return formats

    def _format(self, path: Path, named: bool) -> Format | None:
        suffixes = [suffix.lower() for suffix in path.suffixes]
        if suffixes[-1:] == [".parquet"]:
            return PARQUET
        problem = None
        kind = None
        if suffixes[-1:] and suffixes[-1] in COMPRESSIONS and suffixes[-2:-1] == [".parquet"]:
            problem = "Parquet cannot be read through another compression: decompress the file"
        else:
            # XML says its encoding by itself.
            head = read_head(path, self.options.encoding, follow_mark=".xml" in suffixes)
            kind = choose_format(path, head)
            if not head:
                problem = "the file is empty: remove it from the training files, or write it again"
            elif kind is None:
                problem = f"unknown format; supported are {SUPPORTED_FORMATS}: rename or convert the file"
        if problem is None:
            return kind
        if named:
            raise CorpusError(f"{path}: {problem}")
        logger.warning("%s was left out: %s", path, problem)
        return None


def _read_files(files: list[tuple[Path, Format]], options: ReadingOptions) -> Iterator[str]:
    for path, kind in files:
        yield from kind.read(path, options)


def find_files(pattern: str) -> tuple[list[Path], bool]:
    """The files that a path, URL, glob or folder stands for, sorted, and whether it names files rather than a folder.

    Raises:
        CorpusError: Nothing is there, or a folder cannot be listed.
        UsageError: A URL of an unknown protocol.
    """
    if "://" in pattern:
        address = as_path(pattern)
        if is_remote(address):
            return _find_remote_files(pattern, address)
        expanded = str(address)  # file:///...
    else:
        expanded = os.path.expanduser(pattern)
    path = Path(expanded)
    try:
        if path.is_dir():
            files = sorted(_walk(path))
            if not files:
                raise CorpusError(f"{pattern}: the folder holds no files; supported are {SUPPORTED_FORMATS}")
            return files, False
        if path.exists():
            return [path], True
    except OSError as error:
        raise CorpusError(explain_os_error(error, path)) from error
    if not glob.has_magic(expanded):
        raise CorpusError(f"{pattern}: no such file or folder (looked from {os.getcwd()}): check the path")
    matches = [Path(match) for match in glob.glob(expanded, recursive=True)]
    files = sorted(match for match in matches if match.is_file())
    if not files:
        hint = "it matches folders only: name a folder itself, or its files with /**" if matches else "check the path"
        raise CorpusError(f"{pattern}: the pattern matches no file (looked from {os.getcwd()}): {hint}")
    return files, True


def _find_remote_files(url: str, address: Any) -> tuple[list[Path], bool]:
    system, inside = address.fs, address.path
    with reading_errors(address, "utf-8"):
        if address.protocol in ("http", "https"):
            # Nothing but a file can be named: "?" belongs to an address, and asking for a folder downloads the file.
            system.info(inside)
            return [address], True
        if system.isfile(inside):
            return [address], True
        named = glob.has_magic(inside)
        found = system.glob(inside, detail=True) if named else system.find(inside, detail=True)
    parts = PurePosixPath(inside).parts
    fixed = next((index for index, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    files = sorted(
        name
        for name, about in found.items()
        if about["type"] == "file" and not any(part.startswith(".") for part in PurePosixPath(name).parts[fixed:])
    )
    if not files:
        raise CorpusError(f"{url}: no such file or folder: check the address and your access to it")
    return [as_path(system.unstrip_protocol(name)) for name in files], named


def _walk(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise error

    for parent, folders, names in os.walk(folder, onerror=fail, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def file_identity(path: Path) -> dict[str, Any]:
    """Name and size in bytes of a file, with its time of change in nanoseconds or, of a remote file, its address.

    Raises:
        CorpusError: The file cannot be looked at.
    """
    try:
        status = path.stat()
    except (OSError, *network_errors()) as error:
        raise CorpusError(explain_failure(error, path)) from error
    if is_remote(path):
        return {"name": path.name, "size": status.st_size, "url": str(path)}
    return {"name": path.name, "size": status.st_size, "mtime_ns": status.st_mtime_ns}
