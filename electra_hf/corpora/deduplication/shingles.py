"""The overlapping runs of words that near duplicates have in common, as numbers, for any language.

A *word* is a run of letters, marks and digits, whatever its case; punctuation and white space only end it. In scripts
that are written without spaces (Chinese characters, kana, Thai, Lao, Khmer, Burmese) each character is a word by
itself, but counts for 5/8 of one: a *shingle* of 5 words is 8 characters there, so that a changed word of about two
characters costs as large a share of the shingles as in a language with spaces. A text that is shorter than one shingle
is a single one, a text without any word has none.

There is no loop over words: a prefix sum of the characters' random numbers, each times a power of an odd number,
gives the hash of every word as one difference, and a prefix sum of the words' hashes that of every shingle. All
arithmetic is modulo 2^64, where an odd number has an inverse.
"""

import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BATCH_CHARACTERS = 2**18  # of one call; what is in use then fits the processor's second cache

_WORD_WEIGHT, _CHARACTER_WEIGHT = 8, 5
_SEPARATOR, _LETTER, _UNSPACED = range(3)
_LAST_CODE = 0x3FFFF  # what lies above is for private use and no letter
_CASED_CODES = 0x20000  # above are only Chinese characters
_UNSPACED_RANGES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Chinese characters
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),  # half-width Katakana
    (0x1B000, 0x1B16F),
    (0x20000, 0x3FFFD),
)
_CHARACTER_BASE, _WORD_BASE = 0x9E3779B97F4A7C15, 0xD1342543DE82EF95  # odd, otherwise of no importance

Words = NDArray[np.uint64]


class Shingles(NamedTuple):
    """The shingles of several texts, in order; both arrays have one entry for each shingle.

    Attributes:
        hashes: uint32.
        texts: The number of the text that each one is from, ascending.
    """

    hashes: NDArray[np.uint32]
    texts: NDArray[np.int64]


def mix(values: Words) -> Words:
    """Scatter 64-bit numbers (the finaliser of SplitMix64, a bijection)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def shingles(texts: Sequence[str], words: int) -> Shingles:
    """The shingles of texts of together at most `BATCH_CHARACTERS`, each text counted one longer than it is.

    Args:
        texts: Texts in NFC.
        words: The length of a shingle.
    """
    kinds, hashes = _characters()
    lengths = np.array([len(text) + 1 for text in texts], np.int64)
    assert lengths.sum() <= BATCH_CHARACTERS
    joined = "\n".join(texts).encode("utf-32-le", "surrogatepass")
    codes = np.minimum(np.frombuffer(joined, "<u4"), _LAST_CODE)
    kind = kinds[codes]
    before = np.concatenate(([_SEPARATOR], kind[:-1])).astype(np.uint8)
    after = np.append(kind[1:], np.uint8(_SEPARATOR))
    starts = np.flatnonzero((kind == _UNSPACED) | ((kind == _LETTER) & (before != _LETTER)))
    ends = np.flatnonzero((kind == _UNSPACED) | ((kind == _LETTER) & (after != _LETTER))) + 1
    if len(starts) == 0:
        return Shingles(np.empty(0, np.uint32), np.empty(0, np.int64))
    word_hashes = _range_hashes(hashes[codes], starts, ends, _CHARACTER_BASE)
    weights = np.where(kind[starts] == _UNSPACED, _CHARACTER_WEIGHT, _WORD_WEIGHT)
    text_of = np.searchsorted(np.cumsum(lengths), starts, side="right")
    first, last, found_in = _windows(weights, text_of, words * _WORD_WEIGHT)
    found = _range_hashes(word_hashes, first, last, _WORD_BASE)
    return Shingles((found >> np.uint64(32)).astype(np.uint32), found_in)


def _windows(
    weights: NDArray[np.int64], text_of: NDArray[np.int64], target: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """First and last-but-one word of each shingle, and its text: as many words as it takes to weigh the target."""
    numbers = np.arange(len(weights))
    sums = np.concatenate(([0], np.cumsum(weights)))
    ends = np.searchsorted(sums, sums[:-1] + target)
    is_first = np.concatenate(([True], text_of[1:] != text_of[:-1]))
    text_ends = np.append(np.flatnonzero(is_first)[1:], len(weights))[np.cumsum(is_first) - 1]
    used = (ends <= text_ends) | is_first
    return numbers[used], np.minimum(ends, text_ends)[used], text_of[used]


def _range_hashes(values: Words, starts: NDArray[np.int64], ends: NDArray[np.int64], base: int) -> Words:
    """A hash of each range of values, which depends on their order and not on where they are."""
    powers, inverses = _powers(base)
    sums = np.zeros(len(values) + 1, np.uint64)
    np.cumsum(values * powers[: len(values)], out=sums[1:])
    return mix((sums[ends] - sums[starts]) * inverses[starts])


@cache
def _powers(base: int) -> tuple[Words, Words]:
    both = []
    for factor in (base, pow(base, -1, 2**64)):
        factors = np.full(BATCH_CHARACTERS, factor, np.uint64)
        factors[0] = 1
        both.append(np.multiply.accumulate(factors))
    return both[0], both[1]


@cache
def _characters() -> tuple[NDArray[np.uint8], Words]:
    """The kind of every character, and a random number that upper and lower case share."""
    kinds = np.zeros(_LAST_CODE + 1, np.uint8)
    folded = np.arange(_LAST_CODE + 1, dtype=np.uint64)
    for code in range(_CASED_CODES):
        character = chr(code)
        if unicodedata.category(character)[0] in "LMN":
            kinds[code] = _LETTER
            lower = character.lower()
            if len(lower) == 1:
                folded[code] = ord(lower)
    for first, last in _UNSPACED_RANGES:
        if last < _CASED_CODES:
            among = kinds[first : last + 1]
            among[among == _LETTER] = _UNSPACED
        else:
            kinds[first : last + 1] = _UNSPACED
    return kinds, mix(folded + np.uint64(1))
