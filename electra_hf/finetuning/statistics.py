"""What a handful of seeds can say: one model's spread, two models' difference, and how sure that is.

The spread over seeds (head, order of the data, dropout) is what makes single runs misleading: ten fine-tunings of one
ELECTRA checkpoint had a standard deviation of 1.3 points of Matthews correlation on CoLA and 1.9 points of accuracy on
RTE (README of richarddwang/electra_pytorch, table 5). Intervals over seeds say where the mean of many runs of the same
recipe lies, on the same examples.
`bootstrap_interval` says the other thing: how much the score depends on which examples happen to be in the split.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from electra_hf.finetuning.metrics import METRICS

CONFIDENCE = 0.95
_EXACT_UP_TO = 20  # pairs; 2^19 sums of eight bytes
_SAMPLED_FLIPS = 100_000


@dataclass(frozen=True)
class Summary:
    """The values of one metric over seeds.

    Attributes:
        median: Median, the number that the ELECTRA paper reports.
        mean: Mean.
        std: Standard deviation with n - 1 in the denominator; None for one value.
        best: The largest value, or the smallest of a loss.
        low: Lower end of the 95 % t-interval of the mean; None for one value.
        high: Its upper end.
        values: All of them, in the order of the seeds.
    """

    median: float
    mean: float
    std: float | None
    best: float
    low: float | None
    high: float | None
    values: tuple[float, ...]


def summarize(values: Sequence[float], *, higher_is_better: bool = True) -> Summary:
    """Median, mean, spread and interval of some values; all NaN if one of them is.

    >>> summary = summarize([0.8, 0.9, 0.85])
    >>> round(summary.median, 4), round(summary.mean, 4), round(summary.std, 4), summary.best
    (0.85, 0.85, 0.05, 0.9)
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size:
        raise ValueError("no values to summarize")
    best = float(array.max() if higher_is_better else array.min())
    low, high = mean_interval(array)
    return Summary(
        median=float(np.median(array)),
        mean=float(array.mean()),
        std=float(array.std(ddof=1)) if len(array) > 1 else None,
        best=best,
        low=low,
        high=high,
        values=tuple(float(value) for value in array),
    )


def mean_interval(values: np.ndarray) -> tuple[float | None, float | None]:
    """95 % t-interval of the mean of `values` (n,); two None for one value."""
    count = len(values)
    if count < 2:
        return None, None
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1)) * float(values.std(ddof=1)) / math.sqrt(count)
    mean = float(values.mean())
    return mean - half, mean + half


@dataclass(frozen=True)
class Comparison:
    """A model against a baseline on the same seeds.

    Attributes:
        n: Number of pairs.
        difference: Mean of (model - baseline).
        low: Lower end of the 95 % t-interval of the difference; None for one pair.
        high: Its upper end.
        p_t: Two-sided p of the paired t-test; None where it is not defined: one pair, or equal differences besides 0.
        p_exact: Two-sided p of the sign-flip permutation test, which assumes nothing about the distribution: the share
            of the 2^n ways to swap the two models within pairs that give a difference at least as large. Never below
            2 / 2^n.
        exact: Whether all 2^n were looked at (up to 20 pairs) or 100,000 of them drawn.
    """

    n: int
    difference: float
    low: float | None
    high: float | None
    p_t: float | None
    p_exact: float
    exact: bool


def paired_comparison(baseline: Sequence[float], model: Sequence[float]) -> Comparison:
    """Compare two models whose values belong together in pairs: the same seed, so the same order of the same data.

    >>> paired_comparison([0.80, 0.81, 0.79], [0.82, 0.84, 0.83]).p_exact
    0.25
    """
    if len(baseline) != len(model) or not len(baseline):
        raise ValueError(f"{len(baseline)} and {len(model)} values do not make pairs")
    differences = np.asarray(model, dtype=np.float64) - np.asarray(baseline, dtype=np.float64)
    if not np.isfinite(differences).all():
        raise ValueError("values that are not finite cannot be compared")
    low, high = mean_interval(differences)
    return Comparison(
        n=len(differences),
        difference=float(differences.mean()),
        low=low,
        high=high,
        p_t=_paired_t(differences),
        p_exact=_sign_flip(differences),
        exact=len(differences) <= _EXACT_UP_TO,
    )


def _paired_t(differences: np.ndarray) -> float | None:
    if not differences.any():
        return 1.0
    # A spread of a few rounding errors is none: 0.91 - 0.90 differs from 0.81 - 0.80 in the last bit.
    if len(differences) < 2 or differences.std(ddof=1) <= 1e-12 * np.abs(differences).max():
        return None
    t = differences.mean() / (differences.std(ddof=1) / math.sqrt(len(differences)))
    return float(2 * stats.t.sf(abs(t), len(differences) - 1))


def _sign_flip(differences: np.ndarray) -> float:
    # Equal sums that were added up in another order differ in their last bits, and must count as equal.
    observed = abs(differences.sum()) - 1e-9 * np.abs(differences).sum()
    if len(differences) > _EXACT_UP_TO:
        signs = np.random.default_rng(0).integers(0, 2, size=(_SAMPLED_FLIPS, len(differences)), dtype=np.int8) * 2 - 1
        return (int((np.abs(signs @ differences) >= observed).sum()) + 1) / (_SAMPLED_FLIPS + 1)
    # Flipping every sign changes no absolute sum, so the first sign stays and half of the sums are enough.
    sums = differences[:1]
    for difference in differences[1:]:
        sums = np.concatenate([sums + difference, sums - difference])
    return float((np.abs(sums) >= observed).mean())


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction of p-values for having made that many comparisons.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def what_seeds_can_show(n: int, comparisons: int = 1) -> str:
    """In words, what `n` pairs can and cannot show when `comparisons` are corrected for together.

    >>> what_seeds_can_show(5).split(": ")[0]
    '5 seeds'
    """
    if n < 2:
        return (
            "1 seed: no spread, no interval and no test; the difference may be chance. Fine-tuning varies by 1 to 2 "
            "points between seeds on small tasks: use --num_seeds 5 or more"
        )
    # For more than 20 pairs flips are drawn, and the estimate cannot fall below one in that many.
    least = 2 / 2**n if n <= _EXACT_UP_TO else 1 / (_SAMPLED_FLIPS + 1)
    needed = math.ceil(math.log2(2 * comparisons / 0.05))
    spread = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) / math.sqrt(n)
    corrected = f", times {comparisons} for the comparisons" if comparisons > 1 else ""
    reach = (
        f"only with {needed} seeds or more can it fall below 0.05, so the t-test and the interval must do, which "
        "assume differences that are roughly normal"
        if least * comparisons > 0.05
        else "low enough to show a difference at the level 0.05"
    )
    return (
        f"{n} seeds: a difference must exceed {spread:.2f} standard deviations of the paired differences for its 95 % "
        f"interval to leave out zero. The exact test's least possible p is {least:.3g}{corrected}: {reach}. "
        "Seeds vary the fine-tuning only: not the pre-training, and not the choice of the examples"
    )


def bootstrap_interval(
    metric: str,
    predictions: np.ndarray,
    labels: np.ndarray,
    *,
    resamples: int = 1000,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of one run's score over the choice of its examples.

    Args:
        metric: A name in `metrics.METRICS`.
        predictions: As `metrics.decode` gives them, (examples,) or (examples, labels).
        labels: The label column, of the same shape.
        resamples: How many times as many examples are drawn with replacement.
        confidence: Share of the resampled scores that the interval holds.
        seed: The same seed gives the same interval.

    Returns:
        Lower and upper end.
    """
    predictions, labels = np.asarray(predictions), np.asarray(labels)
    generator = np.random.default_rng(seed)
    if labels.ndim == 1 and metric in _FROM_TABLES:
        scores = _resampled_from_tables(metric, predictions, labels, resamples, generator)
    else:
        drawn = (generator.integers(0, len(labels), size=len(labels)) for _ in range(resamples))
        scores = np.array([METRICS[metric](predictions[rows], labels[rows]) for rows in drawn])
    low, high = np.quantile(scores, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


# Functions of the examples of each class, the predictions of it and the right ones, each (resamples, classes).
_FROM_TABLES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "accuracy": lambda truths, guesses, hits: hits.sum(1) / truths.sum(1),
    "micro_f1": lambda truths, guesses, hits: hits.sum(1) / truths.sum(1),
    "f1": lambda truths, guesses, hits: _quotient(2 * hits, truths + guesses)[:, 1],
    # A class that a resample has no example and no prediction of is not there, and does not count in the mean.
    "macro_f1": lambda truths, guesses, hits: (
        _quotient(2 * hits, truths + guesses).sum(1) / (truths + guesses > 0).sum(1)
    ),
    "matthews_correlation": lambda truths, guesses, hits: _matthews(truths, guesses, hits),
}


def _quotient(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Zero where there is nothing to divide by."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def _matthews(truths: np.ndarray, guesses: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """Matthews correlation of several classes (Gorodkin 2004), (resamples,)."""
    total = truths.sum(1)
    covariance = hits.sum(1) * total - (truths * guesses).sum(1)
    variances = (total**2 - (truths**2).sum(1)) * (total**2 - (guesses**2).sum(1))
    return _quotient(covariance, np.sqrt(variances))


def _resampled_from_tables(
    metric: str, predictions: np.ndarray, labels: np.ndarray, resamples: int, generator: np.random.Generator
) -> np.ndarray:
    """Scores of resampled classes, (resamples,).

    Examples with the same label and the same prediction are alike, so drawing examples is drawing how many there are
    of each kind: a few cells of a table in place of all the rows.
    """
    count, classes = len(labels), int(max(labels.max(), predictions.max(), 1)) + 1
    cells, sizes = np.unique(np.stack([labels, predictions]), axis=1, return_counts=True)
    scores = []
    for start in range(0, resamples, 100):  # bounded memory with thousands of cells
        some = min(100, resamples - start)
        drawn = generator.multinomial(count, sizes / count, size=some).astype(np.float64)
        truths, guesses, hits = (np.zeros((some, classes)) for _ in range(3))
        np.add.at(truths.T, cells[0], drawn.T)
        np.add.at(guesses.T, cells[1], drawn.T)
        right = cells[0] == cells[1]
        hits[:, cells[0][right]] = drawn[:, right]
        scores.append(_FROM_TABLES[metric](truths, guesses, hits))
    return np.concatenate(scores)
