"""Held-out rows and subsets: which rows, and that they are always the same ones."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from electra_hf.errors import CorpusError
from electra_hf.finetuning.tasks import TaskArguments, load_task
from electra_hf.finetuning.tasks.splits import Examples, hold_out, random_subset


def examples(labels: list) -> Examples:
    numbers = [str(number) for number in range(len(labels))]
    return Examples(numbers, None, labels, numbers)


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=300), st.integers(1, 99), st.integers(0, 2**32 - 1))
def test_every_row_is_on_one_side_and_classes_in_proportion(labels: list[int], percentage: int, seed: int):
    train, validation = hold_out(examples(labels), "classification", percentage, seed)
    assert sorted(map(int, train.idx + validation.idx)) == list(range(len(labels)))
    assert list(map(int, train.idx)) == sorted(map(int, train.idx))
    assert len(train) and len(validation)
    # A class of one row stays in training, and its share comes from the others.
    alone = sum(labels.count(label) == 1 for label in set(labels))
    for label in set(labels):
        size, held_out = labels.count(label), validation.label.count(label)  # type: ignore[union-attr]
        if size > 1:
            assert max(1, np.floor(size * percentage / 100)) <= held_out + 1e-9 or held_out == size - 1
            assert held_out <= max(1, np.ceil(size * percentage / 100)) + alone


def test_the_total_is_that_of_all_rows():
    train, validation = hold_out(examples([0] * 130 + [1] * 130 + [2] * 140), "classification", 5, 42)
    assert (len(train), len(validation)) == (380, 20)
    assert np.bincount(validation.label).tolist() in ([7, 6, 7], [6, 7, 7])  # type: ignore[arg-type]


def test_the_held_out_rows_are_fixed_by_the_seed_for_ever():
    _, validation = hold_out(examples([0, 1] * 50), "classification", 5, 42)
    assert validation.idx == ["26", "59", "60", "77", "78"]
    _, validation = hold_out(examples([0.5, 1.0] * 50), "regression", 5, 42)
    assert validation.idx == ["44", "45", "53", "70", "83"]
    _, other = hold_out(examples([0.5, 1.0] * 50), "regression", 5, 43)
    assert other.idx != validation.idx


def test_too_few_rows_to_hold_any_out():
    with pytest.raises(CorpusError, match="1 training rows are too few.*--validation_file"):
        hold_out(examples([1]), "classification", 5, 42)


def test_subsets_are_nested_and_differ_between_splits():
    whole = examples(list(range(1000)))
    small, large = random_subset(whole, "train", 50, 42), random_subset(whole, "train", 200, 42)
    assert set(small.idx) < set(large.idx) and len(large) == 200
    assert list(map(int, large.idx)) == sorted(map(int, large.idx))
    assert large.label == [int(name) for name in large.idx]
    assert random_subset(whole, "validation", 50, 42).idx != small.idx
    assert random_subset(whole, "train", 50, 7).idx != small.idx


def test_limits_of_the_arguments(tmp_path: Path):
    path = tmp_path / "train.csv"
    path.write_text("text,label\n" + "".join(f"t{n},{n % 2}\n" for n in range(100)), encoding="utf-8")
    arguments = TaskArguments(
        train_file=str(path), test_file=str(path), max_train_samples=10, max_eval_samples=3, max_predict_samples=7
    )
    data, again = load_task(None, arguments), load_task(None, arguments)
    assert {split: len(rows) for split, rows in data.splits.items()} == {"train": 10, "validation": 3, "test": 7}
    assert data.notes == (
        "validation: 5 of the 100 training rows were held out (seed 42).",
        "train: a random subset of 10 of the 95 rows is used (seed 42).",
        "validation: a random subset of 3 of the 5 rows is used (seed 42).",
        "test: a random subset of 7 of the 100 rows is used (seed 42).",
    )
    assert all(data.splits[split]["text"][:] == again.splits[split]["text"][:] for split in data.splits)
