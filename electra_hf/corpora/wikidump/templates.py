"""Templates of wikitext: almost all go, those that hold words of the sentence around them leave these words.

What a template shows is written in the wiki, not in the article. Expanding them needs the templates of the whole dump
and an interpreter of their language; without, a sentence would have a hole wherever a word in another script, a
quantity or a link to another language stands. template_rules.py says what the frequent ones show.
"""

import re

from electra_hf.corpora.wikidump.brackets import outermost_pairs
from electra_hf.corpora.wikidump.template_rules import RULES, Arguments

_INNERMOST = re.compile(r"\{\{([^{}]*+)\}\}")
# With pairs of single braces inside, as in formulas.
_WITH_BRACES = re.compile(r"\{\{((?:[^{}]++|\{(?!\{)[^{}]*+\}(?:(?!\})|(?=\}\})))*+)\}\}")
_BRACES = re.compile(r"(\{\{)|\}\}")
_PARAMETER = re.compile(r"\{\{\{(?<!\{\{\{\{)[^{}|]*+\|?([^{}]*+)\}\}\}(?!\})")
_VARIANT = re.compile(r"-\{(?!\{)([^{}]*+)\}-")
_NESTED_PASSES = 6
_MAX_NAME = 80
_PREFIXES = ("lang-", "link-", "vol-", "formatnum:")


def drop_templates(text: str) -> str:
    """Replace templates, from the innermost outwards, by the text that they show, which mostly is none.

    Of a template that is never closed, only what looks like its arguments goes.
    """
    if "-{" in text:
        text = _VARIANT.sub(_variant_text, text)
    if "{{" not in text:
        return text.replace("}}", "") if "}}" in text else text
    if "{{{" in text:
        text = _PARAMETER.sub(r"\1", text)
    for _ in range(_NESTED_PASSES):
        text, changes = _INNERMOST.subn(_template_text, text)
        if not changes:
            break
    if "{{" in text:
        for _ in range(_NESTED_PASSES):
            text, changes = _WITH_BRACES.subn(_template_text, text)
            if not changes:
                break
    return _drop_unusual_templates(text) if "{{" in text or "}}" in text else text


def _template_text(found: re.Match[str]) -> str:
    body = found[1]
    name, _, arguments = body.partition("|")
    name = name.strip().lower()
    rule = RULES.get(name)
    if rule is not None:
        return rule(Arguments.parse(arguments))
    if name.startswith(_PREFIXES):
        return _by_prefix(name, arguments)
    if "\n==" in body:
        # No template spans a section: its braces belong to two different, damaged ones.
        return "".join(body.partition("\n")[1:])
    return ""


def _variant_text(found: re.Match[str]) -> str:
    """What language-variant markup shows: the first variant, or nothing if it only defines a conversion."""
    flags, bar, content = found[1].rpartition("|")
    if bar and set(flags.strip().upper()) & set("HT-"):
        return ""
    shown = content.partition(";")[0]
    variant, colon, converted = shown.partition(":")
    return converted.strip() if colon and variant.strip().lower().startswith("zh") else content


def _drop_unusual_templates(text: str) -> str:
    """Templates that are nested more deeply than usual, or hold unpaired braces, or are never closed."""
    kept: list[str] = []
    done = 0
    for start, end in outermost_pairs(_BRACES, text):
        kept.append(_without_openings(text[done:start]))
        done = end
    kept.append(_without_openings(text[done:]))
    return "".join(kept)


def _without_openings(text: str) -> str:
    """Remove braces without a partner, and what follows an opening one: its name, or lines that are arguments."""
    text = text.replace("}}", "")
    if "{{" not in text:
        return text
    first, *others = text.split("{{")
    before = first
    for index, piece in enumerate(others):
        line_start = not before or before.endswith("\n")
        before = piece
        head, bar, tail = piece.partition("|")
        closing = piece.find("}", 0, 200)
        if closing >= 0 and "\n" not in piece[:closing]:
            others[index] = piece[closing + 1 :]  # {{name|argument}
        elif line_start:
            others[index] = "".join(piece.partition("\n")[1:])
        elif bar and len(head) <= _MAX_NAME and "\n" not in head:
            others[index] = tail
    return first + "".join(others)


def _by_prefix(name: str, arguments: str) -> str:
    """{{lang-ja|text}} and {{link-en|text|page}} in their many languages; {{formatnum:1000}}."""
    return name.removeprefix("formatnum:") if ":" in name else Arguments.parse(arguments).get(1)
