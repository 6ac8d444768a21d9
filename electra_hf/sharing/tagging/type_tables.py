"""How well each type of entity is found, over seeds: for the terminal, and as Markdown."""

import statistics
from collections.abc import Mapping, Sequence

from rich.markup import escape
from rich.table import Table

# Type to `precision`, `recall`, `f1` and `number` of the gold ones, a value for each seed.
TypeScores = Mapping[str, Mapping[str, Sequence[float]]]

_SCORES = ("precision", "recall", "f1")


def _columns(types: TypeScores) -> tuple[str, ...]:
    several = any(len(scores["f1"]) > 1 for scores in types.values())
    return ("type", "number", "precision", "recall", "F1", *(["F1, mean ± std"] if several else []))


def _rows(types: TypeScores) -> list[tuple[str, ...]]:
    """The commonest types first; medians over seeds, times 100."""
    rows = []
    order = sorted(types, key=lambda name: (-statistics.median(types[name]["number"]), name))
    for name in order:
        scores = types[name]
        medians = [f"{statistics.median(scores[score]) * 100:.2f}" for score in _SCORES]
        row = [name, f"{statistics.median(scores['number']):,.0f}", *medians]
        if len(_columns(types)) > len(row):
            row.append(_spread(scores["f1"]))
        rows.append(tuple(row))
    return rows


def _spread(values: Sequence[float]) -> str:
    mean = f"{statistics.fmean(values) * 100:.2f}"
    return f"{mean} ± {statistics.stdev(values) * 100:.2f}" if len(values) > 1 else mean


def _caption(types: TypeScores) -> str:
    if not types:
        return "no types: neither the data nor the predictions have any"
    seeds = max(len(scores["f1"]) for scores in types.values())
    medians = f"; medians of {seeds} seeds" if seeds > 1 else ""
    return f"number: those of the data{medians}"


def types_table(types: TypeScores, *, title: str = "Each type") -> Table:
    """The types as a table for the terminal, the commonest first.

    Args:
        types: Type to score (`precision`, `recall`, `f1`, all fractions, and `number`) to its values, one a seed.
        title: The line above.
    """
    table = Table(title=escape(title), title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in _columns(types):
        table.add_column(
            name,
            justify="left" if name == "type" else "right",
            style="bold" if name == "F1" else "",
            no_wrap=name != "type",
            overflow="fold",
        )
    for row in _rows(types):
        table.add_row(*map(escape, row))
    table.caption, table.caption_justify = _caption(types), "left"
    return table


def types_markdown(types: TypeScores) -> str:
    """The same as Markdown; empty without types.

    >>> print(types_markdown({"PER": {"precision": [0.5], "recall": [1.0], "f1": [2 / 3], "number": [3.0]}}))
    | type | number | precision | recall | F1 |
    | --- | ---: | ---: | ---: | ---: |
    | PER | 3 | 50.00 | 100.00 | 66.67 |
    <BLANKLINE>
    Number: those of the data.
    """
    if not types:
        return ""
    columns = _columns(types)
    rule = ["---" if name == "type" else "---:" for name in columns]
    cells = [[cell.replace("|", r"\|") for cell in row] for row in _rows(types)]
    lines = [f"| {' | '.join(row)} |" for row in [list(columns), rule, *cells]]
    caption = _caption(types)
    return "\n".join([*lines, "", f"{caption[:1].upper()}{caption[1:]}."])
