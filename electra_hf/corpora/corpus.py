"""What a corpus is, and how corpora are mixed, split and shortened.

A corpus is a name, a stream of documents that can be read again and again, and a description that identifies its
content. A document is a `str` whose lines are its sentences or paragraphs, in order; it is never empty or white space
only, and never longer than `MAX_DOCUMENT_CHARACTERS`, so whoever reads one works in bounded memory.

Everything here is pure: order and membership depend on the seed and on the text, not on state.
"""

import hashlib
import logging
import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate, islice
from typing import Any

import numpy as np

from electra_hf.corpora.parts import MAX_DOCUMENT_CHARACTERS, Converter, Part, SkippedRecord, documents_of
from electra_hf.errors import CorpusError, UsageError

STOPPING_STRATEGIES = ("first_exhausted", "all_exhausted", "all_exhausted_without_replacement")

_WORD = 2**64 - 1
_NAMED_SKIPPED_RECORDS = 20

logger = logging.getLogger(__name__)


class Corpus(ABC):
    """A named, repeatable stream of documents.

    A subclass says what its parts are, or, if it cannot be divided, yields its texts from `_texts`.

    Attributes:
        name: Short name for messages, logs and the model card.
    """

    name: str

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What identifies the content, as a JSON-serialisable dict.

        Two equal descriptions mean the same documents in the same order, so that prepared data may be reused.
        """

    def parts(self) -> list[Part]:
        """The parts that the corpus consists of: together they hold its documents, each one once."""
        return [Part(self.name, self._texts)]

    def _texts(self) -> Iterator[str]:
        """Texts of one pass over a corpus of a single part; they may be empty or oversized."""
        raise AssertionError(f"{type(self).__name__} must define parts or _texts")

    def documents(self) -> Iterator[str]:
        """Yield the documents of one fresh pass, the same ones in the same order at every call.

        Records that cannot be converted are left out with a warning that names them.

        Raises:
            CorpusError: Text that cannot be read, or a pass that ended without a single document.
        """
        found = False
        for document in self._documents():
            found = True
            yield document
        if not found:
            raise CorpusError(self.explain_nothing_found())

    def _documents(self) -> Iterator[str]:
        """The documents of one pass, which may be none."""
        skipped = 0
        for part in self.parts():
            for record in part.records():
                try:
                    yield from documents_of(record, part.convert)
                except SkippedRecord as reason:
                    skipped += 1
                    if skipped <= _NAMED_SKIPPED_RECORDS:
                        logger.warning("Left out: %s", reason)
        if skipped > _NAMED_SKIPPED_RECORDS:
            logger.warning("%s: %d records were left out; the first ones are named above", self.name, skipped)

    def explain_nothing_found(self) -> str:
        """What to tell a user when a whole pass gave no document."""
        return f"{self.name}: it holds no text, every document is empty: check the data and the options that select it"


class Converted(Corpus):
    """A corpus whose texts go through one more pure function, such as a sentence splitter.

    Args:
        corpus: The texts.
        convert: From one text to texts; can be pickled.
        identity: What the function is and how it is set, as JSON values, for `describe`.
    """

    def __init__(self, corpus: Corpus, convert: Converter, identity: dict[str, Any]) -> None:
        self.corpus = corpus
        self.convert = convert
        self.identity = identity
        self.name = corpus.name

    def describe(self) -> dict[str, Any]:
        """The description of the corpus, and the identity of the function."""
        return {"kind": "converted", "corpus": self.corpus.describe(), "conversion": self.identity}

    def parts(self) -> list[Part]:
        return [part.then(self.convert) for part in self.corpus.parts()]


def converted(corpus: Corpus, convert: Converter, identity: dict[str, Any]) -> Corpus:
    """`Converted`; corpora that are interleaved are converted each, and stay interleaved."""
    if isinstance(corpus, Interleaved):
        return corpus.with_corpora([converted(part, convert, identity) for part in corpus.corpora])
    return Converted(corpus, convert, identity)


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

    def with_corpora(self, corpora: Sequence[Corpus]) -> "Interleaved":
        """Other corpora, mixed in the same way."""
        return Interleaved(corpora, self.weights, self.stopping_strategy, self.seed)

    def describe(self) -> dict[str, Any]:
        """The descriptions of all corpora, and how they are mixed."""
        return {
            "kind": "interleaved",
            "corpora": [corpus.describe() for corpus in self.corpora],
            "weights": self.weights,
            "stopping_strategy": self.stopping_strategy,
            "seed": self.seed,
        }

    def parts(self) -> list[Part]:
        """The parts of all corpora if each document is yielded once; otherwise a single one, in the order of draws."""
        if self.stopping_strategy == "all_exhausted_without_replacement":
            return [part for corpus in self.corpora for part in corpus.parts()]
        return [Part(self.name, self._documents)]

    def _documents(self) -> Iterator[str]:
        """The documents in the order of the draws; `parts` have another order."""
        random = np.random.default_rng(self.seed)
        streams = [corpus._documents() for corpus in self.corpora]
        # One document is read ahead of each corpus, so that its end is known as soon as its last one was handed on.
        following = [next(stream, None) for stream in streams]
        for corpus, document in zip(self.corpora, following, strict=True):
            if document is None:
                explanation = corpus.explain_nothing_found()
                if not isinstance(corpus, HeldOut):  # of a few documents, none may be on this side of the split
                    raise CorpusError(explanation)
        unfinished = {index for index, document in enumerate(following) if document is not None}
        drawn = sorted(unfinished)
        limits = list(accumulate(self.weights[index] for index in drawn))
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
                streams[source] = self.corpora[source]._documents()
                following[source] = next(streams[source])
            else:
                drawn.remove(source)
                limits = list(accumulate(self.weights[index] for index in drawn))

    def explain_nothing_found(self) -> str:
        return self.corpora[0].explain_nothing_found()


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

    def parts(self) -> list[Part]:
        return [replace(part, records=partial(self._records, part)) for part in self.corpus.parts()]

    def _records(self, part: Part) -> Iterator[str]:
        key = (self.seed & _WORD).to_bytes(8, "little")
        threshold = self.percentage / 100 * 2**64
        for record in part.records():
            digest = hashlib.blake2b(record.encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest()
            if (int.from_bytes(digest, "little") < threshold) == self.validation:
                yield record

    def explain_nothing_found(self) -> str:
        next(self.corpus.documents())  # which says so itself if there was nothing to divide
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

    Membership is a hash of the seed and of the record that a document comes from: nothing is stored, no document is
    in both, none is lost, equal records are on the same side, and each part of the corpus can be split by itself.

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
        raise UsageError(
            f"cannot hold out {percentage:g} % of a corpus: give --validation_split_percentage above 0 and below 100"
        )
    if isinstance(corpus, Interleaved):
        sides = [hold_out(part, percentage, seed) for part in corpus.corpora]
        return corpus.with_corpora([train for train, _ in sides]), corpus.with_corpora([held for _, held in sides])
    return HeldOut(corpus, percentage, seed, validation=False), HeldOut(corpus, percentage, seed, validation=True)


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
