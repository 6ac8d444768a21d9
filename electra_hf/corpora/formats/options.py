"""How a file is read: the user's options, and what a format consists of."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from electra_hf.corpora.parts import Converter, as_it_is

DOCUMENT_SEPARATORS = ("blank_line", "file", "line")


@dataclass(frozen=True)
class ReadingOptions:
    """How files are read; the fields but the last are explained in `LocalFiles`.

    Attributes:
        rows: What a row of a file with columns is, one of `ROW_KINDS`.
    """

    text_column_name: str = "text"
    document_separator: str = "blank_line"
    encoding: str = "utf-8"
    encoding_errors: str = "strict"
    rows: str = "documents"


Reader = Callable[[Path, ReadingOptions], Iterator[str]]


@dataclass(frozen=True)
class Format:
    """How a file is read.

    Attributes:
        read: Yields the records of a file (see `corpora.parts`).
        convert: Turns a record into texts.
        name: What descriptions call it.
        version: Raised when the same file gives other texts than before.
    """

    read: Reader
    convert: Converter = as_it_is
    name: str = ""
    version: int = 1
