"""Rows that are less than a document."""

from collections.abc import Callable
from pathlib import Path

import pytest

from electra_hf.corpora import LocalFiles
from electra_hf.corpora.formats import join_rows, rows

WIKITEXT = [
    "",
    " = Anarchism = \n",
    "",
    " A role @-@ playing game of 3 @.@ 5 and 1 @,@ 000 . \n",
    " = = History = = \n",
    " = = = Early = = = \n",
    " Long ago . \n",
    " = Stub = \n",
    "",
    " = E = mc2 = \n",
    " Energy . \n",
]
ARTICLES = ["Anarchism\nA role-playing game of 3.5 and 1,000 .\nHistory\nEarly\nLong ago .", "E = mc2\nEnergy ."]


def test_articles_begin_at_titles() -> None:
    assert list(join_rows(WIKITEXT, "wikitext")) == ARTICLES


@pytest.mark.parametrize("size", [1, 2, 3, 4, 8, 11, 100])
def test_pieces_of_articles_are_the_whole(size: int) -> None:
    pieces = [
        document
        for start in range(0, len(WIKITEXT), size)
        for document in join_rows(WIKITEXT[start:], "wikitext", size, first=start == 0)
    ]
    assert pieces == ARTICLES


def test_text_before_the_first_title_is_kept() -> None:
    assert list(join_rows(["text", " = A = ", "b"], "wikitext")) == ["text", "A\nb"]


def test_an_endless_article_comes_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_DOCUMENT_CHARACTERS", 10)
    assert list(join_rows([" = A = ", "bbbb", "cccc", "dddd"], "wikitext")) == ["A\nbbbb", "cccc\ndddd"]


def test_sentences_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "SENTENCES_PER_DOCUMENT", 2)
    sentences = ["a", "b", " ", "c", "", "", "d"]
    assert list(join_rows(sentences, "sentences")) == ["a\nb", "c", "", "d"]
    assert list(join_rows(sentences, "sentences", 4)) + list(join_rows(sentences[4:], "sentences", 4)) == [
        *["a\nb", "c"],
        *["", "d"],
    ]


@pytest.mark.parametrize("name", ["wiki.train.raw", "namuwikitext_20200302.dev.sample", "a.txt"])
def test_files(write: Callable[[str, str | bytes], Path], name: str) -> None:
    path = write(name, "\n".join(row.rstrip("\n") for row in WIKITEXT))
    assert list(LocalFiles([str(path)]).documents()) == ARTICLES


def test_an_ordinary_text_file_is_no_wikitext(write: Callable[[str, str | bytes], Path]) -> None:
    path = write("a.txt", "= a =\n\nb")
    assert list(LocalFiles([str(path)]).documents()) == ["= a =", "b"]
