"""Gold entities against predicted ones: every entity is in one place, and everything adds up."""

import random
from collections import Counter

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_hf.finetuning.tagging.entities import (
    Entity,
    compare_entities,
    entities_of,
    entity_confusion,
    page_sentences,
    tag_confusion,
)

TAGS = st.sampled_from(["O", "O", "B-A", "I-A", "B-B", "I-B"])


def kinds(gold: list[str], predicted: list[str]) -> list[str]:
    return [mark.kind for mark in compare_entities([gold], [predicted])[0]]


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        ("B-A I-A O", "B-A I-A O", ["correct"]),
        ("B-A I-A O", "B-B I-B O", ["wrong_type"]),
        ("B-A I-A O", "B-A O O", ["wrong_borders"]),
        ("B-A I-A O", "O B-A I-A", ["wrong_borders"]),
        ("B-A O O", "O O O", ["missed"]),
        ("O O O", "O B-A O", ["spurious"]),
        # Overlapping, but neither the type nor the borders are right.
        ("B-A I-A O", "B-B O O", ["missed", "spurious"]),
        # A long entity that is found in two parts is one with wrong borders, and one too many.
        ("B-A I-A I-A", "B-A O B-A", ["wrong_borders", "spurious"]),
        # The one with the right borders is not taken from the gold one it belongs to.
        ("B-A I-A B-A", "B-A B-A B-A", ["wrong_borders", "spurious", "correct"]),
    ],
)
def test_what_becomes_of_an_entity(gold: str, predicted: str, expected: list[str]):
    assert kinds(gold.split(), predicted.split()) == expected


@settings(deadline=None)
@given(st.lists(st.lists(st.tuples(TAGS, TAGS), min_size=1, max_size=9), min_size=1, max_size=4))
def test_everything_adds_up(pairs: list[list[tuple[str, str]]]):
    gold, predicted = ([[pair[side] for pair in sentence] for sentence in pairs] for side in (0, 1))
    marks = [mark for sentence in compare_entities(gold, predicted) for mark in sentence]
    for side, tags in (("gold", gold), ("predicted", predicted)):
        assert Counter(getattr(mark, side) for mark in marks if getattr(mark, side)) == Counter(
            entity for sentence in entities_of(tags) for entity in sentence
        )
    confusion = entity_confusion(gold, predicted)
    counts = np.array(confusion["counts"])
    for number, name in enumerate(confusion["types"]):
        of_gold = sum(entity.type == name for sentence in entities_of(gold) for entity in sentence)
        of_predicted = sum(entity.type == name for sentence in entities_of(predicted) for entity in sentence)
        assert counts[number].sum() == of_gold
        assert counts[:, number].sum() + counts[number, -2] == of_predicted
    assert counts[-1, -2:].tolist() == [0, 0]


def test_confusion_by_hand():
    gold = [["B-A", "O", "B-B", "I-B"], ["B-B", "O", "O", "B-A"]]
    predicted = [["B-A", "O", "B-B", "O"], ["B-A", "O", "B-B", "O"]]
    assert entity_confusion(gold, predicted) == {
        "types": ["A", "B"],
        #           A  B borders missed
        "counts": [[1, 0, 0, 1], [1, 0, 1, 0], [0, 1, 0, 0]],
    }
    assert entity_confusion([["O"]], [["O"]]) == {"types": [], "counts": [[0, 0]]}


def test_confusion_of_plain_tags():
    found = tag_confusion([["N", "V", "N"]], [["N", "N", "D"]])
    assert found == {"types": ["D", "N", "V"], "counts": [[0, 0, 0], [1, 1, 0], [0, 1, 0]]}


def test_tags_of_different_sentences_do_not_touch():
    assert entities_of([["B-A"], ["I-A"]]) == [[Entity("A", 0, 1)], [Entity("A", 0, 1)]]


def test_sentences_of_a_page_have_places_in_the_text():
    row = {"idx": "7", "text": "Ada  Lovelace in London", "starts": [0, 5, 14, 17], "ends": [3, 13, 16, 23]}
    gold, predicted = [["B-PER", "I-PER", "O", "B-LOC"]], [["B-PER", "O", "O", "B-LOC"]]
    (sentence,) = page_sentences(Dataset.from_list([row]), gold, predicted)
    assert sentence == {
        "id": "7",
        "text": row["text"],
        "marks": [
            {"kind": "wrong_borders", "gold": ["PER", 0, 13], "predicted": ["PER", 0, 3]},
            {"kind": "correct", "gold": ["LOC", 17, 23], "predicted": ["LOC", 17, 23]},
        ],
    }
    (unlabelled,) = page_sentences(Dataset.from_list([row]), None, predicted)
    assert [(mark["kind"], mark["gold"], mark["predicted"]) for mark in unlabelled["marks"]] == [
        ("predicted", None, ["PER", 0, 3]),
        ("predicted", None, ["LOC", 17, 23]),
    ]


def test_bioes_is_read_like_iob2():
    draw = random.Random(0)
    for _ in range(50):
        iob2, bioes = [], []
        for _ in range(6):
            length, name = draw.randint(1, 3), draw.choice("AB")
            iob2 += [f"B-{name}", *[f"I-{name}"] * (length - 1)]
            bioes += [f"S-{name}"] if length == 1 else [f"B-{name}", *[f"I-{name}"] * (length - 2), f"E-{name}"]
            if draw.random() < 0.5:
                iob2.append("O")
                bioes.append("O")
        assert entities_of([iob2]) == entities_of([bioes])
