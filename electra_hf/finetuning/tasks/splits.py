"""Examples in memory: held-out rows, subsets, and the Arrow table of a split.

Rows are drawn with `numpy.random.RandomState`, whose stream is frozen: NumPy may change that of its newer generators,
and a validation split must be the same rows in every version.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset, Features, List, Value

from electra_hf.errors import CorpusError
from electra_hf.finetuning.tasks.task import Kind


@dataclass(frozen=True)
class Examples:
    """The rows of a split.

    Attributes:
        text: One for each row.
        text_pair: The second text of each row, or None for single texts.
        label: As in `TaskData.splits`; None if unlabelled.
        idx: Published number or id of each row.
    """

    text: list[str]
    text_pair: list[str] | None
    label: list[Any] | None
    idx: list[str]

    def __len__(self) -> int:
        return len(self.text)

    def take(self, rows: Sequence[int]) -> "Examples":
        """Some of the rows."""
        return Examples(
            [self.text[row] for row in rows],
            None if self.text_pair is None else [self.text_pair[row] for row in rows],
            None if self.label is None else [self.label[row] for row in rows],
            [self.idx[row] for row in rows],
        )

    def to_dataset(self, kind: Kind) -> Dataset:
        """The columns of `TaskData.splits`."""
        label_type = {
            "classification": Value("int64"),
            "regression": Value("float64"),
            "multi_label": List(Value("float32")),
        }[kind]
        columns: dict[str, list[Any]] = {"text": self.text}
        features: dict[str, Any] = {"text": Value("string")}
        if self.text_pair is not None:
            columns["text_pair"] = self.text_pair
            features["text_pair"] = Value("string")
        if self.label is not None:
            columns["label"] = self.label
            features["label"] = label_type
        columns["idx"] = self.idx
        features["idx"] = Value("string")
        return Dataset.from_dict(columns, Features(features))


def hold_out(examples: Examples, kind: Kind, percentage: int, seed: int) -> tuple[Examples, Examples]:
    """Cut a validation split from training examples.

    Args:
        examples: The training examples.
        kind: In a classification every class is held out in proportion (stratified), one at least if it has two rows.
        percentage: Of the rows.
        seed: Of the draw.

    Returns:
        The remaining training examples and the validation examples, both in their first order.

    Raises:
        CorpusError: There are fewer than two rows.
    """
    number = len(examples)
    if number < 2 or examples.label is None:
        raise CorpusError(
            f"{number} training rows are too few to hold out a validation split: give one with --validation_file"
        )
    random = np.random.RandomState(seed)
    if kind == "classification":
        held_out = _stratified(np.asarray(examples.label), percentage, random)
    else:
        held_out = random.permutation(number)[: share(number, percentage)]
    chosen = np.zeros(number, dtype=bool)
    chosen[held_out] = True
    return examples.take(np.flatnonzero(~chosen).tolist()), examples.take(np.flatnonzero(chosen).tolist())


def share(number: int, percentage: int) -> int:
    """A percentage of two rows or more, at least one and not all."""
    return min(max(round(number * percentage / 100), 1), number - 1)


def _stratified(labels: np.ndarray, percentage: int, random: np.random.RandomState) -> np.ndarray:
    """Row numbers; the classes with the largest remainders are rounded up, so that the total is that of all rows."""
    classes, sizes = np.unique(labels, return_counts=True)
    exact = sizes * percentage / 100
    shares = np.clip(np.floor(exact), np.minimum(1, sizes - 1), sizes - 1).astype(int)
    room = share(len(labels), percentage) - shares.sum()
    for position in np.argsort(shares - exact, kind="stable"):
        if room > 0 and shares[position] < sizes[position] - 1:
            shares[position] += 1
            room -= 1
    rows = [
        random.permutation(np.flatnonzero(labels == label))[:size] for label, size in zip(classes, shares, strict=True)
    ]
    chosen = np.concatenate(rows)
    # Classes of one row each: none is in both splits whatever is drawn.
    return chosen if len(chosen) else random.permutation(len(labels))[:1]


def random_subset(examples: Examples, split: str, size: int, seed: int) -> Examples:
    """Some examples of a split, in their first order; a smaller subset is part of a larger one.

    Args:
        examples: The split.
        split: Its name, so that splits of the same length do not lose the same rows.
        size: Rows to keep.
        seed: Of the draw.
    """
    return examples.take(random_rows(len(examples), split, size, seed))


def random_rows(number: int, split: str, size: int, seed: int) -> list[int]:
    """The numbers of some rows of a split, in order; see `random_subset`."""
    random = np.random.RandomState([seed, zlib.crc32(split.encode())])
    return np.sort(random.permutation(number)[:size]).tolist()
