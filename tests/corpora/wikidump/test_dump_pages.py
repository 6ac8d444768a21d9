"""Dumps to raw pages: what an article is, and files of every compression, encoding and damage."""

import bz2
import gzip
import logging
from pathlib import Path

import pytest
import zstandard

from electra_hf.corpora.wikidump import ArticlePages, PageCounts, Site, dump_pages, is_wiki_dump, pages
from electra_hf.errors import CorpusError

HEAD = (
    '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/" xml:lang="bg">\n  <siteinfo>\n'
    "    <base>https://bg.wikipedia.org/wiki/%D0%9D</base>\n    <namespaces>\n"
    '      <namespace key="0" case="first-letter" />\n'
    '      <namespace key="2" case="first-letter">Потребител</namespace>\n'
    '      <namespace key="4" case="first-letter">A &amp; B</namespace>\n'
    "    </namespaces>\n  </siteinfo>\n"
)
TAIL = "</mediawiki>\n"


def make_page(title: str, text: str = "Text.", namespace: str = "<ns>0</ns>", extra: str = "") -> str:
    return (
        f"<page>\n    <title>{title}</title>\n    {namespace}\n    <id>7</id>\n{extra}"
        f'    <revision><text xml:space="preserve">{text}</text></revision>\n  </page>'
    )


ARTICLE, OTHER = make_page("Книга"), make_page("Втора")
USER = make_page("Потребител:Ан", namespace="<ns>2</ns>")
REDIRECT = make_page("Стара", extra='    <redirect title="Книга" />\n')
DUMP = f"{HEAD}  {ARTICLE}\n  {USER}\n  {REDIRECT}\n  {OTHER}\n{TAIL}"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 1000, 10**6])
def test_pages_may_be_split_between_chunks(size):
    found = ArticlePages([DUMP[start : start + size] for start in range(0, len(DUMP), size)], "wiki")
    assert list(found) == [ARTICLE, OTHER]
    assert found.counts == PageCounts(pages=4, articles=2, redirects=1, other_namespaces=1)
    assert found.site.base == "https://bg.wikipedia.org/wiki/%D0%9D"
    assert found.site.namespaces == {"потребител", "a & b"}


def test_counts_are_logged(caplog):
    with caplog.at_level(logging.INFO):
        list(ArticlePages([DUMP], "wiki.xml"))
    assert "wiki.xml: 4 pages: 2 articles, 1 redirects, 1 in other namespaces, 0 that are not wikitext" in caplog.text


def test_bare_pages_and_titles_with_prefixes():
    bare = [make_page(title, namespace="") for title in ("A", "User:B", "Talk:C", "Alien: D", "user_talk:E")]
    assert list(ArticlePages(["\n".join(bare)], "bare")) == [bare[0], bare[3]]


def test_prefixes_are_those_of_the_wiki():
    old = [make_page(title, namespace="") for title in ("Потребител:А", "User:B", "A &amp; B:C", "D")]
    assert list(ArticlePages([HEAD, *old, TAIL], "old")) == [old[1], old[3]]


def test_a_word_in_the_text_is_no_redirect_and_no_namespace():
    page = make_page("A", "&lt;redirect&gt; <ns>2</ns>")
    assert list(ArticlePages([page], "wiki")) == [page]


def test_other_content_models_are_left_out():
    model = "<revision><model>{}</model><text>a</text></revision>"
    data, text = (f"<page><title>A</title><ns>0</ns>{model.format(name)}</page>" for name in ("json", "wikitext"))
    found = ArticlePages([data, text], "wiki")
    assert list(found) == [text]
    assert found.counts.other_models == 1


def test_end_within_a_page_is_reported(caplog):
    found = ArticlePages([HEAD + ARTICLE + OTHER[:-20]], "cut.xml")
    assert list(found) == [ARTICLE]
    assert found.counts.unfinished == 1
    assert "cut.xml: the file ends in the middle of a page" in caplog.text


@pytest.mark.parametrize("size", [10, 300, 10**6])
def test_page_that_does_not_end_is_left_out_in_bounded_memory(monkeypatch, caplog, size):
    monkeypatch.setattr(pages, "MAX_PAGE_CHARACTERS", 400)
    text = ARTICLE + make_page("Long", "x" * 5000) + OTHER
    found = ArticlePages([text[start : start + size] for start in range(0, len(text), size)], "long.xml")
    assert list(found) == [ARTICLE, OTHER]
    assert found.counts.oversized == 1
    assert "long.xml: 1 times no page ended within 400 characters" in caplog.text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("wiki.xml", DUMP.encode()),
        ("wiki.xml.gz", gzip.compress(DUMP.encode())),
        ("wiki.xml.bz2", bz2.compress(DUMP.encode())),
        (
            "multistream.xml.bz2",
            b"".join(bz2.compress(part.encode()) for part in (HEAD, ARTICLE, REDIRECT, OTHER, TAIL)),
        ),
        ("wiki.xml.zst", zstandard.compress(DUMP.encode())),
        ("wiki.xml.bz2", bz2.compress(DUMP.encode("utf-16"))),
        ("wiki.xml", DUMP.encode("utf-8-sig")),
    ],
)
def test_files(tmp_path: Path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    assert list(dump_pages(path)) == [ARTICLE, OTHER]


def test_truncated_archive_is_an_error_after_its_whole_pages(tmp_path: Path):
    path = tmp_path / "wiki.xml.bz2"
    path.write_bytes(bz2.compress((HEAD + ARTICLE).encode()) + bz2.compress(OTHER.encode())[:-10])
    with pytest.raises(CorpusError, match=r"wiki\.xml\.bz2: the file is truncated"):
        list(dump_pages(path))


def test_invalid_bytes_are_an_error(tmp_path: Path):
    path = tmp_path / "wiki.xml"
    path.write_bytes(DUMP.encode("cp1251", "replace"))
    with pytest.raises(CorpusError, match=r"wiki\.xml, line 6"):
        list(dump_pages(path))


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (HEAD, True),
        (f'<?xml version="1.0"?>\n{HEAD}', True),
        (f"\ufeff  {ARTICLE}", True),
        ("<html><body><page>", False),
        ("<pages>", False),
        ("Text about <mediawiki> and <page>", False),
        ("", False),
    ],
)
def test_dumps_are_told_by_their_beginning(head, expected):
    assert is_wiki_dump(head) is expected


def test_site_without_a_head():
    assert Site.from_head("").base == ""
    assert not Site.from_head("").is_article_title("Template: A")
