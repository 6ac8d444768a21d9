"""The special tokens, where each of them stands, and the wrapper that every tokenizer made here comes in."""

from collections.abc import Sequence
from typing import Any

from tokenizers import AddedToken, Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import TokenizersBackend

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]  # in the order of their ids
ROLES = ("pad", "unk", "cls", "sep", "mask")


class PreTrainedTokenizerFast(TokenizersBackend):
    """A tokenizer that is its `tokenizer.json` and nothing else.

    transformers writes the name of the class into the folder, and version 4 knows this name only for what version 5
    calls `TokenizersBackend`; version 5 knows both.
    """


def wrap(backend: Tokenizer, names: Sequence[str], max_length: int) -> PreTrainedTokenizerFast:
    """Complete a backend: special tokens, [CLS] A [SEP] B [SEP] with the segments as token types, and the length.

    Args:
        backend: the tokenizer; special tokens that it does not have are added at its end.
        names: the tokens of `ROLES`, in that order.
        max_length: the tokenizer's `model_max_length`.
    """
    backend.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    _, _, cls, sep, _ = names
    backend.post_processor = TemplateProcessing(  # pyright: ignore[reportAttributeAccessIssue]
        single=f"{cls}:0 $A:0 {sep}:0",
        pair=f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1",
        special_tokens=[(name, backend.token_to_id(name)) for name in (cls, sep)],
    )
    special: dict[str, Any] = {f"{role}_token": name for role, name in zip(ROLES, names, strict=True)}
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=max_length,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
        **special,
    )


def unused_tokens(count: int, known: set[str] | None = None) -> list[str]:
    """Names of tokens that fill a vocabulary up, `[unused0]` and on, without those that are `known`."""
    names = (f"[unused{number}]" for number in range(count + len(known or ())))
    return [name for name in names if name not in (known or ())][:count]
