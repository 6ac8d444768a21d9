"""Schemes of tags: what a file means, and that writing it otherwise changes nothing."""

from collections import Counter
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_hf.finetuning.tagging.entities import Entity, entities_of
from electra_hf.finetuning.tagging.schemes import (
    Notation,
    SourceScheme,
    detect_notation,
    detect_scheme,
    labels_of,
    write_tags,
)

TYPES = ("PER", "LOC", "creative-work")


@st.composite
def sentences(draw: st.DrawFn) -> tuple[list[Entity], int]:
    """Entities that do not overlap, many of them touching, and the length of their sentence."""
    entities = []
    place = 0
    for gap, length, name in draw(
        st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3), st.sampled_from(TYPES)), max_size=6)
    ):
        entities.append(Entity(name, place + gap, place + gap + length))
        place += gap + length
    return entities, place + draw(st.integers(0, 2))


def conlleval(tags: list[str]) -> list[tuple[str, int, int]]:
    """Entities by the two rules of conlleval.pl: when a chunk begins, and when it ends."""
    found = []
    start = None
    before, type_before = "O", ""
    for place, tag in enumerate([*tags, "O"]):
        letter, _, name = tag.partition("-")
        ends = before in ("E", "S") or (before in ("B", "I") and letter in ("B", "S", "O"))
        ends |= before != "O" and type_before != name
        begins = letter in ("B", "S") or (before in ("E", "S", "O") and letter in ("E", "I"))
        begins |= letter != "O" and type_before != name
        if ends and start is not None:
            found.append((type_before, start, place))
        if begins:
            start = place
        before, type_before = letter, name
    return found


@settings(deadline=None)
@given(sentences(), st.sampled_from(["IOB1", "IOB2", "BIOES"]))
def test_entities_survive_every_scheme(sentence: tuple[list[Entity], int], scheme: SourceScheme):
    entities, length = sentence
    tags = write_tags(entities, length, scheme)
    assert entities_of([tags]) == [entities]
    assert conlleval(tags) == entities
    assert write_tags(entities_of([tags])[0], length, scheme) == tags


@settings(deadline=None)
@given(sentences())
def test_io_joins_what_touches_and_keeps_the_rest(sentence: tuple[list[Entity], int]):
    entities, length = sentence
    joined: list[Entity] = []
    for entity in entities:
        if joined and joined[-1].end == entity.start and joined[-1].type == entity.type:
            entity = joined.pop()._replace(end=entity.end)
        joined.append(entity)
    assert entities_of([write_tags(entities, length, "IO")]) == [joined]


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(["O", *(f"{letter}-{name}" for letter in "BIES" for name in TYPES)]), min_size=1, max_size=12
    ),
    st.sampled_from(["IOB2", "BIOES"]),
)
def test_tags_in_any_disorder_are_read_as_seqeval_reads_them(tags: list[str], scheme: SourceScheme):
    seqeval = pytest.importorskip("seqeval.metrics.sequence_labeling")
    wanted = [(name, start, end + 1) for name, start, end in seqeval.get_entities(tags)]
    assert conlleval(tags) == wanted
    assert [tuple(entity) for entity in entities_of([tags])[0]] == wanted
    repaired = write_tags(entities_of([tags])[0], len(tags), scheme)
    assert [(name, start, end + 1) for name, start, end in seqeval.get_entities(repaired)] == wanted


@settings(deadline=None)
@given(st.lists(sentences(), min_size=1, max_size=5), st.sampled_from(["IOB1", "IOB2", "BIOES"]))
def test_the_scheme_is_detected_or_says_the_same(batch: list[tuple[list[Entity], int]], scheme: SourceScheme):
    written = [write_tags(entities, length, scheme) for entities, length in batch]
    found = detect_scheme(written)
    for tags, (entities, length) in zip(written, batch, strict=True):
        # Without an entity of two units, or without any, schemes look the same.
        if any(entities for entities, _ in batch):
            assert write_tags(entities, length, found) == tags


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        (["I-PER", "I-PER", "O", "I-LOC"], "IO"),
        (["I-PER", "B-PER", "O", "I-LOC"], "IOB1"),
        (["B-PER", "I-PER", "O", "B-LOC"], "IOB2"),
        (["B-PER", "O", "B-LOC"], "IOB2"),
        (["B-PER", "O", "B-LOC", "I-LOC", "O", "I-LOC"], "IOB2"),
        (["B-PER", "E-PER", "O", "S-LOC"], "BIOES"),
        (["S-PER", "O"], "BIOES"),
        (["O", "O"], "IOB2"),
    ],
)
def test_detected_schemes(tags: list[str], scheme: str):
    assert detect_scheme([tags]) == scheme


@pytest.mark.parametrize(
    ("tags", "read"),
    [
        (["B-PER", "I-PER", "O"], ["B-PER", "I-PER", "O"]),
        (["PER-B", "PER-I", "-"], ["B-PER", "I-PER", "O"]),
        (["PER_B", "PER_I", "O"], ["B-PER", "I-PER", "O"]),
        (["B-creative-work", "I-creative-work", "O"], ["B-creative-work", "I-creative-work", "O"]),
        (["creative-work-B", "creative-work-I", "O"], ["B-creative-work", "I-creative-work", "O"]),
        (["B-PER", "L-PER", "U-LOC"], ["B-PER", "E-PER", "S-LOC"]),
        (["B-PER", "M-PER", "E-PER", "W-LOC"], ["B-PER", "I-PER", "E-PER", "S-LOC"]),
        (["B-B", "I-B", "B-I"], ["B-B", "I-B", "B-I"]),
    ],
)
def test_prefixes_suffixes_and_letters_are_told_apart(tags: list[str], read: list[str]):
    notation = detect_notation(Counter(tags))
    assert notation is not None
    assert [notation.read(tag) for tag in tags] == read


def test_types_alone_have_no_notation_but_io():
    assert detect_notation(Counter(["PER", "O"])) is None
    assert Notation("none").read("PER") == "I-PER"


@pytest.mark.parametrize(
    ("side", "tag", "problem"),
    [
        ("prefix", "PER", "has no prefix"),
        ("prefix", "X-PER", "'X', which is none of"),
        ("prefix", "B-", "has no type"),
        ("prefix", "", "is empty"),
        ("prefix", "-", "has no type"),
        ("suffix", "PER-X", "'X', which is none of"),
        ("suffix", "B-PER", "has no suffix"),
    ],
)
def test_what_is_wrong_with_a_tag(side: Literal["prefix", "suffix"], tag: str, problem: str):
    with pytest.raises(ValueError, match=problem):
        Notation(side).read(tag)


def test_labels_are_in_the_order_of_types():
    assert labels_of(["b", "A"], "BIOES") == ("O", "B-A", "I-A", "E-A", "S-A", "B-b", "I-b", "E-b", "S-b")
