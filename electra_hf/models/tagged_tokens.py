"""Which tokens of a text carry a tag, where words are tagged by their first tokens."""

from typing import cast

import torch
from tokenizers.models import WordPiece
from torch import Tensor
from transformers import BatchEncoding, PreTrainedTokenizerBase, PreTrainedTokenizerFast


def untagged_token_ids(tokenizer: PreTrainedTokenizerBase, *, first_tokens_only: bool) -> tuple[int, ...]:
    """Tokens that never carry a tag.

    Args:
        tokenizer: Of the model.
        first_tokens_only: Only the first token of each word is tagged. The others are known by themselves in WordPiece
            (`##ing`). In other vocabularies, and where characters are tagged, they are not: give `tag_mask` to
            `decode`.

    Returns:
        Ids in ascending order: those that begin, separate, end and fill a row, and the later pieces of WordPiece.
    """
    names = ("cls_token_id", "sep_token_id", "bos_token_id", "eos_token_id", "pad_token_id")
    ids = {getattr(tokenizer, name) for name in names} - {None}
    if first_tokens_only and isinstance(tokenizer, PreTrainedTokenizerFast):
        model = tokenizer.backend_tokenizer.model
        if isinstance(model, WordPiece):
            later = cast(str, model.continuing_subword_prefix)
            ids.update(number for token, number in tokenizer.get_vocab().items() if token.startswith(later))
    return tuple(sorted(ids))


def first_tokens(encoding: BatchEncoding) -> Tensor:
    """Which tokens are the first of a word, as `tag_mask` of a model that tags words.

    Args:
        encoding: Words (`is_split_into_words=True`) or texts as a fast tokenizer encodes them.

    Returns:
        (batch, length) bool.
    """
    words = [encoding.word_ids(row) for row in range(len(encoding["input_ids"]))]
    return torch.tensor(
        [
            [word is not None and word != before for word, before in zip(row, [None, *row], strict=False)]
            for row in words
        ]
    )
