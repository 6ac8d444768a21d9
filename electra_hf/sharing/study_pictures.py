"""The picture of a study: every seed of every model, for each task and for their average.

Each model has a row with its name, so that nothing depends on telling colours apart. Where the models differ in what
they have cost, a panel above shows the score against the FLOPs of pre-training; at equal FLOPs, all would stand in one
line there, and it is left out.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from electra_hf.sharing.curves import BLUE, GREY, GRID, INK
from electra_hf.sharing.score_pictures import (
    COLOURS,
    add_panel,
    draw_median_and_interval,
    draw_seeds,
    draw_text,
    save_figure,
    set_limits,
)
from electra_hf.sharing.scores import describe_metric, scale_of
from electra_hf.sharing.study_tables import format_flops

_LEFT, _PANEL, _GAP, _ROW = 2.9, 2.3, 0.35, 0.46  # inches
_PANELS_IN_A_LINE = 5
_ABOVE = 3.4  # height of the panel of FLOPs
_MARKERS = ("o", "s", "D", "^", "v", "P", "X")
# As a ratio: below, FLOPs differ by less than a step or two.
_SAME_FLOPS = 1.05


def plot_study(content: Mapping[str, Any], path: str | Path, *, title: str) -> Path | None:
    """Draw the scores of a study.

    Args:
        content: Of `study.json`.
        path: Where the PNG goes; its folder is created.
        title: The line above.

    Returns:
        The path; None without a single score.
    """
    models = content["models"]
    columns = [("average", [model["average"] for model in models])]
    columns += [(task, [model["tasks"][task] for model in models]) for task in content["tasks"]]
    columns = [(name, [_values(score) for score in scores], _metric(scores)) for name, scores in columns]
    columns = [column for column in columns if any(column[1])]
    if not columns:
        return None
    lines = [columns[start : start + _PANELS_IN_A_LINE] for start in range(0, len(columns), _PANELS_IN_A_LINE)]
    above = _ABOVE + 0.9 if _differ(models) else 0.0
    height = 0.95 + above + len(lines) * (_ROW * len(models) + 0.95)
    width = max(7.6, _LEFT + max(len(line) for line in lines) * (_PANEL + _GAP) + 0.2)
    figure = Figure(figsize=(width, height), facecolor="white", dpi=130)
    FigureCanvasAgg(figure)
    draw_text(figure, 0.2, height - 0.3, title, width - 0.4, fontsize=14, fontweight="bold")
    key = "● a seed    | median    ▬ 95 % interval of the mean over seeds    right: larger is better"
    draw_text(figure, 0.2, height - 0.57, key, width - 0.4, fontsize=9.5, alpha=0.7)
    top = height - 0.95
    if above:
        _draw_cost(figure, models, columns[0], top)
        top -= above
    for line in lines:
        _draw_names(figure, models, top - 0.45)
        for number, column in enumerate(line):
            _draw_column(figure, models, column, _LEFT + number * (_PANEL + _GAP), top - 0.45)
        top -= _ROW * len(models) + 0.95
    return save_figure(figure, path)


Column = tuple[str, Sequence[Mapping[str, Any] | None], str]


def _values(score: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return score if score and score.get("median") is not None else None


def _metric(scores: Sequence[Mapping[str, Any] | None]) -> str:
    return next((score["metric"] for score in scores if score and score.get("metric")), "eval_average")


def _differ(models: Sequence[Mapping[str, Any]]) -> bool:
    flops = [model["flops"] for model in models if model.get("flops")]
    return len(flops) > 1 and max(flops) > _SAME_FLOPS * min(flops)


def _scale(column: Column) -> tuple[float, int]:
    return scale_of(column[2], [value for score in column[1] if score for value in score["values"]])


def _draw_names(figure: Figure, models: Sequence[Mapping[str, Any]], top: float) -> None:
    for number, model in enumerate(models):
        middle = top - (number + 0.5) * _ROW
        draw_text(figure, 0.2, middle + 0.09, model["name"], _LEFT - 0.4, fontsize=11, fontweight="bold")
        cost = {0: "fresh weights", None: "not of this study"}.get(model["flops"]) or format_flops(model["flops"])
        if model.get("state", "done") != "done":
            cost = model["state"]
        draw_text(figure, 0.2, middle - 0.1, cost, _LEFT - 0.4, fontsize=9, alpha=0.7)


def _draw_column(figure: Figure, models: Sequence[Mapping[str, Any]], column: Column, left: float, top: float) -> None:
    name, scores, metric = column
    width, height = figure.get_size_inches()
    tall = _ROW * len(models)
    panel = add_panel(figure, (left / width, (top - tall) / height, _PANEL / width, tall / height))
    scale, decimals = _scale(column)
    found = [(number, score) for number, score in enumerate(scores) if score]
    values = {number: [value * scale for value in score["values"]] for number, score in found}
    intervals = {number: _interval(score, scale) for number, score in found}
    limits = set_limits(panel, [v for some in values.values() for v in some], list(intervals.values()), decimals)
    for number, score in found:
        place = len(models) - 1.0 - number
        colour = BLUE if models[number]["kind"] == "run" else GREY
        draw_seeds(panel, values[number], place, colour, jitter=0.0)
        median = score["median"] * scale
        draw_median_and_interval(panel, median, *intervals[number], place, colour, limits, below=0.24)
    panel.set_ylim(-0.5, len(models) - 0.5)
    draw_text(figure, left, top + 0.27, name, _PANEL, fontsize=11, fontweight="bold")
    what = "over the tasks" if metric == "eval_average" else describe_metric(metric)
    draw_text(figure, left, top + 0.09, what, _PANEL, fontsize=9, alpha=0.7)


def _interval(score: Mapping[str, Any], scale: float) -> tuple[float | None, float | None]:
    return (None, None) if score["low"] is None else (score["low"] * scale, score["high"] * scale)


def _draw_cost(figure: Figure, models: Sequence[Mapping[str, Any]], column: Column, top: float) -> None:
    """Score against FLOPs: a cloud of seeds for each model, joined with its name; others as lines across."""
    name, scores, metric = column
    width, height = figure.get_size_inches()
    left, right = 0.75, 2.3
    box = (left / width, (top - _ABOVE - 0.1) / height, (width - left - right) / width, (_ABOVE - 0.3) / height)
    panel = add_panel(figure, box)
    panel.spines["left"].set_visible(True)
    panel.spines["left"].set_color(GREY)
    panel.grid(axis="y", color=GRID, linewidth=0.8)
    panel.tick_params(axis="y", length=3, color=GREY, labelcolor=INK, labelsize=9)
    scale, decimals = _scale(column)
    labels: list[tuple[float, float | None, str]] = []
    for number, (model, score) in enumerate(zip(models, scores, strict=True)):
        if not score:
            continue
        median, flops = score["median"] * scale, model.get("flops")
        colour = COLOURS[number % len(COLOURS)] if flops else GREY
        if flops:
            style = {"s": 38, "color": colour, "alpha": 0.65, "edgecolors": "white", "linewidths": 0.8, "zorder": 3}
            seeds = [value * scale for value in score["values"]]
            panel.scatter([flops] * len(seeds), seeds, marker=_MARKERS[number % len(_MARKERS)], **style)
            panel.plot(flops, median, marker="_", markersize=15, markeredgewidth=2, color=INK, zorder=4)
        else:
            panel.axhline(median, color=GREY, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
        labels.append((median, flops, model["name"]))
    flops = [model["flops"] for model in models if model.get("flops")]
    if max(flops) > 3 * min(flops):
        panel.set_xscale("log")
    panel.margins(x=0.06, y=0.1)
    panel.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    panel.xaxis.set_major_formatter(lambda value, _: format_flops(value))
    panel.xaxis.set_minor_formatter(lambda value, _: "")
    what = "average over the tasks" if metric == "eval_average" else f"{name}, {describe_metric(metric)}"
    draw_text(
        figure, 0.2, top, f"{what}, against the FLOPs of pre-training", width - 0.4, fontsize=11, fontweight="bold"
    )
    _label(panel, labels)


def _label(panel: Axes, labels: Sequence[tuple[float, float | None, str]]) -> None:
    """Names on the right, in the order of the medians and far enough from each other, with a line to the cloud."""
    low, high = panel.get_ylim()
    shares = [(median - low) / (high - low) for median, *_ in labels]
    order = sorted(range(len(labels)), key=lambda number: shares[number])
    places = spread(sorted(shares), 0.075)
    for number, place in zip(order, places, strict=True):
        median, flops, name = labels[number]
        panel.annotate(
            name,
            xy=(flops, median) if flops else (1.0, shares[number]),
            xycoords="data" if flops else "axes fraction",
            xytext=(1.03, place),
            textcoords="axes fraction",
            va="center",
            fontsize=10,
            color=INK,
            fontweight="bold" if flops else "normal",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.6, "alpha": 0.7, "shrinkB": 6},
            parse_math=False,
        )


def spread(places: Sequence[float], distance: float) -> list[float]:
    """Ascending places moved apart until they are at least `distance` from each other, as little as groups allow.

    >>> [round(place, 2) for place in spread([0.1, 0.5, 0.5, 0.52], 0.1)]
    [0.1, 0.41, 0.51, 0.61]
    """
    groups: list[list[float]] = []
    for place in places:
        groups.append([place])
        while len(groups) > 1 and _edge(groups[-1], distance, -1) - _edge(groups[-2], distance, 1) < distance:
            groups[-2:] = [groups[-2] + groups[-1]]
    return [_edge(group, distance, -1) + number * distance for group in groups for number in range(len(group))]


def _edge(group: Sequence[float], distance: float, side: int) -> float:
    """Where the lowest (-1) or highest (1) of a group is that stands around its mean."""
    return sum(group) / len(group) + side * distance * (len(group) - 1) / 2
