"""What a corpus is like, counted while it is encoded: lengths of documents, and characters without a token."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tokenizers import Tokenizer

KEPT_UNKNOWN_CHARACTERS = 100
# Encoding a line once more, to find what is unknown in it, costs what its text costs: enough lines for a ranking.
_LINES_LOOKED_AT = 2_000


class TextStatistics:
    """Counts over the documents of one shard, or of many together.

    Attributes:
        lengths: documents with n tokens, under the bit length of n: key 5 stands for 16 to 31 tokens, 0 for none.
        unknown_characters: how often a character that the tokenizer does not know was seen, in the lines looked at:
            the first 2,000 of each shard that hold an unknown token.
    """

    def __init__(self, backend: Tokenizer | None = None, unknown_id: int = -1) -> None:
        """Start counting; the tokenizer is needed for the unknown characters only."""
        self.lengths: Counter[int] = Counter()
        self.unknown_characters: Counter[str] = Counter()
        self._backend = backend
        self._unknown_id = unknown_id
        self._looked_at = 0
        self._is_unknown: dict[str, bool] = {}

    def add_document(self, tokens: int) -> None:
        """Count a document of this many tokens."""
        self.lengths[tokens.bit_length()] += 1

    def add_line(self, text: str, ids: list[int]) -> None:
        """Count the unknown characters of a line and its token ids."""
        if self._unknown_id not in ids or self._looked_at == _LINES_LOOKED_AT or self._backend is None:
            return
        self._looked_at += 1
        encoding = self._backend.encode(text, add_special_tokens=False)
        for token, (start, stop) in zip(encoding.ids, encoding.offsets, strict=True):
            if token == self._unknown_id:
                # One unknown character makes a whole word unknown.
                self.unknown_characters.update(filter(self._has_no_token, text[start:stop]))

    def _has_no_token(self, character: str) -> bool:
        if character not in self._is_unknown:
            assert self._backend is not None
            ids = self._backend.encode(character, add_special_tokens=False).ids
            self._is_unknown[character] = self._unknown_id in ids
        return self._is_unknown[character]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, the most frequent unknown characters only."""
        ranked = sorted(self.unknown_characters.items(), key=lambda item: (-item[1], item[0]))
        return {
            "document_lengths": {str(bits): self.lengths[bits] for bits in sorted(self.lengths)},
            "unknown_characters": dict(ranked[:KEPT_UNKNOWN_CHARACTERS]),
        }


def merge_statistics(contents: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The `to_dict` of many shards as that of all."""
    total = TextStatistics()
    for content in contents:
        for bits, documents in content["document_lengths"].items():
            total.lengths[int(bits)] += documents
        total.unknown_characters.update(content["unknown_characters"])
    return total.to_dict()
