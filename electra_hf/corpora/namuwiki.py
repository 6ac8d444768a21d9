"""The markup of Namuwiki to plain text.

Namuwiki has a markup of its own. What a reader of a page sees as running text is kept, with headings and list items as
lines of their own; what was struck through, footnotes, tables, images, categories and included pages are left out.
"""

import re
from collections.abc import Iterator

_REDIRECT = re.compile(r"\s*#(?:redirect|넘겨주기)\s", re.IGNORECASE)
_LINE_LEFT_OUT = re.compile(r"##.*|-{4,}\s*|\|\|.*")
_BLOCK = re.compile(r"\{\{\{((?:(?!\{\{\{|\}\}\}).)*)\}\}\}", re.DOTALL)
_BLOCK_HEAD = re.compile(r"#!(?:folding[^\n]*\n|wiki[^\n]*\n)|[+-]\d(?:\s|$)|#[\w#]+(?:,#\w+)?\s")
_BLOCK_LEFT_OUT = ("#!html", "#!syntax", "#!style")
_SPECIAL_LINK = re.compile(
    r"\[\[\s*(?:(?:파일|이미지|분류|틀|file|image|category)\s*:[^\[\]]*|https?:[^\[\]|]*|html\([^\[\]]*)\]\]",
    re.IGNORECASE,
)
_LINK = re.compile(r"\[\[(?:[^\[\]|]*\|)*([^\[\]|]*)\]\]")
_LABEL_OF_ANCHOR = re.compile(r"(?<=.)#s-[\d.]+$")
_BREAK = re.compile(r"\[br\]", re.IGNORECASE)
_RUBY = re.compile(r"\[ruby\(([^(),]*)[^()]*\)\]", re.IGNORECASE)
_MACRO = re.compile(
    r"\[(?:목차|각주|tableofcontents|footnote|clearfix|date|datetime|pagecount|"
    r"(?:age|dday|include|youtube|kakaotv|nicovideo|navertv|vimeo|anchor|pagecount|math|cc)\((?:[^()]|\([^()]*\))*\))\]",
    re.IGNORECASE,
)
_FORMULA = re.compile(r"<math>.{0,5000}?</math>", re.IGNORECASE | re.DOTALL)
_FOOTNOTE = re.compile(r"\[\*[^\[\]]*\]")
_STRUCK = re.compile(r"~~~?(?=\S).{1,2000}?(?<=\S)~~~?|(?<!-)--(?=[^\s-]).{1,2000}?(?<=[^\s-])--(?!-)")
_MARKS = re.compile(r"'{2,5}|~~|__|\^\^|,,(?=\S)|\{\{\{(?:[+-]\d\s|#\w+\s)?|\}\}\}|\[\[|\]\]")
_HEADING = re.compile(r"(=+)(#?) (.*?) \2\1\s*")
_LIST_MARK = re.compile(r"\s+(?:\*|[1AaIi]\.(?:#\d+)?)\s*|\s*>+\s*")


def strip_markup(text: str) -> Iterator[str]:
    r"""Yield a page of Namuwiki without its markup, nothing for one that leads to another page.

    >>> list(strip_markup("== 개요 ==\n * '''[[위저드리|원조]]'''에서[* 1981년] ~~온~~ 나온 대사\n||<-2> 표 ||"))
    ['개요\n원조에서 나온 대사']
    """
    if _REDIRECT.match(text):
        return
    text = "\n".join(line for line in text.split("\n") if not _LINE_LEFT_OUT.fullmatch(line))
    text = _BREAK.sub("\n", _FORMULA.sub("", text))
    text = _until_stable(_BLOCK, _inside_of_block, text)
    text = _until_stable(_SPECIAL_LINK, "", text)
    text = _until_stable(_LINK, lambda link: _LABEL_OF_ANCHOR.sub("", link[1]), text)
    text = _until_stable(_FOOTNOTE, "", _MACRO.sub("", _RUBY.sub(r"\1", text)))
    lines = (_plain_line(line) for line in text.split("\n"))
    text = "\n".join(filter(None, lines))
    if text:
        yield text


def _until_stable(pattern: re.Pattern[str], replacement, text: str) -> str:
    """Replace the innermost matches until none is left: blocks, links and footnotes stand inside each other."""
    while True:
        text, number = pattern.subn(replacement, text)
        if not number:
            return text


def _inside_of_block(block: re.Match[str]) -> str:
    inside = block[1]
    return "" if inside.startswith(_BLOCK_LEFT_OUT) else _BLOCK_HEAD.sub("", inside, count=1)


def _plain_line(line: str) -> str:
    # Again, for the tables that stood in blocks.
    if _LINE_LEFT_OUT.fullmatch(line) or line.endswith("||"):
        return ""
    if heading := _HEADING.fullmatch(line):
        line = heading[3]
    elif mark := _LIST_MARK.match(line):
        line = line[mark.end() :]
    line = _STRUCK.sub("", line)
    return " ".join(_MARKS.sub("", line).split())
