"""Wikitext to plain text: what a reader sees as paragraphs, headings and list items, one a line.

The work is a few passes of regular expressions over the whole text, each linear in its length, from the innermost
markup outwards. mwparserfromhell (0.7) and wikitextparser build a tree of every node instead, of which almost all is
thrown away: on the same English articles and one core, their plain text took 1.9 and 2.3 million characters a second,
these passes 23 million, and file captions, table cells and localised category names would still be there to deal with.
benchmarks/dump_extraction.py compares the whole way from a dump with WikiExtractor, and counts leftover markup. What
is not closed loses its markup, not the text that follows it.

Kept: paragraphs, headings with text below them, list items, labels of links, words that templates hold (templates.py),
short formulas without commands. Left out: tables, references, files and their captions, galleries, categories, links
to other languages, code blocks, longer formulas, bare URLs.
"""

import html
import re

from electra_hf.corpora.wikidump.brackets import outermost_pairs
from electra_hf.corpora.wikidump.elements import drop_elements, drop_tags
from electra_hf.corpora.wikidump.links import resolve_links, resolve_simple_links
from electra_hf.corpora.wikidump.templates import drop_templates

_TABLE = re.compile(r"\n[ \t:*#;]*+(?:(\{\|)|\|\}(?!\}))")
_MAGIC_WORD = re.compile(r"__[^\W\d_a-z][^\W\da-z]{0,40}__")
_HEADING = re.compile(r"(={1,6})(.+?)(={1,6})")
_QUOTES_AFTER_LETTER = re.compile(r"'''(?<=\w''')(?=\w)")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
# Patterns that begin with a literal character are searched for many times faster than those with a set of them.
_EMPTY_BRACKETS = re.compile(r"\([\s,;:/、，；·・–—-]*+\)")
_EMPTY_WIDE_BRACKETS = re.compile(r"（[\s,;:/、，；：・·–—-]*+）")
_EMPTY_SQUARE_BRACKETS = re.compile(r"\[\s*+\]")
_LEADING_SEPARATOR = re.compile(r"\([\s,;:、，；]++(?!\))")
_LEADING_WIDE_SEPARATOR = re.compile(r"（[\s,;:、，；：]++(?!）)")
# What removed markup leaves behind; none of it is a custom of any language.
_MENDED = (
    (" \n", "\n"),
    (" )", ")"),
    (",)", ")"),
    (";)", ")"),
    (" , ", ", "),
    (" ,\n", ",\n"),
    (" . ", ". "),
    (" .\n", ".\n"),
    (",,", ","),
    (", ,", ","),
    (",.", "."),
    (", .", "."),
)
_MENDED_WIDE = (
    (" ）", "）"),
    ("、）", "）"),
    ("，）", "）"),
    ("；）", "）"),
    ("、、", "、"),
    ("，，", "，"),
)
_INVISIBLE = ("\u00ad", "\u200b", "\ufeff", "\u2060")
_SPACES = ("\u00a0", "\u202f", "\u2009", "\u2002", "\u2003", "\t")
# Of lists, and what separated something removed from the rest.
_LINE_MARKS = "*#:;,、，；： \u3000"


def plain_text(wikitext: str, title: str = "") -> str:
    r"""The text of wikitext, one paragraph, heading or list item a line; empty if there is none.

    Args:
        wikitext: The markup of a page.
        title: What {{PAGENAME}} stands for.

    >>> plain_text("'''Anna''' ({{IPA|x}}) is a [[name]].<ref>A.</ref>\n== See ==\n* [[:de:Anna|Anna]]\n== End ==")
    'Anna is a name.\nSee\nAnna'
    """
    text = "\n" + wikitext
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if title:
        text = text.replace("{{PAGENAME}}", title)
    text = drop_elements(text)
    text = resolve_simple_links(text)
    text = drop_templates(text)
    if "{|" in text or "|}" in text:
        text = _drop_tables(text)
    if "''" in text:
        text = _drop_quotes(text)
    text = drop_tags(text)
    text = resolve_links(text)
    if "__" in text:
        text = _MAGIC_WORD.sub("", text)
    return _tidy("\n".join(_lines(text)))


def _drop_tables(text: str) -> str:
    """Remove tables; of one that is never closed, its rows go later, one by one, as they begin with a bar."""
    kept: list[str] = []
    done = 0
    for start, end in outermost_pairs(_TABLE, text):
        kept.append(text[done:start])
        done = end
    kept.append(text[done:])
    return "\n".join(kept)


def _drop_quotes(text: str) -> str:
    """Remove the quotes of bold and italic text, and keep an apostrophe before them, as in L'''Iliade''."""
    if "'''" in text and _QUOTES_AFTER_LETTER.search(text):
        text = "\n".join(_with_apostrophe(line) if "'''" in line else line for line in text.split("\n"))
    return text.replace("'''''", "").replace("'''", "").replace("''", "")


def _with_apostrophe(line: str) -> str:
    """Where bold does not come in pairs, nor italics, the bold quotes after a letter are an apostrophe and italics."""
    rest = line.replace("'''''", "")
    bold = rest.count("'''")
    italics = rest.replace("'''", "").count("''")
    return _QUOTES_AFTER_LETTER.sub("'", line, count=1) if bold % 2 and italics % 2 else line


def _lines(text: str) -> list[str]:
    """Lines without the marks at their beginning; headings that have nothing below them are left out."""
    lines: list[str] = []
    headings: list[tuple[int, str]] = []
    for line in text.split("\n"):
        line = line.strip()
        if not line:
            continue
        mark = line[0]
        if mark == line[-1] == "=" and (heading := _HEADING.fullmatch(line)):
            level = min(len(heading[1]), len(heading[3]))
            while headings and headings[-1][0] >= level:
                headings.pop()
            headings.append((level, heading[2].strip("= ")))
            continue
        if mark in _LINE_MARKS:
            line = line.lstrip(_LINE_MARKS)
        elif mark == "|" or line.startswith("{|"):
            continue
        elif line.startswith("----"):
            line = line.lstrip("- ")
        if line and _says_something(line):
            lines += [title for _, title in headings]
            headings.clear()
            lines.append(line)
    return lines


def _says_something(line: str) -> bool:
    """Whether a line holds more than the punctuation that was around something removed."""
    return line[0].isalnum() or any(character.isalnum() for character in line)


def _tidy(text: str) -> str:
    """Resolve entities, and mend what the removed markup has left: empty brackets, doubled spaces and commas."""
    for _ in range(2):
        if "&" in text:
            text = _ENTITY.sub(_character, text)
    for character in _INVISIBLE:
        if character in text:
            text = text.replace(character, "")
    for character in _SPACES:
        if character in text:
            text = text.replace(character, " ")
    if "(" in text:
        text = _EMPTY_BRACKETS.sub("", text)
        text = _LEADING_SEPARATOR.sub("(", text)
    if "[" in text:
        text = _EMPTY_SQUARE_BRACKETS.sub("", text)
    wide = "（" in text or "、" in text or "，" in text
    if wide:
        text = _EMPTY_WIDE_BRACKETS.sub("", text)
        text = _LEADING_WIDE_SEPARATOR.sub("（", text)
    while "  " in text:
        text = text.replace("  ", " ")
    return _mend(text + "\n", _MENDED + _MENDED_WIDE if wide else _MENDED).strip("\n")


def _mend(text: str, replacements: tuple[tuple[str, str], ...]) -> str:
    """Make replacements, and once more those that were needed: one makes room for another."""
    needed: list[tuple[str, str]] = []
    for left, mended in replacements:
        before, text = text, text.replace(left, mended)
        if text is not before:
            needed.append((left, mended))
    for left, mended in needed:
        text = text.replace(left, mended)
    return text


def _character(found: re.Match[str]) -> str:
    return html.unescape(found[0])
