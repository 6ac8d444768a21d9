"""Entities of characters that begin or end with white space.

White space between characters has no token, and so its tag follows from its neighbours: an entity can hold it, but
cannot begin or end with it. A few published entities do; KLUE's own evaluation leaves spaces out, which comes to the
same as letting them begin and end with the characters beside.
"""

import dataclasses

from datasets import Dataset

from electra_hf.finetuning.tagging.data import TaggingData
from electra_hf.finetuning.tagging.entities import Entity, entities_of
from electra_hf.finetuning.tagging.schemes import SourceScheme, write_tags


def without_outer_whitespace(data: TaggingData) -> TaggingData:
    """Let entities of characters begin and end with characters that are no white space.

    Args:
        data: Any; only entities of characters can change.

    Returns:
        The data, with a note for each split that says how many entities are shorter than published.
    """
    if data.unit == "word" or data.scheme == "plain":
        return data
    splits, notes = dict(data.splits), list(data.notes)
    for name, split in data.splits.items():
        if "tags" not in split.column_names:
            continue
        splits[name], count, lost = _trimmed_split(split, data.labels, data.scheme)
        if count:
            notes.append(
                f"{name}: {count:,} entities begin or end with white space, which has no tag of its own; they now "
                "begin and end with the characters beside it"
                + (f", and {lost:,} of nothing else are gone" * bool(lost))
            )
    return dataclasses.replace(data, splits=splits, notes=tuple(notes))


def _trimmed_split(split: Dataset, labels: tuple[str, ...], scheme: SourceScheme) -> tuple[Dataset, int, int]:
    """The split, how many entities were changed, and how many of them are gone."""
    outside = labels.index("O")
    rows: list[list[int]] = []
    count = lost = 0
    for text, starts, ends, tags in zip(split["text"], split["starts"], split["ends"], split["tags"], strict=True):
        rows.append(tags)
        blank = [not text[start:end].strip() for start, end in zip(starts, ends, strict=True)]
        if not any(space and tag != outside for space, tag in zip(blank, tags, strict=True)):
            continue
        found = entities_of([[labels[tag] for tag in tags]])[0]
        trimmed = [_trimmed(entity, blank) for entity in found]
        changed = sum(before != after for before, after in zip(found, trimmed, strict=True))
        if changed:
            kept = [entity for entity in trimmed if entity.start < entity.end]
            rows[-1] = [labels.index(tag) for tag in write_tags(kept, len(tags), scheme)]
            count, lost = count + changed, lost + len(found) - len(kept)
    if not count:
        return split, 0, 0
    return split.remove_columns("tags").add_column("tags", rows, feature=split.features["tags"]), count, lost


def _trimmed(entity: Entity, blank: list[bool]) -> Entity:
    start, end = entity.start, entity.end
    while start < end and blank[start]:
        start += 1
    while start < end and blank[end - 1]:
        end -= 1
    return Entity(entity.type, start, end)
