"""Which token stands for which unit of a text.

A text is tokenised as a whole, as in pre-training, and the offsets say which characters a token covers. To give the
tokenizer words (`is_split_into_words`) would do for WordPiece, which cuts at white space anyway; but Unigram and
byte-level BPE would see each word, or each character, as the beginning of a text. With offsets a unit may be
anything: a word, a character, a word of a language without spaces.

Offsets alone leave gaps, which are closed here:

- A token over several units. `unit` (the default) takes it apart, see `splitting`. `text` leaves tokens as they are:
  one with several units has the tag of the first of them, as in KLUE's baseline (klue_baseline/data/klue_ner.py).
- A unit without a token, as the tokenizer drops its characters: it gets an unknown token in its place. White space
  between characters gets none, see `stitching`.
- A token for nothing but white space, as the space before a word. It is no unit's.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from tokenizers import Encoding, Tokenizer
from transformers import PreTrainedTokenizerBase

from electra_hf.errors import TokenizerError
from electra_hf.finetuning.tagging.places import Places, ranges
from electra_hf.finetuning.tagging.splitting import TokenSplitter

TOKENIZATIONS = ("unit", "text")

_SPACE_MARKS = ("▁", "Ġ")


class AlignedText(NamedTuple):
    """A text as tokens, without special ones.

    Attributes:
        ids: (tokens,) int32.
        units: (tokens,) int32, the first unit that a token stands for; -1 if it is a further token of a unit, or one
            for a space.
        spaces: (tokens,) bool, tokens that cover no part of a unit.
        rows: (units,) int32, the token that stands for each unit; -1 for white space. Several units have one token
            only where texts are not tokenised by units.
        given_unknown: Units that got an unknown token because the tokenizer dropped them.
    """

    ids: np.ndarray
    units: np.ndarray
    spaces: np.ndarray
    rows: np.ndarray
    given_unknown: int


class Aligner:
    """Tokenises texts and says which token stands for which unit.

    Args:
        tokenizer: Of the model.
        by_unit: Take tokens over several units apart.
        white_space: Units of white space get tokens as well: they are words. Otherwise they are the spaces between
            characters.

    Raises:
        TokenizerError: If the tokenizer runs in Python and so has no offsets, or has no unknown token.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, by_unit: bool, white_space: bool):
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if not isinstance(backend, Tokenizer):
            raise TokenizerError(
                f"{tokenizer.name_or_path}: its {type(tokenizer).__name__} runs in Python and does not say where in "
                "the text a token stands: give the same vocabulary as a folder with tokenizer.json (--tokenizer_name)"
            )
        if tokenizer.unk_token_id is None:
            raise TokenizerError(
                f"{tokenizer.name_or_path} has no unknown token, which stands for words that the tokenizer drops: "
                "add one with tokenizer.add_special_tokens and save it"
            )
        self.backend = Tokenizer.from_str(backend.to_str())
        self.backend.no_truncation()
        self.backend.no_padding()
        # A text that spells out [SEP] speaks of it.
        self.backend.encode_special_tokens = True
        self.unknown = cast(int, tokenizer.unk_token_id)
        self._splitter = TokenSplitter(self.backend, self.unknown) if by_unit else None
        self._white_space = white_space
        self._normalizer: Any = self.backend.normalizer
        self._dropped: dict[str, bool] = {}
        vocabulary = self.backend.get_vocab()
        self._marks = np.array([vocabulary[mark] for mark in _SPACE_MARKS if mark in vocabulary], dtype=np.int32)

    def special_tokens(self) -> tuple[list[int], list[int], int]:
        """What stands before and after a single text, and the token type of the text.

        Raises:
            TokenizerError: If the tokenizer gives no token for the letter a.
        """
        text = self.backend.encode("a", add_special_tokens=False)
        whole = self.backend.encode("a", add_special_tokens=True)
        if not text.ids:
            raise TokenizerError("the tokenizer gives no token for the letter a: its vocabulary is incomplete")
        start = whole.special_tokens_mask.index(0)
        return whole.ids[:start], whole.ids[start + len(text.ids) :], whole.type_ids[start]

    def align(
        self, texts: Sequence[str], starts: Sequence[Sequence[int]], ends: Sequence[Sequence[int]]
    ) -> Iterator[AlignedText]:
        """Tokenise texts.

        Args:
            texts: Any number.
            starts: The first character of each unit of each text, ascending.
            ends: The character after the last of each unit; units do not overlap.
        """
        # The rules of SentencePiece drop control characters (`Precompiled` of tokenizers 0.23.3); where a text begins
        # with some, all its offsets are wrong by their number.
        skipped = [self._dropped_at_start(text) for text in texts]
        kept = [text[count:] for text, count in zip(texts, skipped, strict=True)]
        encodings = self.backend.encode_batch(kept, add_special_tokens=False)
        for text, first, last, encoding, count in zip(texts, starts, ends, encodings, skipped, strict=True):
            places = Places(
                text, np.asarray(first, np.int64), np.asarray(last, np.int64), white_space=self._white_space
            )
            yield self._align(text, places, encoding, count)

    def _dropped_at_start(self, text: str) -> int:
        """How many characters at the start the normalizer turns into nothing."""
        for place, character in enumerate(text):
            if character not in self._dropped:
                self._dropped[character] = self._normalizer is not None and not self._normalizer.normalize_str(
                    character
                )
            if not self._dropped[character]:
                return place
        return len(text)

    def _align(self, text: str, places: Places, encoding: Encoding, skipped: int) -> AlignedText:
        ids = np.asarray(encoding.ids, dtype=np.int32)
        offsets = np.asarray(encoding.offsets, dtype=np.int64).reshape(-1, 2) + skipped
        first, last = places.units(offsets[:, 0], offsets[:, 1])
        if self._splitter is not None and (first != last).any():
            ids, first = self._splitter.split(text, skipped, places, ids, offsets, first, last)
            last = first
        # Without this, the mark of the space would be the first token of the word that follows.
        only_space = np.isin(ids, self._marks)
        only_space[:-1] &= first[:-1] == first[1:]
        only_space[-1:] = False
        first, last = np.where(only_space, -1, first), np.where(only_space, -1, last)
        # Offsets go back where a normalizer changes the order of characters.
        real = first >= 0
        first = np.where(real, np.maximum.accumulate(first), -1)
        last = np.where(real, np.maximum(first, last), -1)
        ids, first, last, given = self._with_unknown(ids, first, last, places.blank)
        units, rows = _rows(first, last, places.blank)
        return AlignedText(ids, units, first < 0, rows, given)

    def _with_unknown(
        self, ids: np.ndarray, first: np.ndarray, last: np.ndarray, blank: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """The same tokens, and an unknown one for each unit that has none."""
        covering = np.zeros(len(blank) + 1, dtype=np.int64)
        real = np.flatnonzero(first >= 0)
        np.add.at(covering, first[real], 1)
        np.add.at(covering, last[real] + 1, -1)
        missing = np.flatnonzero((np.cumsum(covering[:-1]) == 0) & ~blank)
        if not len(missing):
            return ids, first, last, 0
        # Right behind the unit before, so that the mark of a space stays with the word that follows it.
        behind = np.searchsorted(np.maximum.accumulate(last[real]), missing)
        before = np.append(0, real + 1)[behind]
        return (
            np.insert(ids, before, self.unknown),
            np.insert(first, before, missing),
            np.insert(last, before, missing),
            len(missing),
        )


def _rows(first: np.ndarray, last: np.ndarray, blank: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`AlignedText.units` and `AlignedText.rows` of tokens that cover units `first` to `last`."""
    reached = np.maximum.accumulate(np.append(-1, last))[:-1]
    begins = np.maximum(first, reached + 1)
    tokens = np.flatnonzero((first >= 0) & (begins <= last))
    rows = np.full(len(blank), -1, dtype=np.int32)
    inside, sizes = ranges(begins[tokens], last[tokens] + 1)
    rows[inside] = np.repeat(tokens, sizes)
    rows[blank] = -1
    covered = np.flatnonzero(rows >= 0)
    leading = covered[np.diff(rows[covered], prepend=-1) != 0]
    units = np.full(len(first), -1, dtype=np.int32)
    units[rows[leading]] = leading
    return units, rows
