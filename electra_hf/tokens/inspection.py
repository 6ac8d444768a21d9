"""Blocks of a prepared folder as text again: what a model will read, for a person to check."""

from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase

from electra_hf.tokens.blocks import BlockDataset, Example
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection


@dataclass(frozen=True)
class BlockToken:
    """One real token of a block.

    Attributes:
        piece: as the tokenizer writes it.
        segment: 0 or 1.
        special: whether it is [CLS] or [SEP], or another special token.
        unknown: whether the tokenizer had no token for the text.
        masked_by: for a masked position of the masked example, what the generator sees there; it may be the token
            itself.
    """

    piece: str
    segment: int
    special: bool
    unknown: bool
    masked_by: str | None = None


def evenly_spread(blocks: BlockDataset, count: int) -> list[Example]:
    """`count` blocks from the whole folder, or all if there are fewer."""
    chosen = blocks.select(count)
    return [chosen[index] for index in range(len(chosen))]


def block_tokens(example: Example, tokenizer: PreTrainedTokenizerBase) -> list[BlockToken]:
    """The real tokens of a block."""
    return _tokens(example["input_ids"], example, tokenizer, {})


def masked_block_tokens(
    example: Example, tokenizer: PreTrainedTokenizerBase, collator: DataCollatorForReplacedTokenDetection
) -> list[BlockToken]:
    """The real tokens of a block as the collator would mask it in this epoch."""
    batch = collator.numpy_call([example])
    positions = batch["masked_positions"][0][batch["masked_weights"][0] > 0]
    pieces = tokenizer.convert_ids_to_tokens(batch["input_ids"][0][positions].tolist())
    return _tokens(example["input_ids"], example, tokenizer, dict(zip(positions.tolist(), pieces, strict=True)))


def _tokens(
    ids: np.ndarray, example: Example, tokenizer: PreTrainedTokenizerBase, masks: dict[int, str]
) -> list[BlockToken]:
    real: list[int] = ids[: example["length"]].tolist()
    special = (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id, tokenizer.mask_token_id)
    return [
        BlockToken(
            piece=piece,
            segment=int(position >= example["first_length"]),
            special=token in special,
            unknown=token == tokenizer.unk_token_id,
            masked_by=masks.get(position),
        )
        for position, (token, piece) in enumerate(zip(real, tokenizer.convert_ids_to_tokens(real), strict=True))
    ]
