"""Sentence splitting and normalisation."""

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import sentencex

from electra_hf.corpora import LocalFiles
from electra_hf.corpora.corpus import Corpus
from electra_hf.corpora.normalization import normalized
from electra_hf.corpora.sentences import split_into_sentences, split_line
from electra_hf.errors import UsageError

SENTENCES = {
    "en": [
        [
            "Dr. Smith of the U.S. Army paid $3.50 on Jan. 5th. ",
            "He left (e.g. by car)... ",
            '"Is it?" he asked. ',
            "Yes!",
        ],
        ["See fig. 3. ", "Version 2.0.1 is out."],
        ["1. Introduction"],
    ],
    "ko": [
        ["안녕하세요. ", "저는 3.14를 좋아합니다. ", "정말요? ", "네!"],
        ["2019. 4. 1. 시행되었다. ", "1.5배가 넘는다. ", "감사합니다!!!"],
        ["그는 2019. 4. 1. 떠났다. ", "끝이다."],
        ["오늘은 좋은 날이다 그래서 나는 갔다"],
    ],
    "ja": [
        ["「もうよそう。勝手にするがいい。」", "と、彼は言った。", "円周率は3.14である。", "はい！"],
        ["『何だと。』彼は怒った。", "（笑）"],
        ["吾輩は猫である。", "名前はまだ無い"],
    ],
}


@pytest.fixture
def corpus(write: Callable[[str, str | bytes], Path]) -> Callable[[str], Corpus]:
    return lambda text: LocalFiles([str(write("a.txt", text))])


@pytest.mark.parametrize(
    ("language", "sentences"), [(language, each) for language, lines in SENTENCES.items() for each in lines]
)
def test_sentences(language: str, sentences: list[str]) -> None:
    assert split_line("".join(sentences), language) == sentences


@pytest.mark.parametrize("language", SENTENCES)
@pytest.mark.parametrize("line", ["", " ", ". . .", "a.b. C?  d!\te\u3000。f", "」「』。)", "1. 2. 3. 4", "x" * 5000])
def test_every_character_is_kept(language: str, line: str) -> None:
    assert "".join(split_line(line, language)) == line


@pytest.mark.parametrize("line", ["'''a" * 5000, "He came in July. " * 1500, "word " * 5000])
def test_long_lines_are_split_in_pieces(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    segment = cast(Any, sentencex).segment

    def measured(language: str, text: str) -> list[str]:
        sizes.append(len(text))
        return segment(language, text)

    monkeypatch.setattr(sentencex, "segment", measured)
    sentences = split_line(line, "en")
    assert "".join(sentences) == line and max(sizes) <= 2**13
    assert line[0] != "H" or set(sentences) == {"He came in July. "}


def test_sentences_become_lines(corpus: Callable[[str], Corpus]) -> None:
    split = split_into_sentences(corpus("One. Two.\nThree? Four\n\nFive."), "en")
    assert list(split.documents()) == ["One.\nTwo.\nThree?\nFour", "Five."]


def test_description_tells_the_language(corpus: Callable[[str], Corpus]) -> None:
    text = corpus("One.")
    descriptions = {json.dumps(split_into_sentences(text, language).describe()) for language in ("en", "ko")}
    assert len(descriptions | {json.dumps(text.describe())}) == 3


@pytest.mark.parametrize(
    ("language", "near"), [("korean", "did you mean ko"), ("EN", "did you mean en"), ("tlh", "en,")]
)
def test_unknown_language(corpus: Callable[[str], Corpus], language: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"unknown sentence_splitting '{language}'") as raised:
        split_into_sentences(corpus("One."), language)
    assert near in str(raised.value)


@pytest.mark.parametrize(
    ("form", "text"), [("none", "か\u3099 ﬁ Ａ"), ("NFC", "が ﬁ Ａ"), ("NFKC", "が fi A")]
)  # fmt: skip
def test_normal_forms(corpus: Callable[[str], Corpus], form: str, text: str) -> None:
    assert list(normalized(corpus("か\u3099 ﬁ Ａ"), form).documents()) == [text]


def test_decomposed_korean_is_composed(corpus: Callable[[str], Corpus]) -> None:
    assert list(normalized(corpus("\u1112\u1161\u11ab\nb"), "NFC").documents()) == ["한\nb"]


def test_unknown_form(corpus: Callable[[str], Corpus]) -> None:
    with pytest.raises(UsageError, match=re.escape("unknown unicode_normalization 'NFD': use one of none, NFC, NFKC")):
        normalized(corpus("a"), "NFD")


def test_parts_can_be_pickled(corpus: Callable[[str], Corpus]) -> None:
    (part,) = split_into_sentences(normalized(corpus("Ａh. Bo."), "NFKC"), "en").parts()
    again = pickle.loads(pickle.dumps(part))
    assert [text for record in again.records() for text in again.convert(record)] == ["Ah.\nBo."]
