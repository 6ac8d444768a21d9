"""Texts with their entities as a page to read in a browser: one file, nothing from elsewhere.

A sentence whose entities are all found is one line. One with errors is two, the data's entities above the predicted
ones, so that borders that differ stand under each other. Every kind of error has a sign and a line style besides its
colour. The buttons hide sentences; without JavaScript all are there.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

# Kind to its sign, and what it means.
_KINDS = {
    "correct": ("✓", "borders and type are right"),
    "wrong_type": ("≠", "the borders are right"),
    "wrong_borders": ("↔", "the type is right, and the two overlap"),
    "missed": ("−", "in the data only"),
    "spurious": ("+", "predicted only"),
    "predicted": ("·", "the data do not say what is right"),
}
_ERRORS = ("wrong_type", "wrong_borders", "missed", "spurious")
# What HTML cannot hold, and marks of writing direction, which would reach beyond the text that they are in.
_UNSHOWN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")

_STYLE = """
:root { color-scheme: light dark; --ink: #222; --paper: #fff; --faint: #666; --line: #ddd; --correct: #c9e9dc;
  --wrong_type: #fbd9b5; --wrong_borders: #d5e6f5; --missed: #f7cfd0; --spurious: #ead6ef; --predicted: #e4e4e4 }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #1b1b1b; --faint: #aaa; --line: #444;
  --correct: #14513c; --wrong_type: #6d420d; --wrong_borders: #1d4a70; --missed: #6e2328; --spurious: #55305f;
  --predicted: #454545 } }
body { font: 16px/1.9 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem;
  margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem; line-height: 1.3; overflow-wrap: anywhere }
.summary, .side, h2 { color: var(--faint) }
ul { list-style: none; padding: 0 }
nav { position: sticky; top: 0; background: var(--paper); padding: .4rem 0; border-bottom: 1px solid var(--line) }
button { font: inherit; line-height: 1.5; color: inherit; background: none; border: 1px solid var(--line);
  border-radius: .3rem; padding: 0 .6rem; cursor: pointer }
button[aria-pressed=true] { border-color: currentColor; font-weight: bold }
section { border-bottom: 1px solid var(--line); padding: .4rem 0 }
h2 { font-size: .8rem; font-weight: normal; margin: 0; line-height: 1.3; overflow-wrap: anywhere }
.row { display: grid; grid-template-columns: 5.5rem 1fr; align-items: baseline; gap: 0 .5rem }
.side { font-size: .8rem }
.text { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; min-width: 0 }
mark { color: inherit; padding: .1em .2em; border-radius: .2em; border-bottom: .15em solid; unicode-bidi: isolate }
mark b { font-size: .7em; font-weight: bold; padding-inline-start: .35em; unicode-bidi: isolate }
mark.correct { background: var(--correct); border-bottom-style: solid }
mark.wrong_type { background: var(--wrong_type); border-bottom-style: double; border-bottom-width: .25em }
mark.wrong_borders { background: var(--wrong_borders); border-bottom-style: dashed }
mark.missed { background: var(--missed); border-bottom-style: dotted }
mark.spurious { background: var(--spurious); outline: .1em solid }
mark.predicted { background: var(--predicted) }
@media print { nav { display: none } mark { print-color-adjust: exact } }
"""

_SCRIPT = """
const sections = [...document.querySelectorAll("section")];
const buttons = [...document.querySelectorAll("nav button")];
for (const button of buttons) {
  button.addEventListener("click", () => {
    const wanted = button.dataset.kind;
    for (const section of sections) {
      section.hidden = wanted !== "" && !section.dataset.kinds.split(" ").includes(wanted);
    }
    for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
  });
}
"""


def write_page(sentences: Sequence[Mapping[str, Any]], path: str | Path, *, title: str, limit: int = 500) -> Path:
    """Write the page.

    Args:
        sentences: What `finetuning.tagging.entities.page_sentences` returns: `id`, `text` and `marks`, each with its
            `kind`, and under `gold` and `predicted` None or (type, first character, the one behind the last).
        path: Where the file goes; its folder is created.
        title: The heading.
        limit: Most sentences that are shown. If there are more, those with errors come first; of those that are too
            many, as many are taken at equal distances. The counts are of all.

    Returns:
        The path.
    """
    chosen = _choose(sentences, limit)
    kinds = Counter(mark["kind"] for sentence in sentences for mark in sentence["marks"])
    labelled = "predicted" not in kinds
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        "script-src 'unsafe-inline'\">",
        f"<title>{_shown(title)}</title><style>{_STYLE}</style></head><body>",
        f'<h1 dir="auto">{_shown(title)}</h1>',
        f'<p class="summary">{_summary(sentences, chosen, labelled)}</p>',
        _legend(kinds, labelled),
        _buttons([sentences[number] for number in chosen]) if labelled else "",
        *(_section(sentences[number]) for number in chosen),
        f"<script>{_SCRIPT}</script></body></html>",
    ]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(part for part in parts if part) + "\n", encoding="utf-8")
    return path


def _choose(sentences: Sequence[Mapping[str, Any]], limit: int) -> list[int]:
    """Numbers of the sentences that are shown, in the order of the data."""
    wrong = [number for number, sentence in enumerate(sentences) if _errors(sentence)]
    right = [number for number, sentence in enumerate(sentences) if not _errors(sentence)]
    some = _spread(wrong, limit)
    return sorted([*some, *_spread(right, limit - len(some))])


def _errors(sentence: Mapping[str, Any]) -> bool:
    return any(mark["kind"] in _ERRORS for mark in sentence["marks"])


def _spread(numbers: Sequence[int], limit: int) -> list[int]:
    if len(numbers) <= limit:
        return list(numbers)
    return [numbers[place * len(numbers) // limit] for place in range(limit)]


def _summary(sentences: Sequence[Mapping[str, Any]], chosen: Sequence[int], labelled: bool) -> str:
    left_out = len(sentences) - len(chosen)
    if not labelled:
        return f"{len(sentences):,} sentences." + (f" {left_out:,} are left out." if left_out else "")
    wrong, shown = sum(map(_errors, sentences)), sum(_errors(sentences[number]) for number in chosen)
    text = f"{len(sentences):,} sentences, {wrong:,} of them with errors."
    if left_out:
        text += (
            f" Shown are {len(chosen):,}: {shown:,} with errors and {len(chosen) - shown:,} without. "
            f"Left out are {left_out:,}: {wrong - shown:,} with errors and {left_out - (wrong - shown):,} without."
        )
    return text


def _legend(kinds: Mapping[str, int], labelled: bool) -> str:
    shown = [kind for kind in _KINDS if (kind != "predicted") == labelled]
    items = (
        f'<li><mark class="{kind}">{kind.replace("_", " ")}<b>{_KINDS[kind][0]}</b></mark> '
        f"<strong>{kinds.get(kind, 0):,}</strong> {_KINDS[kind][1]}</li>"
        for kind in shown
    )
    return f"<ul>{''.join(items)}</ul>"


def _buttons(shown: Sequence[Mapping[str, Any]]) -> str:
    numbers = Counter(kind for sentence in shown for kind in _kinds(sentence))
    offered = [("", "all", len(shown)), ("error", "with errors", numbers["error"])]
    offered += [(kind, f"{_KINDS[kind][0]} {kind.replace('_', ' ')}", numbers[kind]) for kind in _ERRORS]
    buttons = (
        f'<button type="button" data-kind="{kind}" aria-pressed="{"false" if kind else "true"}">{name} ({number:,})'
        "</button>"
        for kind, name, number in offered
    )
    return f'<nav aria-label="sentences to show">{" ".join(buttons)}</nav>'


def _kinds(sentence: Mapping[str, Any]) -> list[str]:
    """What a sentence is found by."""
    kinds = {mark["kind"] for mark in sentence["marks"]}
    return sorted(kinds | ({"error"} if kinds.intersection(_ERRORS) else set()))


def _section(sentence: Mapping[str, Any]) -> str:
    heading = f"<h2><bdi>{_shown(str(sentence['id']))}</bdi></h2>"
    if _errors(sentence):
        sides = (("gold", "in the data"), ("predicted", "predicted"))
        content = heading + "".join(_row(f'<span class="side">{name}</span>', sentence, key) for key, name in sides)
    else:
        content = _row(heading, sentence, "predicted")
    return f'<section data-kinds="{" ".join(_kinds(sentence))}">{content}</section>'


def _row(side: str, sentence: Mapping[str, Any], key: str) -> str:
    """A text with the entities of one side; what they are not is left as it is."""
    text, done, parts = sentence["text"], 0, []
    marks = [mark for mark in sentence["marks"] if mark[key] is not None]
    for mark in sorted(marks, key=lambda mark: mark[key][1]):
        name, start, end = mark[key]
        sign, meaning = _KINDS[mark["kind"]]
        parts.append(_shown(text[done:start]))
        parts.append(
            f'<mark class="{mark["kind"]}" title="{_shown(meaning)}">{_shown(text[start:end])}'
            f'<b dir="auto">{_shown(name)} {sign}</b></mark>'
        )
        done = end
    parts.append(_shown(text[done:]))
    return f'<div class="row">{side}<p class="text" dir="auto">{"".join(parts)}</p></div>'


def _shown(text: str) -> str:
    """A text for HTML; what a page cannot hold as a sign for it."""
    return escape(_UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", text))
