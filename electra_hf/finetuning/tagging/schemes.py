"""How entities are written as tags: which scheme a file has, where it departs from it, and the one that is learnt.

Whatever the scheme, entities are read as conlleval and seqeval's default mode read them (`entities.entities_of`): for
well-formed tags of IOB1, IOB2, IO and BIOES that is what the scheme means. BILOU and BMES are BIOES in other letters.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from electra_hf.finetuning.tagging.entities import Entity
from electra_hf.finetuning.tasks.labels import label_name

SourceScheme = Literal["IOB1", "IOB2", "IO", "BIOES"]

OUTSIDE = "O"
# Letters of all schemes in those of BIOES: L(ast) and U(nit) of BILOU, M(iddle) and W(hole) of BMES.
_LETTERS = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S", "W": "S"}
_PREFIXED = re.compile(f"([{''.join(_LETTERS)}])([-_])(.+)", re.DOTALL)
_SUFFIXED = re.compile(f"(.+)([-_])([{''.join(_LETTERS)}])", re.DOTALL)
_SCHEME_LETTERS: dict[str, str] = {"IOB2": "BI", "BIOES": "BIES"}


@dataclass(frozen=True)
class Notation:
    """Where a tag says what: `B-PER`, `PER-B`, `B_PER`, `PER_B`, or types alone.

    Attributes:
        side: Of the letter; `none` for types alone, which is IO without its letter.
        separator: Between letter and type.
        outside: Tags of what is in no entity.
        letters: Letters that occur.
    """

    side: Literal["prefix", "suffix", "none"] = "prefix"
    separator: str = "-"
    outside: tuple[str, ...] = (OUTSIDE,)
    letters: frozenset[str] = field(default=frozenset("BI"))

    @property
    def example(self) -> str:
        """A tag, for messages."""
        if self.side == "none":
            return "PER"
        return f"B{self.separator}PER" if self.side == "prefix" else f"PER{self.separator}B"

    def read(self, tag: str) -> str:
        """A tag as `O`, or with one of the letters B I E S, a hyphen and the type.

        Raises:
            ValueError: It is not written so; the message continues a sentence that begins with the tag.

        >>> Notation("suffix").read("PER-B"), Notation(letters=frozenset("BILU")).read("L-PER")
        ('B-PER', 'E-PER')
        """
        if tag in self.outside:
            return OUTSIDE
        if self.side == "none":
            if not tag:
                raise ValueError("is empty")
            return f"I-{tag}"
        match = (_PREFIXED if self.side == "prefix" else _SUFFIXED).fullmatch(tag)
        if match is None or match.group(2) != self.separator:
            raise ValueError(_what_is_wrong(tag, self))
        letter, entity_type = (match.group(1), match.group(3))
        if self.side == "suffix":
            letter, entity_type = entity_type, letter
        return f"{_LETTERS[letter]}-{entity_type}"


def _what_is_wrong(tag: str, notation: Notation) -> str:
    if not tag:
        return "is empty"
    first, separator, rest = (
        tag.partition(notation.separator) if notation.side == "prefix" else tag.rpartition(notation.separator)[::-1]
    )
    if separator and not rest:
        return "has no type"
    if separator and len(first) == 1:
        return f"has the {notation.side} {first!r}, which is none of {' '.join(_LETTERS)}"
    return f"has no {notation.side} as the other tags have ({notation.example})"


def detect_notation(tags: Counter[str]) -> Notation | None:
    """How most tags are written.

    Args:
        tags: Tags to their numbers.

    Returns:
        None if no tag has a letter of a scheme.

    >>> detect_notation(Counter({"O": 5, "PER-B": 2, "PER-I": 1})).example
    'PER-B'
    """
    found: Counter[tuple[str, str]] = Counter()
    letters: dict[tuple[str, str], set[str]] = {}
    for tag, number in tags.items():
        for side, pattern, group in (("prefix", _PREFIXED, 1), ("suffix", _SUFFIXED, 3)):
            match = pattern.fullmatch(tag)
            if match is not None:
                written = (side, match.group(2))
                found[written] += number
                letters.setdefault(written, set()).add(match.group(group))
    if not found:
        return Notation() if all(tag == OUTSIDE for tag in tags) else None
    # Of equals the first is taken: a type may be called B.
    (side, separator), _ = max(found.items(), key=lambda item: (item[1], item[0] == ("prefix", "-")))
    if side == "prefix":
        return Notation("prefix", separator, letters=frozenset(letters[side, separator]))
    # Files with suffixes often mark what is in no entity with the hyphen alone.
    return Notation("suffix", separator, (OUTSIDE, "-"), frozenset(letters[side, separator]))


def detect_scheme(sequences: Iterable[Sequence[str]]) -> SourceScheme:
    """The scheme that the tags follow, or from which they depart least.

    Args:
        sequences: Tags of sentences as `Notation.read` returns them.

    Returns:
        `BIOES` if there are E- or S- tags. `IO` if there are only I- tags; IOB1 in which no entities of one type touch
        looks the same, and is read the same. Else `IOB2` or `IOB1`: whether entities after an outside tag or after
        another type begin with B- or with I- in most cases.

    >>> detect_scheme([["I-PER", "I-PER", "B-PER", "O"]]), detect_scheme([["B-PER", "I-PER"]])
    ('IOB1', 'IOB2')
    """
    begun: Counter[str] = Counter()
    letters: set[str] = set()
    for tags in sequences:
        before = OUTSIDE
        for tag in tags:
            if tag != OUTSIDE:
                letters.add(tag[0])
                if tag[2:] != before[2:]:
                    begun[tag[0]] += 1
            before = tag
    if letters & {"E", "S"}:
        return "BIOES"
    if letters == {"I"}:
        return "IO"
    return "IOB1" if begun["I"] > begun["B"] else "IOB2"


def write_tags(entities: Iterable[Entity], length: int, scheme: SourceScheme) -> list[str]:
    """The tags of a sentence.

    Args:
        entities: Its entities in order, none overlapping.
        length: Its units.
        scheme: How they are written. IO cannot tell entities of one type apart that touch.

    >>> write_tags([Entity("PER", 0, 2), Entity("PER", 2, 3)], 4, "IOB1")
    ['I-PER', 'I-PER', 'B-PER', 'O']
    >>> write_tags([Entity("PER", 0, 2), Entity("LOC", 3, 4)], 4, "BIOES")
    ['B-PER', 'E-PER', 'O', 'S-LOC']
    """
    tags = [OUTSIDE] * length
    before = Entity("", -1, -1)
    for entity in entities:
        inside = f"I-{entity.type}"
        tags[entity.start : entity.end] = [inside] * (entity.end - entity.start)
        touches = before.end == entity.start and before.type == entity.type
        if scheme in ("IOB2", "BIOES") or (scheme == "IOB1" and touches):
            tags[entity.start] = f"B-{entity.type}"
        if scheme == "BIOES":
            single = entity.end - entity.start == 1
            tags[entity.end - 1] = f"{'S' if single else 'E'}-{entity.type}"
        before = entity
    return tags


def labels_of(types: Iterable[str], scheme: Literal["IOB2", "BIOES"]) -> tuple[str, ...]:
    """All tags of a scheme in the order of `TaggingData.labels`.

    >>> labels_of(["PER", "LOC"], "IOB2")
    ('O', 'B-LOC', 'I-LOC', 'B-PER', 'I-PER')
    """
    letters = _SCHEME_LETTERS[scheme]
    return (OUTSIDE, *(f"{letter}-{name}" for name in sorted(set(types)) for letter in letters))


def tag_name(cell: object, class_names: Sequence[str] | None) -> str | None:
    """The tag that a cell of a data set holds; None if it is no tag.

    Args:
        cell: Text, or a number of `class_names`.
        class_names: What numbers mean, where the data set declares it.
    """
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int) and not isinstance(cell, bool) and class_names is not None:
        return label_name(cell, class_names) if 0 <= cell < len(class_names) else None
    return None
