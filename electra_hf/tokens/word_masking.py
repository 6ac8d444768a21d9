"""Whole words and spans of words as masks: pure functions of (seed, epoch, sample), as single tokens are in `masking`.

* Whole words (google-research/bert, 2019): words in random order, each as a whole, until the row's slots are used.
* Spans (SpanBERT, Joshi et al. 2020, section 3.1): from the beginning of a random word on, as many words as a
  truncated geometric distribution says.

A *word* is a run of tokens without a border (`words`) inside. A special token ends it, and so does the edge of the
row, where packing may have cut it. A run of more than `LONGEST_WORD` tokens is an address, a formula or noise, and
would take a large part of the slots at once: each of its tokens counts as a word.

Both use exactly as many slots of a row as single tokens do. A word that has more tokens than slots are left is passed
over, as in BERT, so that the last slots go to shorter words; only where none is short enough, the first one that was
passed over is masked in part, from its beginning.

SpanBERT draws one span after the other, and starts none at what is masked already. Here every word has a span that
starts at it, and they come in random order, each with what is not masked yet. So no span waits for the one before it,
and all words of a batch are treated at once. A span ends at a special token and at the end of the row, and the last
one where the slots do.

Legend: batch = rows, length = tokens of a row, K = slots of a row, words = all words of the batch, row by row.
"""

from dataclasses import dataclass

import numpy as np

from electra_hf.tokens.hashing import GOLDEN, fractions, mix
from electra_hf.tokens.words import BEGINS, ENDS

LONGEST_WORD = 10
_SPAN_STREAM = np.uint64(3)
_SIZE_BITS, _SIZE = np.uint64(4), np.uint64(15)  # hold LONGEST_WORD and one more
_NONE = ~np.uint64(0)  # after every word, and longer


@dataclass(frozen=True)
class Words:
    """The words of a batch, in the order of the text.

    Attributes:
        rows: (words,) int64, the row of each.
        starts: (words,) int64, its first position there.
        sizes: (words,) int64, its tokens, 1 to `LONGEST_WORD`.
        to_go: (words,) int64, words from here to the next special token or the end of the row, itself included.
    """

    rows: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray
    to_go: np.ndarray


def find_words(ids: np.ndarray, candidates: np.ndarray, flags: np.ndarray) -> Words:
    """The words of a batch.

    Args:
        ids: (batch, length) integers.
        candidates: (batch, length) bool, the positions that may be masked.
        flags: (vocabulary,) uint8, from `word_flags`.
    """
    of_tokens = flags.take(ids)
    # Positions that may not be masked are runs of one token, which are left out below.
    borders = (of_tokens & BEGINS).astype(bool) | ~candidates  # (batch, length)
    borders[:, 1:] |= (of_tokens[:, :-1] & ENDS).astype(bool) | ~candidates[:, :-1]
    borders[:, 0] = True
    firsts = np.flatnonzero(borders)
    sizes = np.diff(firsts, append=ids.size)
    if sizes.max(initial=0) > LONGEST_WORD:
        borders |= np.repeat(sizes > LONGEST_WORD, sizes).reshape(ids.shape)
        firsts = np.flatnonzero(borders)
        sizes = np.diff(firsts, append=ids.size)
    is_word = candidates.ravel()[firsts]
    firsts, sizes = firsts[is_word], sizes[is_word]
    rows, starts = np.divmod(firsts, ids.shape[1])
    # A stretch of words begins after a special token and with a row.
    begins = np.ones(len(firsts), dtype=bool)
    begins[1:] = (firsts[1:] > firsts[:-1] + sizes[:-1]) | (starts[1:] == 0)
    stretches = np.flatnonzero(begins)
    counts = np.diff(stretches, append=len(firsts))
    to_go = np.repeat(stretches + counts, counts) - np.arange(len(firsts))
    return Words(rows, starts, sizes, to_go)


def choose_whole_words(
    keys: np.ndarray, words: Words, budgets: np.ndarray, capacity: int, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the masked words of each row, uniformly and without replacement.

    Args:
        keys: (batch,) uint64, from `row_keys`.
        words: from `find_words`.
        budgets: (batch,) integers, used slots of each row: at most its tokens that may be masked, and `capacity`.
        capacity: K.
        length: tokens of a row.

    Returns:
        (batch, K) int64 positions in rising order, and (batch, K) bool, which slots are used. Unused ones come last
        and point to 0.
    """
    positions, used, _ = _fill(_hashes(keys, words), words, budgets, capacity, length)
    return positions, used


def choose_spans(
    keys: np.ndarray,
    words: Words,
    budgets: np.ndarray,
    capacity: int,
    length: int,
    *,
    geometric_p: float,
    max_words: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the masked spans of each row.

    Args:
        keys: as for `choose_whole_words`, and so are the next four.
        words: see there.
        budgets: see there.
        capacity: see there.
        length: see there.
        geometric_p: see `span_lengths`.
        max_words: see `span_lengths`.

    Returns:
        Positions and used slots, as `choose_whole_words`; and (batch, K) uint64, a number that the slots of one span
        share, and no two spans of a row.
    """
    hashes = _hashes(keys, words)
    spans = np.minimum(span_lengths(mix(hashes ^ _SPAN_STREAM), geometric_p, max_words), words.to_go)
    # A word is masked by the first in random order of the spans that reach it.
    earliest = hashes.copy()
    for distance in range(1, min(max_words, len(hashes))):
        reaching = np.where(spans[:-distance] > distance, hashes[:-distance], _NONE)
        np.minimum(earliest[distance:], reaching, out=earliest[distance:])
    return _fill(earliest, words, budgets, capacity, length)


def span_lengths(hashes: np.ndarray, geometric_p: float, max_words: int) -> np.ndarray:
    """Words of each span: P(n) is proportional to p (1 - p)^(n - 1), for n from 1 to the maximum.

    Args:
        hashes: uint64 of any shape.
        geometric_p: p, above 0 and at most 1; SpanBERT: 0.2.
        max_words: the maximum; SpanBERT: 10, which gives 3.8 words on average.

    Returns:
        int64 of that shape.
    """
    remaining = (1 - geometric_p) ** np.arange(1, max_words + 1)
    return 1 + np.searchsorted((1 - remaining) / (1 - remaining[-1]), fractions(hashes), side="right")


def _hashes(keys: np.ndarray, words: Words) -> np.ndarray:
    return mix(keys[words.rows] + words.starts.astype(np.uint64) * GOLDEN)  # (words,)


def _fill(
    hashes: np.ndarray, words: Words, budgets: np.ndarray, capacity: int, length: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Use the slots of each row for words in the order of their (words,) hashes; where these are equal, of the text.

    Returns:
        (batch, K) positions and used slots, and (batch, K) uint64, the upper bits of the hash of each slot's word.
    """
    batch = len(budgets)
    # Hash, place and size in one number: it can be sorted without anything else.
    place_bits = np.uint64(length.bit_length())
    low_bits = place_bits + _SIZE_BITS
    packed = hashes >> low_bits << low_bits
    packed |= words.starts.astype(np.uint64) << _SIZE_BITS | words.sizes.astype(np.uint64)
    counts = np.bincount(words.rows, minlength=batch)
    order = np.full((batch, counts.max(initial=1)), _NONE)  # (batch, words of a row)
    order[np.arange(order.shape[1]) < counts[:, None]] = packed
    order.sort(axis=1)
    sizes = (order & _SIZE).astype(np.int64)
    taken = sizes.cumsum(axis=1) <= budgets[:, None]
    left = budgets - (sizes * taken).sum(axis=1)
    # What was passed over once never fits again, so the first one that fits is the next one.
    rows = np.flatnonzero(left)
    while len(rows):
        fits = (sizes[rows] <= left[rows, None]) & ~taken[rows]
        chosen = fits.argmax(axis=1)
        found = fits[np.arange(len(rows)), chosen]
        rows, chosen = rows[found], chosen[found]
        taken[rows, chosen] = True
        left[rows] -= sizes[rows, chosen]
        rows = rows[left[rows] > 0]
    sizes *= taken
    rows = np.flatnonzero(left)
    sizes[rows, taken[rows].argmin(axis=1)] = left[rows]
    rows, columns = np.nonzero(sizes)
    sizes, order = sizes[rows, columns], order[rows, columns]
    # Each word's tokens, in flat numbers: its first one, and so on.
    firsts = rows * length + (order >> _SIZE_BITS & (np.uint64(1) << place_bits) - np.uint64(1)).astype(np.int64)
    tokens = np.repeat(firsts - sizes.cumsum() + sizes, sizes) + np.arange(sizes.sum())
    of_tokens = np.zeros(batch * length, dtype=np.uint64)
    masked = np.zeros(batch * length, dtype=bool)
    of_tokens[tokens], masked[tokens] = np.repeat(order >> low_bits, sizes), True
    tokens = np.flatnonzero(masked)  # in rising order
    used = np.arange(capacity) < budgets[:, None]
    positions, of_slots = np.zeros((batch, capacity), dtype=np.int64), np.zeros((batch, capacity), dtype=np.uint64)
    positions[used], of_slots[used] = tokens % length, of_tokens[tokens]
    return positions, used, of_slots
