"""The training curves of a run, as one picture.

It is drawn from the rows of the log alone (`logs`), so it can be drawn at any time, during a run or long after, and
without a display. Lines are the training text as the run went through it, points are evaluations on held-out text.
Grey lines are what a model that knows nothing would score: a curve says something only by its distance from them.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from electra_hf.bands import COIN_TOSS, binary_entropy, healthy_bands

# Three of the Okabe-Ito colours: they stay apart for readers with any of the common colour vision deficiencies.
COLOURS = BLUE, VERMILION, GREEN = "#0072B2", "#D55E00", "#009E73"
INK, GREY, GRID = "#333333", "#777777", "#E4E4E4"


@dataclass(frozen=True)
class Series:
    """The values of one metric in the order of their steps; rows without the metric, or not finite, are left out."""

    steps: list[float]
    values: list[float]

    @classmethod
    def of(cls, log_history: Sequence[dict[str, Any]], key: str) -> "Series":
        """Take the metric `key` out of the rows of a log.

        >>> Series.of([{"step": 2, "loss": 1.5}, {"step": 1, "loss": 2.0}, {"step": 3}], "loss")
        Series(steps=[1.0, 2.0], values=[2.0, 1.5])
        """
        points = sorted(
            (float(row["step"]), float(row[key])) for row in log_history if "step" in row and _is_finite(row.get(key))
        )
        return cls([step for step, _ in points], [value for _, value in points])


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


@dataclass(frozen=True)
class Panel:
    """One panel of the picture; drawn if the log holds one of its metrics.

    Attributes:
        title: Above it.
        metrics: {metric: label in the legend, "" for a panel with one line}.
        ceiling: `vocabulary`, `coin` or `half`: what a model that knows nothing would score; None draws no such line.
        ceiling_unless: Metric of runs for which that line would mean nothing.
        share: Metric that is the share of positives, for the loss of a model that knows only this one.
        limits: Lowest and highest value, None where the data decide.
    """

    title: str
    metrics: dict[str, str]
    ceiling: str | None = None
    ceiling_unless: str | None = None
    share: str | None = None
    limits: tuple[float | None, float | None] = (None, None)


_FRACTIONS = (-0.03, 1.03)
_PAIRS = (("nsp", "Next sentence or random one"), ("sop", "Order of two segments"))
PANELS = (
    Panel("Total loss", {"loss": ""}),
    Panel("Masked-token loss", {"mlm_loss": ""}, ceiling="vocabulary"),
    Panel("Generator: loss of what it predicts", {"generator_loss": ""}, ceiling="vocabulary"),
    # Where tokens can be copied, most of them are known from the start.
    Panel(
        "Main encoder: loss of the original tokens",
        {"main_mlm_loss": ""},
        ceiling="vocabulary",
        ceiling_unless="copy_probability",
    ),
    Panel("Discriminator: replaced-token loss", {"rtd_loss": ""}, ceiling="coin", share="replaced_fraction"),
    Panel("Discriminator: loss of noise or text", {"nce_loss": ""}),
    *(Panel(f"{name}: loss", {f"{kind}_loss": ""}, ceiling="coin") for kind, name in _PAIRS),
    Panel(
        "Discriminator: finding the swapped tokens",
        {"rtd_auc": "AUC", "rtd_precision": "precision", "rtd_recall": "recall"},
        limits=_FRACTIONS,
    ),
    Panel("Discriminator: telling noise from text", {"nce_auc": "AUC"}, limits=_FRACTIONS),
    Panel("Log-likelihood of a token, by its energy", {"log_likelihood": ""}),
    Panel("Accuracy at the masks", {"mlm_accuracy": ""}, limits=(0, None)),
    Panel(
        "Main encoder: restoring the text",
        {"main_mlm_accuracy": "accuracy at the masks", "all_tokens_accuracy": "accuracy everywhere"},
        limits=(0, None),
    ),
    Panel(
        "Main encoder: probability of copying",
        {"copy_probability": "all tokens", "replaced_copy_probability": "swapped tokens"},
        limits=(0, None),
    ),
    *(Panel(f"{name}: accuracy", {f"{kind}_accuracy": ""}, ceiling="half") for kind, name in _PAIRS),
    Panel(
        "Generator: how often it is right",
        {
            "generator_accuracy": "accuracy of its first guess",
            "replaced_fraction": "swapped share of all tokens",
        },
        limits=(0, None),
    ),
)
_COLUMNS = (3, 4)


def plot_training_curves(
    log_history: Sequence[dict[str, Any]], path: str | Path, *, title: str, vocab_size: int | None
) -> Path:
    """Draw a pre-training run into one PNG: the panels whose metrics its objective logs.

    Args:
        log_history: Rows as `logs.load_log_history` returns them.
        path: Where the picture goes; its folder is created.
        title: The line above the panels, usually the name of the run.
        vocab_size: Size of the vocabulary, for the loss of a model that guesses; None leaves that line out.

    Returns:
        The path of the picture.
    """
    logged = {key.removeprefix("eval_") for row in log_history for key, value in row.items() if _is_finite(value)}
    # The total loss is always there, and says so if it is missing.
    panels = [panel for panel in PANELS if panel is PANELS[0] or logged & panel.metrics.keys()]
    count = len(panels) + 1
    columns = min(_COLUMNS, key=lambda columns: -count % columns)  # with the fewest empty places
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(4.5 * columns, 3.6 * rows), layout="constrained")
    FigureCanvasAgg(figure)  # the figure's own canvas: no global state of pyplot, no display needed
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12, wspace=0.03, hspace=0.04)  # type: ignore[union-attr]
    figure.suptitle(title, x=0.012, ha="left", fontsize=15, fontweight="bold", color=INK)
    figure.text(
        0.988, 1 - 0.18 / (3.6 * rows), "line: training text     ○ held-out text",
        ha="right", va="top", fontsize=10.5, color=GREY,
    )  # fmt: skip
    places: list[Axes] = list(figure.subplots(rows, columns).flat)
    *places, last = places[:count]
    for unused in figure.axes[count:]:
        unused.remove()
    for axes, panel in zip(places, panels, strict=True):
        _draw_panel(axes, log_history, panel, vocab_size)
    _optimisation_panel(last, log_history)

    steps = [float(row["step"]) for row in log_history if _is_finite(row.get("step"))]
    for axes in figure.axes:
        if axes.has_data() and steps:
            axes.set_xlim(left=min(0, *steps) if max(steps) > 0 else -1, right=max(max(steps), 1) * 1.02)
    for axes in [*places, last][-columns:]:
        if axes.has_data():
            axes.set_xlabel("step", color=INK)

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, format="png")
    return path


def _draw_panel(axes: Axes, log_history: Sequence[dict[str, Any]], panel: Panel, vocab_size: int | None) -> None:
    """Draw the metrics as lines and their `eval_` twins as points, and what they are measured by."""
    axes.set_title(panel.title, loc="left", fontsize=11.5, color=INK)
    found = [
        _draw(axes, log_history, key, label, colour)
        for (key, label), colour in zip(panel.metrics.items(), COLOURS, strict=False)
    ]
    if not any(found):
        _say_missing(axes, panel.metrics)
        return
    _dress(axes)
    if sum(found) > 1:
        axes.legend(frameon=False, fontsize=9.5, loc="best", handlelength=1.4, labelcolor=INK)
    is_meaningless = panel.ceiling_unless and any(
        key in row for row in log_history for key in (panel.ceiling_unless, f"eval_{panel.ceiling_unless}")
    )
    words = {"vocabulary": f"ln V: any of {vocab_size or 0:,} tokens alike", "coin": "ln 2: a coin toss"}
    chance = healthy_bands(vocab_size=vocab_size)[next(iter(panel.metrics))].chance
    if panel.ceiling is not None and chance is not None and not is_meaningless:
        _reference(axes, chance, words.get(panel.ceiling, "a coin toss"))
    if panel.share is not None:
        _base_rate(axes, log_history, panel.share)
    low, high = panel.limits
    if low is not None or high is not None:
        axes.set_ylim(low, high)


def _draw(axes: Axes, log_history: Sequence[dict[str, Any]], key: str, label: str, colour: str) -> bool:
    training, held_out = Series.of(log_history, key), Series.of(log_history, f"eval_{key}")
    if training.steps:
        # A line through very few rows is short or invisible; dots show that there is something.
        marker = "." if len(training.steps) < 4 else ""
        axes.plot(training.steps, training.values, color=colour, linewidth=1.7, marker=marker, label=label)
    if held_out.steps:
        axes.plot(
            held_out.steps,
            held_out.values,
            linestyle="",
            marker="o",
            markersize=6,
            markerfacecolor="white",
            markeredgecolor=colour,
            markeredgewidth=1.6,
            label="" if training.steps else label,
            zorder=3,
        )
    return bool(training.steps or held_out.steps)


def _optimisation_panel(axes: Axes, log_history: Sequence[dict[str, Any]]) -> None:
    """The learning rate on the left scale; on the right one the gradient norm, or else the speed."""
    learning_rate = Series.of(log_history, "learning_rate")
    others = [("grad_norm", "gradient norm"), ("tokens_per_second", "tokens per second")]
    drawable = [(Series.of(log_history, key), label) for key, label in others]
    other, other_label = next(((series, label) for series, label in drawable if series.steps), (None, ""))
    scales: list[tuple[Series, str, str]] = []
    if learning_rate.steps:
        scales.append((learning_rate, "learning rate", BLUE))
    if other is not None:
        scales.append((other, other_label, VERMILION))

    names = " and ".join(label for _, label, _ in scales)
    axes.set_title(names[:1].upper() + names[1:] or "Learning rate", loc="left", fontsize=11.5, color=INK)
    if not scales:
        _say_missing(axes, ("learning_rate", "grad_norm", "tokens_per_second"))
        return
    for number, (series, label, colour) in enumerate(scales):
        scale = axes if number == 0 else axes.twinx()
        marker = "." if len(series.steps) < 4 else ""
        scale.plot(series.steps, series.values, color=colour, linewidth=1.7 - 0.5 * number, marker=marker)
        _dress(scale, grid=number == 0)
        scale.set_ylim(bottom=0)
        scale.set_ylabel(label, color=colour)
        scale.tick_params(axis="y", labelcolor=colour)
        if label == "learning rate":
            # Plain numbers: a common factor above the scale would push the title up and be overlooked.
            scale.yaxis.set_major_formatter("{x:g}")


def _reference(axes: Axes, value: float, text: str) -> None:
    """A thin labelled line at the score of a model that knows nothing."""
    axes.axhline(value, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    _note(axes, value, text)
    low, high = axes.get_ylim()
    axes.set_ylim(low, max(high, value + 0.1 * (value - low)))


def _note(axes: Axes, value: float, text: str, *, below: bool = False) -> None:
    """A small text at the right edge, just above or below the height `value`."""
    axes.annotate(
        text,
        (0.985, value),
        xycoords=("axes fraction", "data"),
        xytext=(0, -4 if below else 4),
        textcoords="offset points",
        ha="right",
        va="top" if below else "bottom",
        fontsize=9,
        color=GREY,
    )


def _base_rate(axes: Axes, log_history: Sequence[dict[str, Any]], share: str) -> None:
    """The loss of a discriminator that knows how many tokens are swapped, but not which: the one to get below."""
    shares = Series.of(log_history, share)
    if not shares.steps:
        shares = Series.of(log_history, f"eval_{share}")
    if len(shares.steps) < 2:
        return
    losses = [binary_entropy(share) for share in shares.values]
    axes.plot(shares.steps, losses, color=GREY, linewidth=1.3, linestyle=":", zorder=1)
    _note(axes, COIN_TOSS, "dotted: knowing only how many are swapped", below=True)


def _say_missing(axes: Axes, metrics: Iterable[str]) -> None:
    """A panel without data says so, and which keys it looked for."""
    axes.set_axis_off()
    text = "not logged in this run:\n" + "\n".join(metrics)
    axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=10, color=GREY, transform=axes.transAxes)


def _dress(axes: Axes, *, grid: bool = True) -> None:
    axes.spines[["top", "left", "right"]].set_visible(False)
    axes.spines["bottom"].set_color(GREY)
    if grid:
        axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelcolor=INK, labelsize=9.5)
    axes.tick_params(axis="x", length=3, color=GREY)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
