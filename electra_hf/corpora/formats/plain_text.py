"""Plain text, and the text files of the WikiText corpora."""

from collections.abc import Iterator
from pathlib import Path

from electra_hf.corpora.corpus import join_lines
from electra_hf.corpora.decoding import text_lines
from electra_hf.corpora.formats.options import ReadingOptions
from electra_hf.corpora.formats.rows import join_rows, title_of


def read_plain_text(path: Path, options: ReadingOptions) -> Iterator[str]:
    """Yield the documents of a text file, divided as `document_separator` says; `rows` takes precedence."""
    lines = text_lines(path, options.encoding, options.encoding_errors)
    if options.rows != "documents":
        return join_rows(lines, options.rows)
    match options.document_separator:
        case "line":
            return lines
        case "file":
            return join_lines(lines)
    return _paragraph_groups(lines)


def _paragraph_groups(lines: Iterator[str]) -> Iterator[str]:
    ended = False

    def until_blank() -> Iterator[str]:
        nonlocal ended
        for line in lines:
            if not line or line.isspace():
                return
            yield line
        ended = True

    while not ended:
        yield from join_lines(until_blank())


def is_wikitext(head: str) -> bool:
    """Whether a file begins with the title of an article, as those of WikiText and namuwikitext do."""
    line = next((line for line in head.split("\n") if line and not line.isspace()), "")
    return line.startswith(" ") and title_of(line.rstrip("\r")) is not None


def read_wikitext(path: Path, options: ReadingOptions) -> Iterator[str]:
    """Yield the articles of a file in the format of the WikiText corpora (`corpora.formats.rows`)."""
    return join_rows(text_lines(path, options.encoding, options.encoding_errors), "wikitext")
