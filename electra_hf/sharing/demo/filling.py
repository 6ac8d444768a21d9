"""Words for the masks of a text, from a masked language model."""

import re
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from .records import CONTINUATION, WORD_STARTS, readable
from .tokens import hide_what_is_no_word, is_byte_level, usable_length

# What people write, whatever the tokenizer calls it.
MASK = "[MASK]"


@dataclass(frozen=True)
class Candidate:
    """A token for a mask.

    Attributes:
        word: For people: a leading … says that it goes on with the word before, over the space in the text.
        piece: As the vocabulary writes it.
        id: Its number.
        probability: 0..1, of the softmax over the whole vocabulary.
    """

    word: str
    piece: str
    id: int
    probability: float


@dataclass(frozen=True)
class FilledText:
    """A text, its masks in their order with candidates from the best on, and the text with the best of each."""

    text: str
    filled: str
    masks: list[list[Candidate]]


class TextProblem(ValueError):
    """A text whose masks cannot be filled."""


@torch.inference_mode()
def fill(text: str, tokenizer: PreTrainedTokenizerBase, masked_lm: Any, top_k: int = 5) -> FilledText:
    """Fill each mask of a text as if the others were left open.

    Args:
        text: With one or more masks: `[MASK]`, or the tokenizer's own.
        tokenizer: Of the model.
        masked_lm: A masked language model of transformers.
        top_k: Candidates for each mask.

    Raises:
        TextProblem: If there is no mask, or if the text is longer than the model can take.
    """
    own = str(tokenizer.mask_token)
    parts = re.split("|".join(map(re.escape, {MASK, own})), text)
    if len(parts) == 1:
        also = "" if own == MASK else f" (or {own}, the tokenizer's own mask)"
        raise TextProblem(f"there is no mask in it: write {MASK}{also} in the place of a word")
    ids = torch.tensor(tokenizer(own.join(parts), verbose=False)["input_ids"])
    longest = usable_length(masked_lm.config, tokenizer)
    if len(ids) > longest:
        raise TextProblem(f"it has {len(ids)} tokens, and the model takes {longest}: shorten it")
    places = ids.eq(tokenizer.mask_token_id).nonzero().flatten()  # type: ignore[arg-type]  # (k,)
    device = masked_lm.device
    logits = masked_lm(input_ids=ids[None].to(device)).logits[0, places.to(device)].float().cpu()  # (k, v)
    probabilities = logits.softmax(-1)
    hide_what_is_no_word(logits, tokenizer)
    words, byte_level = len(tokenizer) - len(set(tokenizer.all_special_ids)), is_byte_level(tokenizer)
    marks_starts = any(piece.startswith(WORD_STARTS) for piece in tokenizer.get_vocab())
    masks, filled = [], parts[0]
    for row, odds, after in zip(logits, probabilities, parts[1:], strict=True):
        best = row.topk(min(top_k, words)).indices.tolist()
        pieces = tokenizer.convert_ids_to_tokens(best)
        candidates = []
        for number, piece in zip(best, pieces, strict=True):
            joins = _goes_on(piece, marks_starts) and filled[-1:].isspace()
            word = readable(piece, byte_level=byte_level)
            candidates.append(Candidate(f"…{word}" if joins else word, piece, number, odds[number].item()))
        masks.append(candidates)
        filled = _put(filled, candidates[0], marks_starts) + after
    return FilledText(text, filled, masks)


def _goes_on(piece: str, marks_starts: bool) -> bool:
    return not piece.startswith(WORD_STARTS) if marks_starts else piece.startswith(CONTINUATION)


def _put(before: str, candidate: Candidate, marks_starts: bool) -> str:
    """The text up to a mask with a word in its place, spaced as the piece says."""
    word = candidate.word.removeprefix("…")
    if candidate.word.startswith("…"):
        return before.rstrip() + word
    if marks_starts and before and not before[-1].isspace() and candidate.piece.startswith(WORD_STARTS):
        return f"{before} {word}"
    return before + word
