"""Windows of tokens with their labels, as the Trainer takes them, and what is needed to read its outputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.utils.data import Dataset as TorchDataset

from electra_hf.finetuning.tagging.stitching import Rows

IGNORED = -100  # the label of what has none, for transformers and torch


@dataclass(frozen=True)
class TaggingCounts:
    """What became of the texts of a split.

    Attributes:
        texts: Sentences or documents.
        units: Words or characters.
        tokens: Tokens of the texts, without special tokens; those in several windows count once.
        unknown: Tokens among them that are unknown.
        windows: Inputs of the model.
        long_texts: Texts of more than one window.
        spaces: Units of white space, which have no token.
        given_unknown: Units that the tokenizer dropped, and that got an unknown token.
        cut_units: Units that are longer than a window: only their first tokens are read.
        entities: Entities of the labelled texts.
        unreachable: Entities that begin or end inside a token or at white space: no model can find them.
    """

    texts: int
    units: int
    tokens: int
    unknown: int
    windows: int
    long_texts: int
    spaces: int
    given_unknown: int
    cut_units: int
    entities: int
    unreachable: int

    @property
    def f1_bound(self) -> float:
        """The micro-F1 of a model that finds all entities that can be found, and nothing else."""
        found = self.entities - self.unreachable
        return 2 * found / (self.entities + found) if self.entities else 1.0


class TaggedWindows(TorchDataset):
    """Windows of tokens with their labels.

    An item is what `DataCollatorForTokenClassification` takes: `input_ids`, `attention_mask`, `token_type_ids` if the
    model has them, and `labels` if the split is labelled.

    Args:
        ids: (tokens,) int32, all windows one after the other, with special tokens.
        type_ids: (tokens,) uint8; None for models without token types.
        labels: (tokens,) int32, `IGNORED` where there is none; None if the tags are unknown.
        bounds: (windows + 1,) int64, where each window begins and ends.
        texts: (windows,) int32, the text of each window.
        rows: What each row is.
        counts: What became of the texts.
    """

    def __init__(
        self,
        ids: np.ndarray,
        type_ids: np.ndarray | None,
        labels: np.ndarray | None,
        bounds: np.ndarray,
        texts: np.ndarray,
        rows: Rows,
        counts: TaggingCounts,
    ):
        self.ids = ids
        self.type_ids = type_ids
        self.labels = labels
        self.bounds = bounds
        self.texts = texts
        self.rows = rows
        self.counts = counts

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __getitem__(self, index: int) -> dict[str, Any]:
        index = int(index)
        span = slice(self.bounds[index], self.bounds[index + 1])
        item: dict[str, Any] = {"input_ids": self.ids[span].tolist()}
        item["attention_mask"] = [1] * len(item["input_ids"])
        if self.type_ids is not None:
            item["token_type_ids"] = self.type_ids[span].tolist()
        if self.labels is not None:
            item["labels"] = self.labels[span].tolist()
        return item

    @property
    def lengths(self) -> np.ndarray:
        """(windows,) int64, tokens of each window."""
        return np.diff(self.bounds)

    @property
    def row_tags(self) -> list[np.ndarray] | None:
        """For each text (rows,) int64, the true tags of its rows in the data's numbers; None if they are unknown."""
        return None if self.rows.tags is None else self.rows.by_text(self.rows.tags)

    def stitch(self, emissions: np.ndarray) -> list[np.ndarray]:
        """Put the outputs of windows together to those of texts.

        Args:
            emissions: (windows, length, tags), in the order of the windows, padded on the right.

        Returns:
            For each text (rows, tags) fp32.

        Raises:
            ValueError: If there are more or fewer outputs than windows, or if they are shorter than the windows.
        """
        if len(emissions) != len(self) or (len(self) and emissions.shape[1] < self.lengths.max()):
            raise ValueError(f"{emissions.shape} outputs for {len(self)} windows of up to {self.lengths.max()} tokens")
        return self.rows.by_text(emissions[self.rows.windows, self.rows.positions].astype(np.float32))

    def tags_of_units(self, row_tags: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The tags of all units from those of the rows.

        Args:
            row_tags: For each text (rows,), in the data's numbers.

        Returns:
            For each text (units,) int64.

        Raises:
            ValueError: If the rows are not those of the texts.
        """
        sizes = [len(tags) for tags in row_tags]
        if sizes != np.diff(self.rows.bounds).tolist():
            raise ValueError(f"tags for {sum(sizes)} rows of {len(sizes)} texts: not those of these windows")
        return self.rows.split_units(self.rows.spread(np.concatenate(row_tags) if sizes else np.empty(0, np.int64)))

    def notes(self, split: str) -> list[str]:
        """What a reader of the results should know, a sentence each; `split` is the name of the split."""
        counts = self.counts
        notes = []
        if counts.long_texts:
            notes.append(
                f"{split}: {counts.long_texts:,} of {counts.texts:,} texts are longer than the model's input and were "
                f"read in overlapping windows ({counts.windows:,} windows in all); no unit was left out"
            )
        if counts.given_unknown:
            notes.append(
                f"{split}: the tokenizer drops {counts.given_unknown:,} of {counts.units:,} units; each was read as "
                "an unknown token in its place"
            )
        if counts.cut_units:
            notes.append(
                f"{split}: {counts.cut_units:,} units have more tokens than a window; their rest was not read"
            )
        if counts.unreachable:
            notes.append(
                f"{split}: {counts.unreachable:,} of {counts.entities:,} entities begin or end inside a token or at "
                f"white space, where no tag can be given: F1 is {counts.f1_bound:.4f} at most"
            )
        return notes
