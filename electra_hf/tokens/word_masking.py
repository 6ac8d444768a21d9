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

SpanBERT draws one span after the other, and starts none at what is masked already. Here a span starts at each of K
random words, and they take their turns, each with what is not masked yet, so that no span waits for the one before it.
A span ends at a special token and at the end of the row, and the last one where the slots do.

Legend: batch = rows, length = tokens of a row, K = slots of a row, words = all words of the batch, row by row,
order = the words of a row in the order in which they are to be masked.
"""

from dataclasses import dataclass

import numpy as np

from electra_hf.tokens.hashing import GOLDEN, fractions, mix
from electra_hf.tokens.words import BEGINS, ENDS, OPENS

LONGEST_WORD = 10
_SPAN_STREAM = np.uint64(3)
# A word in one number, which can be sorted without anything else: 40 random bits, 20 of its index in the row, 4 of its
# size. The numbers of bits are the same for all rows, since the length of a span is drawn from the random ones.
_RANDOM_SHIFT, _SIZE_BITS, _SIZE = np.uint64(24), np.uint64(4), np.uint64(15)
_LOW = (np.uint64(1) << _RANDOM_SHIFT) - np.uint64(1)
_NONE = ~np.uint64(0)  # after every word, and longer


@dataclass(frozen=True)
class Words:
    """The words of a batch, numbered in the order of the text.

    Attributes:
        firsts: (words,) int64, the first token of each: row x length + position.
        sizes: (words,) int64, its tokens, 1 to `LONGEST_WORD`.
        bounds: (batch + 1,) int64, the number of each row's first word, and of all.
        length: tokens of a row.
    """

    firsts: np.ndarray
    sizes: np.ndarray
    bounds: np.ndarray
    length: int


def find_words(ids: np.ndarray, candidates: np.ndarray, flags: np.ndarray) -> Words:
    """The words of a batch.

    Args:
        ids: (batch, length) integers.
        candidates: (batch, length) bool, the positions that may be masked.
        flags: (vocabulary,) uint8, from `word_flags`.
    """
    of_tokens = flags.take(ids)
    # Positions that may not be masked are runs of one token, which are left out below.
    before = of_tokens[:, :-1]
    borders = (of_tokens & BEGINS).astype(bool)  # (batch, length)
    borders[:, 1:] |= (before & ENDS).astype(bool)
    borders[:, 1:] &= ~(before & OPENS).astype(bool)
    borders[:, 1:] |= ~candidates[:, :-1]
    borders |= ~candidates
    borders[:, 0] = True
    firsts = np.flatnonzero(borders)
    sizes = np.diff(firsts, append=ids.size)
    too_long = sizes > LONGEST_WORD
    if too_long.any():
        borders.reshape(-1)[_runs(firsts[too_long], sizes[too_long])] = True
        firsts = np.flatnonzero(borders)
        sizes = np.diff(firsts, append=ids.size)
    is_word = candidates.ravel()[firsts]
    firsts, sizes = firsts[is_word], sizes[is_word]
    bounds = np.searchsorted(firsts, np.arange(0, ids.size + 1, ids.shape[1]))
    return Words(firsts, sizes, bounds, ids.shape[1])


def choose_whole_words(
    keys: np.ndarray, words: Words, budgets: np.ndarray, capacity: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the masked words of each row, uniformly and without replacement.

    Args:
        keys: (batch,) uint64, from `row_keys`.
        words: from `find_words`.
        budgets: (batch,) integers, used slots of each row: at most its tokens that may be masked, and `capacity`.
        capacity: K.

    Returns:
        (batch, K) int64 positions in rising order, and (batch, K) bool, which slots are used. Unused ones come last
        and point to 0.
    """
    order = _random_order(keys, words)
    parts = _fill((order & _SIZE).astype(np.int64), budgets)
    chosen = np.flatnonzero(parts)
    numbers = words.bounds[chosen // order.shape[1]] + _index(order.ravel()[chosen])
    masked = np.zeros(len(keys) * words.length, dtype=bool)
    masked[_runs(words.firsts[numbers], parts.ravel()[chosen])] = True
    used = np.arange(capacity) < budgets[:, None]
    positions = np.zeros(used.shape, dtype=np.int64)
    positions[used] = np.flatnonzero(masked) % words.length
    return positions, used


def choose_spans(
    keys: np.ndarray, words: Words, budgets: np.ndarray, capacity: int, *, geometric_p: float, max_words: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the masked spans of each row.

    Args:
        keys: as for `choose_whole_words`, and so are the next three.
        words: see there.
        budgets: see there.
        capacity: see there.
        geometric_p: see `span_lengths`.
        max_words: see `span_lengths`.

    Returns:
        Positions and used slots, as `choose_whole_words`; and (batch, K) uint64, a number that the slots of one span
        share, and no two spans of a row.
    """
    order = _random_order(keys, words)
    # The spans of K different words hold K words or more.
    rows, columns = np.nonzero(order[:, :capacity] != _NONE)
    spans = order[rows, columns]  # (spans,)
    starts = words.bounds[rows] + _index(spans)
    spans >>= _RANDOM_SHIFT
    lengths = span_lengths(mix(spans ^ _SPAN_STREAM), geometric_p, max_words)
    lengths = np.minimum(lengths, _end_of_stretch(words, starts) - starts)
    numbers, turns = _runs(starts, lengths), np.repeat(np.arange(len(spans)), lengths)
    # A word is of the span that comes to it first: of those written to one place, numpy keeps the last.
    first_turn = np.empty(len(words.firsts), dtype=np.int64)
    first_turn[numbers[::-1]] = turns[::-1]
    is_first = first_turn[numbers] == turns
    numbers, turns = numbers[is_first], turns[is_first]

    counts = np.bincount(rows[turns], minlength=len(keys))
    there = np.arange(counts.max(initial=1)) < counts[:, None]  # (batch, order)
    sizes = np.full(there.shape, _SIZE, dtype=np.int64)
    sizes[there] = words.sizes[numbers]
    parts = _fill(sizes, budgets)[there]
    tokens, turns = _runs(words.firsts[numbers], parts), np.repeat(turns, parts)
    masked = np.full(len(keys) * words.length, -1)
    masked[tokens] = turns
    tokens = np.flatnonzero(masked >= 0)
    used = np.arange(capacity) < budgets[:, None]
    positions, of_slots = np.zeros(used.shape, dtype=np.int64), np.zeros(used.shape, dtype=np.uint64)
    positions[used], of_slots[used] = tokens % words.length, spans[masked[tokens]]
    return positions, used, of_slots


def span_lengths(hashes: np.ndarray, geometric_p: float, max_words: int) -> np.ndarray:
    """Words of each span: P(n) is proportional to p (1 - p)^(n - 1), for n from 1 to the maximum.

    Args:
        hashes: uint64 of any shape.
        geometric_p: p, above 0 and at most 1; SpanBERT: 0.2.
        max_words: the maximum; SpanBERT: 10, which gives 3.8 words on average.

    Returns:
        int64 of that shape.
    """
    longer = (1 - geometric_p) ** np.arange(1, max_words + 1)
    return 1 + np.searchsorted((1 - longer) / (1 - longer[-1]), fractions(hashes), side="right")


def _random_order(keys: np.ndarray, words: Words) -> np.ndarray:
    """(batch, order) uint64, sorted: random bits, index of the word in its row, and its size."""
    counts = np.diff(words.bounds)
    there = np.arange(counts.max(initial=1)) < counts[:, None]  # (batch, order)
    positions = words.firsts - np.repeat(np.arange(len(keys)) * words.length, counts)
    hashes = mix(np.repeat(keys, counts) + positions.astype(np.uint64) * GOLDEN)
    indices = np.arange(len(hashes)) - np.repeat(words.bounds[:-1], counts)
    order = np.full(there.shape, _NONE)
    order[there] = hashes & ~_LOW | (indices << int(_SIZE_BITS) | words.sizes).astype(np.uint64)
    order.sort(axis=1)
    return order


def _index(packed: np.ndarray) -> np.ndarray:
    return ((packed & _LOW) >> _SIZE_BITS).astype(np.int64)


def _end_of_stretch(words: Words, numbers: np.ndarray) -> np.ndarray:
    """The number behind the last word before the next special token, or before the next row."""
    begins = np.ones(len(words.firsts) + 1, dtype=bool)
    begins[1:-1] = words.firsts[1:] > words.firsts[:-1] + words.sizes[:-1]
    begins[words.bounds] = True
    stretches = np.flatnonzero(begins)
    return stretches[np.searchsorted(stretches, numbers, side="right")]


def _fill(sizes: np.ndarray, budgets: np.ndarray) -> np.ndarray:
    """How many tokens of each word are masked.

    Args:
        sizes: (batch, order) int64; more than `LONGEST_WORD` behind the last word.
        budgets: (batch,) at most the tokens of a row's words.

    Returns:
        (batch, order) int64, whose sums are the budgets.
    """
    taken = sizes.cumsum(axis=1) <= budgets[:, None]
    left = budgets - (sizes * taken).sum(axis=1)
    rows = np.flatnonzero(left)
    while len(rows):
        # What was passed over once never fits again, so the first one that fits is the next one.
        fits = (sizes[rows] <= left[rows, None]) & ~taken[rows]
        chosen = fits.argmax(axis=1)
        found = fits[np.arange(len(rows)), chosen]
        rows, chosen = rows[found], chosen[found]
        taken[rows, chosen] = True
        left[rows] -= sizes[rows, chosen]
        rows = rows[left[rows] > 0]
    parts = sizes * taken
    rows = np.flatnonzero(left)
    parts[rows, taken[rows].argmin(axis=1)] = left[rows]
    return parts


def _runs(firsts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """first, first + 1, ..., as many as the length says, for each of both in turn."""
    return np.repeat(firsts - lengths.cumsum() + lengths, lengths) + np.arange(lengths.sum())
