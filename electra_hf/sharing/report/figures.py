"""What there is to draw of some runs: the metrics that they logged, few enough points for a page, and their names.

Every metric has a figure of its own, with a line for each run where it was logged in training and points where it was
on held-out text. A metric without a name here is drawn under its key: nothing that was logged is left out but times
and counts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from electra_hf.sharing.report.runs import Run, is_finite
from electra_hf.sharing.tables import METRICS, Metric

# Of one line: enough for every pixel of a figure.
MOST_POINTS = 1_000
# Logged, but no figures: places in the run, clocks, and sums over the run.
_NOT_DRAWN = frozenset(
    ("step", "epoch", "total_flos", "remaining_seconds", "num_input_tokens_seen", "unigram_accuracy", "runtime")
)
_NOT_DRAWN_STARTS = ("train_", "samples_per_", "steps_per_")
_EVALUATION = "eval_"

_OTHERS = (
    Metric("loss", "total loss", ".3f", "what is minimised: the weighted sum of the losses below, in nats"),
    Metric("learning_rate", "learning rate", ".2e", "of the optimiser, after warm-up and decay"),
    Metric("grad_norm", "gradient norm", ".3g", "of all gradients together, before clipping"),
    Metric(
        "tokens_per_second", "tokens per second", ",.0f", "throughput: text that goes through the run on this machine"
    ),
    Metric("teraflops", "TFLOP per second", ".3g", "throughput: 10¹² operations per second, matrix products only"),
    Metric("skipped_steps", "skipped steps", ",.0f", "steps whose gradients were no numbers, since the last row"),
    Metric("replaced_copy_probability", "copy probability of swapped tokens", ".1%", "mean where copying is wrong"),
)
_NAMES = {metric.key: metric for metric in (*METRICS, *_OTHERS)}
_GROUPS = {
    "Losses": (
        "loss", "generator_loss", "rtd_loss", "mlm_loss", "main_mlm_loss", "nce_loss", "nsp_loss", "sop_loss",
    ),
    "Detection": ("rtd_auc", "rtd_precision", "rtd_recall", "nce_auc", "log_likelihood"),
    "Prediction": (
        "generator_accuracy", "replaced_fraction", "mlm_accuracy", "main_mlm_accuracy", "all_tokens_accuracy",
        "copy_probability", "replaced_copy_probability", "nsp_accuracy", "sop_accuracy",
    ),
    "Optimisation and speed": ("learning_rate", "grad_norm", "tokens_per_second", "teraflops", "skipped_steps"),
}  # fmt: skip
_UNNAMED = "Also logged"
GROUPS = (*_GROUPS, _UNNAMED)
# A norm that spans more than this is drawn on a logarithmic scale.
_WIDE = 30.0


@dataclass
class Line:
    """The values of one metric over the steps, in their order.

    Attributes:
        steps: Of the values.
        values: All finite.
        logged: Values in the log, before `downsample`.
        not_numbers: Values that were NaN or infinite (null in JSON), and so are not drawn.
    """

    steps: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    logged: int = 0
    not_numbers: int = 0


class Figure(NamedTuple):
    """What one figure shows.

    Attributes:
        key: The metric, without `eval_`.
        title: Its name for people.
        group: Heading above it.
        format: Of its values, as for `format`.
        meaning: One line on what it is; empty for an unknown metric.
        logarithmic: Whether its values span so much that only such a scale shows them.
    """

    key: str
    title: str
    group: str
    format: str
    meaning: str
    logarithmic: bool


def describe(key: str) -> Metric:
    """Name, format and meaning of a metric; for an unknown one its key.

    >>> describe("rtd_auc").name, describe("my_metric")
    ('detection AUC', Metric(key='my_metric', name='my_metric', format='.4g', meaning=''))
    """
    metric = _NAMES.get(key)
    return metric._replace(name=metric.name.strip()) if metric else Metric(key, key, ".4g", "")


def lines_of(rows: Sequence[dict[str, Any]]) -> dict[str, Line]:
    """All that can be drawn of a log, by key (`eval_` included), thinned to `MOST_POINTS` each.

    Args:
        rows: Of the log; those without a step are passed over, and values that are no numbers are counted.
    """
    lines: dict[str, Line] = {}
    for row in rows:
        step = row.get("step")
        if not is_finite(step):
            continue
        for key, value in row.items():
            name = key.removeprefix(_EVALUATION)
            if name in _NOT_DRAWN or name.startswith(_NOT_DRAWN_STARTS) or isinstance(value, bool):
                continue
            if value is not None and not isinstance(value, int | float):
                continue
            line = lines.setdefault(key, Line())
            line.logged += 1
            if value is not None and math.isfinite(value):
                line.steps.append(float(step))
                line.values.append(float(value))
            else:
                line.not_numbers += 1
    for line in lines.values():
        order = sorted(range(len(line.steps)), key=line.steps.__getitem__)
        kept = downsample([line.values[place] for place in order])
        line.steps, line.values = (
            [line.steps[order[place]] for place in kept],
            [line.values[order[place]] for place in kept],
        )
    return lines


def downsample(values: Sequence[float], most: int = MOST_POINTS) -> list[int]:
    """Places of at most `most` values that look like all of them: first and last, and the extremes of equal stretches.

    A mean would hide the jumps that a log is looked at for.

    >>> downsample([0, 0, 0, 9, 0, 0, 0, 0, -5, 0], most=6)
    [0, 1, 3, 5, 8, 9]
    """
    count = len(values)
    if count <= most:
        return list(range(count))
    stretches = (most - 2) // 2
    kept = {0, count - 1}
    for number in range(stretches):
        places = range(1 + number * (count - 2) // stretches, 1 + (number + 1) * (count - 2) // stretches)
        kept |= {min(places, key=values.__getitem__), max(places, key=values.__getitem__)}
    return sorted(kept)


def figures_of(lines: Sequence[dict[str, Line]]) -> list[Figure]:
    """The figures of some runs, by group: those of which at least one run has a value.

    Args:
        lines: Of each run, from `lines_of`.
    """
    drawn: dict[str, list[Line]] = {}
    for run in lines:
        for key, line in run.items():
            if line.values or line.not_numbers:
                drawn.setdefault(key.removeprefix(_EVALUATION), []).append(line)
    groups = {**_GROUPS, _UNNAMED: sorted(drawn.keys() - {key for keys in _GROUPS.values() for key in keys})}
    figures = []
    for group, keys in groups.items():
        for key in keys:
            if key in drawn:
                metric = describe(key)
                values = [value for line in drawn[key] for value in line.values]
                figures.append(
                    Figure(key, title_of(metric), group, metric.format, metric.meaning, _is_wide(key, values))
                )
    return figures


def title_of(metric: Metric) -> str:
    """The name of a metric as a heading; an unknown key stays as it is."""
    return metric.name[:1].upper() + metric.name[1:] if metric.meaning else metric.name


def short(value: float, format_spec: str) -> str:
    """A known value of a metric in as few digits as it has.

    >>> short(0.88, ".3f"), short(0.15, ".1%"), short(43.6683, ".3f"), short(1 / 8192, ".1%")
    ('0.88', '15%', '43.7', '0.0122%')
    """
    return f"{100 * value:.3g}%" if format_spec.endswith("%") else f"{value:.3g}"


def _is_wide(key: str, values: Sequence[float]) -> bool:
    return key == "grad_norm" and bool(values) and min(values) > 0 and max(values) > _WIDE * min(values)


def newest(run: Run, key: str) -> tuple[float | None, float | None]:
    """The newest value of a metric in training, and the newest on held-out text."""

    def last(name: str) -> float | None:
        values = (row[name] for row in reversed(run.rows) if is_finite(row.get(name)))
        logged = next(values, None)
        return run.results[name] if logged is None and is_finite(run.results.get(name)) else logged

    return last(key), last(f"{_EVALUATION}{key}")
