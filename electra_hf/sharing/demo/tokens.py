"""Texts as tokens: what a generator swaps and what a discriminator suspects."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .records import JudgedText, TokenRecord

MASK_PROBABILITY = 0.15


@dataclass(frozen=True)
class Corruption:
    """The ids of one text, special tokens included, before and after the generator has swapped some."""

    input_ids: torch.Tensor  # (length,)
    original_ids: torch.Tensor  # (length,)
    special: torch.Tensor  # (length,) true at [CLS] and [SEP]
    gaps: list[bool]
    masked: torch.Tensor  # (length,) true where the generator has put a sample, be it the original
    cut: int  # tokens at the end of the text that the model has no room for


def usable_length(config: Any, tokenizer: PreTrainedTokenizerBase) -> int:
    """Tokens of the longest text, special ones included."""
    # RoBERTa counts positions from behind the padding id.
    offset = config.pad_token_id + 1 if config.model_type in ("roberta", "xlm-roberta", "camembert") else 0
    positions = getattr(config, "max_position_embeddings", None) or tokenizer.model_max_length + offset
    return min(positions - offset, tokenizer.model_max_length)


def encode(text: str, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Corruption:
    """A text as it is; a longer one than `max_length` tokens is cut, and it is counted by how much."""
    length = len(tokenizer(text, verbose=False)["input_ids"])
    encoding = tokenizer(
        text, truncation=True, max_length=max_length, return_special_tokens_mask=True, return_offsets_mapping=True
    )
    offsets: list[tuple[int, int]] = encoding["offset_mapping"]
    # SentencePiece and byte-level BPE may count the white space before a word as part of it.
    gaps = [
        i > 0 and (start > offsets[i - 1][1] or text[start:end][:1].isspace())
        for i, (start, end) in enumerate(offsets)
    ]
    ids, special = torch.tensor(encoding["input_ids"]), torch.tensor(encoding["special_tokens_mask"]).bool()
    return Corruption(ids, ids, special, gaps, torch.zeros_like(special), length - len(ids))


@torch.inference_mode()
def swap(
    text: Corruption,
    generator: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    mask_probability: float = MASK_PROBABILITY,
    temperature: float = 1.0,
    seed: int = 0,
) -> Corruption:
    """Mask tokens at random and put samples of the generator in their place.

    Args:
        text: From `encode`.
        generator: A masked language model over the vocabulary of the tokenizer.
        tokenizer: With a mask token.
        mask_probability: Share of the tokens that are masked, at least one in a text that has any.
        temperature: Divides the generator's logits.
        seed: The same seed gives the same swaps.
    """
    random = torch.Generator().manual_seed(seed)
    positions = choose_positions(text, mask_probability, random)
    if len(positions) == 0:
        return text
    masked = text.original_ids.clone()
    masked[positions] = tokenizer.mask_token_id  # type: ignore[assignment]
    logits = generator(input_ids=masked[None]).logits[0, positions].float()  # (count, vocabulary)
    hide_what_is_no_word(logits, tokenizer)
    corrupted = text.original_ids.clone()
    corrupted[positions] = torch.multinomial((logits / temperature).softmax(dim=-1), 1, generator=random).flatten()
    chosen = text.masked.clone()
    chosen[positions] = True
    return Corruption(corrupted, text.original_ids, text.special, text.gaps, chosen, text.cut)


def choose_positions(text: Corruption, mask_probability: float, random: torch.Generator) -> torch.Tensor:
    """(count,) places of a text to mask: a share of those that are not special, and at least one if there are any."""
    ordinary = (~text.special).nonzero().flatten()
    count = min(max(1, round(mask_probability * len(ordinary))), len(ordinary))
    return ordinary[torch.randperm(len(ordinary), generator=random)[:count]]


def hide_what_is_no_word(logits: torch.Tensor, tokenizer: PreTrainedTokenizerBase) -> None:
    """Set (..., vocabulary) logits to minus infinity, in place, for what no reader could judge.

    That is a special token, or a row that only pads the embedding table.
    """
    logits[..., tokenizer.all_special_ids] = -torch.inf
    logits[..., len(tokenizer) :] = -torch.inf


@torch.inference_mode()
def suspicions(text: Corruption, discriminator: Any) -> torch.Tensor:
    """(length,) probability of "replaced", for each token."""
    return discriminator(input_ids=text.input_ids[None]).logits[0].float().sigmoid()


def judged_text(
    text: Corruption,
    suspicion: torch.Tensor,
    tokenizer: PreTrainedTokenizerBase,
    *,
    masked_only: bool = False,
    energies: torch.Tensor | None = None,
) -> JudgedText:
    """Put together what is known of each token.

    Args:
        text: After corruption, if any.
        suspicion: (length,) from `suspicions`.
        tokenizer: Of the checkpoint.
        masked_only: The discriminator has learnt from masked positions only.
        energies: (length,) of Electric.
    """
    kept = (~text.special).nonzero().flatten().tolist()
    pieces = tokenizer.convert_ids_to_tokens(text.input_ids.tolist())
    # A noise distribution may draw a row that only pads the embedding table.
    pieces = [piece or f"[unused{number}]" for piece, number in zip(pieces, text.input_ids.tolist(), strict=True)]
    originals = tokenizer.convert_ids_to_tokens(text.original_ids.tolist())
    replaced = (text.input_ids != text.original_ids).tolist()
    rows = list(zip(pieces, originals, replaced, suspicion.tolist(), text.gaps, strict=True))
    return JudgedText(
        records=[TokenRecord(*rows[place]) for place in kept],
        judged=[not masked_only or bool(text.masked[place]) for place in kept],
        cut=text.cut,
        energies=None if energies is None else energies[kept].tolist(),
    )


def is_byte_level(tokenizer: Any) -> bool:
    """Whether the letters of a tokenizer's pieces stand for bytes, as in GPT-2 and RoBERTa."""
    # The name of the step stands in what the tokenizer says of itself, alone or in a sequence.
    return "ByteLevel" in str(tokenizer.backend_tokenizer.decoder)
