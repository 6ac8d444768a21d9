"""What the demo shows, as HTML: tokens with their suspicion, and bars of probabilities.

Every number is written out and every verdict has its word, so that the colours only repeat what can be read. They are
of one hue (Okabe and Ito's vermilion, their blue for the bars), stronger with the number.
"""

from collections.abc import Sequence
from html import escape

from .filling import FilledText
from .records import SUSPECTED, JudgedText, TokenRecord, is_joined, readable, tally

STYLE = """
.eh { font-size: 1rem; line-height: 1.5; color: var(--body-text-color); }
.eh h3 { font-size: .85rem; font-weight: 600; margin: 1rem 0 .35rem; opacity: .8; }
.eh p { margin: .3rem 0; overflow-wrap: anywhere; }
.eh .eh-summary { font-size: 1.1rem; font-weight: 600; }
.eh .eh-note { font-size: .85rem; opacity: .8; }
.eh .eh-text { display: flex; flex-wrap: wrap; gap: .4rem .35rem; align-items: flex-start; }
.eh .eh-token { display: inline-flex; flex-direction: column; align-items: center; border-radius: 6px;
  padding: .1rem .35rem; max-width: 100%; border: 2px solid transparent; }
.eh .eh-whole { display: inline-flex; flex-wrap: wrap; gap: .2rem 0; align-items: flex-start; max-width: 100%; }
.eh .eh-whole .eh-token + .eh-token { border-top-left-radius: 0; border-bottom-left-radius: 0; }
.eh .eh-word { white-space: pre-wrap; overflow-wrap: anywhere; }
.eh .eh-percent, .eh .eh-tag, .eh .eh-was { font-size: .72rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.eh .eh-tag { font-weight: 700; }
.eh .eh-swap { border: 2px solid currentColor; }
.eh .eh-swap .eh-word { font-weight: 700; }
.eh .eh-alarm { border: 2px dashed currentColor; }
.eh mark { background: none; color: inherit; font-weight: 700; text-decoration: underline; }
.eh .eh-legend { display: flex; flex-wrap: wrap; gap: .3rem .6rem; align-items: center; font-size: .8rem; }
.eh .eh-legend .eh-token { flex-direction: row; padding: 0 .4rem; }
.eh .eh-scale { display: inline-block; width: 7rem; height: .8rem; border-radius: 4px;
  border: 1px solid currentColor; background: linear-gradient(90deg, rgba(213, 94, 0, 0), rgba(213, 94, 0, .8)); }
.eh .eh-candidates { display: grid; grid-template-columns: minmax(0, 1fr) 3.5rem minmax(0, 2fr); gap: .25rem .6rem;
  align-items: center; }
.eh .eh-candidates span { overflow-wrap: anywhere; }
.eh .eh-number { text-align: right; font-variant-numeric: tabular-nums; }
.eh .eh-bar { background: #0072B2; height: .9rem; border-radius: 3px; min-width: 1px; }
.dark .eh .eh-bar { background: #56B4E9; }
"""
_NOTHING = '<div class="eh"><p>There is no text.</p></div>'


def judged_html(judged: JudgedText, *, threshold: float = SUSPECTED, byte_level: bool = False) -> str:
    """A text with the suspicion of each token, how many swaps were found, and the text before the swaps.

    Args:
        judged: What the discriminator thinks.
        threshold: A token is suspected from here on.
        byte_level: Whether the letters of the pieces stand for bytes.
    """
    if not judged.records:
        return _NOTHING
    swapped = any(record.replaced for record in judged.records)
    before, after = [], []
    for position, (record, known) in enumerate(zip(judged.records, judged.judged, strict=True)):
        if position == 0 or not is_joined(record):
            after.append("")
        after[-1] += _token(record, known, threshold=threshold, byte_level=byte_level)
        original = TokenRecord(record.original, record.original, False, 0.0, record.gap)
        word = escape(readable(record.original, byte_level=byte_level))
        space = " " if position and not is_joined(original) else ""
        before.append(space + (f"<mark>{word}</mark>" if record.replaced else word))
    words = "".join(f'<span class="eh-whole">{tokens}</span>' for tokens in after)
    parts = [f'<p class="eh-summary">{escape(summary(judged, threshold))}</p>']
    if swapped:
        parts += ["<h3>Before</h3>", f"<p>{''.join(before)}</p>", "<h3>After the swaps, as the model sees it</h3>"]
    parts += [f'<div class="eh-text">{words}</div>', _legend(threshold, swapped)]
    if judged.cut:
        parts.append(f'<p class="eh-note">{judged.cut} tokens at the end were left out: the model takes no more.</p>')
    if not all(judged.judged):
        note = "This model has learnt to judge masked positions only; no number stands under other tokens."
        parts.append(f'<p class="eh-note">{note}</p>')
    return f'<div class="eh">{"".join(parts)}</div>'


def summary(judged: JudgedText, threshold: float = SUSPECTED) -> str:
    """How the discriminator did, in a sentence."""
    counts = tally([judged], threshold)
    others = f"{counts.others} {'' if all(judged.judged) else 'masked '}{_tokens(counts.others)}"
    if not counts.swaps:
        unchanged = "" if not any(record.replaced for record in judged.records) else "no swaps; "
        return f"{unchanged}{counts.false_alarms} of {others} suspected (from {threshold:.0%} on)"
    swaps = f"{counts.swaps} {'swap' if counts.swaps == 1 else 'swaps'}"
    alarms = f"{counts.false_alarms} false {'alarm' if counts.false_alarms == 1 else 'alarms'}"
    others = f"{counts.others} other {'' if all(judged.judged) else 'masked '}{_tokens(counts.others)}"
    return f"{swaps}: {counts.found} found, {counts.missed} missed; {alarms} among {others}"


def filled_html(text: FilledText) -> str:
    """The text with the best words in the place of its masks, and bars of the candidates."""
    parts = [f'<p class="eh-summary">{escape(text.filled)}</p>']
    for number, candidates in enumerate(text.masks, 1):
        parts.append(f"<h3>Mask {number} of {len(text.masks)}</h3><div class='eh-candidates'>")
        for candidate in candidates:
            parts.append(
                f"<span>{escape(candidate.word)}</span><span class='eh-number'>{candidate.probability:.1%}</span>"
                f"<div class='eh-bar' style='width: {candidate.probability:.1%}'></div>"
            )
        parts.append("</div>")
    return f'<div class="eh">{"".join(parts)}</div>'


def problem_html(problem: object) -> str:
    """A sentence that says why there is no result."""
    return f'<div class="eh"><p class="eh-summary">{escape(str(problem))}</p></div>'


def _token(record: TokenRecord, known: bool, *, threshold: float, byte_level: bool) -> str:
    suspected = known and record.suspicion >= threshold
    classes, tag = ["eh-token"], ""
    if record.replaced:
        classes.append("eh-swap")
        tag = "found" if suspected else "missed"
    elif suspected:
        classes.append("eh-alarm")
        tag = "suspected"
    lines = []
    lines.append(f'<span class="eh-word">{escape(readable(record.piece, byte_level=byte_level))}</span>')
    if known:
        lines.append(f'<span class="eh-percent">{record.suspicion:.0%}</span>')
    if record.replaced:
        original = escape(readable(record.original, byte_level=byte_level))
        lines.append(f'<span class="eh-was">was {original}</span>')
    if tag:
        lines.append(f'<span class="eh-tag">{tag}</span>')
    colour = f"rgba(213, 94, 0, {0.8 * record.suspicion if known else 0:.3f})"
    return f'<span class="{" ".join(classes)}" style="background: {colour}">{"".join(lines)}</span>'


def _legend(threshold: float, swapped: bool) -> str:
    marks: Sequence[str] = [
        "Suspicion: 0% <span class='eh-scale'></span> 100%",
        f"<span class='eh-token eh-alarm'>suspected</span> from {threshold:.0%} on",
    ]
    if swapped:
        marks = [*marks, "<span class='eh-token eh-swap'>swapped</span>"]
    return f'<p class="eh-legend">{"".join(f"<span>{mark}</span>" for mark in marks)}</p>'


def _tokens(number: int) -> str:
    return "token" if number == 1 else "tokens"
