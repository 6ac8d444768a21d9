"""A raw page of a dump to the text of its article: the work of the many processes."""

import html
import logging
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from electra_hf.corpora.decoding import text_chunks
from electra_hf.corpora.parts import SkippedRecord
from electra_hf.corpora.wikidump.pages import ArticlePages, Site
from electra_hf.corpora.wikidump.wikitext import plain_text

logger = logging.getLogger(__name__)

_TITLE = re.compile(r"<title>([^<]*)")
_ID = re.compile(r"<id>(\d+)")
# Dumps older than the <redirect> element; the word is another one in each language.
_REDIRECT = re.compile(r"\s*#[^\W\d_][^\s:\[]*+\s*+:?\s*+\[\[[^\]\n]*\]\]")


@dataclass(frozen=True)
class Article:
    """An article of a wiki.

    Attributes:
        title: Its title.
        page_id: Number of the page in its wiki; empty if the dump does not tell.
        url: Where it is found; empty if the dump does not tell where the wiki is.
        text: Paragraphs, headings and list items, one a line, without the title; empty if it has none.
    """

    title: str
    page_id: str
    url: str
    text: str


def parse_page(page: str, source: str, site: Site | None = None) -> Article:
    """Parse one page of a dump; of several revisions, the last one is the article.

    Args:
        page: From `<page>` to `</page>`.
        source: What messages call the dump.
        site: The wiki, for the URL.

    Raises:
        SkippedRecord: The page is not well-formed XML.
    """
    try:
        root = ElementTree.fromstring(page)
    except (ElementTree.ParseError, ValueError) as error:
        raise SkippedRecord(f"{source}: {_name(page)} cannot be parsed as XML ({error})") from error
    title = (root.findtext("title") or "").strip()
    revisions = root.findall("revision")
    wikitext = (revisions[-1].findtext("text") if revisions else root.findtext("text")) or ""
    text = "" if _REDIRECT.match(wikitext) else plain_text(wikitext, title)
    return Article(title, root.findtext("id") or "", _url(site.base, title) if site else "", text)


@dataclass(frozen=True)
class PageConverter:
    """Turns a raw page into the text of its article: the title, then a paragraph, heading or list item a line.

    Args:
        source: What messages call the dump.
    """

    source: str

    def __call__(self, page: str) -> Iterator[str]:
        """Yield one text, or none if the article has no body.

        Raises:
            SkippedRecord: The page is not well-formed XML.
        """
        article = parse_page(page, self.source)
        if article.text:
            yield f"{article.title}\n{article.text}" if article.title else article.text


def read_articles(path: Path, encoding: str = "utf-8", encoding_errors: str = "strict") -> Iterator[Article]:
    """Yield the articles of a (compressed) dump with their titles, numbers and URLs, also those without a body.

    A page that is not well-formed is left out with a warning.

    Raises:
        CorpusError: Bytes that cannot be read, decompressed or decoded.
    """
    pages = ArticlePages(text_chunks(path, encoding, encoding_errors), str(path))
    for page in pages:
        try:
            yield parse_page(page, str(path), pages.site)
        except SkippedRecord as reason:
            logger.warning("Left out: %s", reason)


def _name(page: str) -> str:
    title, number = _TITLE.search(page), _ID.search(page)
    named = f"the page {html.unescape(title[1]).strip()!r}" if title else "a page without a title"
    return f"{named}, id {number[1]}," if number else named


def _url(base: str, title: str) -> str:
    """The address of a page is that of the main page with another title."""
    folder, slash, _ = base.rpartition("/")
    return folder + slash + quote(title.replace(" ", "_"), safe="/:,;@!*()'~$") if slash else ""
