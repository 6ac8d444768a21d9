"""A hyper-parameter search for people: a table for the terminal, Markdown, CSV, and one picture.

The picture answers three questions: did the search still find better values at its end (score over trials), which
options matter (score against each of them), and how sure is that (every trial is a point, none is smoothed away).
"""

import csv
import io
import math
import statistics
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from rich.table import Table

from electra_hf.sharing.curves import BLUE, GREY, GRID, INK, VERMILION

TABLE_NAME, CSV_NAME, PLOT_NAME = "hpo_trials.md", "hpo_trials.csv", "hpo_trials.png"
_COLUMNS = 3


def write_search_report(
    folder: str | Path, trials: Sequence[Mapping[str, Any]], *, metric: str, direction: str, title: str = ""
) -> list[Path]:
    """Write `hpo_trials.md`, `hpo_trials.csv` and `hpo_trials.png`.

    Args:
        folder: An existing folder.
        trials: In their order: `number`, `state`, `score` (None without one), `seconds`, `values` (option to value)
            and `reason`, as `electra_hf.training.search.TrialRecord` holds them.
        metric: Name of the score.
        direction: `maximize` or `minimize`.
        title: The line above table and picture.

    Returns:
        The files.
    """
    folder = Path(folder)
    files = [folder / TABLE_NAME, folder / CSV_NAME, folder / PLOT_NAME]
    files[0].write_text(search_markdown(trials, metric=metric, direction=direction, title=title), encoding="utf-8")
    files[1].write_text(search_csv(trials, metric=metric), encoding="utf-8", newline="")
    plot_search(trials, files[2], metric=metric, direction=direction, title=title)
    return files


def search_csv(trials: Sequence[Mapping[str, Any]], *, metric: str) -> str:
    """Every trial with full precision, in the order of the trials."""
    names = _option_names(trials)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["trial", "state", metric, "seconds", *names, "reason"])
    for trial in trials:
        score = "" if trial["score"] is None else repr(trial["score"])
        values = [trial["values"].get(name, "") for name in names]
        writer.writerow(
            [trial["number"], trial["state"], score, f"{trial['seconds']:.1f}", *values, trial.get("reason", "")]
        )
    return file.getvalue()


def search_markdown(trials: Sequence[Mapping[str, Any]], *, metric: str, direction: str, title: str = "") -> str:
    """The trials as a Markdown table, the best one first.

    >>> trial = {"number": 0, "state": "complete", "score": 0.9, "seconds": 61, "values": {"learning_rate": 3e-4}}
    >>> print(search_markdown([trial], metric="accuracy", direction="maximize"))
    1 trial, 0.02 hours of training; accuracy on validation data, the best one first.
    <BLANKLINE>
    | trial | accuracy | learning_rate | seconds | |
    |---|---|---|---|---|
    | 0 | **0.9000** | 0.0003 | 61 |  |
    <BLANKLINE>
    """
    names = _option_names(trials)
    lines = [f"# {title}", ""] if title else []
    lines += [_summary(trials, metric) + "; " + f"{metric} on validation data, the best one first.", ""]
    lines += [
        "| " + " | ".join(["trial", metric, *names, "seconds", ""]).rstrip() + " |",
        "|" + "---|" * (len(names) + 4),
    ]
    for place, trial in enumerate(_ranked(trials, direction)):
        score = _score_text(trial)
        score = f"**{score}**" if place == 0 and trial["score"] is not None else score
        values = [_text(trial["values"][name]) if name in trial["values"] else "" for name in names]
        note = trial.get("reason", "").replace("|", "\\|").replace("\n", " ")
        lines.append("| " + " | ".join([str(trial["number"]), score, *values, f"{trial['seconds']:.0f}", note]) + " |")
    return "\n".join(lines) + "\n"


def search_table(
    trials: Sequence[Mapping[str, Any]], *, metric: str, direction: str, title: str = "", limit: int = 10
) -> Table:
    """The best trials as a table for the terminal.

    Args:
        trials: As in `write_search_report`.
        metric: Name of the score.
        direction: `maximize` or `minimize`.
        title: The line above the table.
        limit: At most so many rows.
    """
    names = _option_names(trials)
    table = Table(
        title=title or None, caption=_summary(trials, metric), title_justify="left", caption_justify="left", box=None
    )
    for name in ("trial", metric, *names, "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for place, trial in enumerate(_ranked(trials, direction)[:limit]):
        values = [_text(trial["values"][name]) if name in trial["values"] else "" for name in names]
        style = "bold" if place == 0 and trial["score"] is not None else None
        cells = [str(trial["number"]), _score_text(trial), *values, f"{trial['seconds']:.0f}"]
        table.add_row(*cells, trial.get("reason", ""), style=style)
    return table


def plot_search(
    trials: Sequence[Mapping[str, Any]], path: str | Path, *, metric: str, direction: str, title: str = ""
) -> Path:
    """Draw the score over the trials, and against each option.

    Args:
        trials: As in `write_search_report`.
        path: The PNG.
        metric: Name of the score.
        direction: `maximize` or `minimize`.
        title: The line above the picture.
    """
    names = _option_names(trials)
    panels = 1 + len(names)
    columns = min(_COLUMNS, panels)
    rows = math.ceil(panels / columns)
    figure = Figure(figsize=(4.6 * columns, 3.5 * rows + 0.7), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12, wspace=0.03, hspace=0.04)  # type: ignore[union-attr]
    figure.suptitle(title or "Hyper-parameter search", x=0.012, ha="left", fontsize=14, fontweight="bold", color=INK)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True).flatten()
    for unused in axes[panels:]:
        unused.set_axis_off()
    complete = [trial for trial in trials if trial["score"] is not None]
    if not complete:
        for panel in axes:
            panel.set_axis_off()
        axes[0].text(0.5, 0.5, "no trial has a score yet", ha="center", color=GREY, transform=axes[0].transAxes)
    else:
        best = _ranked(complete, direction)[0]
        _draw_course(axes[0], trials, best, metric, direction)
        for panel, name in zip(axes[1:], names, strict=False):
            _draw_option(panel, complete, best, name)
        for number, panel in enumerate(axes[:panels]):
            if number % columns == 0:
                panel.set_ylabel(metric, color=INK)
    path = Path(path)
    with warnings.catch_warnings():
        # A letter that matplotlib's font lacks is drawn as a box; the table has the name.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(path, dpi=120, format="png")
    return path


def _draw_course(
    axes: Axes, trials: Sequence[Mapping[str, Any]], best: Mapping[str, Any], metric: str, direction: str
) -> None:
    """Every score at its trial, and the best one so far as a line; trials without a score are marks on the axis."""
    positions = {trial["number"]: place for place, trial in enumerate(trials, 1)}
    points = [(positions[trial["number"]], trial["score"]) for trial in trials if trial["score"] is not None]
    better = max if direction == "maximize" else min
    line = [better(score for _, score in points[: count + 1]) for count in range(len(points))]
    places, scores = zip(*points, strict=True)
    axes.step(places, line, where="post", color=BLUE, linewidth=1.5, label="best so far", zorder=2)
    axes.scatter(places, scores, color="white", edgecolor=INK, linewidth=1.2, s=34, zorder=3, label="trial")
    axes.scatter([positions[best["number"]]], [best["score"]], color=VERMILION, s=52, zorder=4, label="best")
    failed = [positions[trial["number"]] for trial in trials if trial["state"] in ("failed", "pruned")]
    if failed:
        # At the edge, whatever the scores: they have none.
        edge = axes.get_xaxis_transform()
        axes.scatter(
            failed, [0.0] * len(failed), marker="x", color=GREY, s=34, transform=edge, clip_on=False, zorder=3
        )
        axes.scatter([], [], marker="x", color=GREY, s=34, label="failed or pruned")
    axes.set_title(f"{metric} over the trials", loc="left", fontsize=11.5, color=INK)
    axes.set_xlabel("trial", color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="best")
    _dress(axes)


def _draw_option(axes: Axes, trials: Sequence[Mapping[str, Any]], best: Mapping[str, Any], name: str) -> None:
    """Score against one option; words, and numbers of which there are few, stand at equal distances."""
    shown = [trial for trial in trials if name in trial["values"]]
    values = [trial["values"][name] for trial in shown]
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    levels = sorted(set(values)) if numeric else sorted(set(values), key=str)
    if numeric and len(levels) > 6:
        places = [float(value) for value in values]
        if min(places) > 0 and max(places) / min(places) >= 10:
            axes.set_xscale("log")
            axes.xaxis.set_minor_formatter(NullFormatter())
        else:
            axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    else:
        places = [float(levels.index(value)) for value in values]
        axes.set_xticks(range(len(levels)), [_text(level) for level in levels])
        axes.set_xlim(-0.6, len(levels) - 0.4)
        for place, level in enumerate(levels):
            scores = [trial["score"] for trial in shown if trial["values"][name] == level]
            axes.hlines(statistics.median(scores), place - 0.22, place + 0.22, color=BLUE, linewidth=1.8, zorder=2)
    axes.scatter(
        places, [trial["score"] for trial in shown], color="white", edgecolor=INK, linewidth=1.2, s=34, zorder=3
    )
    for place, trial in zip(places, shown, strict=True):
        if trial["number"] == best["number"]:
            axes.scatter([place], [trial["score"]], color=VERMILION, s=52, zorder=4)
    axes.set_title(name, loc="left", fontsize=11.5, color=INK)
    axes.set_xlabel(name if len(levels) > 6 else f"{name}  (bar: median)", color=INK)
    _dress(axes)


def _dress(axes: Axes) -> None:
    axes.spines[["top", "left", "right"]].set_visible(False)
    axes.spines["bottom"].set_color(GREY)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", length=0, labelcolor=INK, labelsize=9.5)


def _option_names(trials: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for trial in trials for name in trial["values"]))


def _ranked(trials: Sequence[Mapping[str, Any]], direction: str) -> list[Mapping[str, Any]]:
    """The best one first, those without a score last."""
    sign = -1 if direction == "maximize" else 1

    def key(trial: Mapping[str, Any]) -> tuple[bool, float, int]:
        return trial["score"] is None, sign * (trial["score"] or 0.0), trial["number"]

    return sorted(trials, key=key)


def _summary(trials: Sequence[Mapping[str, Any]], metric: str) -> str:
    hours = sum(trial["seconds"] for trial in trials) / 3600
    lost = {state: sum(trial["state"] == state for trial in trials) for state in ("failed", "pruned", "running")}
    parts = [f"{len(trials)} trial{'s' * (len(trials) != 1)}", *(f"{n} {state}" for state, n in lost.items() if n)]
    return f"{', '.join(parts)}, {hours:.2f} hours of training"


def _score_text(trial: Mapping[str, Any]) -> str:
    return trial["state"] if trial["score"] is None else f"{trial['score']:.4f}"


def _text(value: object) -> str:
    return "none" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
