"""Where words begin and end in a row of token ids: two flags of each id, read off the tokenizer once.

Every kind of vocabulary marks words in its own way, and the tokenizer's own model, pre-tokenizer and decoder say which
it is: the prefix of a WordPiece that goes on (`##`), the sign that stands for a space in SentencePiece (`▁`), the byte
of a space in byte-level BPE (`Ġ`), the suffix of a last piece (`</w>`). Three rules are the same for all of them:

* A token without letters or digits is a word, as in BERT, whose pre-tokenizer cuts punctuation off.
* An added or special token is a word.
* In scripts that are written without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese) what stands between two
  spaces is a sentence. Each token of them is a word, unless the vocabulary was learnt from text whose words were
  separated, as by MeCab: then many of its tokens of several such characters begin a word, and the marks are right.
"""

import json
import unicodedata
from collections.abc import Iterator
from typing import Any

import numpy as np
from tokenizers.decoders import ByteLevel
from transformers import PreTrainedTokenizerBase

from electra_hf.errors import TokenizerError
from electra_hf.tokens.tokenizers import backend_json

BEGINS, ENDS, OPENS = np.uint8(1), np.uint8(2), np.uint8(4)
_UNDECODED = "\ufffd"
# Of the tokens of several Japanese characters in vocabularies of 8,000, 1 to 2 % begin a word if they were learnt from
# plain text, and 43 to 86 % if its words were separated. WordPiece is less clear: where the normalizer isolates
# Chinese characters, what is between them begins words too, 43 % of the tokens against 68 %.
_MANY, _MANY_OF_WORDPIECE = 0.2, 0.55
# First and last code points: Thai and Lao; Burmese; Khmer; 々〆〇; kana and Bopomofo; more kana; Han; half-width kana;
# Han again.
_WITHOUT_SPACES = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3005, 0x3007), (0x3041, 0x312F), (0x31F0, 0x31FF),
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0xFF66, 0xFF9F), (0x20000, 0x3FFFF),
)  # fmt: skip


def word_flags(tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """What each id says about words.

    Args:
        tokenizer: a fast tokenizer.

    Returns:
        (highest id + 1,) uint8: `BEGINS` where a token begins a word, `ENDS` where the token after it does, and
        `OPENS` where that one never does: a space that is a token. Special tokens between words are the caller's
        business.

    Raises:
        TokenizerError: the tokenizer has no `tokenizers` backend, or no mark of words.
    """
    content = json.loads(backend_json(tokenizer))
    vocabulary = tokenizer.get_vocab()
    pieces = _Pieces(content, vocabulary)
    separated = _separates_words(pieces, vocabulary)
    flags = np.zeros(max(vocabulary.values()) + 1, dtype=np.uint8)
    for token, number in vocabulary.items():
        text, begins, ends = pieces.read(token)
        opens = begins and not text
        if text and not any(unicodedata.category(letter)[0] in "LNM" or letter == _UNDECODED for letter in text):
            begins = ends = True
        elif text and not separated:
            begins, ends = begins or _without_spaces(text[0]), ends or _without_spaces(text[-1])
        flags[number] = BEGINS * begins | ENDS * ends | OPENS * opens
    whole = [*tokenizer.all_special_tokens, *(token["content"] for token in content["added_tokens"])]
    flags[[vocabulary[token] for token in whole]] = BEGINS | ENDS
    if tokenizer.unk_token is not None and not pieces.unknown_words:
        flags[vocabulary[str(tokenizer.unk_token)]] = 0
    return flags


class _Pieces:
    """How a vocabulary writes text and the borders of words.

    Attributes:
        unknown_words: the unknown token stands for a whole word, and not for characters.
    """

    def __init__(self, content: dict[str, Any], vocabulary: dict[str, int]) -> None:
        model = content["model"]
        steps = [step for part in ("normalizer", "pre_tokenizer", "decoder") for step in _steps(content[part])]
        self.words_only = model["type"] == "WordLevel"
        self.unknown_words = model["type"] in ("WordPiece", "WordLevel")
        self.prefix = model.get("continuing_subword_prefix") or ""
        self.suffix = model.get("end_of_word_suffix") or ""
        self.bytes = ByteLevel() if any(step["type"] == "ByteLevel" for step in steps) else None
        signs = [step["replacement"] for step in steps if step["type"] == "Metaspace"]
        # A decoder that turns a sign into a space, as in Llama's tokenizers and those converted here.
        decoders = [step for step in _steps(content["decoder"]) if step["type"] == "Replace"]
        signs += [step["pattern"].get("String") for step in decoders if step["content"] == " "]
        self.space = next(filter(None, signs), " ")
        texts = [self._text(token) for token in vocabulary]
        self.space_is_behind = sum(text[-1:].isspace() - text[:1].isspace() for text in texts) > 0
        spaces = any(text.strip() != text for text in texts)
        if not (self.words_only or self.prefix or self.suffix or spaces):
            raise TokenizerError(
                "the tokenizer does not say where words begin: its tokens have no ##, no space in front and no sign "
                "behind. Use --masking token, or another tokenizer"
            )

    def read(self, token: str) -> tuple[str, bool, bool]:
        """Its text without marks, whether it begins a word, and whether it ends one."""
        text = self._text(token)
        letters = text.strip()
        begins, ends = text[:1].isspace(), text[-1:].isspace()
        if not letters:
            begins, ends = not self.space_is_behind, self.space_is_behind
        if self.prefix:
            begins, letters = not token.startswith(self.prefix), letters.removeprefix(self.prefix)
        if self.suffix:
            ends, letters = token.endswith(self.suffix), letters.removesuffix(self.suffix)
        return letters, begins or self.words_only, ends or self.words_only

    def _text(self, token: str) -> str:
        return self.bytes.decode([token]) if self.bytes else token.replace(self.space, " ")


def _steps(part: Any) -> Iterator[dict[str, Any]]:
    """A normalizer, pre-tokenizer or decoder, and all those inside it."""
    if isinstance(part, dict):
        if "type" in part:
            yield part
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from _steps(inner)


def _without_spaces(letter: str) -> bool:
    return any(first <= ord(letter) <= last for first, last in _WITHOUT_SPACES)


def _separates_words(pieces: _Pieces, vocabulary: dict[str, int]) -> bool:
    """Whether many tokens of several characters of scripts without spaces stand at a border of words all the same."""
    borders = []
    for token in vocabulary:
        text, begins, ends = pieces.read(token)
        if len(text) > 1 and all(map(_without_spaces, text)):
            borders.append(ends if pieces.space_is_behind or pieces.suffix else begins)
    return sum(borders) > len(borders) * (_MANY_OF_WORDPIECE if pieces.prefix else _MANY)
