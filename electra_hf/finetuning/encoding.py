"""Examples of a task as token ids.

Pairs are cut as the reference does (finetune/classification/classification_tasks.py): one token at a time from the
end of the longer text, from the second one if both are equally long. The `longest_first` of `tokenizers` gives an odd
token to the other side, and leaves the choice to the lengths before the cut.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from datasets import Dataset
from tokenizers import Encoding, Tokenizer
from torch.utils.data import Dataset as TorchDataset
from transformers import PreTrainedTokenizer, PreTrainedTokenizerBase

from electra_hf.errors import TokenizerError, UsageError

# Encodings are large; a text's ids are kept, and its encoding only for as long as its batch.
_BATCH_ROWS = 4096


@dataclass(frozen=True)
class EncodingCounts:
    """What became of the texts of a split.

    Attributes:
        rows: Examples.
        tokens: Tokens before anything was cut, without special tokens.
        cut: Examples that were longer than the model's input.
        unknown: Tokens that the vocabulary does not know.
    """

    rows: int
    tokens: int
    cut: int
    unknown: int


class EncodedExamples(TorchDataset):
    """Token ids of examples, with their labels, in one array.

    An item is what `DataCollatorWithPadding` takes: `input_ids`, `token_type_ids` if the model has them, and `label`
    if the split is labelled.

    Args:
        ids: (tokens,) int32, all examples one after the other.
        type_ids: (tokens,) uint8, 1 in the second text of a pair; None for models without token types.
        bounds: (examples + 1,) int64, where each example begins and ends.
        labels: One for each example, as the model takes it; None if they are unknown.
        counts: What became of the texts.
    """

    def __init__(
        self,
        ids: np.ndarray,
        type_ids: np.ndarray | None,
        bounds: np.ndarray,
        labels: Sequence[Any] | None,
        counts: EncodingCounts,
    ):
        self.ids = ids
        self.type_ids = type_ids
        self.bounds = bounds
        self.labels = labels
        self.counts = counts

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __getitem__(self, index: int) -> dict[str, Any]:
        index = int(index)
        span = slice(self.bounds[index], self.bounds[index + 1])
        item: dict[str, Any] = {"input_ids": self.ids[span].tolist()}
        if self.type_ids is not None:
            item["token_type_ids"] = self.type_ids[span].tolist()
        if self.labels is not None:
            item["label"] = self.labels[index]
        return item

    @property
    def lengths(self) -> np.ndarray:
        """(examples,) int64, tokens of each example."""
        return np.diff(self.bounds)


def encode_split(
    split: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    *,
    label_ids: Sequence[int] | None = None,
    score_scale: float = 1.0,
    both_orders: bool = False,
) -> EncodedExamples:
    """Turn the texts of a split into token ids.

    Args:
        split: Columns `text`, for pairs `text_pair`, and `label` if it is known; see `TaskData.splits`.
        tokenizer: Of the model.
        max_length: Tokens of an example at most, special tokens included.
        label_ids: The model's number of each label of the data; None if they are the same, or not numbers of names.
        score_scale: Labels of a regression are divided by it.
        both_orders: Pairs are given a second time with their texts swapped (`double_unordered` of the reference),
            after all others.

    Returns:
        The examples, in the order of the split.

    Raises:
        UsageError: If `max_length` leaves no room for text.
        TokenizerError: If the tokenizer is of no kind that transformers has.
    """
    pairs = "text_pair" in split.column_names
    room = max_length - tokenizer.num_special_tokens_to_add(pairs)
    if room < 1 + pairs:
        raise UsageError(f"--max_seq_length {max_length} leaves no room for text beside the special tokens")
    with_types = "token_type_ids" in tokenizer.model_input_names
    backend = _backend(tokenizer)
    ids: list[np.ndarray] = []
    type_ids: list[np.ndarray] = []
    lengths: list[int] = []
    tokens = cut = unknown = 0
    for swapped in (False, True) if both_orders and pairs else (False,):
        for first, second in _encoded_texts(split, backend, pairs, swapped):
            sides = [first] if second is None else [first, second]
            kept = [len(side) for side in sides]
            if not swapped:
                tokens += sum(kept)
                cut += sum(kept) > room
                unknown += sum(backend.ids(side).count(cast(int, tokenizer.unk_token_id)) for side in sides)
            kept = [min(kept[0], room)] if second is None else pair_lengths(kept[0], kept[1], room)
            whole_ids, whole_types = backend.join(sides, kept)
            ids.append(np.asarray(whole_ids, dtype=np.int32))
            if with_types:
                type_ids.append(np.asarray(whole_types, dtype=np.uint8))
            lengths.append(len(whole_ids))
    return EncodedExamples(
        np.concatenate(ids) if ids else np.empty(0, np.int32),
        np.concatenate(type_ids) if type_ids else None,
        np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
        _model_labels(split, label_ids, score_scale, 2 if both_orders and pairs else 1),
        EncodingCounts(len(split), tokens, cut, unknown),
    )


def pair_lengths(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens of each text stay when both together must fit.

    The outcome of taking one token at a time from the longer text, or from the second if both are equally long.

    Args:
        first: Tokens of the first text.
        second: Tokens of the second text.
        room: Tokens of both at most.

    >>> pair_lengths(10, 3, 8), pair_lengths(10, 10, 9), pair_lengths(2, 3, 8)
    ((5, 3), (5, 4), (2, 3))
    """
    if first + second <= room:
        return first, second
    half = room // 2
    if second <= half:
        return room - second, second
    if first <= room - half:
        return first, room - first
    return room - half, half


class _FastBackend:
    """The tokenizer of `tokenizers`: a copy that neither cuts nor pads by itself."""

    def __init__(self, tokenizer: Tokenizer):
        self._tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def encode(self, texts: list[str]) -> Sequence[Encoding]:
        return self._tokenizer.encode_batch(texts, add_special_tokens=False)

    def ids(self, text: Encoding) -> list[int]:
        return text.ids

    def join(self, sides: Sequence[Encoding], lengths: Sequence[int]) -> tuple[list[int], list[int]]:
        for side, length in zip(sides, lengths, strict=True):
            side.truncate(length)
        whole = self._tokenizer.post_process(sides[0], sides[1] if len(sides) > 1 else None, True)
        return whole.ids, whole.type_ids


class _PythonBackend:
    """A tokenizer that is written in Python, as Japanese ones with MeCab are: slower, to the same effect."""

    def __init__(self, tokenizer: PreTrainedTokenizer):
        self._tokenizer = tokenizer

    def encode(self, texts: list[str]) -> Sequence[list[int]]:
        tokenizer = self._tokenizer
        return [tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text)) for text in texts]  # type: ignore[return-value]

    def ids(self, text: list[int]) -> list[int]:
        return text

    def join(self, sides: Sequence[list[int]], lengths: Sequence[int]) -> tuple[list[int], list[int]]:
        cut = [side[:length] for side, length in zip(sides, lengths, strict=True)]
        whole = self._tokenizer.prepare_for_model(
            cut[0], cut[1] if len(cut) > 1 else None, return_token_type_ids=True, verbose=False
        )
        return cast(list[int], whole["input_ids"]), cast(list[int], whole["token_type_ids"])


def _backend(tokenizer: PreTrainedTokenizerBase) -> Any:
    if isinstance(tokenizer, PreTrainedTokenizer):
        return _PythonBackend(tokenizer)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise TokenizerError(
            f"{tokenizer.name_or_path}: its {type(tokenizer).__name__} cannot be used here: give the same vocabulary "
            "as a folder with tokenizer.json, or as a vocab.txt (--tokenizer_name)"
        )
    return _FastBackend(backend)


def _encoded_texts(
    split: Dataset, backend: Any, pairs: bool, swapped: bool
) -> Iterator[tuple[Encoding | list[int], Encoding | list[int] | None]]:
    columns = ("text", "text_pair") if pairs else ("text",)
    texts = split.select_columns(list(columns))
    for start in range(0, len(split), _BATCH_ROWS):
        batch = texts[start : start + _BATCH_ROWS]
        sides = [backend.encode(list(batch[column])) for column in columns]
        if swapped:
            sides.reverse()
        yield from zip(*sides, strict=True) if pairs else ((encoding, None) for encoding in sides[0])


def _model_labels(
    split: Dataset, label_ids: Sequence[int] | None, score_scale: float, copies: int
) -> list[Any] | None:
    if "label" not in split.column_names:
        return None
    labels = list(split["label"])
    if not labels:
        return labels
    if isinstance(labels[0], list):
        if label_ids is not None:
            order = np.argsort(label_ids)
            labels = [[row[position] for position in order] for row in labels]
    elif isinstance(labels[0], float):
        labels = [label / score_scale for label in labels]
    elif label_ids is not None:
        labels = [label_ids[label] for label in labels]
    return labels * copies
