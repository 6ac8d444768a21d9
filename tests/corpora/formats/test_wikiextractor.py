"""The output of WikiExtractor, and what it leaves of the markup."""

from collections.abc import Callable
from pathlib import Path

import pytest

from electra_hf.corpora import LocalFiles
from electra_hf.corpora.formats.wikiextractor import clean_article

WIKI = (
    '<doc id="1" url="u" title="A &amp; B">\nA &amp; B\n\nFirst &lt;br&gt;.\n\nSecond.\n\n</doc>\n'
    '<doc id="2" url="u" title="Empty">\nEmpty\n\n\n</doc>\n'
    '<doc id="3" url="u" title="C">\nC\n\nThird.\n</doc>\n'
)
WIKI_DOCUMENTS = ["A & B\nFirst\n.\nSecond.", "C\nThird."]
Write = Callable[[str, str | bytes], Path]


def read(path: Path) -> list[str]:
    return list(LocalFiles([str(path)]).documents())


@pytest.mark.parametrize("name", ["wiki_00", "wiki_00.txt", "AA/wiki_07"])
def test_wikiextractor(write: Write, name: str) -> None:
    assert read(write(name, WIKI)) == WIKI_DOCUMENTS


def test_wikiextractor_without_an_end(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    assert read(write("wiki_00", WIKI.removesuffix("</doc>\n") + "More.\n")) == [
        WIKI_DOCUMENTS[0],
        WIKI_DOCUMENTS[1] + "\nMore.",
    ]
    assert "line 14: this <doc ...> has no </doc>" in caplog.text


def test_text_outside_of_articles_is_reported(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    assert read(write("wiki_00", WIKI + "stray\n")) == WIKI_DOCUMENTS
    assert "1 lines outside" in caplog.text


def test_wikiextractor_json_and_unknown_suffixes(write: Write) -> None:
    assert read(write("wiki_01", '\n{"id": "1", "text": "a\\nb"}\n{"id": "2", "text": ""}\n')) == ["a\nb"]


def test_article_comes_in_pieces_with_one_title(write: Write) -> None:
    body = f"{'a' * 999}\n" * 17_000
    documents = read(write("wiki_00", f'<doc id="1">\nTitle\n\n{body}</doc>\n'))
    assert len(documents) == 2
    assert "\n".join(documents) == f"Title\n{body.rstrip()}"


@pytest.mark.parametrize(
    ("left", "clean"),
    [
        ("아르헨티나 공화국(, ) 줄여서 아르헨티나()는", "아르헨티나 공화국 줄여서 아르헨티나는"),
        ("Colin Barkley (; November 24) and the Sun ().", "Colin Barkley (November 24) and the Sun."),
        ("市営バス（）と 政府 () が", "市営バスと 政府 が"),
        ("부분 집합(部分集合, )은 8월(, 이)", "부분 집합(部分集合)은 8월(이)"),
        ("a call of printf() stays, and (a) too", "a call of printf() stays, and (a) too"),
        ("[[1962년]] [[유원식 (군인)|유원식]]은 []강]]", "1962년 유원식은 강"),
        ("one[[파일:a.jpg|thumb|caption]] two {{template|x}}", "one two"),
        ("&lt;춘향가&gt; and &lt;br&gt;a &amp; b", "<춘향가> and\na & b"),
        ("water &lt;chem&gt;H2O&lt;/chem&gt;, <nowiki>~</nowiki>", "water H2O, ~"),
        ('fact<ref name="a">Book, p. 3</ref>. More<ref name="a" />.<!-- hidden -->', "fact. More."),
        ("the tag <title> of HTML", "the tag <title> of HTML"),
    ],
)
def test_residue_is_removed_and_prose_stays(left: str, clean: str) -> None:
    assert list(clean_article(left)) == [clean]


@pytest.mark.parametrize(
    "line",
    [
        "where formula_1 is the mass",
        "[[분류:물리화학자]]",
        "[[Category:ロック歌手|*]]",
        "__NOEDITSECTION__ ",
        '!colspan="3"|Sales',
        "{| class=x",
    ],
)
def test_lines_without_prose_are_left_out(line: str) -> None:
    assert list(clean_article(f"Title\n{line}\nBody.")) == ["Title\nBody."]
    assert list(clean_article(line)) == []
