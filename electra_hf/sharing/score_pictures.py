"""Pictures of fine-tuning scores: every seed a point, because a bar of a mean hides what matters.

Each metric has a scale of its own: the spread over seeds is what there is to see, and it is small beside the distance
between tasks.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from electra_hf.sharing.curves import BLUE, GREEN, GREY, GRID, INK, VERMILION
from electra_hf.sharing.fonts import fonts, missing_glyphs_are_known
from electra_hf.sharing.scores import ScoreRow, describe_metric, format_p, letters_of, scale_of, score_rows

# The rest of the Okabe-Ito colours that are legible on white.
COLOURS = (BLUE, VERMILION, GREEN, "#CC79A7", "#E69F00", "#56B4E9")
_WIDTH, _LEFT, _RIGHT = 10.2, 2.3, 2.8  # inches: the picture, its names and its numbers


def plot_scores(results: Sequence[Mapping[str, Any]], path: str | Path, *, title: str) -> Path | None:
    """Draw the seeds of each task and metric.

    Args:
        results: Contents of `all_results.json`, one for each task.
        path: Where the PNG goes; its folder is created.
        title: The line above, usually the model.

    Returns:
        The path; None without a single number to draw.
    """
    rows = [row for row in score_rows(results) if row.values]
    if not rows:
        return None
    figure, axes = _figure([0.62] * len(rows), title, _key(rows))
    before = ""
    for row, panel in zip(rows, axes, strict=True):
        interval = (row.low, row.high) if row.low is not None else row.examples or (None, None)
        # The interval of two seeds may be endless, that of one seed over its examples never is.
        whole = [row.ensemble, *(row.examples or ())]
        limits = set_limits(
            panel, [*row.values, *(value for value in whole if value is not None)], [interval], row.decimals
        )
        draw_seeds(panel, row.values, 0.0, BLUE)
        draw_median_and_interval(panel, row.median if len(row.values) > 1 else None, *interval, 0.0, BLUE, limits)
        if row.ensemble is not None:
            panel.plot(row.ensemble, 0.0, marker="D", markersize=7, color="white", markeredgecolor=INK, zorder=5)
        panel.set_ylim(-1, 1)
        _names(panel, "" if row.task == before else row.task, row.metric)
        seeds = f"mean {row.spread}, {len(row.values)} seeds" if len(row.values) > 1 else "one seed"
        _numbers(panel, [row.number(row.median if row.median is not None else row.values[0]), seeds])
        before = row.task
    return save_figure(figure, path)


def _key(rows: Sequence[ScoreRow]) -> str:
    """What the signs mean, of those that are drawn."""
    signs = ["● a seed"]
    if any(len(row.values) > 1 for row in rows):
        signs += ["| median", "▬ 95 % interval of the mean"]
    if any(len(row.values) == 1 and row.examples is not None for row in rows):
        signs.append("▬ of one seed: 95 % interval over the choice of examples")
    if any(row.ensemble is not None for row in rows):
        signs.append("◇ ensemble of the seeds")
    return "    ".join(signs)


def plot_comparison(comparison: Mapping[str, Any], path: str | Path, *, title: str) -> Path:
    """Draw models side by side; a thin line joins the scores of one seed.

    Args:
        comparison: What `finetuning.comparison.compare_runs` returns.
        path: Where the PNG goes; its folder is created.
        title: The line above.

    Returns:
        The path.
    """
    models, rows = comparison["models"], comparison["rows"]
    count = len(models)
    letters = letters_of(count)
    colours = [COLOURS[number % len(COLOURS)] for number in range(count)]
    legend = [f"{letter}  {model['name']}" for letter, model in zip(letters, models, strict=True)]
    figure, axes = _figure(
        [0.26 + 0.34 * count] * len(rows),
        title,
        "● a seed    | median    ▬ 95 % interval of the mean    — the same seed    "
        "right: median, mean difference from A, p (paired t-test)",
        legend=list(zip(legend, colours, strict=True)),
    )
    before = ""
    for row, panel in zip(rows, axes, strict=True):
        scale, decimals = scale_of(row["metric"], [value for model in row["models"] for value in model["values"]])
        values = [[value * scale for value in model["values"]] for model in row["models"]]
        intervals = [_scaled(model, scale) for model in row["models"]]
        limits = set_limits(panel, [value for some in values for value in some], intervals, decimals)
        heights = [float(count - 1 - number) for number in range(count)]
        for pair in zip(*values, strict=True):
            panel.plot(pair, heights, color=GREY, linewidth=0.7, alpha=0.55, zorder=1)
        for number, height in enumerate(heights):
            draw_seeds(panel, values[number], height, colours[number], jitter=0.0)
            median = row["models"][number]["median"] * scale
            draw_median_and_interval(panel, median, *intervals[number], height, colours[number], limits, below=0.26)
            text = f"{letters[number]}  {median:.{decimals}f}"
            compared = row["comparisons"][number]
            if compared is not None:
                text += f"   {compared['difference'] * scale:+.{decimals}f}"
                if compared["p_t_holm"] is not None and compared["n"] > 1:
                    text += f"   p {format_p(compared['p_t_holm'])}"
            panel.annotate(
                text,
                (1.03, height),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=9.5,
                color=colours[number],
                annotation_clip=False,
            )
        panel.set_ylim(-0.6, count - 0.5)
        _names(panel, "" if row["task"] == before else row["task"], describe_metric(row["metric"]))
        before = row["task"]
    return save_figure(figure, path)


def _scaled(statistics: Mapping[str, Any], scale: float) -> tuple[float | None, float | None]:
    low, high = statistics["low"], statistics["high"]
    return (None, None) if low is None else (low * scale, high * scale)


def _figure(
    heights: Sequence[float], title: str, key: str, *, legend: Sequence[tuple[str, str]] = ()
) -> tuple[Figure, list[Axes]]:
    """A picture with one panel under the other, each `heights` inches high, and room for names and numbers."""
    gap, bottom, top = 0.42, 0.45, 0.85 + 0.24 * len(legend)
    total = sum(heights) + gap * (len(heights) - 1) + bottom + top
    figure = Figure(figsize=(_WIDTH, total), facecolor="white", dpi=130)
    FigureCanvasAgg(figure)
    line = 0.3
    draw_text(figure, 0.2, total - line, title, _WIDTH - 0.4, fontsize=14, fontweight="bold")
    draw_text(figure, 0.2, total - line - 0.27, key, _WIDTH - 0.4, fontsize=9.5, alpha=0.7)
    for number, (name, colour) in enumerate(legend):
        draw_text(
            figure,
            0.2,
            total - line - 0.55 - 0.24 * number,
            name,
            _WIDTH - 0.4,
            fontsize=10.5,
            color=colour,
            fontweight="bold",
        )
    panels, edge = [], total - top
    for height in heights:
        edge -= height
        box = (_LEFT / _WIDTH, edge / total, (_WIDTH - _LEFT - _RIGHT) / _WIDTH, height / total)
        panels.append(add_panel(figure, box))
        edge -= gap
    return figure, panels


def add_panel(figure: Figure, box: tuple[float, float, float, float]) -> Axes:
    """An empty panel of scores, larger ones to the right; `box` is as for `Figure.add_axes`."""
    panel = figure.add_axes(box)
    panel.spines[["top", "left", "right"]].set_visible(False)
    panel.spines["bottom"].set_color(GREY)
    panel.set_yticks([])
    panel.tick_params(axis="x", length=3, color=GREY, labelcolor=INK, labelsize=9)
    panel.grid(axis="x", color=GRID, linewidth=0.8)
    panel.set_axisbelow(True)
    return panel


def draw_text(
    figure: Figure, left: float, height: float, text: str, widest: float, *, color: str = INK, **style: Any
) -> None:
    """A text at a place in inches, shortened in its middle until it is at most `widest` inches wide."""
    width, total = figure.get_size_inches()
    drawn = figure.text(left / width, height / total, text, color=color, va="center", family=fonts(), **style)
    drawn.set_parse_math(False)
    longest = len(text)
    with missing_glyphs_are_known():
        while longest > 8 and (wide := drawn.get_window_extent().width / figure.dpi) > widest:
            longest = min(longest - 1, int(longest * widest / wide) + 1)
            drawn.set_text(shorten(text, longest))


def shorten(text: str, longest: int) -> str:
    """Cut the middle out of a text: names of models differ at their ends.

    >>> shorten("outputs/electra-small-korean-1000", 21)
    'outputs/el…orean-1000'
    """
    if len(text) <= longest:
        return text
    head = longest // 2
    return f"{text[:head]}…{text[len(text) - (longest - head - 1) :]}"


def set_limits(
    panel: Axes, values: Sequence[float], intervals: Sequence[tuple[float | None, float | None]], decimals: int
) -> tuple[float, float]:
    """Set the scale: all values are on it, and an interval as far as it does not squeeze them."""
    low, high = min(values), max(values)
    span = max(high - low, 10.0 ** (2 - decimals))
    for start, end in intervals:
        if start is not None and end is not None:
            low, high = min(low, max(start, min(values) - span)), max(high, min(end, max(values) + span))
    middle, half = (low + high) / 2, max(high - low, span) / 2 * 1.12
    panel.set_xlim(middle - half, middle + half)
    panel.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    panel.ticklabel_format(axis="x", useOffset=False, style="plain")
    return middle - half, middle + half


def draw_seeds(panel: Axes, values: Sequence[float], height: float, colour: str, *, jitter: float = 0.3) -> None:
    """Points; those that would lie on each other are moved up and down in turn, the same way each time."""
    order = sorted(range(len(values)), key=lambda place: values[place])
    steps = (0.0, 1.0, -1.0)
    heights = [0.0] * len(values)
    for place, number in enumerate(order):
        heights[number] = height + (jitter * steps[place % 3] if len(values) > 2 else 0.0)
    panel.scatter(values, heights, s=34, color=colour, alpha=0.65, edgecolors="white", linewidths=0.8, zorder=3)


def draw_median_and_interval(
    panel: Axes,
    median: float | None,
    low: float | None,
    high: float | None,
    height: float,
    colour: str,
    limits: tuple[float, float],
    *,
    below: float = 0.78,
) -> None:
    if low is not None and high is not None:
        line = height - below
        panel.plot(
            [max(low, limits[0]), min(high, limits[1])],
            [line, line],
            color=colour,
            linewidth=3,
            alpha=0.45,
            solid_capstyle="butt",
            zorder=2,
        )
        # An interval that goes on past the edge ends in an arrow head.
        for end, edge, marker in ((low, limits[0], "<"), (high, limits[1], ">")):
            if (end < edge) if marker == "<" else (end > edge):
                panel.plot(edge, line, marker=marker, color=colour, markersize=6, clip_on=False, zorder=4)
    if median is not None:
        half = 0.55 if below > 0.5 else 0.3
        panel.plot([median, median], [height - half, height + half], color=INK, linewidth=1.8, zorder=2)


def _names(panel: Axes, task: str, metric: str) -> None:
    """Task and metric on the left, at the same distance from the top of every panel."""
    figure = panel.get_figure(root=True)
    assert figure is not None
    top = panel.get_position().y1 * figure.get_size_inches()[1]
    widest = _LEFT - 0.35
    if task:
        draw_text(figure, 0.2, top - 0.16, task, widest, fontsize=11, fontweight="bold")
    draw_text(figure, 0.2, top - (0.44 if task else 0.3), metric, widest, fontsize=9.5)


def _numbers(panel: Axes, lines: Sequence[str]) -> None:
    for line, (height, size, weight) in zip(lines, ((0.72, 11, "bold"), (0.28, 9.5, "normal")), strict=True):
        panel.text(
            1.03, height, line, transform=panel.transAxes, fontsize=size, fontweight=weight, color=INK, va="center"
        )


def save_figure(figure: Figure, path: str | Path) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with missing_glyphs_are_known():
        figure.savefig(path, format="png")
    return path
