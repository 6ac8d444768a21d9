"""How well a tokenizer fits a text: tokens per word, unknown characters, words that stay whole."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from electra_hf.errors import TokenizerError
from electra_hf.tokens.encoding import cut_line

SAMPLE_CHARACTERS = 1_000_000
_LONGEST_EXAMPLE = 200
_KEPT_UNKNOWN = 20


@dataclass
class TokenizerStatistics:
    """Counts over a text; the ratios are properties.

    Attributes:
        tokens: without special tokens.
        unknown_tokens: those of them that are the unknown token.
        words: parts between white space.
        whole_words: words that are one token.
        unknown_characters: the most frequent ones without a token, and how often they were seen.
        segmentations: some lines, each with its tokens.
    """

    vocab_size: int = 0
    lines: int = 0
    characters: int = 0
    bytes: int = 0
    tokens: int = 0
    unknown_tokens: int = 0
    words: int = 0
    whole_words: int = 0
    unknown_characters: dict[str, int] = field(default_factory=dict)
    segmentations: list[tuple[str, list[str]]] = field(default_factory=list)

    @property
    def tokens_per_word(self) -> float:
        """Fertility; means little for a script without spaces."""
        return self.tokens / self.words

    @property
    def tokens_per_character(self) -> float:
        return self.tokens / self.characters

    @property
    def bytes_per_token(self) -> float:
        """UTF-8 bytes of text in a token: comparable between languages."""
        return self.bytes / self.tokens

    @property
    def unknown_rate(self) -> float:
        """Share of the tokens that are unknown."""
        return self.unknown_tokens / self.tokens

    @property
    def whole_word_rate(self) -> float:
        """Share of the words that are one token."""
        return self.whole_words / self.words


def inspect_tokenizer(
    tokenizer: PreTrainedTokenizerBase,
    documents: Iterable[str],
    *,
    max_characters: int = SAMPLE_CHARACTERS,
    examples: int = 5,
) -> TokenizerStatistics:
    """Encode the beginning of a text and count.

    Args:
        tokenizer: any fast tokenizer.
        documents: texts; read until `max_characters` were seen.
        max_characters: stop after this many.
        examples: how many lines to keep with their tokens.

    Raises:
        TokenizerError: there is no text, or the tokenizer has no `tokenizers` backend.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise TokenizerError(f"{type(tokenizer).__name__} runs in Python: only fast tokenizers can be inspected")
    backend = Tokenizer.from_str(backend.to_str())  # a copy: truncation and special tokens are set differently
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = True
    unknown_id = cast(int, -1 if tokenizer.unk_token_id is None else tokenizer.unk_token_id)
    statistics = TokenizerStatistics(vocab_size=len(tokenizer))
    words: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    for line in _lines(documents, max_characters):
        encoding = backend.encode(line, add_special_tokens=False)
        statistics.lines += 1
        statistics.characters += len(line)
        statistics.bytes += len(line.encode("utf-8", "replace"))
        statistics.tokens += len(encoding.ids)
        words.update(line.split())
        if unknown_id in encoding.ids:
            statistics.unknown_tokens += encoding.ids.count(unknown_id)
            for token, (start, stop) in zip(encoding.ids, encoding.offsets, strict=True):
                if token == unknown_id:
                    unknown.update(character for character in line[start:stop] if not character.isspace())
        if len(statistics.segmentations) < examples and len(line) > 10:
            short = next(cut_line(line, _LONGEST_EXAMPLE))
            statistics.segmentations.append((short, backend.encode(short, add_special_tokens=False).tokens))
    if not statistics.tokens:
        raise TokenizerError("no text to try the tokenizer on: give a corpus with text")
    statistics.words = words.total()
    for word, encoding in zip(words, backend.encode_batch_fast(list(words), add_special_tokens=False), strict=True):
        if len(encoding.ids) == 1 and encoding.ids[0] != unknown_id:
            statistics.whole_words += words[word]
    # One unknown character makes a whole word unknown: only those that are unknown alone count.
    alone = {
        character for character in unknown if unknown_id in backend.encode(character, add_special_tokens=False).ids
    }
    ranked = sorted((item for item in unknown.items() if item[0] in alone), key=lambda item: (-item[1], item[0]))
    statistics.unknown_characters = dict(ranked[:_KEPT_UNKNOWN])
    return statistics


def _lines(documents: Iterable[str], max_characters: int) -> Iterable[str]:
    seen = 0
    for document in documents:
        for line in document.split("\n"):
            for piece in cut_line(line.strip()):
                if piece:
                    yield piece
                    seen += len(piece)
                    if seen >= max_characters:
                        return
