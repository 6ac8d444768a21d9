"""The output of WikiExtractor: reading it, and removing what it leaves of the markup.

WikiExtractor drops templates and formulas and leaves the holes: empty parentheses, placeholders such as `formula_3`.
Some versions escape what looks like a tag. The rules below are few and safe: each removes something that no prose
contains, and text between angle brackets stays unless it is a tag of MediaWiki, because `<춘향가>` is a title.
"""

import html
import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from electra_hf.corpora.corpus import join_lines
from electra_hf.corpora.decoding import text_lines
from electra_hf.corpora.formats.options import ReadingOptions

# Every repetition is bounded or cannot overlap the next, so that no line takes quadratic time.
_TAGS = (
    "abbr|b|big|blockquote|center|chem|cite|code|dd|del|div|dl|dt|em|font|gallery|hiero|i|imagemap|includeonly|"
    "inputbox|ins|kbd|li|math|mapframe|noinclude|nowiki|ol|onlyinclude|p|poem|pre|q|rb|references|rp|rt|ruby|s|score|"
    "section|small|source|span|strike|strong|sub|sup|syntaxhighlight|table|tbody|td|templatestyles|th|time|timeline|tr|"
    "tt|u|ul|var"
)
_REFERENCE = re.compile(r"<ref(?:\s[^<>]*)?>[^<>]{0,2000}</ref>|</?ref(?:\s[^<>]*)?>", re.IGNORECASE)
_COMMENT = re.compile(r"<!--.{0,5000}?-->", re.DOTALL)
_BREAK = re.compile(r"<br\s*/?\s*>", re.IGNORECASE)
_TAG = re.compile(rf"</?(?:{_TAGS})(?:\s[^<>]*)?/?>", re.IGNORECASE)
_TEMPLATE = re.compile(r"\{\{[^{}\n]*\}\}")
_FILE = re.compile(r"\[\[(?:파일|그림|File|Image|ファイル|画像):[^\[\]\n]*\]\]", re.IGNORECASE)
_LINK = re.compile(r"\[\[(?:[^\[\]|\n]*\|)?([^\[\]|\n]*)\]\]")
_LEFT_BRACKETS = re.compile(r"\[\[|\]\]|\[\]")
# Of `printf()` the parentheses stay.
_EMPTY = re.compile(
    r"\s{0,4}（\s*(?:[,;:、，；：]\s{1,4})*）|(?:\s{1,4}|(?<![A-Za-z0-9_]))\(\s*(?:[,;:]\s{1,4})*(?:[,;:]\s?)?\)"
)
_OPENED_WITH_SEPARATOR = re.compile(r"([(（])\s*(?:[,;、，；]\s{0,4})+(?![)）])")
_CLOSED_WITH_SEPARATOR = re.compile(r"(?<![(（])\s{0,4}[,;、，；]\s{1,4}([)）])")
# A category, a magic word, a line of a table, or a line with a placeholder instead of a formula.
_LEFT_OUT = re.compile(
    r"\s*(?:\[\[[^\[\]|]*:[^\[\]]*\]\]|__[A-Z]+__|(?:\{\||\|[-}]).*|[|!].*\w=\".*)\s*|.*(?:formula|codice)_\d.*"
)

logger = logging.getLogger(__name__)


def read_wikiextractor(path: Path, options: ReadingOptions) -> Iterator[str]:
    """Yield the articles of a WikiExtractor file: the title is the first line; articles without a body are left out.

    The format is `<doc ...>`, title, blank line, body, `</doc>`. Titles are XML-escaped there.
    """
    lines = enumerate(text_lines(path, options.encoding, options.encoding_errors), start=1)
    outside = 0
    for number, line in lines:
        if line.startswith("<doc "):
            yield from join_lines(_article(lines, path, number))
        elif line and not line.isspace():
            outside += 1
    if outside:
        logger.warning("%s: %d lines outside of <doc ...> and </doc> were left out", path, outside)


def _article(lines: Iterable[tuple[int, str]], path: Path, opened: int) -> Iterator[str]:
    """The lines up to `</doc>`; the title is among them only if another one follows it."""
    title = ""
    for number, line in lines:
        if line == "</doc>":
            return
        if number == opened + 1:
            title = html.unescape(line)
            continue
        if title and line and not line.isspace():
            yield title
            title = ""
        yield line
    logger.warning("%s, line %d: this <doc ...> has no </doc>: the file may be truncated", path, opened)


def clean_article(text: str) -> Iterator[str]:
    r"""Remove what WikiExtractor leaves of the markup.

    Entities become characters and `<br>` a line end; references and comments go, other tags of MediaWiki lose their
    brackets; links become their labels; parentheses that a template left empty are closed up. Lines that hold the
    placeholder of a formula or of code go as a whole, since the sentence around it has lost its meaning, and so do
    categories and lines of tables.

    >>> list(clean_article("Seoul\nSeoul (; ) is &lt;br&gt;a [[city|big city]].\nSo formula_1 holds."))
    ['Seoul\nSeoul is\na big city.']
    """
    if "&" in text:
        text = html.unescape(text)
    if "<" in text:
        text = _BREAK.sub("\n", _COMMENT.sub("", text))
        text = _TAG.sub("", _REFERENCE.sub("", text))
    lines = [line for line in text.split("\n") if not _LEFT_OUT.fullmatch(line)]
    text = "\n".join(filter(None, (_clean_line(line) for line in lines)))
    if text:
        yield text


def _clean_line(line: str) -> str:
    if "[" in line or "{{" in line:
        line = _LINK.sub(r"\1", _FILE.sub("", _TEMPLATE.sub("", line)))
        line = _LEFT_BRACKETS.sub("", line)
    if "(" in line or "（" in line:
        line = _EMPTY.sub("", line)
        line = _CLOSED_WITH_SEPARATOR.sub(r"\1", _OPENED_WITH_SEPARATOR.sub(r"\1", line))
    return line.strip()
