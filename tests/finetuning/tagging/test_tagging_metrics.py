"""Scores of tags against counts by hand and scikit-learn; `test_seqeval.py` has the comparison with seqeval."""

import warnings

import numpy as np
import pytest
from sklearn.metrics import f1_score

from electra_hf.finetuning.metrics import LOWER_IS_BETTER
from electra_hf.finetuning.tagging.metrics import (
    DEFAULT_METRICS,
    METRICS,
    bootstrap_tagging_interval,
    compute_tagging_metrics,
    flatten_type_scores,
    metrics_for,
    tagging_findings,
    type_scores,
)

GOLD = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "B-ORG", "I-ORG"], ["B-PER", "O", "O"]]
# One hit (PER), a type that is wrong (ORG for LOC), a border that is wrong (ORG), a hit (PER), and one too many (LOC).
PREDICTED = [["B-PER", "I-PER", "O", "B-ORG"], ["O", "B-ORG", "O"], ["B-PER", "O", "B-LOC"]]


def compute(gold=GOLD, predicted=PREDICTED, scheme="IOB2", unit="word", **more) -> dict[str, float]:
    return compute_tagging_metrics(gold, predicted, scheme=scheme, unit=unit, **more)


def test_entities_by_hand():
    scores = compute()
    assert scores["precision"] == 2 / 5 and scores["recall"] == 2 / 4
    assert scores["f1"] == pytest.approx(4 / 9)
    # PER 2 of 2 and 2; LOC none of 1 and 1; ORG none of 2 and 1.
    assert scores["macro_f1"] == pytest.approx((1 + 0 + 0) / 3)
    assert scores["accuracy"] == pytest.approx(7 / 10)


def test_types_by_hand():
    scores = type_scores(GOLD, PREDICTED, "IOB2")
    assert scores == {
        "LOC": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "number": 1.0},
        "ORG": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "number": 1.0},
        "PER": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "number": 2.0},
    }
    assert flatten_type_scores(scores)["PER_number"] == 2.0
    assert compute()["macro_f1"] == pytest.approx(np.mean([type["f1"] for type in scores.values()]))


def test_every_seed_can_have_the_same_types():
    labels = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER", "B-TIME", "I-TIME"]
    assert list(type_scores([["B-PER"]], [["O"]], "IOB2", labels)) == ["LOC", "PER", "TIME"]
    # What neither side has is no type of the macro F1, as in seqeval.
    assert compute([["B-PER"]], [["B-PER"]], labels=labels)["macro_f1"] == 1.0


def test_the_strict_reading_knows_no_entity_that_begins_inside():
    gold, predicted = [["B-PER", "O", "B-LOC"]], [["I-PER", "O", "B-LOC"]]
    scores = compute(gold, predicted)
    assert scores["f1"] == 1.0
    assert scores["f1_strict"] == pytest.approx(2 / 3)
    # Of the start, three tags and the end, only the I- cannot follow what is before it.
    assert scores["valid_transitions"] == 3 / 4


@pytest.mark.parametrize(
    ("tags", "valid"),
    [
        (["S-A", "B-A", "I-A", "E-A"], 5 / 5),
        (["B-A", "E-B", "O"], 3 / 4),
        (["B-A", "O", "O"], 3 / 4),
        (["E-A", "I-A"], 0 / 3),
        (["B-A", "B-A"], 1 / 3),
    ],
)
def test_transitions_of_bioes(tags: list[str], valid: float):
    assert compute([tags], [tags], scheme="BIOES")["valid_transitions"] == pytest.approx(valid)


@pytest.mark.parametrize("unit", ["word", "character"])
def test_predictions_without_an_entity_count_nothing_and_warn_of_nothing(unit):
    nothing = [["O"] * len(tags) for tags in GOLD]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = compute(GOLD, nothing, unit=unit)
        assert compute(nothing, nothing, unit=unit)["f1"] == 0.0
        assert compute([], [], unit=unit)["f1"] == compute([], [], unit=unit)["accuracy"] == 0.0
    assert {scores[name] for name in ("precision", "recall", "f1", "macro_f1", "f1_strict")} == {0.0}
    assert scores["accuracy"] == 4 / 10 and scores["valid_transitions"] == 1.0


def test_parts_of_speech_are_judged_as_classes():
    generator = np.random.default_rng(0)
    gold = [generator.choice(["NOUN", "VERB", "B", "X-Y"], size).tolist() for size in (5, 9, 1)]
    predicted = [generator.choice(["NOUN", "VERB", "B", "ADJ"], len(tags)).tolist() for tags in gold]
    flat = [sum(side, []) for side in (gold, predicted)]
    scores = compute(gold, predicted, scheme="plain")
    assert scores == {
        "accuracy": pytest.approx(np.mean(np.array(flat[0]) == np.array(flat[1]))),
        "macro_f1": pytest.approx(f1_score(*flat, average="macro", zero_division=0.0)),
    }
    assert type_scores(gold, predicted, "plain")["NOUN"]["number"] == flat[0].count("NOUN")


def test_characters_are_judged_as_klue_does():
    # A person of two words. The prediction leaves the space between them out, which KLUE does not look at.
    units = [list("김 구는 산다")]
    gold = [["B-PS", "I-PS", "I-PS", "O", "O", "O", "O"]]
    predicted = [["B-PS", "O", "I-PS", "O", "O", "B-LC", "O"]]
    labels = ["O", "B-LC", "I-LC", "B-PS", "I-PS"]
    scores = compute(gold, predicted, unit="character", units=units, labels=labels)
    kept = [place for place, unit in enumerate(units[0]) if unit != " "]
    flat = [[tags[0][place] for place in kept] for tags in (gold, predicted)]
    # The tag I-LC, which neither side has, counts 1, and O is a tag like the others.
    assert scores["char_f1"] == pytest.approx(f1_score(*flat, labels=labels, average="macro", zero_division=1.0))
    assert scores["entity_macro_f1"] == pytest.approx((1.0 + 0.0) / 2)
    assert scores["f1"] == 0.0
    without_units = compute(gold, predicted, unit="character", labels=labels)
    assert without_units["entity_macro_f1"] == 0.0 and without_units["char_f1"] < scores["char_f1"]


def test_klue_judges_bioes_in_iob2():
    in_bioes = compute([["B-A", "E-A", "S-B"]], [["B-A", "E-A", "O"]], scheme="BIOES", unit="character")
    in_iob2 = compute([["B-A", "I-A", "B-B"]], [["B-A", "I-A", "O"]], unit="character")
    assert in_bioes == in_iob2


def test_sentences_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="sentence 1: 2 predicted tags for 1"):
        compute([["O"], ["O"]], [["O"], ["O", "O"]])
    with pytest.raises(ValueError, match="1 predicted sentences for 2"):
        compute([["O"], ["O"]], [["O"]])
    with pytest.raises(ValueError, match="'PER' is not the tag of an entity"):
        compute([["PER"]], [["O"]])


@pytest.mark.parametrize("metric", ["f1", "macro_f1", "accuracy", "char_f1"])
def test_the_interval_is_that_of_resampled_sentences(metric: str):
    generator = np.random.default_rng(1)
    tags = ["O", "B-A", "I-A", "B-B"]
    gold = [generator.choice(tags, 6).tolist() for _ in range(30)]
    predicted = [[tag if generator.random() < 0.7 else "O" for tag in sentence] for sentence in gold]
    low, high = bootstrap_tagging_interval(metric, gold, predicted, "IOB2", resamples=60, seed=3)
    drawing = np.random.default_rng(3)
    scores = []
    for _ in range(60):
        rows = drawing.integers(0, 30, size=30)
        drawn = compute([gold[row] for row in rows], [predicted[row] for row in rows], unit="character", labels=tags)
        scores.append(drawn[metric])
    assert (low, high) == pytest.approx(tuple(np.quantile(scores, [0.025, 0.975])))


def test_findings_name_what_is_wrong():
    assert tagging_findings(GOLD, GOLD, "IOB2") == []
    (nothing,) = tagging_findings(GOLD, [["O"] * len(tags) for tags in GOLD], "IOB2")
    assert "no entity is predicted" in nothing and "the gold has 4" in nothing and "--learning_rate" in nothing
    (never,) = tagging_findings([["B-A", "B-B", "B-B"]], [["B-A", "O", "O"]], "IOB2")
    assert never == "never predicted: B (2 in the gold)"
    (invalid,) = tagging_findings([["O", "B-A"], ["O"]], [["O", "I-A"], ["O"]], "IOB2")
    assert invalid.startswith("1 predicted tags") and "1 of 2 sentences" in invalid and "--use_crf" in invalid
    (constant,) = tagging_findings([["N", "V", "N", "D"]], [["N", "N", "N", "N"]], "plain")
    assert "all 4 predicted tags are N, which 50.0% are" in constant


def test_metrics_are_named_once_and_higher_is_better():
    for kind, scheme in (("ner", "IOB2"), ("chunk", "BIOES"), ("pos", "plain")):
        assert set(DEFAULT_METRICS[kind]) <= set(metrics_for(scheme, "word"))  # type: ignore[index, arg-type]
    assert set(metrics_for("IOB2", "character")) == set(METRICS)
    assert not LOWER_IS_BETTER & set(METRICS)
