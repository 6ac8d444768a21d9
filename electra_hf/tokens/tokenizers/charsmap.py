r"""The character rules of a SentencePiece model as normalizers of `tokenizers`, without a difference.

SentencePiece replaces, from left to right, the longest text that one of its rules knows; its NFKC has 220,000 rules,
most of them for letters written as several code points (Hangul jamo, accents, voiced kana). The `Precompiled`
normalizer of `tokenizers` reads the same rules, but applies them to single code points, or to the first one only of a
grapheme of less than six bytes: it composes no Hangul and no kana, turns `e` + circumflex + acute into `ê`, and drops
the accent of `½` + acute. Here each place in which a mark follows something gets an invisible separator first, so that
`Precompiled` sees single code points only; then NFC composes across those places in which a rule spans them, and
nowhere else. Separators are noncharacters, which Unicode keeps out of text.

Left out: letters of several code points that are newer than the tables of `tokenizers`, and the one that case folding
composes although its parts alone are folded to something else (`I` + dot above). They stay in parts.
"""

import struct
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache

from tokenizers import Regex
from tokenizers.normalizers import NFC, Normalizer, Precompiled, Replace

from electra_hf.errors import TokenizerError

_JOIN, _KEEP_APART, _IOTA = "\ufdd0", "\ufdd1", "\ufdd2"
_IOTA_BELOW = "\u0345"  # case folding makes it a letter of its own, except in a composition
_MOST_LEFT_OUT = 64  # a rule set of one's own has more than what Unicode adds in a few years
_LONGEST_KEY = 64  # bytes; the longest rule of NFKC has 12
_MOST_VISITS = 64  # of a unit, on average: texts that end alike share units, about six in NFKC
_MARK_CATEGORIES = {"Mn", "Mc", "Me"}
# What else goes into one grapheme with the character before it: zero-width (non-)joiner, Thai and Lao AM, the line
# feed of a CRLF, skin tones and tags.
_OTHER_MARKS = "\u200c\u200d\u0e33\u0eb3\n" + "".join(map(chr, [*range(0x1F3FB, 0x1F400), *range(0xE0020, 0xE0080)]))


@lru_cache(maxsize=8)
def charsmap_normalizers(blob: bytes) -> tuple[Normalizer, ...]:
    """Normalizers that, one after the other, do to a text what SentencePiece does with these rules.

    Args:
        blob: `precompiled_charsmap` of a model; empty for none.

    Raises:
        TokenizerError: the rules cannot be read, or one of several characters is not a Unicode composition.
    """
    if not blob:
        return ()
    rules = read_charsmap(blob)
    spanning = {text for text in rules if len(text) > 1}
    # A mark that no rule joins is kept apart all the same: in one grapheme with another character it would be lost.
    marks = character_class(_unicode_marks() | {character for text in spanning for character in text[1:]})
    spanning &= _compositions(rules)
    hold, release = [], []
    if rules.get(_IOTA_BELOW, _IOTA_BELOW) != _IOTA_BELOW:
        ending = {text for text in spanning if text[-1] == _IOTA_BELOW}
        hold.append(Replace(_after(ending, take=_IOTA_BELOW), _IOTA))
        release.append(Replace(_IOTA, _IOTA_BELOW))
        marks = f"[{_IOTA}{marks[1:]}"
        spanning = spanning - ending | {text[:-1] + _IOTA for text in ending}
    try:
        precompiled = Precompiled(blob)
    except Exception as error:  # tokenizers has no other
        raise TokenizerError(f"the character rules of the model are damaged ({error}): copy it again") from error
    apart = [Replace(Regex(f"(?<=[^{_JOIN}])(?={marks})"), _KEEP_APART), precompiled]
    if not spanning:
        return (*apart, Replace(_KEEP_APART, ""))
    return (
        *hold,
        Replace(_after(spanning), _JOIN),
        *apart,
        Replace(_JOIN, ""),
        *release,
        NFC(),
        Replace(_KEEP_APART, ""),
    )


def read_charsmap(blob: bytes) -> dict[str, str]:
    """The rules, text -> replacement, of a `precompiled_charsmap`: a double-array trie and a list of results.

    Raises:
        TokenizerError: the bytes are something else.
    """
    try:
        (size,) = struct.unpack_from("<I", blob)
        units = struct.unpack_from(f"<{size // 4}I", blob, 4)
        results = blob[4 + size :]
        return {key.decode(): results[start : results.index(0, start)].decode() for key, start in _trie_keys(units)}
    except (struct.error, ValueError, IndexError) as error:
        raise TokenizerError(f"the character rules (precompiled_charsmap) are damaged: {error}") from error


def _trie_keys(units: tuple[int, ...]) -> Iterable[tuple[bytes, int]]:
    """(key, value) of a Darts double array: the low byte of a unit is its label, bits 10 to 30 its offset."""
    children: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for position, unit in enumerate(units):
        label = unit & 0xFF
        if label and not unit >> 31:
            children[position ^ label].append((label, position))
    waiting = [(0, b"")]
    visits = 0
    while waiting:
        position, key = waiting.pop()
        visits += 1
        if len(key) > _LONGEST_KEY or visits > _MOST_VISITS * len(units):
            raise ValueError("its trie has no end")
        unit = units[position]
        base = position ^ ((unit >> 10) << ((unit & 0x200) >> 6))
        if unit & 0x100:
            yield key, units[base] & 0x7FFFFFFF
        waiting += [(child, key + bytes((label,))) for label, child in children[base]]


def _compositions(rules: dict[str, str]) -> set[str]:
    """The texts that single-character rules and NFC turn into what their own rule says."""
    spanning = [text for text in rules if len(text) > 1]
    parts = ("".join(rules.get(character, character) for character in text[:-1]) for text in spanning)
    ends = (text[-1] if text[-1] == _IOTA_BELOW else rules.get(text[-1], text[-1]) for text in spanning)
    # In one call, as NFC of `tokenizers` is what will be used, and a call for each text takes long.
    found = NFC().normalize_str("\n".join(map("".join, zip(parts, ends, strict=True)))).split("\n")
    composed = {text for text, result in zip(spanning, found, strict=True) if result == rules[text]}
    others = [text for text in spanning if text not in composed]
    if len(others) > _MOST_LEFT_OUT:
        raise TokenizerError(
            f"{len(others)} rules of its normalization, such as {others[0]!r} -> {rules[others[0]]!r}, are no Unicode "
            "compositions: a model with such rules of its own cannot be converted; train one with nfkc or identity"
        )
    return composed


def _after(texts: set[str], take: str = "") -> Regex:
    """The place before the last character of a text, where the rest of that text stands; or that character, `take`."""
    last = take or character_class({text[-1] for text in texts})
    places = "|".join(
        f"(?<={''.join(map(character_class, before))})(?={character_class(after)})"
        for *before, after in _as_classes(texts)
    )
    return Regex(f"(?={last})(?:{places}){take}")


@lru_cache(maxsize=1)
def _unicode_marks() -> frozenset[str]:
    characters = map(chr, range(sys.maxunicode + 1))
    return frozenset(_OTHER_MARKS) | {
        character
        for character in characters
        if unicodedata.category(character) in _MARK_CATEGORIES or unicodedata.combining(character)
    }


def _as_classes(texts: Iterable[str]) -> list[tuple[frozenset[str], ...]]:
    """The same texts as few sequences of character sets: those that differ in one place only become one.

    >>> _as_classes(["ax", "bx", "ay", "by"]) == [(frozenset("ab"), frozenset("xy"))]
    True
    """
    first: defaultdict[str, set[str]] = defaultdict(set)
    for text in texts:
        first[text[1:]].add(text[0])
    patterns = {(frozenset(start), *map(frozenset, rest)) for rest, start in first.items()}
    for place in range(1, max(map(len, patterns))):
        merged: defaultdict[tuple[frozenset[str] | None, ...], set[str]] = defaultdict(set)
        for pattern in patterns:
            if place < len(pattern):
                merged[*pattern[:place], None, *pattern[place + 1 :]] |= pattern[place]
            else:
                merged[pattern] = set()
        patterns = {
            tuple(frozenset(characters) if part is None else part for part in pattern)
            for pattern, characters in merged.items()
        }
    return sorted(patterns, key=lambda pattern: (len(pattern), [sorted(part) for part in pattern]))


def character_class(characters: Iterable[str]) -> str:
    r"""A regular expression that matches one of these characters.

    >>> print(character_class("abcx"))
    [\x{61}-\x{63}\x{78}]
    """
    ranges: list[list[int]] = []
    for point in sorted(map(ord, characters)):
        if ranges and point == ranges[-1][1] + 1:
            ranges[-1][1] = point
        else:
            ranges.append([point, point])
    inside = "".join(rf"\x{{{a:x}}}" if a == b else rf"\x{{{a:x}}}-\x{{{b:x}}}" for a, b in ranges)
    return f"[{inside}]"
