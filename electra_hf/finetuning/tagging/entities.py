"""Entities out of tags, and gold entities against predicted ones."""

from collections.abc import Sequence
from itertools import chain
from typing import Any, Literal, NamedTuple

import numpy as np
from datasets import Dataset

from electra_hf.finetuning.tagging.counts import Tags, check_same_shape

MarkKind = Literal["correct", "wrong_type", "wrong_borders", "missed", "spurious"]


class Entity(NamedTuple):
    """The units `start` to `end` of a sentence, `end` not included."""

    type: str
    start: int
    end: int


class Mark(NamedTuple):
    """What became of an entity.

    `correct` and `wrong_type`: the prediction has the same borders. `wrong_borders`: a prediction of the same type
    overlaps. `missed` has no `predicted`, `spurious` no `gold`.
    """

    kind: MarkKind
    gold: Entity | None
    predicted: Entity | None


def entities_of(tags: Tags) -> list[list[Entity]]:
    """The entities of each sentence, in order.

    Tags that do not fit each other are read as conlleval and the default mode of seqeval do, see `counts`.

    Args:
        tags: `O`, or one of B-, I-, E-, S- and a type.

    >>> entities_of([["B-PER", "I-PER", "O", "I-LOC"], ["O"]])
    [[Entity(type='PER', start=0, end=2), Entity(type='LOC', start=3, end=4)], []]
    """
    return [_read(sentence) for sentence in tags]


def _read(tags: Sequence[str]) -> list[Entity]:
    found: list[Entity] = []
    before, start = "O", 0
    for place, tag in enumerate((*tags, "O")):
        starts = tag != "O" and (tag[0] in "BS" or before[0] in "OES" or tag[2:] != before[2:])
        if before != "O" and (starts or tag == "O"):
            found.append(Entity(before[2:], start, place))
        if starts:
            start = place
        before = tag
    return found


def compare_entities(gold: Tags, predicted: Tags) -> list[list[Mark]]:
    """Say of each gold and each predicted entity what became of it.

    An entity is in exactly one mark. Those with the same borders belong together, whatever their types. Of the others,
    a gold and a predicted one of the same type that overlap belong together, from left to right, each at most once:
    `wrong_borders`. What is left is `missed` or `spurious`; an overlap of different types with different borders is
    both, since neither half of the prediction is right.

    Args:
        gold: Tags of each sentence.
        predicted: Likewise, of the same lengths.

    Returns:
        For each sentence its marks, in the order of their first units.

    >>> [mark.kind for mark in compare_entities([["B-PER", "I-PER", "O", "B-LOC"]], [["B-PER", "O", "O", "B-ORG"]])[0]]
    ['wrong_borders', 'wrong_type']
    """
    check_same_shape(gold, predicted)
    return [_compare(*sides) for sides in zip(entities_of(gold), entities_of(predicted), strict=True)]


def _compare(gold: Sequence[Entity], predicted: Sequence[Entity]) -> list[Mark]:
    marks = []
    by_borders = {entity[1:]: entity for entity in predicted}
    missed = []
    for entity in gold:
        same = by_borders.pop(entity[1:], None)
        if same is None:
            missed.append(entity)
        else:
            marks.append(Mark("correct" if same.type == entity.type else "wrong_type", entity, same))
    spurious = list(by_borders.values())
    for entity in missed:
        overlapping = next(
            (other for other in spurious if other.type == entity.type and _overlap(entity, other)),
            None,
        )
        if overlapping is not None:
            spurious.remove(overlapping)
        marks.append(Mark("missed" if overlapping is None else "wrong_borders", entity, overlapping))
    marks += [Mark("spurious", None, entity) for entity in spurious]
    return sorted(marks, key=lambda mark: min(entity.start for entity in mark[1:] if entity is not None))


def _overlap(one: Entity, other: Entity) -> bool:
    return one.start < other.end and other.start < one.end


def entity_confusion(gold: Tags, predicted: Tags) -> dict[str, Any]:
    """Which types are taken for which, counted in entities as `compare_entities` puts them together.

    Returns:
        JSON values. `types`: in alphabetical order. `counts`: a row for each gold type and a last one for predictions
        that are spurious; a column for each predicted type of an entity with the right borders, then one for the right
        type within wrong borders, and one for missed entities. A row sums to the gold entities of its type. A column
        of a type, with the wrong borders of that type, sums to its predicted entities.
    """
    marks = [mark for sentence in compare_entities(gold, predicted) for mark in sentence]
    types = sorted({entity.type for mark in marks for entity in mark[1:] if entity is not None})
    number = {name: place for place, name in enumerate(types)}
    counts = np.zeros((len(types) + 1, len(types) + 2), dtype=np.int64)
    for mark in marks:
        row = len(types) if mark.gold is None else number[mark.gold.type]
        if mark.kind == "wrong_borders":
            column = len(types)
        else:
            column = len(types) + 1 if mark.predicted is None else number[mark.predicted.type]
        counts[row, column] += 1
    return {"types": types, "counts": counts.tolist()}


def tag_confusion(gold: Tags, predicted: Tags) -> dict[str, Any]:
    """The same for plain tags, as parts of speech: `counts` (tags, tags), gold in rows, every unit once."""
    check_same_shape(gold, predicted)
    names = sorted({*chain.from_iterable(chain(gold, predicted))})
    number = {name: place for place, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    for truth, guess in zip(chain.from_iterable(gold), chain.from_iterable(predicted), strict=True):
        counts[number[truth], number[guess]] += 1
    return {"types": names, "counts": counts.tolist()}


def page_sentences(examples: Dataset, gold: Tags | None, predicted: Tags) -> list[dict[str, Any]]:
    """What a page of the predictions shows of each sentence.

    Args:
        examples: The split, see `TaggingData`.
        gold: Tags of each sentence; None if they are not known.
        predicted: Likewise.

    Returns:
        JSON values: `id`, `text`, and `marks`, each with its `kind` (see `Mark`; `predicted` without gold tags) and
        under `gold` and `predicted` None or the type, the first character of the text, and the one behind the last.
    """
    marks: Sequence[Sequence[tuple[str, Entity | None, Entity | None]]]
    if gold is None:
        marks = [[("predicted", None, entity) for entity in sentence] for sentence in entities_of(predicted)]
    else:
        marks = compare_entities(gold, predicted)
    sentences = []
    columns = (examples[name][:] for name in ("idx", "text", "starts", "ends"))
    for number, text, starts, ends, found in zip(*columns, marks, strict=True):

        def in_text(entity: Entity | None, starts: list[int] = starts, ends: list[int] = ends) -> list[Any] | None:
            return None if entity is None else [entity.type, starts[entity.start], ends[entity.end - 1]]

        shown = [{"kind": kind, "gold": in_text(truth), "predicted": in_text(guess)} for kind, truth, guess in found]
        sentences.append({"id": number, "text": text, "marks": shown})
    return sentences
