"""Texts with entities as spans of characters -> units with tags."""

import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import accumulate

from electra_hf.errors import CorpusError
from electra_hf.finetuning.tagging.data import Unit
from electra_hf.finetuning.tagging.entities import Entity
from electra_hf.finetuning.tagging.readers.sentences import AnnotatedText, AnnotatedTexts, Sentence, Sentences, Span
from electra_hf.finetuning.tagging.schemes import write_tags

# First words of Unicode names that mean the same script.
_SAME_SCRIPT = {"IDEOGRAPHIC": "CJK", "HALFWIDTH": "KATAKANA", "FULLWIDTH": "LATIN"}


def split_words(text: str) -> list[tuple[int, int]]:
    """The words of a text: runs of letters of one script, runs of digits, and every other visible character alone.

    Args:
        text: Any text.

    Returns:
        Start and end of each word, in characters; white space is in none.

    >>> split_words("東京は2021年")
    [(0, 2), (2, 3), (3, 7), (7, 8)]
    >>> ["don't!"[start:end] for start, end in split_words("don't!")]
    ['don', "'", 't', '!']
    """
    words: list[tuple[int, int]] = []
    before = ""
    for place, character in enumerate(text):
        kind = _kind(character)
        if kind == "mark":
            # Marks, joiners and the sign of long vowels belong to what they follow.
            kind = before if before not in ("", "space") else "sign"
            joins = before not in ("", "space")
        else:
            joins = kind == before and kind not in ("sign", "space")
        if joins:
            words[-1] = (words[-1][0], place + 1)
        elif kind != "space":
            words.append((place, place + 1))
        before = kind
    return words


@lru_cache(maxsize=2**16)
def _kind(character: str) -> str:
    """`space`, `sign`, `digit`, `mark`, or the script of a letter."""
    category = unicodedata.category(character)
    if character.isspace():
        return "space"
    if category[0] == "M" or category == "Cf" or character in "\u30fc\uff70":
        return "mark"
    if category == "Nd":
        return "digit"
    if category[0] != "L":
        return "sign"
    name = unicodedata.name(character, "sign").split(" ")[0]
    return _SAME_SCRIPT.get(name, name)


def tag_units(splits: Mapping[str, AnnotatedTexts], label_unit: str) -> tuple[dict[str, Sentences], list[str]]:
    """Cut texts into units and give each one its tag, in IOB2.

    Tags cannot hold entities that overlap: of two the longer one is kept. White space at the borders of an entity is
    taken from it, and an entity that covers part of a word gets the whole word. Each of these is counted.

    Args:
        splits: Split to texts; the first one decides which units.
        label_unit: `word`, `character`, or `auto`: words if each entity of the first split begins and ends at the
            border of one.

    Returns:
        Split to sentences, and what a reader of the results should know.

    Raises:
        CorpusError: An entity of white space only.
    """
    notes: list[str] = []
    flat = {split: _without_overlaps(split, texts, notes) for split, texts in splits.items()}
    unit: Unit = "character" if label_unit == "character" else "word"
    if label_unit == "auto":
        first = next(iter(splits))
        outside = [row for row, entities in enumerate(flat[first]) if not _fits(splits[first].rows[row], entities)]
        if outside:
            unit = "character"
            notes.append(
                f"Characters are tagged, because {len(outside):,} of the {len(splits[first]):,} texts of {first} have "
                f"entities that begin or end inside a word, the first at {splits[first].place(outside[0])}."
            )
        else:
            notes.append(f"Words are tagged: all entities of {first} begin and end at the border of one.")
    return {split: _sentences(split, texts, flat[split], unit, notes) for split, texts in splits.items()}, notes


def _without_overlaps(split: str, texts: AnnotatedTexts, notes: list[str]) -> list[list[Span]]:
    """The entities of each text, in order, without white space at their borders and without overlaps."""
    trimmed: list[int] = []
    dropped: list[int] = []
    kept: list[list[Span]] = []
    for row, text in enumerate(texts.rows):
        spans = []
        for span in text.entities or ():
            covered = text.text[span.start : span.end]
            start = span.start + len(covered) - len(covered.lstrip())
            end = span.end - (len(covered) - len(covered.rstrip()))
            if start >= end:
                raise CorpusError(
                    f"{texts.place(row)}: the {span.type} at characters {span.start} to {span.end} covers white space "
                    "only: take it out"
                )
            if (start, end) != (span.start, span.end):
                trimmed.append(row)
            spans.append(Span(start, end, span.type))
        chosen: list[Span] = []
        for span in sorted(spans, key=lambda span: (span.start - span.end, span.start)):
            if any(span.start < other.end and other.start < span.end for other in chosen):
                dropped.append(row)
            else:
                chosen.append(span)
        kept.append(sorted(chosen))
    _count(notes, split, texts, trimmed, "had white space at their borders, which was taken off")
    _count(notes, split, texts, dropped, "overlap longer ones, which tags cannot say, and were left out")
    return kept


def _count(notes: list[str], split: str, texts: AnnotatedTexts, rows: Sequence[int], what: str) -> None:
    if rows:
        notes.append(f"{split}: {len(rows):,} entities {what} (the first: {texts.place(rows[0])}).")


def _fits(text: AnnotatedText, entities: list[Span]) -> bool:
    words = split_words(text.text)
    starts, ends = {start for start, _ in words}, {end for _, end in words}
    return all(span.start in starts and span.end in ends for span in entities)


def _sentences(
    split: str, texts: AnnotatedTexts, entities: list[list[Span]], unit: Unit, notes: list[str]
) -> Sentences:
    rows: list[Sentence] = []
    widened: list[int] = []
    merged: list[int] = []
    empty: list[int] = []
    for row, (text, spans) in enumerate(zip(texts.rows, entities, strict=True)):
        if not text.text.strip():
            empty.append(row)
            continue
        whole = [(place, place + 1) for place in range(len(text.text))]
        units = whole if unit == "character" else split_words(text.text)
        # The unit that each character is in; white space between words is in the next one.
        ends = {end: number for number, (_, end) in enumerate(units)}
        inside = list(accumulate((place in ends for place in range(len(text.text) + 1)), initial=0))[1:]
        found: list[Entity] = []
        for span in spans:
            first, last = inside[span.start], inside[span.end - 1]
            if (units[first][0], units[last][1]) != (span.start, span.end):
                widened.append(row)
            if found and found[-1].end > first:
                merged.append(row)
                continue
            found.append(Entity(span.type, first, last + 1))
        tags = write_tags(found, len(units), "IOB2") if text.entities is not None else None
        rows.append(
            Sentence([text.text[start:end] for start, end in units], tags, text.idx, [text.number], _gaps(text, units))
        )
    _count(notes, split, texts, widened, "begin or end inside a word, and were widened to whole words")
    _count(notes, split, texts, merged, "are then in a word of the entity before them, and were left out")
    if empty:
        notes.append(f"{split}: {len(empty):,} {'text is' if len(empty) == 1 else 'texts are'} empty, and left out.")
    return Sentences(texts.name, unit, rows, texts.place_name, written=False, notes=list(texts.notes))


def _gaps(text: AnnotatedText, units: list[tuple[int, int]]) -> list[str]:
    """What stands before each unit: the white space that is in none."""
    return [text.text[before:start] for (_, before), (start, _) in zip([(0, 0), *units], units, strict=False)]
