r"""Rows to documents, where a row of a data set is less than a document.

Three kinds of rows are known:

- `documents`: a row is a document.
- `sentences`: a row is a sentence and nothing marks the ends of documents, as in BookCorpus. A document is then
  `SENTENCES_PER_DOCUMENT` consecutive rows.
- `wikitext`: a row is a line of the WikiText corpora, where ` = Title = ` begins an article and ` = = Section = = `
  is a heading. A document is an article: its title, then its headings and paragraphs without the equals signs.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from electra_hf.corpora.parts import MAX_DOCUMENT_CHARACTERS

ROW_KINDS = ("documents", "sentences", "wikitext")
# BookCorpus has about 6,700 sentences a book: 4 % of the documents hold the end of a book.
SENTENCES_PER_DOCUMENT = 256

_HEADING = re.compile(r" ?((?:= )+)(\S|\S.*?\S)((?: =)+)\s*")
# The WikiText corpora set hyphens, and the commas and points of numbers, apart.
_SET_APART = re.compile(r" @([-,.])@ ")


def join_rows(rows: Iterable[str], kind: str, size: int | None = None, *, first: bool = True) -> Iterator[str]:
    """Yield the documents that begin in the first `size` rows.

    Pieces of a data set that are read apart give the same documents as the whole if `size` is a multiple of
    `SENTENCES_PER_DOCUMENT` and every piece can be read beyond its end.

    Args:
        rows: The texts of the rows; an empty one stands for a missing text.
        kind: One of `ROW_KINDS`.
        size: Number of rows of the piece; None for all.
        first: Whether nothing precedes these rows.
    """
    match kind:
        case "sentences":
            return _groups(islice(rows, size))
        case "wikitext":
            return _articles(rows, size, first)
    return islice(rows, size)


def title_of(line: str) -> str | None:
    """The title if a line begins an article of a WikiText corpus.

    >>> title_of(" = Anarchism = "), title_of(" = = History = = ")
    ('Anarchism', None)
    """
    heading = _heading(line)
    return heading[1] if heading and heading[0] == 1 else None


def _heading(line: str) -> tuple[int, str] | None:
    """Level and text of a heading."""
    found = _HEADING.fullmatch(line)
    if found is None or found[1].count("=") != found[3].count("="):
        return None
    return found[1].count("="), found[2]


def _groups(rows: Iterator[str]) -> Iterator[str]:
    while group := list(islice(rows, SENTENCES_PER_DOCUMENT)):
        yield "\n".join(row for row in group if row and not row.isspace())


def _articles(rows: Iterable[str], size: int | None, first: bool) -> Iterator[str]:
    # None: the rows up to the first title belong to the piece before.
    article: list[str] | None = [] if first else None
    titled = False
    characters = 0
    for number, row in enumerate(rows):
        heading = _heading(row)
        title = heading is not None and heading[0] == 1
        if size is not None and number >= size and (title or article is None):
            break
        if title:
            # An article without a body is left out.
            if article and len(article) > titled:
                yield "\n".join(article)
            article, titled, characters = [], True, 0
        line = heading[1] if heading else row.strip()
        if article is None or not line:
            continue
        if characters + len(line) > MAX_DOCUMENT_CHARACTERS:
            yield "\n".join(article)
            article, titled, characters = [], False, 0
        article.append(_SET_APART.sub(r"\1", line))
        characters += len(line) + 1
    if article and len(article) > titled:
        yield "\n".join(article)
