"""Raw pages to articles."""

import logging
import pickle
from pathlib import Path

import pytest

from electra_hf.corpora.parts import SkippedRecord, documents_of
from electra_hf.corpora.wikidump import Article, PageConverter, Site, parse_page, read_articles

SITE = Site(base="https://ja.wikipedia.org/wiki/%E3%83%A1")


def make_page(text: str, title: str = "A &amp; B") -> str:
    return f"<page><title>{title}</title><ns>0</ns><id>12</id><revision><id>99</id>{text}</revision></page>"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<text>'''A'''.</text>", ["A & B\nA."]),
        ('<text bytes="9" xml:space="preserve">A &amp;lt;&lt;b&gt;b&lt;/b&gt;.\n\n* C</text>', ["A & B\nA <b.\nC"]),
        ('<text bytes="0" />', []),
        ("<text></text>", []),
        ("", []),
        ("<text>{{Stub}}\n[[Category:A]]</text>", []),
        ("<text>#REDIRECT [[C]]</text>", []),
        ("<text>\n#넘겨주기:[[C]]</text>", []),
        ("<text># [[C]]\n# d</text>", ["A & B\nC\nd"]),
    ],
)
def test_text_of_a_page(text, expected):
    assert list(PageConverter("wiki")(make_page(text))) == expected


def test_last_revision_counts():
    page = make_page("<text>Old.</text></revision><revision><text>New.</text>")
    assert parse_page(page, "wiki").text == "New."


def test_page_of_a_site():
    article = parse_page(make_page("<text>A.</text>", "日本 (国)?"), "wiki", SITE)
    assert article == Article(
        "日本 (国)?", "12", "https://ja.wikipedia.org/wiki/%E6%97%A5%E6%9C%AC_(%E5%9B%BD)%3F", "A."
    )
    assert parse_page(make_page("<text>A.</text>"), "wiki").url == ""


@pytest.mark.parametrize(
    ("page", "named"),
    [
        (make_page("<text>A <b></text>", "Title"), "wiki.xml: the page 'Title', id 12, cannot be parsed as XML"),
        (make_page("<text>A \x0b</text>"), "the page 'A & B', id 12, cannot be parsed as XML"),
        ("<page><text>&</page>", "wiki.xml: a page without a title cannot be parsed as XML"),
        (make_page("<text>A \ud800</text>"), "id 12, cannot be parsed as XML"),
    ],
)
def test_malformed_page_is_skipped_by_name(page, named):
    with pytest.raises(SkippedRecord) as raised:
        list(PageConverter("wiki.xml")(page))
    assert named in str(raised.value)


def test_converter_can_be_pickled():
    convert = pickle.loads(pickle.dumps(PageConverter("wiki")))
    assert list(documents_of(make_page("<text>A.</text>"), convert)) == ["A & B\nA."]


def test_articles_of_a_file_with_a_malformed_page(tmp_path: Path, caplog):
    path = tmp_path / "wiki.xml"
    pages = [make_page("<text>A.</text>", "A"), make_page("<text>&</text>", "Bad"), make_page("<text/>", "C")]
    path.write_text(f"<mediawiki><siteinfo><base>{SITE.base}</base></siteinfo>{''.join(pages)}</mediawiki>", "utf-8")
    with caplog.at_level(logging.WARNING):
        articles = list(read_articles(path))
    assert [(article.title, article.text) for article in articles] == [("A", "A."), ("C", "")]
    assert articles[0].url == "https://ja.wikipedia.org/wiki/A"
    assert "'Bad', id 12, cannot be parsed as XML" in caplog.text
