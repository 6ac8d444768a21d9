"""Print what `detection` found, for a person to read.

The marks carry the meaning and colour only repeats it: the same line is understandable in a light or a dark terminal,
in a pipe, and with NO_COLOR set.
"""

from collections.abc import Sequence

from rich.console import Console
from rich.style import Style
from rich.text import Text

from electra_hf.sharing.demo.filling import FilledText
from electra_hf.sharing.demo.records import SUSPECTED, JudgedText, is_joined, readable, tally

# Suspicion from -> background. Each comes with black letters, so that it reads the same on a light and a dark ground.
BACKGROUNDS = [(0.9, "#FF8F5E"), (0.5, "#FFC46B"), (0.2, "#FFF0B3")]
_BAR = 24  # columns of a probability of 1


def render(
    texts: Sequence[JudgedText], console: Console, *, threshold: float = SUSPECTED, byte_level: bool = False
) -> None:
    """Print each text as words, with swaps and suspicions marked, then how many were found.

    Args:
        texts: What `judge` returned.
        console: Where to print; whether it has colour decides how suspicion is shown.
        threshold: A token is suspected from here on.
        byte_level: Whether the letters of the pieces stand for bytes.
    """
    colour = has_colour(console)
    swapped = any(record.replaced for text in texts for record in text.records)
    console.print(legend(colour=colour, swaps=swapped, threshold=threshold), end="\n\n")
    for number, text in enumerate(texts, 1):
        margin = f"{number:2}  "
        words = render_text(text, colour=colour, threshold=threshold, byte_level=byte_level)
        for line in words.wrap(console, console.width - len(margin)):
            line.rstrip()
            console.print(Text.assemble((margin, "dim"), line))
            margin = " " * len(margin)
        console.print(Text.assemble(margin, (score([text], threshold), "dim")), end="\n\n")
        if text.cut:
            cut = f"{text.cut} tokens at the end of this text were left out: the model takes no more"
            console.print(Text.assemble(margin, cut), end="\n\n")
    if len(texts) > 1:
        console.print(Text(f"All {len(texts)} texts: {score(texts, threshold)}"))


def has_colour(console: Console) -> bool:
    """Whether a colour would reach the reader."""
    return console.color_system is not None and not console.no_color


def legend(*, colour: bool, swaps: bool, threshold: float = SUSPECTED) -> Text:
    """One line that explains the marks."""
    text = Text()
    if swaps:
        text.append("swapped: ")
        text.append_text(_swap("original", "replacement", Style(), colour=colour))
        text.append("   ")
    text.append("suspected: ")
    if not colour:
        return text.append(f"word?97% (shown from {threshold:.0%})")
    for lowest, background in reversed(BACKGROUNDS):
        text.append(f" from {lowest:.0%} ", style=Style(color="#000000", bgcolor=background))
        text.append(" ")
    return text


def render_text(judged: JudgedText, *, colour: bool, threshold: float = SUSPECTED, byte_level: bool = False) -> Text:
    """Rebuild the words of one text from its pieces.

    Without colour a swap reads `[original→replacement]` and a suspected token is followed by `?` and a percentage.
    """
    text = Text()
    for i, (record, is_judged) in enumerate(zip(judged.records, judged.judged, strict=True)):
        if i > 0 and not is_joined(record):
            text.append(" ")
        style = _style(record.suspicion) if colour and is_judged else Style()
        original, piece = (readable(name, byte_level=byte_level) for name in (record.original, record.piece))
        if record.replaced:
            text.append_text(_swap(original, piece, style, colour=colour))
        else:
            text.append(piece, style=style)
        if not colour and is_judged and record.suspicion >= threshold:
            text.append(f"?{record.suspicion:.0%}")
    return text


def score(texts: Sequence[JudgedText], threshold: float = SUSPECTED) -> str:
    """Say how many swaps were suspected, and how many tokens without cause.

    Where nothing can be judged, a masked language model has filled masks: then how many with the original.
    """
    if not any(any(text.judged) for text in texts):
        filled = [record for text in texts for record in text.records if record.replaced]
        return f"{sum(record.piece == record.original for record in filled)} of {len(filled)} masks filled rightly"
    counts = tally(texts, threshold)
    masked = "" if all(all(text.judged) for text in texts) else "masked "
    if counts.swaps == 0:
        return f"{counts.false_alarms} of {counts.others} {masked}tokens suspected"
    alarms = _count(counts.false_alarms, "false alarm")
    return f"{counts.found} of {counts.swaps} swaps suspected, {alarms} in {counts.others} other {masked}tokens"


def render_filled(texts: Sequence[FilledText], console: Console) -> None:
    """Print each text with its masks filled, and a bar for each candidate."""
    for text in texts:
        console.print(Text(text.filled, style="bold"), soft_wrap=True)
        for number, candidates in enumerate(text.masks, 1):
            if len(text.masks) > 1:
                console.print(Text(f"  mask {number}"))
            width = max(Text(candidate.word).cell_len for candidate in candidates)
            for candidate in candidates:
                word = Text(candidate.word)
                word.pad_right(width - word.cell_len)
                bar = "█" * round(candidate.probability * _BAR)
                console.print(Text.assemble("  ", word, f"  {candidate.probability:6.1%}  ", (bar, "blue")))
        console.print()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _style(suspicion: float) -> Style:
    background = next((colour for lowest, colour in BACKGROUNDS if suspicion >= lowest), None)
    return Style(color="#000000", bgcolor=background) if background else Style()


def _swap(original: str, replacement: str, style: Style, *, colour: bool) -> Text:
    text = Text("[")
    text.append(original, style=Style(strike=True, dim=True) if colour else "")
    text.append("→")
    text.append(replacement, style=style + Style(bold=True, underline=True) if colour else "")
    return text.append("]")
