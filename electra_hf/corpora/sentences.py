r"""Sentence splitting, for packing with segments that begin at sentences.

The work is done by sentencex (https://github.com/wikimedia/sentencex), which knows the abbreviations of each language
and the quotation marks of all. It keeps every character. Two kinds of pieces that it makes are put back, since they
are no sentences: a closing mark with nothing before it, and a number with a point, as in the Korean date `2019. 4. 1.`
"""

import difflib
import re
from collections.abc import Iterable, Iterator
from functools import partial
from importlib.metadata import version
from typing import Any, cast

from electra_hf.corpora.corpus import Corpus, converted
from electra_hf.corpora.parts import pieces
from electra_hf.errors import UsageError

# The languages whose rules and abbreviations sentencex has, and two that need none: in Chinese, sentences end with
# marks of their own, and Korean prose has no abbreviations with a point.
SENTENCE_LANGUAGES = (
    *("am", "ar", "bg", "bn", "ca", "da", "de", "el", "en", "es", "fi", "fr", "gu", "hi", "hy", "it", "ja", "kk"),
    *("kn", "ko", "ml", "mr", "my", "nl", "pa", "pl", "pt", "ru", "sk", "ta", "te", "uk", "zh"),
)

# What sentencex gets at once, as it takes quadratic time for some lines that are no prose. Longer lines are cut; a
# sentence is cut only if it is longer than half of this.
_MAX_CHARACTERS = 2**13
_CLOSING = re.compile(r"[」』）】〉》〕”’)\]}.,。、!?！？…]|[\"'](?=[\s.,)]|$)")
_ONLY_NUMBER = re.compile(r"\s*\d{1,4}\.\s*")
_NUMBER_AT_END = re.compile(r"\d\.\s*$")
_NUMBER_AT_START = re.compile(r"\d{1,2}\.(?!\d)")
_DATE_AT_END = re.compile(r"(?<!\d)\d{4}\.\s?\d{1,2}\.(?:\s?\d{1,2}\.)?\s*$")


def split_into_sentences(corpus: Corpus, language: str) -> Corpus:
    """The corpus with one sentence a line.

    Args:
        corpus: The texts; a line end always ends a sentence.
        language: One of `SENTENCE_LANGUAGES`.

    Raises:
        UsageError: An unknown language.
    """
    if language not in SENTENCE_LANGUAGES:
        near = difflib.get_close_matches(language.lower()[:2], SENTENCE_LANGUAGES, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UsageError(
            f"unknown sentence_splitting {language!r}: {hint}Give the code of a language: "
            + ", ".join(SENTENCE_LANGUAGES)
        )
    identity = {"sentence_splitting": language, "sentencex": version("sentencex")}
    return converted(corpus, partial(split_lines, language=language), identity)


def split_lines(text: str, language: str) -> Iterable[str]:
    """The text with one sentence a line; nothing but the white space between sentences changes."""
    sentences = (sentence.strip() for line in text.split("\n") for sentence in split_line(line, language))
    return ("\n".join(filter(None, sentences)),)


def split_line(line: str, language: str) -> list[str]:
    r"""The sentences of a line, each with the white space after it: joined, they are the line.

    >>> split_line('"Is it 3.14?" asked Dr. Lee. "Yes."', "en")
    ['"Is it 3.14?" asked Dr. Lee. ', '"Yes."']
    >>> split_line("「そうか。」彼は言った。次へ進む。", "ja")
    ['「そうか。」', '彼は言った。', '次へ進む。']
    """
    # Imported where it is needed: most runs do not split sentences.
    import sentencex

    segment = cast(Any, sentencex).segment  # a compiled module without type hints
    found: list[str] = []
    begun = ""
    for part in pieces(line, _MAX_CHARACTERS // 2):
        found += segment(language, begun + part)
        # The last sentence may go on in the next part.
        begun = found.pop() if found and len(found[-1]) <= _MAX_CHARACTERS // 2 else ""
    return list(_mended([*found, begun]))


def _mended(found: list[str]) -> Iterator[str]:
    sentence = ""
    for piece in found:
        if sentence and not _belongs_to(sentence, piece):
            yield sentence
            sentence = ""
        sentence += piece
    if sentence:
        yield sentence


def _belongs_to(sentence: str, piece: str) -> bool:
    """Whether a piece goes on with the sentence before it."""
    if _CLOSING.match(piece) or _ONLY_NUMBER.fullmatch(sentence):
        return True
    end = sentence[-20:]
    return bool(_NUMBER_AT_END.search(end) and (_NUMBER_AT_START.match(piece) or _DATE_AT_END.search(end)))
