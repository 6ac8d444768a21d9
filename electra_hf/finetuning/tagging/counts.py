"""Hits, predicted and gold, counted by sentence and type: what every score of tags is made from.

All tags of a split are one array, so that thousands of sentences take a fraction of a second. Entities are read as
conlleval and the default mode of seqeval read them: every tag but `O` belongs to one. `B` and `S` start an entity, and
so does any tag after `O`, `E` or `S` or after another type; an `I` after `O` is read as a `B`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np

from electra_hf.finetuning.tagging.data import Scheme

Tags = Sequence[Sequence[str]]
# What is counted: tags; entities; those that are written as the scheme demands; pairs of neighbouring tags; and for
# KLUE tags and entities without white space, in IOB2.
Counted = Literal["tags", "entities", "strict", "transitions", "klue_tags", "klue_entities"]

_PREFIXES = {"O": 0, "B": 1, "I": 2, "E": 3, "S": 4}
_OUTSIDE, _BEGIN, _INSIDE, _END, _SINGLE = range(5)
_SENTENCE_ENDS = -1


@dataclass(frozen=True)
class Counts:
    """Hits, predicted and gold; each int64 (sentences, types), in the order of `types`."""

    types: list[str]
    hits: np.ndarray
    predicted: np.ndarray
    gold: np.ndarray

    @property
    def totals(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The same over all sentences: int64 (types,) each."""
        return self.hits.sum(0), self.predicted.sum(0), self.gold.sum(0)


@dataclass(frozen=True)
class TaggedSplit:
    """Gold and predicted tags of a split, all sentences in a row, with a mark (-1) after each."""

    names: list[str]
    gold: np.ndarray  # int64 (units + sentences,), places in `names`
    predicted: np.ndarray  # likewise
    scheme: Scheme
    spaces: np.ndarray | None = None  # bool (units + sentences,): units of white space, if they are known

    @classmethod
    def of(
        cls,
        gold: Tags,
        predicted: Tags,
        scheme: Scheme,
        labels: Sequence[str] = (),
        units: Sequence[Sequence[str]] | None = None,
    ) -> "TaggedSplit":
        """Put the tags of all sentences in a row.

        Args:
            gold: Tags of each sentence, in the data's scheme.
            predicted: Likewise, of the same lengths.
            scheme: How both are written.
            labels: Tags that are counted even if no sentence has them.
            units: The text of each unit, for what is counted without white space.

        Raises:
            ValueError: If the lengths differ, or a tag is none of the scheme.
        """
        check_same_shape(gold, predicted)
        names = sorted({*labels, *chain.from_iterable(chain(gold, predicted))})
        if scheme != "plain":
            for tag in names:
                if tag != "O" and (tag[:1] not in "BIES" or tag[1:2] != "-"):
                    raise ValueError(
                        f"{tag!r} is not the tag of an entity, which is O or one of B-, I-, E-, S- and a type"
                    )
        codes: dict[str | None, int] = {tag: code for code, tag in enumerate(names)}
        codes[None] = _SENTENCE_ENDS
        size = sum(map(len, gold)) + len(gold)

        def in_a_row(tags: Tags) -> np.ndarray:
            every = chain.from_iterable(chain(sentence, (None,)) for sentence in tags)
            return np.fromiter(map(codes.__getitem__, every), dtype=np.int64, count=size)

        spaces = None
        if units is not None:
            every = chain.from_iterable(chain(sentence, ("",)) for sentence in units)
            spaces = np.fromiter(map(str.isspace, every), dtype=bool, count=size)
        return cls(names, in_a_row(gold), in_a_row(predicted), scheme, spaces)

    @property
    def sentences(self) -> int:
        """How many there are."""
        return int((self.gold == _SENTENCE_ENDS).sum())

    def count(self, counted: Counted) -> Counts:
        """Count one thing in every sentence."""
        if counted == "klue_tags":
            return self._as_klue()._count_tags()
        if counted == "klue_entities":
            return self._as_klue()._count_entities("IOB2")
        if counted == "tags":
            return self._count_tags()
        if counted == "transitions":
            return self._count_transitions()
        return self._count_entities(self.scheme if counted == "strict" else None)

    def _as_klue(self) -> "TaggedSplit":
        """Tags in IOB2 and none of white space.

        KLUE's own evaluation (klue_baseline in KLUE-benchmark/KLUE-baseline) also counts [CLS] and [SEP] of each
        sentence as characters with the tag O. They are none, and left out here: it touches the F1 of O alone.
        """
        kept = np.ones(len(self.gold), dtype=bool) if self.spaces is None else ~self.spaces
        written = [_as_iob2(tag) for tag in self.names]
        names = sorted(set(written))
        codes = np.array([*(names.index(tag) for tag in written), _SENTENCE_ENDS], dtype=np.int64)
        return TaggedSplit(names, codes[self.gold[kept]], codes[self.predicted[kept]], "IOB2")

    def _table(self, places: np.ndarray, kinds: np.ndarray, number: int) -> np.ndarray:
        """How many of each kind each sentence has at some places: (sentences, kinds)."""
        ends = self.gold == _SENTENCE_ENDS
        sentence = (np.cumsum(ends) - ends)[places]
        table = np.bincount(sentence * number + kinds, minlength=self.sentences * number)
        return table.reshape(self.sentences, number)

    def _count_tags(self) -> Counts:
        places, number = np.flatnonzero(self.gold != _SENTENCE_ENDS), len(self.names)
        right = places[self.gold[places] == self.predicted[places]]
        return Counts(
            self.names,
            self._table(right, self.gold[right], number),
            self._table(places, self.predicted[places], number),
            self._table(places, self.gold[places], number),
        )

    def _count_transitions(self) -> Counts:
        valid = _valid_transitions(*self._taken_apart(self.predicted), self.scheme)
        places, number = np.arange(len(valid)), np.zeros(len(valid), dtype=np.int64)
        every = self._table(places, number, 1)
        return Counts(["valid"], self._table(places[valid], number[valid], 1), every, every)

    def _count_entities(self, scheme: Scheme | None) -> Counts:
        """Of all entities as they are read leniently, or of those that are written as a scheme demands."""
        types = self._types()
        gold = _spans(*self._taken_apart(self.gold), scheme)
        predicted = _spans(*self._taken_apart(self.predicted), scheme)
        hits = predicted[:, np.isin(_keys(predicted), _keys(gold))]
        return Counts(types, *(self._table(start, kind, len(types)) for start, _, kind in (hits, predicted, gold)))

    def _types(self) -> list[str]:
        return sorted({tag[2:] for tag in self.names if tag != "O"})

    def _taken_apart(self, tags: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Prefixes (0 to 4: O B I E S) and types (places in `_types()`, -1 outside) of tags, O after each sentence."""
        types = {name: place for place, name in enumerate(self._types())}
        parts = [(_PREFIXES[tag[0]], types.get(tag[2:], -1)) for tag in self.names]
        prefix, kind = np.array([*parts, (_OUTSIDE, -1)], dtype=np.int64).T
        return prefix[tags], kind[tags]


def _before(values: np.ndarray, first: int) -> np.ndarray:
    return np.concatenate([np.array([first], dtype=values.dtype), values])[:-1]


def _spans(prefix: np.ndarray, kind: np.ndarray, scheme: Scheme | None) -> np.ndarray:
    """Start, end (not included) and type of each entity, int64 (3, entities)."""
    outside = prefix == _OUTSIDE
    starts = ~outside & (
        np.isin(prefix, (_BEGIN, _SINGLE))
        | np.isin(_before(prefix, _OUTSIDE), (_OUTSIDE, _END, _SINGLE))
        | (kind != _before(kind, -1))
    )
    start = np.flatnonzero(starts)
    borders = np.flatnonzero(starts | outside)
    # The last place is outside, so there is a border after every start.
    end = borders[np.searchsorted(borders, start, side="right")]
    spans = np.stack([start, end, kind[start]])
    if scheme is None:
        return spans
    well_formed = prefix[start] == _BEGIN
    if scheme == "BIOES":
        well_formed = (well_formed & (prefix[end - 1] == _END)) | (prefix[start] == _SINGLE)
    return spans[:, well_formed]


def _keys(spans: np.ndarray) -> np.ndarray:
    """A number that two spans share only if they have the same borders and the same type."""
    start, end, kind = spans
    return (start << 40) + ((end - start) << 16) + kind


def _valid_transitions(prefix: np.ndarray, kind: np.ndarray, scheme: Scheme) -> np.ndarray:
    """Whether each tag may follow the one before it, the ends of the sentences included; bool."""
    same = kind == _before(kind, -1)
    goes_on = np.isin(prefix, (_INSIDE, _END))
    open_before = np.isin(_before(prefix, _OUTSIDE), (_BEGIN, _INSIDE))
    if scheme == "BIOES":
        return (goes_on == open_before) & (same | ~goes_on)
    return ~goes_on | (open_before & same)


def check_same_shape(gold: Tags, predicted: Tags) -> None:
    """Raise ValueError unless both have the same sentences with the same numbers of units."""
    if len(gold) != len(predicted):
        raise ValueError(f"{len(predicted):,} predicted sentences for {len(gold):,} gold ones")
    for place, (one, other) in enumerate(zip(gold, predicted, strict=True)):
        if len(one) != len(other):
            raise ValueError(f"sentence {place}: {len(other):,} predicted tags for {len(one):,} gold ones")


def _as_iob2(tag: str) -> str:
    return {"S": "B", "E": "I"}.get(tag[0], tag[0]) + tag[1:] if tag[1:2] == "-" else tag
