"""Whether a tokenizer can serve masked-token training, and what identifies it."""

import hashlib
import json

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from electra_hf.errors import TokenizerError


def check_tokenizer(tokenizer: PreTrainedTokenizerBase) -> None:
    """Make sure that the tokenizer has the special tokens of masked-token training.

    Raises:
        TokenizerError: names the missing ones among [MASK], [CLS], [SEP] and [PAD].
    """
    missing = [name for name in ("mask", "cls", "sep", "pad") if getattr(tokenizer, f"{name}_token_id") is None]
    if missing:
        names = ", ".join(f"{name}_token" for name in missing)
        raise TokenizerError(
            f"{tokenizer.name_or_path or 'the tokenizer'} has no {names}: replaced-token detection masks tokens and "
            "wraps each block in [CLS] and [SEP]. Add them with tokenizer.add_special_tokens and save it, or train "
            "one with --train_tokenizer"
        )


def backend_json(tokenizer: PreTrainedTokenizerBase) -> str:
    """The tokenizer as one canonical JSON text, without the truncation and padding that a call may have left on it.

    Raises:
        TokenizerError: the tokenizer has no `tokenizers` backend.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise TokenizerError(
            f"{type(tokenizer).__name__} runs in Python and has no tokenizer.json: corpora are prepared with fast "
            "tokenizers. For Japanese with MeCab, write words separated by spaces and train a WordPiece on them"
        )
    content = json.loads(backend.to_str())
    content["truncation"] = content["padding"] = None
    return json.dumps(content, ensure_ascii=False, sort_keys=True)


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """SHA-256 of everything that decides which ids a text gets; the same in every process.

    Raises:
        TokenizerError: the tokenizer has no `tokenizers` backend.
    """
    return hashlib.sha256(backend_json(tokenizer).encode()).hexdigest()
