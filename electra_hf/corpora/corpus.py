"""What a corpus is, and how corpora are mixed, split and shortened.

A corpus is a name, a stream of documents that can be read again and again, and a description that identifies its
content. A document is a `str` whose lines are its sentences or paragraphs, in order; it is never empty or white space
only, and never longer than `MAX_DOCUMENT_CHARACTERS`, so whoever reads one works in bounded memory.

Everything here is pure: order and membership depend on the seed and on the position of a document, not on state.
"""

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, islice
from typing import Any

import numpy as np

from electra_hf.errors import CorpusError, UsageError

MAX_DOCUMENT_CHARACTERS = 2**24
STOPPING_STRATEGIES = ("first_exhausted", "all_exhausted", "all_exhausted_without_replacement")

_WORD = 2**64 - 1


class Corpus(ABC):
    """A named, repeatable stream of documents.

    A subclass yields its texts from `_texts`; `documents` makes them keep the promises of the module's docstring.

    Attributes:
        name: Short name for messages, logs and the model card.
    """

    name: str

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What identifies the content, as a JSON-serialisable dict.

        Two equal descriptions mean the same documents in the same order, so that prepared data may be reused.
        """

    @abstractmethod
    def _texts(self) -> Iterator[str]:
        """Texts of one pass; they may be empty or oversized."""

    def documents(self) -> Iterator[str]:
        """Yield the documents of one fresh pass, the same ones in the same order at every call.

        Raises:
            CorpusError: Text that cannot be read, or a pass that ended without a single document.
        """
        found = False
        for text in self._texts():
            for piece in pieces(text):
                if piece and not piece.isspace():
                    found = True
                    yield piece
        if not found:
            raise CorpusError(self._explain_nothing_found())

    def _explain_nothing_found(self) -> str:
        return f"{self.name}: it holds no text, every document is empty: check the data and the options that select it"


class Interleaved(Corpus):
    """Several corpora as one: the next document comes from a corpus drawn at random, with the given weights.

    The stopping strategies are those of `datasets.interleave_datasets`: `first_exhausted` ends with the first corpus
    that has nothing left, `all_exhausted` starts corpora again until each was read to its end once (documents of small
    corpora repeat), `all_exhausted_without_replacement` yields every document exactly once.

    Args:
        corpora: At least one corpus.
        weights: One positive number per corpus, in any unit; equal when None.
        stopping_strategy: One of `STOPPING_STRATEGIES`.
        seed: Seed of the draws.

    Raises:
        UsageError: No corpus, weights that do not fit, or an unknown strategy.
    """

    def __init__(
        self,
        corpora: Sequence[Corpus],
        weights: Sequence[float] | None = None,
        stopping_strategy: str = "all_exhausted_without_replacement",
        seed: int = 0,
    ) -> None:
        if not corpora:
            raise UsageError("there is nothing to interleave: give at least one corpus")
        if stopping_strategy not in STOPPING_STRATEGIES:
            raise UsageError(
                f"unknown stopping strategy {stopping_strategy!r}: use one of {', '.join(STOPPING_STRATEGIES)}"
            )
        if weights is None:
            weights = [1.0] * len(corpora)
        if len(weights) != len(corpora):
            raise UsageError(
                f"{len(weights)} weights for {len(corpora)} corpora: give one weight for each of, in this order, "
                + ", ".join(corpus.name for corpus in corpora)
            )
        if not all(0 < weight < math.inf for weight in weights):
            raise UsageError(f"the corpus weights {list(weights)} are not all positive: leave a corpus out instead")
        self.corpora = list(corpora)
        self.weights = [float(weight) for weight in weights]
        self.stopping_strategy = stopping_strategy
        self.seed = seed
        self.name = " + ".join(corpus.name for corpus in corpora)

    def describe(self) -> dict[str, Any]:
        """The descriptions of all parts, and how they are mixed."""
        return {
            "kind": "interleaved",
            "corpora": [corpus.describe() for corpus in self.corpora],
            "weights": self.weights,
            "stopping_strategy": self.stopping_strategy,
            "seed": self.seed,
        }

    def _texts(self) -> Iterator[str]:
        random = np.random.default_rng(self.seed)
        streams = [corpus.documents() for corpus in self.corpora]
        # One document is read ahead of each corpus, so that its end is known as soon as its last one was handed on.
        following = [next(stream, None) for stream in streams]
        unfinished = set(range(len(streams)))
        drawn = list(unfinished)
        limits = list(accumulate(self.weights))
        while unfinished:
            position = bisect_right(limits, random.random() * limits[-1])
            source = drawn[min(position, len(drawn) - 1)]
            document = following[source]
            assert document is not None
            yield document
            following[source] = next(streams[source], None)
            if following[source] is not None:
                continue
            unfinished.discard(source)
            if self.stopping_strategy == "first_exhausted":
                return
            if self.stopping_strategy == "all_exhausted":
                streams[source] = self.corpora[source].documents()
                following[source] = next(streams[source])
            else:
                drawn.remove(source)
                limits = list(accumulate(self.weights[index] for index in drawn))


class HeldOut(Corpus):
    """One side of the split that `hold_out` makes."""

    def __init__(self, corpus: Corpus, percentage: float, seed: int, *, validation: bool) -> None:
        self.corpus = corpus
        self.percentage = percentage
        self.seed = seed
        self.validation = validation
        self.name = f"{corpus.name} ({'validation' if validation else 'train'})"

    def describe(self) -> dict[str, Any]:
        """The description of the whole, the side and the rule of the split."""
        return {
            "kind": "held_out",
            "corpus": self.corpus.describe(),
            "percentage": self.percentage,
            "seed": self.seed,
            "validation": self.validation,
        }

    def _texts(self) -> Iterator[str]:
        key = splitmix64(self.seed & _WORD)
        threshold = self.percentage / 100 * 2**64
        for index, document in enumerate(self.corpus.documents()):
            if (splitmix64(key ^ index) < threshold) == self.validation:
                yield document

    def _explain_nothing_found(self) -> str:
        side = "validation" if self.validation else "training"
        return (
            f"{self.corpus.name}: holding out {self.percentage:g} % of it leaves no document for {side}: change the "
            "percentage or the seed, or give separate validation data"
        )


class Limited(Corpus):
    """The first `max_documents` documents of a corpus.

    Raises:
        UsageError: `max_documents` is less than 1.
    """

    def __init__(self, corpus: Corpus, max_documents: int) -> None:
        if max_documents < 1:
            raise UsageError(f"a corpus cannot be limited to {max_documents} documents: give a number of at least 1")
        self.corpus = corpus
        self.max_documents = max_documents
        self.name = corpus.name

    def describe(self) -> dict[str, Any]:
        """The description of the whole, and the limit."""
        return {"kind": "limited", "corpus": self.corpus.describe(), "max_documents": self.max_documents}

    def _texts(self) -> Iterator[str]:
        return islice(self.corpus.documents(), self.max_documents)


def hold_out(corpus: Corpus, percentage: float, seed: int = 0) -> tuple[Corpus, Corpus]:
    """Split a corpus into training and validation documents.

    Membership of document number i is a hash of (seed, i): nothing is stored, no document is in both, none is lost.

    Args:
        corpus: The corpus to split.
        percentage: Expected share of the validation documents, between 0 and 100.
        seed: Another seed holds out other documents.

    Returns:
        The training corpus and the validation corpus.

    Raises:
        UsageError: The percentage is not between 0 and 100.
    """
    if not 0 < percentage < 100:
        raise UsageError(f"cannot hold out {percentage:g} % of a corpus: give a percentage above 0 and below 100")
    return HeldOut(corpus, percentage, seed, validation=False), HeldOut(corpus, percentage, seed, validation=True)


def splitmix64(value: int) -> int:
    """Hash a 64-bit integer to a 64-bit integer (Steele, Lea and Flood, 2014).

    >>> hex(splitmix64(0))
    '0xe220a8397b1dcdaf'
    """
    value = (value + 0x9E3779B97F4A7C15) & _WORD
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _WORD
    return value ^ (value >> 31)


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


def text_value(value: object, place: str) -> str | None:
    """Check one value of a text column; None stands for a missing text.

    Raises:
        CorpusError: The value is something else than text; `place` says where it was found.
    """
    if value is None or isinstance(value, str):
        return value
    shown = repr(value)
    shown = shown if len(shown) <= 60 else shown[:60] + "..."
    raise CorpusError(
        f"{place} holds {shown} of type {type(value).__name__}, not text: choose another column with "
        "--text_column_name, or convert it"
    )


def join_lines(lines: Iterable[str], limit: int = MAX_DOCUMENT_CHARACTERS) -> Iterator[str]:
    """Yield lines joined into texts of at most `limit` characters; blank lines are left out.

    A single line above the limit is handed on as it is.
    """
    gathered: list[str] = []
    size = 0
    for line in lines:
        if not line or line.isspace():
            continue
        if gathered and size + len(line) + 1 > limit:
            yield "\n".join(gathered)
            gathered, size = [], 0
        gathered.append(line)
        size += len(line) + 1
    if gathered:
        yield "\n".join(gathered)
