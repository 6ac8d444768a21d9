"""Observed texts as Markdown and as HTML, for trackers that show one or the other.

A swapped token is in bold with its original struck out behind it, and a suspicion of one half or more stands as a
number of per cent behind the token; in HTML a background repeats the suspicion.
"""

from collections.abc import Callable
from html import escape

from electra_hf.sharing.text_samples import Texts, Token

_SUSPECTED = 0.5
# How tokenizers mark that a word begins (SentencePiece, byte-level BPE) or goes on (WordPiece).
_MARKS = ("▁", "Ġ", "##")
_LEGEND = "bold: swapped, with the original struck out; a number: suspicion in per cent, from 50 on"
# Okabe-Ito vermilion, as strong as the suspicion.
_BACKGROUND = "rgba(213, 94, 0, {:.2f})"


def _word(piece: str) -> str:
    for mark in _MARKS:
        if piece.startswith(mark) and piece != mark:
            return piece.removeprefix(mark)
    return piece


def _lines(texts: Texts, show: Callable[[Token], str]) -> list[str]:
    return ["".join((" " if token[4] else "") + show(token) for token in tokens) for tokens in texts]


def _is_suspected(suspicion: float | None) -> bool:
    return suspicion is not None and suspicion >= _SUSPECTED


def as_markdown(texts: Texts) -> str:
    """A list of the texts.

    >>> print(as_markdown([[("dog", "cat", True, 0.93, False), ("sat", "sat", False, 0.02, True)]]))
    *bold: swapped, with the original struck out; a number: suspicion in per cent, from 50 on*
    <BLANKLINE>
    1. **dog** ~~cat~~ (93) sat
    """
    lines = (f"{number}. {line}" for number, line in enumerate(_lines(texts, _markdown_token), 1))
    return f"*{_LEGEND}*\n\n" + "\n".join(lines)


def _markdown_token(token: Token) -> str:
    piece, original, replaced, suspicion, _ = token
    shown = _unmarked(_word(piece))
    if replaced:
        shown = f"**{shown}** ~~{_unmarked(_word(original))}~~"
    return f"{shown} ({100 * suspicion:.0f})" if suspicion is not None and _is_suspected(suspicion) else shown


def _unmarked(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "\\`*_~[]<>#|" else letter for letter in text)


def as_html(texts: Texts, title: str = "Held-out texts") -> str:
    """A page of its own with the texts; everything in it is escaped.

    Args:
        texts: As `text_samples.observe` returns them.
        title: Above them.
    """
    lines = "".join(f"<li>{line}</li>" for line in _lines(texts, _html_token))
    return (
        f'<!doctype html><html><head><meta charset="utf-8"><title>{escape(title)}</title></head>'
        '<body style="font: 16px/1.7 sans-serif; color: #222; background: #fff; max-width: 50em">'
        f"<h1>{escape(title)}</h1><p>{_LEGEND}</p><ol>{lines}</ol></body></html>"
    )


def _html_token(token: Token) -> str:
    piece, original, replaced, suspicion, _ = token
    shown = escape(_word(piece))
    if replaced:
        shown = f"<b>{shown}</b> <s>{escape(_word(original))}</s>"
    if suspicion is None:
        return shown
    number = f" <sub>{100 * suspicion:.0f}</sub>" if _is_suspected(suspicion) else ""
    return f'<span style="background: {_BACKGROUND.format(0.6 * suspicion)}">{shown}{number}</span>'
