"""Print what `detection` found, for a person to read.

The marks carry the meaning and colour only repeats it: the same line is understandable in a light or a dark terminal,
in a pipe, and with NO_COLOR set.
"""

from collections.abc import Sequence

from rich.console import Console
from rich.style import Style
from rich.text import Text

from electra_hf.sharing.token_records import SUSPECTED, TokenRecord

# Suspicion from -> background. Each comes with black letters, so that it reads the same on a light and a dark ground.
BACKGROUNDS = [(0.9, "#FF8F5E"), (0.5, "#FFC46B"), (0.2, "#FFF0B3")]
# How tokenizers mark that a new word starts (SentencePiece, byte-level BPE) or that one goes on (WordPiece).
WORD_STARTS = ("▁", "Ġ")
CONTINUATION = "##"


def render(results: Sequence[Sequence[TokenRecord]], console: Console) -> None:
    """Print each text as words, with swaps and suspicions marked, then how many were found.

    Args:
        results: What `detect` returned.
        console: Where to print; whether it has colour decides how suspicion is shown.
    """
    colour = has_colour(console)
    swapped = any(record.replaced for records in results for record in records)
    console.print(legend(colour=colour, swaps=swapped), end="\n\n")
    for number, records in enumerate(results, 1):
        margin = f"{number:2}  "
        for line in render_text(records, colour=colour).wrap(console, console.width - len(margin)):
            line.rstrip()
            console.print(Text.assemble((margin, "dim"), line))
            margin = " " * len(margin)
        console.print(Text.assemble(margin, (score(records), "dim")), end="\n\n")
    if len(results) > 1:
        everything = [record for records in results for record in records]
        console.print(Text(f"All {len(results)} texts: {score(everything)}"))


def has_colour(console: Console) -> bool:
    """Whether a colour would reach the reader."""
    return console.color_system is not None and not console.no_color


def legend(*, colour: bool, swaps: bool) -> Text:
    """One line that explains the marks."""
    text = Text()
    if swaps:
        text.append("swapped: ")
        text.append_text(_swap("original", "replacement", Style(), colour=colour))
        text.append("   ")
    text.append("suspected: ")
    if not colour:
        return text.append(f"word?97% (shown from {SUSPECTED:.0%})")
    for lowest, background in reversed(BACKGROUNDS):
        text.append(f" from {lowest:.0%} ", style=Style(color="#000000", bgcolor=background))
        text.append(" ")
    return text


def render_text(records: Sequence[TokenRecord], *, colour: bool) -> Text:
    """Rebuild the words of one text from its pieces.

    Without colour a swap reads `[original→replacement]` and a suspected token is followed by `?` and a percentage.
    """
    text = Text()
    for i, record in enumerate(records):
        if i > 0 and not is_joined(record):
            text.append(" ")
        style = _style(record.suspicion) if colour else Style()
        if record.replaced:
            text.append_text(_swap(bare(record.original), bare(record.piece), style, colour=colour))
        else:
            text.append(bare(record.piece), style=style)
        if not colour and record.suspicion >= SUSPECTED:
            text.append(f"?{record.suspicion:.0%}")
    return text


def score(records: Sequence[TokenRecord]) -> str:
    """Say how many swaps were suspected, and how many tokens without cause."""
    suspected = [record for record in records if record.suspicion >= SUSPECTED]
    swaps = sum(record.replaced for record in records)
    false_alarms = sum(not record.replaced for record in suspected)
    if swaps == 0:
        return f"{false_alarms} of {len(records)} tokens suspected"
    found = len(suspected) - false_alarms
    alarms = _count(false_alarms, "false alarm")
    return f"{found} of {swaps} swaps suspected, {alarms} in {len(records) - swaps} other tokens"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def is_joined(record: TokenRecord) -> bool:
    """Whether a token continues the word before it. The piece in place decides, as it is what the model reads."""
    if record.piece.startswith(WORD_STARTS):
        return False
    if record.piece.startswith(CONTINUATION) or record.original.startswith(WORD_STARTS):
        return True
    return not record.gap and not record.original.startswith(CONTINUATION)


def bare(piece: str) -> str:
    """A piece without the sign of its place in a word."""
    return piece.removeprefix(CONTINUATION).lstrip("".join(WORD_STARTS)) or piece


def _style(suspicion: float) -> Style:
    background = next((colour for lowest, colour in BACKGROUNDS if suspicion >= lowest), None)
    return Style(color="#000000", bgcolor=background) if background else Style()


def _swap(original: str, replacement: str, style: Style, *, colour: bool) -> Text:
    text = Text("[")
    text.append(original, style=Style(strike=True, dim=True) if colour else "")
    text.append("→")
    text.append(replacement, style=style + Style(bold=True, underline=True) if colour else "")
    return text.append("]")
