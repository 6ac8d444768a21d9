"""What a tagger takes for what, as one picture: a row for each type of the data, a column for each predicted one."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from electra_hf.sharing.curves import BLUE, GREY, GRID, INK, VERMILION
from electra_hf.sharing.fonts import can_draw, fonts, missing_glyphs_are_known
from electra_hf.sharing.score_pictures import shorten

logger = logging.getLogger(__name__)

_RIGHT = LinearSegmentedColormap.from_list("right", ["#FFFFFF", BLUE])
_WRONG = LinearSegmentedColormap.from_list("wrong", ["#FFFFFF", VERMILION])
_MOST_TYPES = 40
_LONGEST_NAME = 24  # characters
_EDGE = 0.25  # inches


def plot_confusion(confusion: Mapping[str, Any], path: str | Path, *, title: str) -> Path | None:
    """Draw which types are taken for which.

    A cell holds its count. Its colour is the share of its row: blue where the prediction is right, red where it is
    wrong. Of more than 40 types the commonest are drawn.

    Args:
        confusion: What `finetuning.tagging.entities.entity_confusion` or `tag_confusion` returns.
        path: Where the PNG goes; its folder is created.
        title: The line above.

    Returns:
        The path; None if there is nothing to count.
    """
    types, counts = list(confusion["types"]), np.asarray(confusion["counts"], dtype=np.int64)
    if not types or not counts.sum():
        return None
    of_entities = len(counts) > len(types)
    names = _names(types)
    kept = np.sort(
        np.argsort(-counts[: len(types)].sum(1) - counts[:, : len(types)].sum(0), kind="stable")[:_MOST_TYPES]
    )
    totals = counts.sum(1)
    others = np.arange(len(types), counts.shape[1])
    rows, columns = np.concatenate([kept, others[: len(counts) - len(types)]]), np.concatenate([kept, others])
    table = counts[np.ix_(rows, columns)]
    row_names = [*(names[number] for number in kept), *(["no entity"] if of_entities else [])]
    column_names = [*(names[number] for number in kept), *(["wrong borders", "missed"] if of_entities else [])]
    lines = _explanation(of_entities, len(types))
    figure, panel = _figure(row_names, column_names, int(table.max()), title, lines)
    _fill(panel, table, table / np.maximum(totals[rows], 1)[:, None])
    _label(panel, row_names, column_names, totals[rows].tolist(), len(kept))
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with missing_glyphs_are_known():
        figure.savefig(path, format="png")
    return path


def _names(types: Sequence[str]) -> list[str]:
    """Names of types as they can be drawn: numbers for those in a script that no font has."""
    strange = {name: f"type {number}" for number, name in enumerate(types, 1) if not can_draw(name)}
    if strange:
        logger.warning(
            "No installed font can draw the names of some types, which are numbered in the picture: %s. Install a "
            "font for their script, such as Noto Sans CJK, and run again",
            ", ".join(f"{short} is {name}" for name, short in strange.items()),
        )
    return [shorten(strange.get(name, name), _LONGEST_NAME) for name in types]


def _explanation(of_entities: bool, number: int) -> list[str]:
    what = "entities" if of_entities else "tags"
    lines = [f"Numbers of {what}, none in empty cells; colours are shares of a row: blue is right, red is wrong."]
    if of_entities:
        lines.append(
            "Another type: the borders are right. Wrong borders: the type is right, and the two overlap. "
            "Bottom row: predicted where there is none."
        )
    if number > _MOST_TYPES:
        lines.append(f"The {_MOST_TYPES} commonest of {number} are shown.")
    return lines


def _figure(
    rows: Sequence[str], columns: Sequence[str], largest: int, title: str, lines: Sequence[str]
) -> tuple[Figure, Axes]:
    """An empty grid with one unit for each cell, and room for the names around it."""
    cell = max(0.46, 0.115 * len(f"{largest:,}")) if len(rows) <= 30 else max(0.36, 0.085 * len(f"{largest:,}"))
    name = 0.1  # inches a character, generously
    left = max(_EDGE + 0.3 + name * max(map(_width, rows)), 2.1)
    right = 0.75 + 0.05 * _width(columns[-1])
    above = 0.72 * name * max(map(_width, columns)) + 0.45
    head = 0.62 + 0.22 * len(lines)
    width = max(left + cell * len(columns) + right, 9.2)
    height = head + above + cell * len(rows) + _EDGE
    figure = Figure(figsize=(width, height), facecolor="white", dpi=130)
    FigureCanvasAgg(figure)
    style: dict[str, Any] = {"color": INK, "family": fonts(), "va": "center", "parse_math": False}
    figure.text(_EDGE / width, 1 - 0.32 / height, shorten(title, 90), fontsize=14, fontweight="bold", **style)
    for number, line in enumerate(lines):
        figure.text(_EDGE / width, 1 - (0.62 + 0.22 * number) / height, line, fontsize=9.5, alpha=0.75, **style)
    box = (left / width, _EDGE / height, cell * len(columns) / width, cell * len(rows) / height)
    panel = figure.add_axes(box)
    panel.set_xlim(0, len(columns))
    panel.set_ylim(len(rows), 0)
    panel.set_axis_off()
    return figure, panel


def _width(text: str) -> int:
    """Characters, those of Chinese, Japanese and Korean twice."""
    return sum(2 if ord(character) >= 0x1100 else 1 for character in text)


def _fill(panel: Axes, counts: np.ndarray, shares: np.ndarray) -> None:
    """Colours and numbers of the cells; both arrays are (rows, columns)."""
    rows, columns = counts.shape
    right = np.eye(rows, columns, dtype=bool)
    # Not the last of the colours, on which the numbers would be hard to read.
    colours = np.where(right[:, :, None], _RIGHT(0.92 * shares), _WRONG(0.92 * shares))
    panel.imshow(colours, extent=(0, columns, rows, 0), aspect="auto", interpolation="nearest", zorder=0)
    panel.hlines(np.arange(rows + 1), 0, columns, color=GRID, linewidth=0.8)
    panel.vlines(np.arange(columns + 1), 0, rows, color=GRID, linewidth=0.8)
    for row, column in np.argwhere(counts > 0).tolist():
        panel.text(
            column + 0.5,
            row + 0.5,
            f"{counts[row, column]:,}",
            ha="center",
            va="center",
            fontsize=8.5,
            color="white" if shares[row, column] > 0.7 else INK,
            fontweight="bold" if row == column else "normal",
        )


def _label(panel: Axes, rows: Sequence[str], columns: Sequence[str], totals: Sequence[int], types: int) -> None:
    style: dict[str, Any] = {"color": INK, "family": fonts(), "parse_math": False, "fontsize": 10, "clip_on": False}
    grey = {**style, "color": GREY, "fontsize": 9}
    panel.text(-0.18, -0.2, "in the data ↓   predicted →", ha="right", va="bottom", **grey)
    panel.text(len(columns) + 0.2, -0.2, "all", ha="left", va="bottom", **grey)
    for number, name in enumerate(rows):
        weight: dict[str, Any] = {"style": "italic"} if number >= types else {}
        panel.text(-0.18, number + 0.5, name, ha="right", va="center", **style, **weight)
        panel.text(len(columns) + 0.2, number + 0.5, f"{totals[number]:,}", ha="left", va="center", **grey)
    for number, name in enumerate(columns):
        weight = {"style": "italic"} if number >= types else {}
        panel.text(
            number + 0.5, -0.15, name, ha="left", va="bottom", rotation=45, rotation_mode="anchor", **style, **weight
        )
    # What is of types is set apart from what is none.
    if types < len(columns):
        panel.plot([types, types], [0, len(rows)], color=INK, linewidth=1.2)
        panel.plot([0, len(columns)], [types, types], color=INK, linewidth=1.2)
