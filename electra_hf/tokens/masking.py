"""Which positions are masked and by what: pure functions of (seed, epoch, sample, position), and the data collator.

Single tokens are chosen here, whole words and spans in `word_masking`. The rules are the reference's
(google-research/electra, pretrain/pretrain_helpers.py) with one difference: positions are drawn without replacement.
The reference draws with replacement, which masks 17.7 distinct positions out of 19 and counts the doubles twice.
DeBERTa's exclusion of [UNK] is left out: [UNK] can be masked.

No generator is kept. Every random number is a hash of where it is used (`hashing`), so a mask depends neither on the
batch, nor on the loader worker, the process, or the step that a run resumed at.

Legend: batch = rows, length = tokens of a row, K = slots of a row, the masked positions that there is room for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import get_worker_info
from transformers import DataCollatorForLanguageModeling

from electra_hf.errors import UsageError
from electra_hf.tokens.blocks import BlockBatch
from electra_hf.tokens.hashing import GOLDEN, fractions, mix, row_keys
from electra_hf.tokens.sentence_pairs import NO_PAIR
from electra_hf.tokens.tokenizers import check_tokenizer
from electra_hf.tokens.word_masking import choose_spans, choose_whole_words, find_words
from electra_hf.tokens.words import word_flags

SCHEMES = ("token", "whole_word", "span")
_MASK_STREAM, _TOKEN_STREAM = np.uint64(1), np.uint64(2)


def slots(length: int, probability: float) -> int:
    """K, the number of slots of a row: 15 % are 19 at 128 and 77 at 512; 25 % are 128 at 512 (halves go to even)."""
    return max(1, round(length * probability))


def used_slots(candidates: np.ndarray, lengths: np.ndarray, probability: float) -> tuple[np.ndarray, int]:
    """How many positions of each row are masked, whatever the scheme.

    Args:
        candidates: (batch, length) bool, the positions that may be masked.
        lengths: (batch,) integers, real tokens of each row, special tokens included.
        probability: share of the real tokens that is masked.

    Returns:
        (batch,) int64, min(K, max(1, round(its length x probability)), its candidates); and K.
    """
    length = candidates.shape[1]
    capacity = min(slots(length, probability), length)
    wanted = np.maximum(1, np.rint(lengths * probability).astype(np.int64))
    return np.minimum(np.minimum(wanted, candidates.sum(axis=1)), capacity), capacity


def choose_positions(
    keys: np.ndarray, candidates: np.ndarray, lengths: np.ndarray, probability: float
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the masked positions of each row, uniformly and without replacement.

    Args:
        keys: (batch,) uint64, from `row_keys`.
        candidates: (batch, length) bool, the positions that may be masked.
        lengths: (batch,) integers, real tokens of each row, special tokens included.
        probability: share of the real tokens that is masked.

    Returns:
        (batch, K) int64 positions in rising order, and (batch, K) bool, which slots are used. A row uses as many as
        `used_slots` says; unused ones come last and point to 0.
    """
    length = candidates.shape[1]
    used_counts, capacity = used_slots(candidates, lengths, probability)
    # The positions with the largest random words win. The lowest bits of a word say where it stands, counted from 1:
    # no two are equal, 0 is left to the positions that may not win, and a word can be sorted without its position.
    places = np.uint64((1 << length.bit_length()) - 1)
    column = np.arange(length, dtype=np.uint64)
    words = mix(keys[:, None] + column * GOLDEN)  # (batch, length)
    words &= ~places
    words |= column + np.uint64(1)
    words *= candidates
    largest = np.partition(words, length - capacity, axis=1)[:, length - capacity :]  # (batch, K)
    largest.sort(axis=1)
    positions = (largest[:, ::-1] & places).astype(np.int64) - 1  # of the largest first
    used = np.arange(capacity) < used_counts[:, None]  # (batch, K)
    positions = np.sort(np.where(used, positions, length), axis=1)  # unused ones last
    return np.where(used, positions, 0), used


def replace_tokens(
    ids: np.ndarray,
    positions: np.ndarray,
    used: np.ndarray,
    keys: np.ndarray,
    *,
    mask_id: int,
    ordinary_ids: np.ndarray,
    mask_probability: float,
    random_probability: float,
    spans: np.ndarray | None = None,
) -> np.ndarray:
    """Put [MASK], a random ordinary token, or the token itself at the masked positions.

    Args:
        ids: (batch, length) integers.
        positions: (batch, K) from `choose_positions`.
        used: (batch, K) from `choose_positions`.
        keys: (batch,) uint64, from `row_keys`.
        mask_id: the id of [MASK].
        ordinary_ids: (ordinary,) the ids that a random replacement is drawn from.
        mask_probability: share of the masked positions that get [MASK].
        random_probability: share that gets a random token; the rest is kept.
        spans: (batch, K) uint64 from `choose_spans`: the choice between the three is the same for all slots of a span,
            and each gets a random token of its own. None: every slot has its own choice.

    Returns:
        (batch, length) a new array.
    """
    hashes = mix(keys[:, None] + positions.astype(np.uint64) * GOLDEN)  # (batch, K)
    fraction = fractions(mix((hashes if spans is None else spans) ^ _MASK_STREAM))
    flat = positions + np.arange(0, ids.size, ids.shape[1])[:, None]  # (batch, K) into all tokens of the batch
    replacements = ids.take(flat)
    if random_probability > 0:
        drawn = ordinary_ids[mix(hashes ^ _TOKEN_STREAM) % np.uint64(len(ordinary_ids))]
        replacements = np.where(fraction < mask_probability + random_probability, drawn, replacements)
    replacements = np.where(fraction < mask_probability, mask_id, replacements)
    masked = ids.copy()
    masked.put(flat[used], replacements[used])  # unused slots would overwrite position 0
    return masked


@dataclass
class DataCollatorForReplacedTokenDetection(DataCollatorForLanguageModeling):
    """Examples -> the masked batch that the generator sees.

    Takes the examples of `BlockDataset` and `StreamingBlocks`, whose mask is a function of (seed, epoch, sample).
    Other examples can be id lists or dicts with `input_ids`, of unequal length, padded (`attention_mask`) and in
    two segments (`token_type_ids`); other keys are ignored. They get running numbers, so their masks depend on the
    order of the calls.

    A batch holds, as int64 unless said otherwise:

    * `input_ids` (batch, length) with the masks, `original_ids` (batch, length) without;
    * `masked_positions` (batch, K) and `masked_weights` (batch, K) float32: 1 for a used slot, 0 for an unused one,
      which points to position 0;
    * `attention_mask` (batch, length), only if a row is padded or `always_attention_mask`;
    * `token_type_ids` (batch, length), only if a row has two segments;
    * `next_sentence_label` (batch,), only with `pair_labels`: 0 for segments in order, 1 for a random or an exchanged
      second one, -100 for a row without a label.

    Attributes:
        tokenizer: with [MASK], [CLS], [SEP] and [PAD].
        mlm_probability: share of a row's real tokens that is masked.
        mask_replace_prob: share of the masked positions that get [MASK].
        random_replace_prob: share that gets a random token; the rest stays as it is, and is predicted all the same.
        masking: `token`, `whole_word` or `span` (docs/masking.md). All use the same slots of a row.
        span_geometric_p: with `span`, p of the geometric distribution of a span's words.
        span_max_words: with `span`, the most words of a span.
        whole_word_mask: transformers' name for `masking="whole_word"`; the replacements stay as they are.
        pad_to_multiple_of: round the length of unequal examples up to a multiple of this.
        return_tensors: "pt" or "np".
        seed: of all masks; None takes torch's seed at construction (`transformers.set_seed`).
        always_attention_mask: give an attention mask also where no row is padded.
        pair_labels: hand on the labels of pairs, which models without a loss for them do not take: `pair_label` of
            blocks, `next_sentence_label` of other examples, -100 where there is none.

    Raises:
        TokenizerError: the tokenizer lacks one of the special tokens, or does not say where words begin.
        UsageError: `mlm=False`, which means nothing here; a scheme that is unknown; a setting of spans out of range.
        ValueError: a probability is out of range.
    """

    mask_replace_prob: float = 0.85
    random_replace_prob: float = 0.0
    always_attention_mask: bool = False
    masking: str = "token"
    span_geometric_p: float = 0.2
    span_max_words: int = 10
    pair_labels: bool = False

    def __post_init__(self) -> None:
        if not self.mlm:
            raise UsageError("mlm=False: tokens are masked by this collator: leave mlm as it is")
        if self.whole_word_mask and self.masking == "token":
            self.masking = "whole_word"
        if self.masking not in SCHEMES or (self.whole_word_mask and self.masking != "whole_word"):
            raise UsageError(
                f"masking={self.masking!r}, whole_word_mask={self.whole_word_mask}: choose masking from "
                f"{', '.join(SCHEMES)}, and leave whole_word_mask as it is"
            )
        if not 0 < self.span_geometric_p <= 1 or self.span_max_words < 1:
            raise UsageError(
                f"span_geometric_p={self.span_geometric_p}, span_max_words={self.span_max_words}: give a p above 0 "
                "and up to 1, and at least 1 word"
            )
        check_tokenizer(self.tokenizer)
        self.whole_word_mask = False  # transformers would replace all words by [MASK]
        super().__post_init__()
        self.whole_word_mask = self.masking == "whole_word"
        self._word_flags = None if self.masking == "token" else word_flags(self.tokenizer)
        if self.seed is None:
            self.seed = torch.initial_seed()
        tokenizer = self.tokenizer
        excluded = (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id, tokenizer.mask_token_id)
        self._excluded_ids = set(excluded)
        vocabulary = np.fromiter(tokenizer.get_vocab().values(), dtype=np.int64)
        self._ordinary_ids = np.setdiff1d(vocabulary, tokenizer.all_special_ids)
        self._running = 0

    @property
    def masking_settings(self) -> dict[str, Any]:
        """All that decides which tokens are masked and by what, beside the seed; a run goes on under the same."""
        names = ["masking", "mlm_probability", "mask_replace_prob", "random_replace_prob"]
        names += ["span_geometric_p", "span_max_words"] if self.masking == "span" else []
        return {name: getattr(self, name) for name in names}

    def torch_call(self, examples: Sequence[Any]) -> dict[str, torch.Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The batch as torch tensors."""
        return {name: torch.from_numpy(values) for name, values in self.numpy_call(examples).items()}

    def numpy_call(self, examples: Sequence[Any]) -> dict[str, np.ndarray]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The batch as numpy arrays."""
        if isinstance(examples, BlockBatch):
            ids, lengths, first_lengths = examples.input_ids, examples.lengths, examples.first_lengths
            epochs, samples = np.full(len(examples), examples.epoch), examples.samples
        elif isinstance(examples[0], Mapping) and "sample" in examples[0]:
            ids = np.stack([example["input_ids"] for example in examples])  # (batch, length)
            columns = ("length", "first_length", "epoch", "sample")
            lengths, first_lengths, epochs, samples = (
                np.array([example[column] for example in examples], dtype=np.int64) for column in columns
            )
        else:
            ids, lengths, first_lengths = self._pad(examples)
            epochs, samples = self._running_keys(len(examples))
        assert self.mlm_probability is not None and self.seed is not None
        column = np.arange(ids.shape[1])
        real = column < lengths[:, None]  # (batch, length)
        candidates = real.copy()
        for special_id in self._excluded_ids:
            candidates &= ids != special_id
        keys = row_keys(self.seed, epochs, samples)
        spans = None
        if self._word_flags is None:
            positions, used = choose_positions(keys, candidates, lengths, self.mlm_probability)
        else:
            words = find_words(ids, candidates, self._word_flags)
            budgets, capacity = used_slots(candidates, lengths, self.mlm_probability)
            if self.masking == "whole_word":
                positions, used = choose_whole_words(keys, words, budgets, capacity)
            else:
                p, most = self.span_geometric_p, self.span_max_words
                positions, used, spans = choose_spans(keys, words, budgets, capacity, geometric_p=p, max_words=most)
        masked = replace_tokens(
            ids,
            positions,
            used,
            keys,
            mask_id=self.tokenizer.mask_token_id,  # pyright: ignore[reportArgumentType]
            ordinary_ids=self._ordinary_ids,
            mask_probability=self.mask_replace_prob,
            random_probability=self.random_replace_prob,
            spans=spans,
        )
        batch = {
            "input_ids": masked.astype(np.int64, copy=False),
            "original_ids": ids.astype(np.int64, copy=False),
            "masked_positions": positions,
            "masked_weights": used.astype(np.float32),
        }
        if self.always_attention_mask or (lengths < ids.shape[1]).any():
            batch["attention_mask"] = real.astype(np.int64)
        if (first_lengths < lengths).any():
            batch["token_type_ids"] = (real & (column >= first_lengths[:, None])).astype(np.int64)
        if self.pair_labels:
            batch["next_sentence_label"] = _pair_labels(examples)
        return batch

    def _pad(self, examples: Sequence[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(batch, length) ids, (batch,) lengths and (batch,) first lengths of examples that are not ours."""
        rows: list[np.ndarray] = []
        first_lengths: list[int] = []
        for example in examples:
            fields = example if isinstance(example, Mapping) else {"input_ids": example}
            row = np.asarray(fields["input_ids"], dtype=np.int64)
            real = np.asarray(fields.get("attention_mask", row != self.tokenizer.pad_token_id), dtype=bool)
            second = np.asarray(fields.get("token_type_ids", np.zeros_like(row)))[real].astype(bool)
            rows.append(row[real])
            first_lengths.append(int(len(second) - second.sum()))
        length = max(map(len, rows))
        if self.pad_to_multiple_of:
            length = -(-length // self.pad_to_multiple_of) * self.pad_to_multiple_of
        ids = np.full((len(rows), length), self.tokenizer.pad_token_id, dtype=np.int64)
        for target, row in zip(ids, rows, strict=True):
            target[: len(row)] = row
        return ids, np.array([len(row) for row in rows]), np.array(first_lengths)

    def _running_keys(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """(batch,) epochs and (batch,) samples for examples without a place of their own."""
        worker = get_worker_info()
        # A loader's workers all start at 0; torch seeds them differently from each other and anew for each epoch.
        epoch = 0 if worker is None else worker.seed
        samples = np.arange(self._running, self._running + count)
        self._running += count
        return np.full(count, epoch, dtype=np.int64), samples


def _pair_labels(examples: Sequence[Any]) -> np.ndarray:
    """(batch,) int64, -100 for a row without a label."""
    if isinstance(examples, BlockBatch):
        labels = examples.pair_labels
        return np.full(len(examples), NO_PAIR, dtype=np.int64) if labels is None else labels
    fields = [example if isinstance(example, Mapping) else {} for example in examples]
    labels = [row.get("pair_label", row.get("next_sentence_label", NO_PAIR)) for row in fields]
    return np.array(labels, dtype=np.int64)
