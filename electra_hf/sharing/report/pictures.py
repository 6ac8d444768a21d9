"""The PNGs beside the page, for slides and papers: curves of one run or of several, and scores with their seeds."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Picture
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from electra_hf.sharing.curves import GREY, GRID, INK, plot_training_curves
from electra_hf.sharing.fonts import fonts, missing_glyphs_are_known
from electra_hf.sharing.report.content import DASHES, LIGHT, MARKERS
from electra_hf.sharing.report.figures import Figure, figures_of, lines_of
from electra_hf.sharing.report.runs import Run, positive
from electra_hf.sharing.score_pictures import plot_scores, save_figure

_COLUMNS = 3
# The names that plotly has for them, and those of matplotlib.
_DASHES = {
    "solid": "-",
    "dash": (0, (5, 3)),
    "dot": (0, (1, 2)),
    "dashdot": (0, (5, 2, 1, 2)),
    "longdash": (0, (9, 3)),
    "longdashdot": (0, (9, 3, 1, 3)),
}
_MARKERS = {"circle": "o", "square": "s", "diamond": "D", "triangle-up": "^", "cross": "P", "star": "*", "x": "X"}


def draw_pictures(runs: Sequence[Run], page: Path) -> list[Path]:
    """Draw what the page shows into PNGs beside it, named after it.

    Args:
        runs: Of the report.
        page: Path of the HTML; `report.html` gets `report-curves.png` and `report-scores.png`.

    Returns:
        The paths of those that were drawn.
    """
    paths = []
    logged = [run for run in runs if run.rows]
    curves = page.with_name(f"{page.stem}-curves.png")
    if len(logged) == 1:
        run = logged[0]
        vocab_size = positive(run.info.get("vocab_size")) or positive(run.config.get("vocab_size"))
        paths.append(plot_training_curves(run.rows, curves, title=run.name, vocab_size=vocab_size))
    elif logged:
        paths.append(plot_runs(logged, curves))
    # The scores of several models are told apart by names, in the place of the task's.
    scores = [
        content if len(runs) == 1 else {**content, "task_name": f"{run.name}: {content['task_name']}"}
        for run in runs
        for content in run.scores
    ]
    path = plot_scores(scores, page.with_name(f"{page.stem}-scores.png"), title="Scores after fine-tuning")
    return paths + ([path] if path else [])


def plot_runs(runs: Sequence[Run], path: Path) -> Path:
    """Draw runs over each other, one panel for each metric: training as lines, held-out text as points.

    Each run has a colour, a dash and a marker, as on the page.
    """
    lines = [lines_of(run.rows) for run in runs]
    figures = figures_of(lines)
    rows = max(1, math.ceil(len(figures) / _COLUMNS))
    legend = 0.26 * len(runs) + 0.2
    height = 2.9 * rows + legend
    picture = Picture(figsize=(4.5 * _COLUMNS, height), layout="constrained", facecolor="white", dpi=120)
    FigureCanvasAgg(picture)
    picture.get_layout_engine().set(w_pad=0.12, h_pad=0.12, rect=(0, 0, 1, 1 - legend / height))  # type: ignore[union-attr]
    places: list[Axes] = list(picture.subplots(rows, _COLUMNS, squeeze=False).flat)
    for axes, figure in zip(places, figures, strict=False):
        _dress(axes, figure)
        for place, (run, its) in enumerate(zip(runs, lines, strict=True)):
            _draw(axes, its, figure.key, place)
            band = run.bands.get(figure.key)
            if band is not None and band.chance is not None and axes.has_data():
                axes.axhline(band.chance, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    for unused in places[len(figures) :]:
        unused.remove()
    handles = [
        Line2D([], [], color=LIGHT[place % len(LIGHT)], linestyle=_dash(place), marker=_marker(place), markersize=6,
               markerfacecolor="white", label=run.name.replace("$", r"\$"))
        for place, run in enumerate(runs)
    ]  # fmt: skip
    key = picture.legend(handles=handles, loc="upper left", frameon=False, handlelength=4, labelcolor=INK)
    for text in key.get_texts():
        text.set_fontfamily(fonts())
    picture.text(
        0.985, 1 - 0.12 / height, "line: training text     points: held-out text     grey: knowing nothing",
        ha="right", va="top", fontsize=10, color=GREY,
    )  # fmt: skip
    with missing_glyphs_are_known():
        return save_figure(picture, path)


def _dash(place: int) -> Any:
    return _DASHES[DASHES[place % len(DASHES)]]


def _marker(place: int) -> str:
    return _MARKERS[MARKERS[place % len(MARKERS)]]


def _draw(axes: Axes, lines: dict, key: str, place: int) -> None:
    colour = LIGHT[place % len(LIGHT)]
    if key in lines:
        line = lines[key]
        marker = "." if len(line.steps) < 4 else ""
        axes.plot(line.steps, line.values, color=colour, linestyle=_dash(place), linewidth=1.6, marker=marker)
    if f"eval_{key}" in lines:
        line = lines[f"eval_{key}"]
        axes.plot(
            line.steps, line.values, linestyle="", marker=_marker(place), markersize=6, markerfacecolor="white",
            markeredgecolor=colour, markeredgewidth=1.5, zorder=3,
        )  # fmt: skip


def _dress(axes: Axes, figure: Figure) -> None:
    axes.set_title(figure.title, loc="left", fontsize=11, color=INK, parse_math=False)
    axes.spines[["top", "left", "right"]].set_visible(False)
    axes.spines["bottom"].set_color(GREY)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelcolor=INK, labelsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.set_xlabel("step", fontsize=9, color=INK)
    if figure.logarithmic:
        axes.set_yscale("log")
    elif figure.format.endswith("%"):
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    elif figure.format.endswith("e"):
        axes.yaxis.set_major_formatter("{x:g}")
