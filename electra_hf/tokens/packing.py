"""Documents of token ids -> fixed-length blocks; pure functions on integers and numpy.

A *document* is a sequence of lines (sentences or paragraphs), and a line is a sequence of token ids without special
tokens. Two packers share that input:

* `pack_full` fills every block to the brim, across sentences and documents: no padding but in the last block.
* `pack_electra` builds the examples of google-research/electra (build_pretraining_dataset.py):
  two segments of about equal length out of one document, sometimes a single one, sometimes a short one.

The reference throws away what does not fit an example once it is trimmed, a few tokens out of every block, and all
but the first block of a long line. `overflow="carry"` hands it to the next example; `overflow="drop"` keeps the
reference's behaviour for those who reproduce the paper.
"""

import random
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Line = Sequence[int]
Document = Sequence[Line]
Overflow = Literal["carry", "drop"]
Span = tuple[int, int]

MIN_BLOCK_LENGTH = 5  # the shortest example that the reference asks for: [CLS] a [SEP] b [SEP]
MAX_BLOCK_LENGTH = 65_535  # lengths are uint16


@dataclass(frozen=True)
class SpecialIds:
    """The token ids that the packers add themselves."""

    cls: int
    sep: int
    pad: int


@dataclass(frozen=True)
class PackedBlocks:
    """Blocks of one length and where their text ends.

    Attributes:
        ids: (blocks, length) uint16 or uint32, padded on the right.
        lengths: (blocks,) uint16, real tokens of each row, special tokens included.
        first_lengths: (blocks,) uint16, tokens of the first segment with its [CLS] and [SEP]; equal to `lengths` where
            the row has a single segment.
        pair_labels: (blocks,) int8 where `sentence_pairs` packed them, else None.
    """

    ids: np.ndarray
    lengths: np.ndarray
    first_lengths: np.ndarray
    pair_labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def columns(self) -> list[np.ndarray]:
        """The arrays that there are, in the order of their names above."""
        columns = (self.ids, self.lengths, self.first_lengths, self.pair_labels)
        return [column for column in columns if column is not None]


def id_dtype(vocab_size: int) -> type[np.uint16] | type[np.uint32]:
    """The smallest unsigned type that holds every id of the vocabulary."""
    return np.uint16 if vocab_size <= 2**16 else np.uint32


def pack_full(
    documents: Iterable[Document], max_length: int, special_ids: SpecialIds, *, vocab_size: int = 2**16
) -> PackedBlocks:
    """Fill blocks across sentence and document boundaries.

    The documents make one stream, joined by one [SEP]. A block is [CLS], the next `max_length - 2` ids of the
    stream, and [SEP]. Where a document ends exactly with a block, that block's own [SEP] is the boundary and the
    next block starts with text. Where it ends one id earlier, the boundary fills the last slot and the closing
    [SEP] doubles it. Nothing is dropped; only the last block can be padded.

    Args:
        documents: token ids, line by line; lines do not matter here. Empty documents are skipped.
        max_length: length of a block, special tokens included.
        special_ids: the ids of [CLS], [SEP] and [PAD].
        vocab_size: decides the type of the ids.

    Returns:
        The blocks; `first_lengths` equals `lengths`.

    Raises:
        ValueError: `max_length` is out of range.
    """
    check_length(max_length)
    capacity = max_length - 2
    stream = array("I")
    for document in documents:
        boundary = len(stream) > 0 and len(stream) % capacity != 0
        before = len(stream)
        if boundary:
            stream.append(special_ids.sep)
        for line in document:
            stream.extend(line)
        if len(stream) == before + boundary:  # no text: no boundary either
            del stream[before:]
    text = np.frombuffer(stream, dtype=np.uintc)  # (ids of the stream,)
    blocks = -(-len(text) // capacity)
    rows = np.full((blocks, max_length), special_ids.pad, dtype=id_dtype(vocab_size))
    lengths = np.full(blocks, max_length, dtype=np.uint16)
    if blocks:
        rows[:, 0] = special_ids.cls
        rows[:, -1] = special_ids.sep
        whole = len(text) // capacity
        rows[:whole, 1:-1] = text[: whole * capacity].reshape(whole, capacity)
        rest = text[whole * capacity :]
        if len(rest):
            rows[-1, 1 : len(rest) + 1] = rest
            rows[-1, len(rest) + 1] = special_ids.sep
            rows[-1, len(rest) + 2 :] = special_ids.pad
            lengths[-1] = len(rest) + 2
    return PackedBlocks(rows, lengths, lengths.copy())


def pack_electra(
    documents: Iterable[Document],
    max_length: int,
    rng: random.Random,
    special_ids: SpecialIds,
    *,
    vocab_size: int = 2**16,
    single_segment_probability: float = 0.1,
    short_probability: float = 0.05,
    overflow: Overflow = "carry",
) -> PackedBlocks:
    """Build the examples of google-research/electra's build_pretraining_dataset.py.

    Lines of one document are gathered until they hold the target number of tokens, then divided into two segments,
    trimmed to the block, and written as [CLS] A [SEP] B [SEP]. The target is `max_length`, or now and then a random
    shorter one; some examples keep all their text in one segment. No example crosses a document.

    With `overflow="carry"` the trimmed text opens the next example of the document, so that nothing is lost, and
    the two segments are contiguous. `overflow="drop"` is the reference to the letter: trimmed text is thrown away,
    and a line that still fits the first segment goes there even when an earlier line already went to the second.

    Args:
        documents: token ids, line by line. Lines without tokens are skipped.
        max_length: length of a block, special tokens included.
        rng: the only source of randomness, drawn in the order of the text.
        special_ids: the ids of [CLS], [SEP] and [PAD].
        vocab_size: decides the type of the ids.
        single_segment_probability: how often an example has one segment.
        short_probability: how often the next example gets a target drawn uniformly from 5 ... `max_length`.
        overflow: "carry" or "drop".

    Raises:
        ValueError: `max_length` is out of range.
    """
    check_length(max_length)
    text = array("I")
    examples: list[tuple[list[Span], list[Span]]] = []
    target = (
        max_length  # as in the reference, a short target that a document did not reach waits for the next document
    )
    for document in documents:
        ends = array("Q")
        start = len(text)
        for line in document:
            if len(line):
                text.extend(line)
                ends.append(len(text))
        first = 0  # the line that holds the first token not yet in an example
        stop = 0  # the lines before `stop` are gathered
        while start < len(text):
            while stop < len(ends) and (stop <= first or ends[stop - 1] - start < target):
                stop += 1
            single = rng.random() < single_segment_probability
            # The reference's "no limit" is 100,000 tokens; a longer block does not exist.
            first_target = 100_000 if single else (target - 3) // 2
            lines = [(start, ends[first]), *zip(ends[first : stop - 1], ends[first + 1 : stop], strict=True)]
            a, b = _divide(lines, first_target, rng, contiguous=overflow == "carry")
            a, a_size = _trim(a, max_length - 2)
            b, b_size = _trim(b, max_length - a_size - 3)
            examples.append((a, b))
            # Contiguous segments: what was taken is exactly the next a_size + b_size tokens.
            start = start + a_size + b_size if overflow == "carry" else ends[stop - 1]
            while first < len(ends) and ends[first] <= start:
                first += 1
            target = max_length
            if rng.random() < short_probability:
                target = MIN_BLOCK_LENGTH + int(rng.random() * (max_length - MIN_BLOCK_LENGTH + 1))
    return write_rows(np.frombuffer(text, dtype=np.uintc), examples, max_length, special_ids, vocab_size)


def check_length(max_length: int) -> None:
    """Raise ValueError for a length that no block can have."""
    if not MIN_BLOCK_LENGTH <= max_length <= MAX_BLOCK_LENGTH:
        raise ValueError(
            f"a block of {max_length} tokens cannot be packed: choose {MIN_BLOCK_LENGTH} to {MAX_BLOCK_LENGTH}"
        )


def _divide(
    lines: list[Span], first_target: int, rng: random.Random, *, contiguous: bool
) -> tuple[list[Span], list[Span]]:
    """Give each line to the first or the second segment, as the reference does."""
    first, second = [lines[0]], []
    size = lines[0][1] - lines[0][0]
    for index in range(1, len(lines)):
        start, stop = lines[index]
        fits = size + stop - start < first_target
        if fits or (not second and size < first_target and rng.random() < 0.5):
            first.append((start, stop))
            size += stop - start
        elif contiguous:
            return first, lines[index:]
        else:
            second.append((start, stop))
    return first, second


def _trim(spans: list[Span], room: int) -> tuple[list[Span], int]:
    """The first `room` tokens of the spans, neighbours merged, and how many tokens they are."""
    kept: list[Span] = []
    size = 0
    for start, stop in spans:
        stop = min(stop, start + room - size)
        if stop <= start:
            break
        size += stop - start
        if kept and kept[-1][1] == start:
            kept[-1] = (kept[-1][0], stop)
        else:
            kept.append((start, stop))
    return kept, size


def _segment(row: np.ndarray, at: int, text: np.ndarray, spans: list[Span], sep: int) -> int:
    """Write the spans and a [SEP] into the row from `at` on; returns where they end."""
    for start, stop in spans:
        row[at : at + stop - start] = text[start:stop]
        at += stop - start
    row[at] = sep
    return at + 1


def write_rows(
    text: np.ndarray,
    examples: list[tuple[list[Span], list[Span]]],
    max_length: int,
    special_ids: SpecialIds,
    vocab_size: int,
) -> PackedBlocks:
    """Rows of [CLS] first [SEP] second [SEP]; segments are spans of the text, and an empty second one is left out."""
    rows = np.full((len(examples), max_length), special_ids.pad, dtype=id_dtype(vocab_size))
    lengths = np.zeros(len(examples), dtype=np.uint16)
    first_lengths = np.zeros(len(examples), dtype=np.uint16)
    if examples:
        rows[:, 0] = special_ids.cls
    for index, (first, second) in enumerate(examples):
        row = rows[index]
        at = _segment(row, 1, text, first, special_ids.sep)
        first_lengths[index] = at
        lengths[index] = _segment(row, at, text, second, special_ids.sep) if second else at
    return PackedBlocks(rows, lengths, first_lengths)
