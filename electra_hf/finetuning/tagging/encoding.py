"""Texts and their tags as windows of tokens, and the outputs for tokens put together to tags of units.

    text, units, tags ──> tokens ──> windows with labels ──> model ──> emissions of windows
    tags of all units <── tags of rows <── argmax or Viterbi <── rows of a text <──┘

A *row* is a token that has a label: the first one of a unit (see `alignment`). Each row is labelled, and read, in the
window in which it has most context (see `windows`), so that in training no unit counts twice, and the rows of a text
are one sequence, however long it is. From rows to units two things are filled in: units inside a token go on with its
tag, and white space is inside an entity if both its neighbours are, and `O` otherwise.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from datasets import Dataset
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from electra_hf.errors import UsageError
from electra_hf.finetuning.tagging.alignment import TOKENIZATIONS, AlignedText, Aligner
from electra_hf.finetuning.tagging.data import Scheme, Unit
from electra_hf.finetuning.tagging.stitching import Rows
from electra_hf.finetuning.tagging.tag_numbers import TagNumbers
from electra_hf.finetuning.tagging.tagged_windows import IGNORED, TaggedWindows, TaggingCounts
from electra_hf.finetuning.tagging.windows import cut_windows, owning_windows

# Encodings are large; of a text only arrays are kept.
_BATCH_ROWS = 1024


def room_in_window(tokenizer: PreTrainedTokenizerBase, max_length: int, doc_stride: int) -> int:
    """Tokens of text that a window holds.

    Raises:
        UsageError: If that is none, or no more than two windows are to share.
    """
    room = max_length - tokenizer.num_special_tokens_to_add(False)
    if room < 1:
        raise UsageError(f"--max_seq_length {max_length} leaves no room for text beside the special tokens")
    if not 0 <= doc_stride < room:
        raise UsageError(
            f"--doc_stride {doc_stride}: windows of --max_seq_length {max_length} hold {room} tokens of text and can "
            f"share 0 to {room - 1} of them with the one before"
        )
    return room


def encode_tagging(
    split: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    *,
    labels: Sequence[str],
    scheme: Scheme,
    unit: Unit,
    doc_stride: int = 32,
    tokenization: str = "unit",
    label_all_tokens: bool = False,
    label_ids: Sequence[int] | None = None,
) -> TaggedWindows:
    """Turn the texts of a split into windows of token ids.

    Args:
        split: See `TaggingData.splits`.
        tokenizer: Of the model.
        max_length: Tokens of a window at most, special tokens included.
        labels: See `TaggingData.labels`.
        scheme: How the tags are written.
        unit: What has a tag.
        doc_stride: Tokens that two neighbouring windows of a text share at most.
        tokenization: What becomes of a token over several units: `unit` takes it apart, `text` leaves it whole; see
            `alignment`.
        label_all_tokens: Give the further tokens of a unit a label as well: after `B-PER` it is `I-PER`. After the
            end of an entity (`E-`, `S-` of BIOES) none may follow, and so such tokens have none.
        label_ids: The model's number of each label of the data, for the labels of the items; None if they are
            the same.

    Returns:
        The windows, in the order of the texts; a text of nothing but white space between characters has none.

    Raises:
        UsageError: If `max_length` leaves no room for text, or `doc_stride` or `tokenization` cannot be.
        TokenizerError: If the tokenizer has no offsets or no unknown token.
    """
    room = room_in_window(tokenizer, max_length, doc_stride)
    if tokenization not in TOKENIZATIONS:
        raise UsageError(f"--tokenization is {tokenization!r}: choose {' or '.join(TOKENIZATIONS)}")
    builder = _Builder(room, doc_stride)
    aligner = Aligner(tokenizer, by_unit=tokenization == "unit", white_space=unit == "word")
    columns = [name for name in ("text", "starts", "ends", "tags") if name in split.column_names]
    examples = split.select_columns(columns)
    with tqdm(total=len(split), desc="Tokenising", disable=None if len(split) > _BATCH_ROWS else True) as bar:
        for start in range(0, len(split), _BATCH_ROWS):
            batch = examples[start : start + _BATCH_ROWS]
            for aligned in aligner.align(batch["text"], batch["starts"], batch["ends"]):
                builder.add(aligned)
            builder.tags += [np.asarray(tags, dtype=np.int64) for tags in batch.get("tags", [])]
            bar.update(len(batch["text"]))
    return builder.build(tokenizer, aligner, TagNumbers(labels, scheme), label_all_tokens, label_ids)


class _Builder:
    """Collects the windows of texts, one text after the other."""

    def __init__(self, room: int, overlap: int):
        self._room = room
        self._overlap = overlap
        self._texts: list[AlignedText] = []
        self._windows: list[tuple[int, int, int]] = []  # text, first token, token after the last
        self._row_windows: list[np.ndarray] = []
        self._row_tokens: list[np.ndarray] = []
        self._cut_units = 0
        self.tags: list[np.ndarray] = []

    def add(self, aligned: AlignedText) -> None:
        """Cut a text into windows."""
        tokens = np.flatnonzero(aligned.units >= 0)
        windows = [(0, len(aligned.ids))]
        owners = np.zeros(len(tokens), dtype=np.int64)
        if len(tokens) and len(aligned.ids) > self._room:
            borders = np.unique(np.append(0, tokens))
            windows = cut_windows(borders, len(aligned.ids), self._room, self._overlap)
            owners = owning_windows(windows, tokens)
            self._cut_units += _longer_units(aligned, tokens, self._room)
        # What no unit is read in serves nothing.
        used, owners = np.unique(owners, return_inverse=True)
        self._row_windows.append(owners + len(self._windows))
        self._row_tokens.append(tokens)
        self._windows += [(len(self._texts), *windows[number]) for number in used]
        self._texts.append(aligned)

    def build(
        self,
        tokenizer: PreTrainedTokenizerBase,
        aligner: Aligner,
        numbers: TagNumbers,
        label_all_tokens: bool,
        label_ids: Sequence[int] | None,
    ) -> TaggedWindows:
        """All windows, as arrays."""
        before, after, type_id = aligner.special_tokens()
        text_of, first, last = np.array(self._windows, dtype=np.int64).reshape(-1, 3).T
        bounds = _bounds(last - first + len(before) + len(after))
        rows = self._rows(numbers, first, len(before))
        ids = np.empty(bounds[-1], dtype=np.int32)
        label_rows = np.full(bounds[-1], -1, dtype=np.int64)
        further = np.zeros(bounds[-1], dtype=bool)
        for window, (text, start, end) in enumerate(self._windows):
            aligned = self._texts[text]
            ids[bounds[window] : bounds[window + 1]] = np.concatenate([before, aligned.ids[start:end], after])
            body = slice(bounds[window] + len(before), bounds[window + 1] - len(after))
            is_row = aligned.units >= 0
            # The row that a token is part of; a further token of a unit comes after the row itself.
            own = (np.cumsum(is_row) - 1 + rows.bounds[text])[start:end]
            label_rows[body] = np.where((rows.windows[own] == window) & ~aligned.spaces[start:end], own, -1)
            further[body] = ~is_row[start:end]
        labels = None
        if rows.tags is not None:
            names = rows.tags
            labels = np.where(further, numbers.repeated[names[label_rows]], names[label_rows])
            labels[(label_rows < 0) | (further & (not label_all_tokens))] = -1
            model_ids = np.arange(len(numbers.types)) if label_ids is None else np.asarray(label_ids)
            labels = np.where(labels < 0, IGNORED, model_ids[labels]).astype(np.int32)
        type_ids = None
        if "token_type_ids" in tokenizer.model_input_names:
            type_ids = np.full(len(ids), type_id, dtype=np.uint8)
        counts = self._counts(aligner.unknown, rows, int((np.bincount(text_of) > 1).sum()))
        return TaggedWindows(ids, type_ids, labels, bounds, text_of.astype(np.int32), rows, counts)

    def _rows(self, numbers: TagNumbers, first_tokens: np.ndarray, before: int) -> Rows:
        bounds = _bounds(map(len, self._row_tokens))
        windows = _joined(self._row_windows)
        unit_rows = []
        for aligned, start in zip(self._texts, bounds[:-1], strict=True):
            row_of_token = np.cumsum(aligned.units >= 0) - 1 + start
            unit_rows.append(
                np.where(aligned.rows >= 0, row_of_token[aligned.rows], -1) if len(row_of_token) else aligned.rows
            )
        return Rows(
            windows,
            _joined(self._row_tokens) - first_tokens[windows] + before,
            bounds,
            _joined(unit_rows),
            _bounds(len(aligned.rows) for aligned in self._texts),
            numbers,
            _joined(self.tags) if self.tags else None,
        )

    def _counts(self, unknown: int, rows: Rows, long_texts: int) -> TaggingCounts:
        return TaggingCounts(
            texts=len(self._texts),
            units=int(rows.unit_bounds[-1]),
            tokens=sum(len(aligned.ids) for aligned in self._texts),
            unknown=sum(int((aligned.ids == unknown).sum()) for aligned in self._texts),
            windows=len(self._windows),
            long_texts=long_texts,
            spaces=sum(int((aligned.rows < 0).sum()) for aligned in self._texts),
            given_unknown=sum(aligned.given_unknown for aligned in self._texts),
            cut_units=self._cut_units,
            entities=rows.entities,
            unreachable=rows.unreachable,
        )


def _longer_units(aligned: AlignedText, tokens: np.ndarray, room: int) -> int:
    """How many units have more tokens than a window; `tokens` are their first ones."""
    firm = np.flatnonzero(~aligned.spaces)
    last = firm[np.searchsorted(firm, np.append(tokens[1:], len(aligned.ids))) - 1]
    return int((last - tokens >= room).sum())


def _bounds(lengths: Iterable[int]) -> np.ndarray:
    """Where parts of these lengths begin and end, one after the other."""
    return np.concatenate([[0], np.cumsum(np.fromiter(lengths, dtype=np.int64))]).astype(np.int64)


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0, dtype=np.int64), *parts])
