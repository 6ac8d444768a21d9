"""Tokens over several units, taken apart.

A unit is tokenised by itself, but in its place in the word: with the space before it or with the continuing prefix, so
that its tokens are those that pre-training has seen there.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from tokenizers import PreTokenizedString, Regex, Tokenizer

from electra_hf.finetuning.tagging.places import Places

_ANY_CHARACTER = Regex(r"[\s\S]")


class _Run(NamedTuple):
    """Neighbouring characters of a word that belong to one unit, as the normalizer leaves them."""

    text: str
    unit: int


class TokenSplitter:
    """Takes tokens over several units apart.

    Only the parts of the tokenizer know where a token's characters come from once the normalizer has changed them:
    the text is normalised and cut into words by them, and then into characters, each with its place in the text.
    """

    def __init__(self, backend: Tokenizer, unknown: int):
        self._normalizer: Any = backend.normalizer
        self._pre_tokenizer: Any = backend.pre_tokenizer
        self._model: Any = backend.model
        self._unknown = unknown
        self._prefix: str = getattr(self._model, "continuing_subword_prefix", None) or ""
        added = backend.get_added_tokens_decoder()
        self._added = np.array([number for number, token in added.items() if not token.special], dtype=np.int64)
        self._pieces: dict[tuple[str, bool], tuple[int, ...]] = {}

    def split(
        self,
        text: str,
        start: int,
        places: Places,
        tokens: np.ndarray,
        offsets: np.ndarray,
        first: np.ndarray,
        last: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Tokenise a text anew, so that no token covers two units.

        Args:
            text: The text.
            start: Where to begin in it.
            places: Its units.
            tokens: (tokens,) its tokens as they are.
            offsets: (tokens, 2) the characters that they cover.
            first: (tokens,) the first unit of each; -1 for none.
            last: (tokens,) the last unit of each.

        Returns:
            (tokens,) int32 ids and (tokens,) int64 unit of each, -1 for none.
        """
        ids: list[int] = []
        units: list[int] = []
        # Added tokens are found before anything else is done to the text.
        for token in np.flatnonzero(np.isin(tokens, self._added) & (first == last)):
            begin, end = offsets[token].tolist()
            self._split_part(text, start, begin, places, ids, units)
            ids.append(int(tokens[token]))
            units.append(int(first[token]))
            start = end
        self._split_part(text, start, len(text), places, ids, units)
        return np.array(ids, dtype=np.int32), np.array(units, dtype=np.int64)

    def _split_part(self, text: str, start: int, end: int, places: Places, ids: list[int], units: list[int]) -> None:
        if start >= end:
            return
        for runs in self._word_runs(text[start:end], start, places):
            for run_ids, unit in self._word_tokens(runs):
                ids.extend(run_ids)
                units.extend([unit] * len(run_ids))

    def _word_runs(self, text: str, start: int, places: Places) -> Iterator[list[_Run]]:
        """The words of a text, each as its runs."""
        cut = PreTokenizedString(text)
        if self._normalizer is not None:
            cut.normalize(self._normalizer.normalize)
        if self._pre_tokenizer is not None:
            self._pre_tokenizer.pre_tokenize(cut)
        words = [word for word, _, _ in cut.get_splits("original", "char")]
        cut.split(lambda _, word: word.split(_ANY_CHARACTER, "isolated"))
        spans = np.array([span for _, span, _ in cut.get_splits("original", "char")], dtype=np.int64).reshape(-1, 2)
        owners, _ = places.units(spans[:, 0] + start, spans[:, 1] + start)
        position = 0
        for word in words:
            yield _runs(word, owners[position : position + len(word)].tolist())
            position += len(word)

    def _word_tokens(self, runs: list[_Run]) -> Iterator[tuple[Sequence[int], int]]:
        """The tokens of a word and their units: the model's own ones where none covers two units."""
        # The model counts bytes.
        run_of = [number for number, run in enumerate(runs) for _ in run.text.encode()]
        kept: list[list[int]] = [[] for _ in runs]
        apart: set[int] = set()
        for token in self._model.tokenize("".join(run.text for run in runs)):
            begin, end = token.offsets
            first, last = run_of[begin], run_of[end - 1]
            kept[first].append(token.id)
            if first != last:
                apart.update(range(first, last + 1))
        for number, run in enumerate(runs):
            yield self._piece(run.text, number > 0) if number in apart else kept[number], run.unit

    def _piece(self, text: str, continuing: bool) -> tuple[int, ...]:
        """The tokens of a part of a word, which begins the word or continues it."""
        key = text, continuing
        if key not in self._pieces:
            if continuing and self._prefix:
                self._pieces[key] = self._continuing_pieces(text)
            else:
                self._pieces[key] = tuple(token.id for token in self._model.tokenize(text))
        return self._pieces[key]

    def _continuing_pieces(self, text: str) -> tuple[int, ...]:
        """The longest pieces from left to right, which is how WordPiece goes on in a word."""
        ids: list[int] = []
        start = 0
        while start < len(text):
            for end in range(len(text), start, -1):
                number = self._model.token_to_id(self._prefix + text[start:end])
                if number is not None:
                    ids.append(number)
                    start = end
                    break
            else:
                return (self._unknown,)
        return tuple(ids)


def _runs(word: str, owners: list[int]) -> list[_Run]:
    """A word as runs; characters of no unit, such as the mark of a space, go with what follows, or else before.

    >>> _runs("▁은행", [-1, 0, 1])
    [_Run(text='▁은', unit=0), _Run(text='행', unit=1)]
    >>> _runs("행▁", [1, -1])
    [_Run(text='행▁', unit=1)]
    """
    runs: list[_Run] = []
    waiting = ""
    for character, owner in zip(word, owners, strict=True):
        if owner < 0:
            waiting += character
        elif runs and runs[-1].unit == owner:
            runs[-1] = _Run(runs[-1].text + waiting + character, owner)
            waiting = ""
        else:
            runs.append(_Run(waiting + character, owner))
            waiting = ""
    if waiting:
        if runs:
            runs[-1] = _Run(runs[-1].text + waiting, runs[-1].unit)
        else:
            runs.append(_Run(waiting, -1))
    return runs
