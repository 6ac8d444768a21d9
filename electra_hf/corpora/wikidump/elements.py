"""The parts of wikitext that are written between angle brackets: comments, references, formulas, code, HTML.

Every pattern is linear in the length of the text, whatever the text: an element is matched only up to the next
opening of the same element, so an unclosed one costs no more than the way to its successor and swallows nothing; its
tag alone is removed.
"""

import re

# Content that is no prose of the article, or that cannot be read without its layout.
_DROPPED = (
    "ref|references|gallery|timeline|score|hiero|imagemap|mapframe|maplink|graph|templatedata|syntaxhighlight|source|"
    "pre|includeonly|inputbox|indicator|categorytree|dynamicpagelist|quiz|rss|table|style|script|rt|rp|phonos|"
    "listen|ext-audio"
)
_FORMULA = "math|chem|ce"
_VERBATIM = "nowiki"
# Elements that MediaWiki renders; other words in angle brackets are text, as in "#include <stdio.h>".
_TAGS = (
    f"{_DROPPED}|{_FORMULA}|{_VERBATIM}|"
    "a|abbr|b|bdi|bdo|big|blockquote|br|caption|center|cite|code|col|colgroup|data|dd|del|dfn|div|dl|dt|em|font|h[1-6]|"
    "hr|i|img|ins|kbd|langconvert|li|link|mark|meta|noinclude|ol|onlyinclude|p|poem|q|rb|rtc|ruby|s|samp|section|"
    "small|span|strike|strong|sub|sup|tbody|td|templatestyles|tfoot|th|thead|time|tr|translate|tvar|tt|u|ul|var|wbr"
)


def _element(names: str) -> re.Pattern[str]:
    """An empty element, or one with its content as group 2, which ends before the same element opens again."""
    return re.compile(
        rf"<({names})(?=[\s/>])[^<>]*+(?:(?<=/)>|>([^<]*+(?:<(?!/?\1[\s/>])[^<]*+)*+)</\1\s*+>)", re.IGNORECASE
    )


_REFERENCE = _element("ref")
_OTHER = _element(f"{_DROPPED.removeprefix('ref|')}|{_FORMULA}|{_VERBATIM}")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_BREAK = re.compile(r"</?(?:br|hr|p|li|dd|dt|tr|blockquote|div|center|h[1-6])(?=[\s/>])[^<>]*+>", re.IGNORECASE)
_TAG = re.compile(rf"</?(?:{_TAGS})(?=[\s/>])[^<>]*+>", re.IGNORECASE)
# Tags whose attributes hold markup, or that end with the line.
_DAMAGED_TAG = re.compile(r"</?(?:ref|span|div|font|references|small|br|gallery)(?=[\s/>])[^<>\n]*+>?", re.IGNORECASE)
_READABLE_FORMULA = re.compile(r"[^\\{}_^<>&\n]{1,40}|[A-Za-z0-9+\-=(){}^_., ]{1,30}")
_MARKUP = re.compile(r"[\[\]{}|'<>=*#:;_!-]|//")


def drop_elements(text: str) -> str:
    """Remove comments and everything between angle brackets that is no text; `<br>` and block tags end a line.

    The content of `<nowiki>` is kept with its markup escaped as entities, which are resolved at the very end.
    """
    if "<" not in text:
        return text
    text = _drop_comments(text)
    text = _REFERENCE.sub("", text)
    if "</ref" in text:
        # An element that holds another of its kind is matched once that one has gone.
        text = _REFERENCE.sub("", text)
    text, changes = _OTHER.subn(_element_text, text)
    return _OTHER.sub(_element_text, text) if changes and "<" in text else text


def drop_tags(text: str) -> str:
    """Remove what is left of elements, and keep their content."""
    if "<" not in text:
        return text
    text = _BREAK.sub("\n", text)
    text = _TAG.sub("", text)
    return _DAMAGED_TAG.sub("", text) if "<" in text else text


def escape(text: str) -> str:
    """Write the characters of wikitext as entities.

    >>> escape("[[a]]")
    '&#91;&#91;a&#93;&#93;'
    """
    return _MARKUP.sub(lambda found: "".join(f"&#{ord(character)};" for character in found[0]), text)


def _drop_comments(text: str) -> str:
    # Up to the last end of a comment every beginning has an end, so no search runs through the text in vain.
    end = text.rfind("-->") + 3
    if end > 2:
        commented = text[:end]
        if "<!--" in commented:
            commented = _COMMENT.sub("", commented)
        text = commented + text[end:]
    return text.replace("<!--", "").replace("-->", "") if "<!--" in text else text


def _element_text(found: re.Match[str]) -> str:
    name = found[1].lower()
    content = found[2] or ""
    if name == _VERBATIM:
        return escape(content)
    if name in ("math", "chem", "ce"):
        formula = content.strip()
        return escape(formula.translate(_SCRIPTS)) if _READABLE_FORMULA.fullmatch(formula) else ""
    return ""


_SCRIPTS = str.maketrans("", "", "{}_")
