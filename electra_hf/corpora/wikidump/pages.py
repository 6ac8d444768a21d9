"""A MediaWiki XML dump to the raw pages of its articles.

One process reads a dump and many convert its pages, so this side does as little as it can: it finds where a page
begins and ends, and looks at the few lines before the text to tell articles from everything else. No XML is parsed
here; a page that is malformed is the concern of whoever converts it, and of that page alone.
"""

import html
import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from electra_hf.corpora.decoding import text_chunks

MAX_PAGE_CHARACTERS = 2**26

# The names that every wiki understands, for fragments of a dump that do not say theirs.
CANONICAL_NAMESPACES = frozenset(
    name
    for subject in ("user", "wikipedia", "project", "file", "image", "mediawiki", "template", "help", "category")
    for name in (subject, f"{subject} talk")
) | {"media", "special", "talk", "portal", "portal talk", "module", "module talk", "draft", "draft talk", "book"}

_BEGIN = "<page>"
_END = "</page>"
_MAX_HEAD = 2**16
_DUMP = re.compile(r"\ufeff?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?<(?:mediawiki[\s>]|page>)", re.DOTALL)
_BASE = re.compile(r"<base>([^<]*)</base>")
_NAMESPACE = re.compile(r"<namespace\s[^>]*?key=\"(-?\d+)\"[^>]*?>([^<]*)</namespace>")
_TITLE = re.compile(r"<title>([^<]*)</title>")
_MODEL = re.compile(r"<model>([^<]*)</model>")

logger = logging.getLogger(__name__)


def is_wiki_dump(head: str) -> bool:
    """Whether the beginning of a file is that of a dump, or of pages cut out of one."""
    return _DUMP.match(head) is not None


@dataclass(frozen=True)
class Site:
    """What a dump says about its wiki before the first page.

    Attributes:
        base: URL of the main page; empty if the dump does not tell.
        namespaces: Names of all namespaces but that of the articles, in lower case.
    """

    base: str = ""
    namespaces: frozenset[str] = CANONICAL_NAMESPACES

    @classmethod
    def from_head(cls, head: str) -> "Site":
        """Read what precedes the first page."""
        base = _BASE.search(head)
        names = [html.unescape(name).lower() for key, name in _NAMESPACE.findall(head) if key != "0"]
        return cls(html.unescape(base[1]).strip() if base else "", frozenset(names) or CANONICAL_NAMESPACES)

    def is_article_title(self, title: str) -> bool:
        """Whether a title has no prefix that names another namespace."""
        prefix, colon, _ = title.partition(":")
        return not colon or prefix.replace("_", " ").strip().lower() not in self.namespaces


@dataclass
class PageCounts:
    """What was found in a dump. All pages are articles, redirects, in other namespaces, or of another content model.

    Oversized pages, and one that the end of the file cuts off, are not among them.
    """

    pages: int = 0
    articles: int = 0
    redirects: int = 0
    other_namespaces: int = 0
    other_models: int = 0
    oversized: int = 0
    unfinished: int = 0


@dataclass
class ArticlePages:
    """The articles of a dump as raw pages, each from `<page>` to `</page>`. An iteration reads it once.

    Redirects, pages of other namespaces, and pages that are not wikitext are counted and left out.

    Args:
        chunks: The decoded text of the dump in pieces of any size.
        name: What messages call the dump.

    Attributes:
        site: What the dump says about its wiki; known once the first page was yielded.
        counts: What was found so far.
    """

    chunks: Iterable[str]
    name: str
    site: Site = field(default_factory=Site)
    counts: PageCounts = field(default_factory=PageCounts)

    def __iter__(self) -> Iterator[str]:
        for page in self._pages():
            if self._is_article(page):
                yield page
        counts = self.counts
        if counts.unfinished:
            logger.warning("%s: the file ends in the middle of a page, which was left out: is it complete?", self.name)
        if counts.oversized:
            logger.warning(
                "%s: %d times no page ended within %d characters: that text was left out; the file may be damaged",
                self.name,
                counts.oversized,
                MAX_PAGE_CHARACTERS,
            )
        logger.info(
            "%s: %d pages: %d articles, %d redirects, %d in other namespaces, %d that are not wikitext",
            self.name,
            counts.pages,
            counts.articles,
            counts.redirects,
            counts.other_namespaces,
            counts.other_models,
        )

    def _pages(self) -> Iterator[str]:
        """All pages. What is carried from chunk to chunk is the unfinished page, or a possible beginning of one."""
        carried = ""
        inside = False  # whether `carried` begins with the page
        skipping = False  # whether the page was given up, and its end is awaited
        before: list[str] | None = []
        for chunk in self.chunks:
            searched = max(len(carried) - len(_END), 0)
            text = carried + chunk
            position = 0
            while True:
                if not inside:
                    begin = text.find(_BEGIN, position)
                    if before is not None:
                        before.append(text[position : begin if begin >= 0 else len(text) - len(_BEGIN)])
                        if begin >= 0 or sum(map(len, before)) > _MAX_HEAD:
                            self.site = Site.from_head("".join(before))
                            before = None
                    if begin < 0:
                        carried = text[max(position, len(text) - len(_BEGIN)) :]
                        break
                    position, inside, searched = begin, True, begin
                end = text.find(_END, max(position, searched))
                if end < 0:
                    carried = text[position:]
                    if len(carried) > MAX_PAGE_CHARACTERS:
                        self.counts.oversized += not skipping
                        carried, skipping = carried[-len(_END) :], True
                    break
                end += len(_END)
                if skipping or end - position > MAX_PAGE_CHARACTERS:
                    self.counts.oversized += not skipping
                else:
                    yield text[position:end]
                position, inside, skipping = end, False, False
        self.counts.unfinished += inside

    def _is_article(self, page: str) -> bool:
        counts = self.counts
        counts.pages += 1
        head_end = page.find("<revision>")
        head = page[: head_end if head_end >= 0 else _MAX_HEAD]
        if "<ns>0</ns>" not in head:
            title = _TITLE.search(head)
            if "<ns>" in head or title and not self.site.is_article_title(html.unescape(title[1])):
                counts.other_namespaces += 1
                return False
        if "<redirect" in head:
            counts.redirects += 1
            return False
        model = _MODEL.search(page, len(head), page.find("<text"))
        if model and model[1].strip() != "wikitext":
            counts.other_models += 1
            return False
        counts.articles += 1
        return True


def dump_pages(path: Path, encoding: str = "utf-8", encoding_errors: str = "strict") -> Iterator[str]:
    """Yield the raw pages of the articles of a (compressed) dump.

    Args:
        path: The file; its last suffix tells the compression.
        encoding: Encoding of a file that does not begin with a byte order mark.
        encoding_errors: What to do with invalid bytes, one of `ENCODING_ERRORS`.

    Raises:
        CorpusError: Bytes that cannot be read, decompressed (a truncated file is one) or decoded.
    """
    yield from ArticlePages(text_chunks(path, encoding, encoding_errors), str(path))
