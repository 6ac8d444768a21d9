"""The independent parts that a corpus consists of, so that many processes can turn it into documents.

A part is read in two steps. *Records* come off its files one after the other, cheaply: the raw page of a dump, the
text of a row. *Converting* a record to documents is where the work is (extraction, cleaning), is a pure function of
the record, and can be done in any process. Whoever reads a part in chunks of records and converts each chunk elsewhere
gets the same documents in the same order.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from electra_hf.errors import CorpusError

MAX_DOCUMENT_CHARACTERS = 2**24

Converter = Callable[[str], Iterable[str]]


class SkippedRecord(CorpusError):
    """A record that cannot be converted and is left out, such as a malformed page; the message names it."""


def as_it_is(record: str) -> Iterable[str]:
    """The converter of a part whose records are its texts."""
    return (record,)


@dataclass(frozen=True)
class Part:
    """One part of a corpus; it can be pickled, and each call of `records` reads it from its start.

    Attributes:
        name: What messages call it, such as the name of its file.
        records: Reads the records, in order.
        convert: Turns a record into texts. Raises `SkippedRecord` for one that is to be left out and counted.
    """

    name: str
    records: Callable[[], Iterator[str]]
    convert: Converter = as_it_is

    def then(self, convert: Converter) -> "Part":
        """The same part, its texts converted once more."""
        return replace(self, convert=Conversions((self.convert, convert)))


@dataclass(frozen=True)
class Conversions:
    """Converters one after the other; each gets every text of the one before."""

    steps: tuple[Converter, ...]

    def __call__(self, record: str) -> Iterator[str]:
        texts: Iterable[str] = (record,)
        for step in self.steps:
            texts = _all_texts(step, texts)
        yield from texts


def _all_texts(convert: Converter, texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        yield from convert(text)


def documents_of(record: str, convert: Converter) -> Iterator[str]:
    """The documents of one record: its texts, cut where they are oversized, without blank ones.

    Raises:
        SkippedRecord: The record is to be left out.
    """
    for text in convert(record):
        for piece in pieces(text):
            if piece and not piece.isspace():
                yield piece


def pieces(text: str, limit: int = MAX_DOCUMENT_CHARACTERS) -> Iterator[str]:
    r"""Yield a text in pieces of at most `limit` characters, with line feeds as the only line ends.

    A piece ends at a line end, at white space where one line is longer than the limit, else anywhere.

    >>> list(pieces("one two\nthree", limit=9))
    ['one two', 'three']
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    start = 0
    while len(text) - start > limit:
        end = text.rfind("\n", start, start + limit + 1)
        if end <= start:
            end = _last_space(text, start, start + limit + 1)
        if end <= start:
            end = start + limit
        yield text[start:end].strip("\n")
        start = end
    yield text[start:].strip("\n")


def _last_space(text: str, start: int, end: int) -> int:
    return next((index for index in range(end - 1, start, -1) if text[index].isspace()), -1)
