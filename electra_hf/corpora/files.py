"""Local files as a corpus: paths, globs and folders to documents, whatever the format.

The files are found when the corpus is made, so that a wrong path is reported before anything long starts; they are
opened when the documents are read.
"""

import glob
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from electra_hf.corpora.corpus import Corpus
from electra_hf.corpora.decoding import COMPRESSIONS, check_encoding, read_head
from electra_hf.corpora.formats import (
    DOCUMENT_SEPARATORS,
    SUPPORTED_FORMATS,
    Reader,
    ReadingOptions,
    choose_reader,
    read_parquet,
)
from electra_hf.errors import CorpusError, UsageError, explain_os_error

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
        self.name = ", ".join(patterns)
        # The value tells whether the user meant this very file (by name or glob) or only the folder it is in.
        self._files: dict[Path, bool] = {}
        seen: set[Path] = set()
        for pattern in patterns:
            found, named = find_files(pattern)
            for path in found:
                if (resolved := path.resolve()) not in seen:
                    seen.add(resolved)
                    self._files[path] = named

    @property
    def files(self) -> list[Path]:
        """The files in reading order."""
        return list(self._files)

    def describe(self) -> dict[str, Any]:
        """The files by name, size and time of change (not by folder, which says nothing about the content)."""
        return {
            "kind": "files",
            "files": [file_identity(path) for path in self._files],
            **asdict(self.options),
        }

    def _texts(self) -> Iterator[str]:
        usable = 0
        for path, named in self._files.items():
            reader = self._reader(path, named)
            if reader is not None:
                usable += 1
                yield from reader(path, self.options)
        if not usable:
            raise CorpusError(f"{self.name}: no usable file in this folder; supported are {SUPPORTED_FORMATS}")

    def _reader(self, path: Path, named: bool) -> Reader | None:
        suffixes = [suffix.lower() for suffix in path.suffixes]
        if suffixes[-1:] == [".parquet"]:
            return read_parquet
        problem = None
        reader = None
        if suffixes[-1:] and suffixes[-1] in COMPRESSIONS and suffixes[-2:-1] == [".parquet"]:
            problem = "Parquet cannot be read through another compression: decompress the file"
        else:
            head = read_head(path, self.options.encoding)
            reader = choose_reader(path, head)
            if not head:
                problem = "the file is empty: remove it from the training files, or write it again"
            elif reader is None:
                problem = f"unknown format; supported are {SUPPORTED_FORMATS}: rename or convert the file"
        if problem is None:
            return reader
        if named:
            raise CorpusError(f"{path}: {problem}")
        logger.warning("%s was left out: %s", path, problem)
        return None


def find_files(pattern: str) -> tuple[list[Path], bool]:
    """The files that a path, glob or folder stands for, sorted, and whether it names files rather than a folder.

    Raises:
        CorpusError: Nothing is there, or a folder cannot be listed.
    """
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


def _walk(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise error

    for parent, folders, names in os.walk(folder, onerror=fail, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def file_identity(path: Path) -> dict[str, Any]:
    """Name, size in bytes and time of change in nanoseconds of a file.

    Raises:
        CorpusError: The file cannot be looked at.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise CorpusError(explain_os_error(error, path)) from error
    return {"name": path.name, "size": status.st_size, "mtime_ns": status.st_mtime_ns}
