"""Documents of token ids -> blocks of two segments with a label: BERT's next-sentence prediction, ALBERT's order.

Next-sentence prediction (Devlin et al. 2019, section 3.1 and appendix A.2; create_pretraining_data.py): lines of a
document are gathered up to a target length, the first ones are A, and B is what follows or, half of the time, a
stretch of another document, which begins at a random line; then the lines that B would have had open the next pair.
Sentence order (Lan et al. 2020, section 3.1): A and B are consecutive, and exchanged half of the time.

Different from the references on purpose:

* A line that is gathered alone, up to the target, is parted at a random token. The references take all of it for A,
  and B is always random: where lines are long, nearly all labels would be "random".
* The other document really is another one (BERT gives up after ten draws), of the same shard. Where there is none, and
  for a last single token, the row has no label.
* `overflow="carry"` loses no text: a pair is cut at its end, and what is cut opens the next pair. Where A ends within
  a line, a random B begins within one too, or its beginning would tell the label. For sentence order, a line that does
  not fit is put back whole if two others are there: a cut end would tell which segment is the later one.
  `overflow="drop"` is the reference: tokens go from the front or the back of a segment, at random, and are lost.
"""

import random
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from electra_hf.tokens.packing import Document, Overflow, PackedBlocks, Span, SpecialIds, check_length, write_rows

PairPacking = Literal["nsp", "sop"]
Truncation = Literal["longest_first", "second_first"]
PAIR_PACKINGS = ("nsp", "sop")
NO_PAIR = -100  # the label that cross-entropy ignores


def pack_pairs(
    documents: Iterable[Document],
    max_length: int,
    rng: random.Random,
    special_ids: SpecialIds,
    *,
    packing: PairPacking,
    vocab_size: int = 2**16,
    short_probability: float = 0.1,
    truncation: Truncation = "longest_first",
    overflow: Overflow = "carry",
) -> PackedBlocks:
    """Build [CLS] A [SEP] B [SEP] and a label for each pair.

    Args:
        documents: token ids, line by line. Lines without tokens are skipped.
        max_length: length of a block, special tokens included.
        rng: the only source of randomness, drawn in the order of the text.
        special_ids: the ids of [CLS], [SEP] and [PAD].
        packing: "nsp": the label is 0 where B follows A, 1 where it is of another document; "sop": 0 for segments in
            order, 1 for exchanged ones.
        vocab_size: decides the type of the ids.
        short_probability: share of documents with a shorter target, drawn uniformly from 2 tokens on.
        truncation: what is cut of a pair that is too long: "longest_first" the longer segment, "second_first" the
            second one.
        overflow: "carry" what is cut on to the next pair, or "drop" it.

    Returns:
        The blocks with `pair_labels` (blocks,) int8; -100 stands for no label.

    Raises:
        ValueError: `max_length` is out of range.
    """
    check_length(max_length)
    text, corpus = _read(documents)
    pairs = _Pairs(corpus, rng, max_length - 3, packing, short_probability, truncation, overflow)
    examples: list[tuple[list[Span], list[Span]]] = []
    labels = array("b")
    for number in range(len(corpus)):
        for first, second, label in pairs.of_document(number):
            examples.append(([first], [second] if second[0] < second[1] else []))
            labels.append(label)
    blocks = write_rows(np.frombuffer(text, dtype=np.uintc), examples, max_length, special_ids, vocab_size)
    return replace(blocks, pair_labels=np.array(labels, dtype=np.int8))


def kept_lengths(first: int, second: int, room: int, truncation: Truncation) -> tuple[int, int]:
    """How many tokens of two segments are left when they have `room` tokens together, at least one of each.

    >>> [kept_lengths(7, 2, 6, how) for how in ("longest_first", "second_first")]
    [(4, 2), (5, 1)]
    >>> [kept_lengths(4, 9, 7, how) for how in ("longest_first", "second_first")]
    [(4, 3), (4, 3)]
    """
    if first + second <= room:
        return first, second
    if truncation == "second_first":
        kept = max(1, room - first)
        return room - kept, kept
    if first <= room // 2:
        return first, room - first
    kept = min(second, room // 2)
    return room - kept, kept


def count_pairs(labels: np.ndarray) -> dict[str, int]:
    """How many rows have which label.

    >>> count_pairs(np.array([0, 1, 1, -100], dtype=np.int8))
    {'label_0': 1, 'label_1': 2, 'without': 1}
    """
    values = {"label_0": 0, "label_1": 1, "without": NO_PAIR}
    return {name: int((labels == value).sum()) for name, value in values.items()}


def _read(documents: Iterable[Document]) -> tuple[array, list[array]]:
    """The tokens of all documents; for each that has any, where its lines begin, and where the last one ends."""
    text = array("I")
    corpus = []
    for document in documents:
        bounds = array("Q", [len(text)])
        for line in document:
            if len(line):
                text.extend(line)
                bounds.append(len(text))
        if len(bounds) > 1:
            corpus.append(bounds)
    return text, corpus


@dataclass(frozen=True)
class _Pairs:
    """The pairs of documents; `room` is for the tokens of both segments, the rest as in `pack_pairs`."""

    corpus: Sequence[Sequence[int]]
    rng: random.Random
    room: int
    packing: PairPacking
    short_probability: float
    truncation: Truncation
    overflow: Overflow

    def of_document(self, number: int) -> Iterator[tuple[Span, Span, int]]:
        """Both segments and the label of each pair; the second segment is empty where there is none."""
        lines = self.corpus[number]
        short = self.rng.random() < self.short_probability
        target = 2 + self._draw(self.room - 1) if short else self.room
        start = lines[0]
        line = 0  # holds `start`
        while start < lines[-1]:
            stop = line + 1  # the lines before it are gathered
            while stop < len(lines) - 1 and lines[stop] - start < target:
                stop += 1
            put_back = self.packing == "sop" and self.overflow == "carry" and lines[stop] - start > self.room
            if put_back and stop - line > 2:
                stop -= 1
            if stop - line > 1:
                middle, end = lines[line + 1 + self._draw(stop - line - 1)], lines[stop]
            else:
                end = min(lines[stop], start + target)
                middle = start + 1 + self._draw(end - start - 1) if end - start > 1 else end
            if middle == end:
                pair = (start, end), (end, end), NO_PAIR  # a single token
                start = end
            else:
                pair, start = self._pair(number, (start, middle), (middle, end), target, within=stop - line == 1)
            yield pair
            while line < len(lines) - 1 and lines[line + 1] <= start:
                line += 1

    def _pair(
        self, number: int, first: Span, second: Span, target: int, *, within: bool
    ) -> tuple[tuple[Span, Span, int], int]:
        """The pair, and where the next one begins; `within`: the first segment ends within a line."""
        label = int(self.rng.random() < 0.5) if self.packing == "sop" or len(self.corpus) > 1 else NO_PAIR
        if self.overflow == "carry":
            start, middle = first
            a, b = kept_lengths(middle - start, second[1] - middle, self.room, self.truncation)
            first, second = (start, start + a), (start + a, start + a + b)
            within = within or start + a < middle
        following = second[1]
        if label == 1 and self.packing == "nsp":
            following = first[1]
            taken = first[1] - first[0]
            start, stop = self._elsewhere(number, target - taken, within)
            second = start, min(stop, start + self.room - taken) if self.overflow == "carry" else stop
        elif label == 1:
            first, second = second, first
        if self.overflow == "drop":
            a, b = kept_lengths(first[1] - first[0], second[1] - second[0], self.room, self.truncation)
            first, second = self._cut(first, a), self._cut(second, b)
        return (first, second, label), following

    def _elsewhere(self, number: int, wanted: int, within: bool) -> Span:
        """From a random line of another document, or from within it, up to the end of the line with the last token."""
        other = self._draw(len(self.corpus) - 1)
        lines = self.corpus[other + (other >= number)]
        line = self._draw(len(lines) - 1)
        start = lines[line]
        if within and lines[line + 1] - start > 1:
            start += 1 + self._draw(lines[line + 1] - start - 1)
        stop = line + 1
        while stop < len(lines) - 1 and lines[stop] - start < wanted:
            stop += 1
        return start, lines[stop]

    def _cut(self, span: Span, kept: int) -> Span:
        """`kept` tokens of the span; each of the others is taken from the front or the back."""
        start = span[0] + sum(self.rng.random() < 0.5 for _ in range(span[1] - span[0] - kept))
        return start, start + kept

    def _draw(self, count: int) -> int:
        """0 to `count` - 1; unlike `randrange`, not left to the version of Python."""
        return int(self.rng.random() * count)
