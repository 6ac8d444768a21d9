"""Summaries, paired tests and intervals equal scipy's, and the words about seeds are true."""

import itertools

import numpy as np
import pytest
import scipy.stats

from electra_hf.finetuning.metrics import METRICS
from electra_hf.finetuning.statistics import (
    bootstrap_interval,
    holm,
    paired_comparison,
    summarize,
    what_seeds_can_show,
)


def test_a_summary_equals_numpy_and_scipy():
    values = np.random.default_rng(0).normal(size=7)
    summary = summarize(values.tolist())
    interval = scipy.stats.t.interval(0.95, 6, loc=values.mean(), scale=scipy.stats.sem(values))
    assert summary.median == pytest.approx(sorted(values)[3])
    assert (summary.mean, summary.std) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert (summary.low, summary.high) == pytest.approx(interval)
    assert summary.best == max(values) and summary.values == tuple(values)


def test_the_best_loss_is_the_smallest():
    assert summarize([0.3, 0.2, 0.4], higher_is_better=False).best == 0.2


def test_one_value_has_no_spread():
    summary = summarize([0.5])
    assert (summary.median, summary.mean, summary.best) == (0.5, 0.5, 0.5)
    assert summary.std is summary.low is summary.high is None
    with pytest.raises(ValueError, match="no values"):
        summarize([])


@pytest.mark.parametrize("n", [2, 5, 8, 11])
def test_the_paired_tests_equal_scipys(n):
    generator = np.random.default_rng(n)
    a, b = generator.normal(size=n), generator.normal(loc=0.4, size=n)
    found = paired_comparison(a.tolist(), b.tolist())
    test = scipy.stats.ttest_rel(b, a)
    exact = scipy.stats.permutation_test(
        (b - a,), np.mean, permutation_type="samples", n_resamples=2**n, alternative="two-sided"
    )
    interval = test.confidence_interval(0.95)
    assert found.difference == pytest.approx(np.mean(b) - np.mean(a))
    assert found.p_t == pytest.approx(test.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p_exact == pytest.approx(exact.pvalue)
    assert found.exact and found.n == n


def test_the_exact_test_counts_ties():
    differences = [0.01, 0.01, -0.01, 0.02, 0.0]
    sums = [abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
            for signs in itertools.product((1, -1), repeat=5)]  # fmt: skip
    expected = sum(value >= 0.03 - 1e-12 for value in sums) / 32
    baseline = [0.9, 0.8, 0.85, 0.7, 0.6]
    model = [b + d for b, d in zip(baseline, differences, strict=True)]
    assert paired_comparison(baseline, model).p_exact == expected


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_no_exact_p_is_below_two_in_two_to_the_n(n):
    assert paired_comparison([0.0] * n, list(range(1, n + 1))).p_exact == 2 / 2**n


def test_many_pairs_are_sampled_and_agree_with_the_t_test():
    generator = np.random.default_rng(3)
    found = paired_comparison([0.0] * 40, generator.normal(loc=0.3, size=40).tolist())
    assert not found.exact
    assert found.p_t is not None and found.p_exact == pytest.approx(found.p_t, abs=0.01)


def test_equal_and_single_differences():
    same = paired_comparison([0.5, 0.6], [0.5, 0.6])
    assert (same.difference, same.p_t, same.p_exact) == (0.0, 1.0, 1.0)
    assert paired_comparison([0.8, 0.9], [0.81, 0.91]).p_t is None
    one = paired_comparison([0.5], [0.7])
    assert one.p_t is one.low is one.high is None and one.p_exact == 1.0
    with pytest.raises(ValueError, match="2 and 1 values"):
        paired_comparison([1, 2], [1])


def test_holm_equals_its_definition():
    # Sorted: 0.005 x 4, 0.01 x 3, 0.03 x 2, 0.04 x 1, and never less than the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_words_about_seeds_are_those_of_the_tests():
    assert "0.0625: only with 6 seeds or more" in what_seeds_can_show(5)
    assert "low enough" in what_seeds_can_show(6)
    assert "only with 7 seeds or more" in what_seeds_can_show(6, comparisons=3)
    assert 3 * 2 / 2**7 <= 0.05 < 3 * 2 / 2**6
    assert "may be chance" in what_seeds_can_show(1)


def plain_bootstrap(metric: str, predictions: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    generator = np.random.default_rng(1)
    drawn = [generator.integers(0, len(labels), len(labels)) for _ in range(300)]
    scores = [METRICS[metric](predictions[rows], labels[rows]) for rows in drawn]
    return float(np.quantile(scores, 0.025)), float(np.quantile(scores, 0.975))


@pytest.mark.parametrize(
    ("metric", "classes"), [("accuracy", 3), ("micro_f1", 2), ("f1", 2), ("macro_f1", 5), ("matthews_correlation", 3)]
)
def test_the_quick_bootstrap_agrees_with_drawing_rows(metric, classes):
    generator = np.random.default_rng(0)
    labels = generator.integers(0, classes, 300)
    predictions = np.where(generator.random(300) < 0.8, labels, generator.integers(0, classes, 300))
    found = bootstrap_interval(metric, predictions, labels)
    assert found == pytest.approx(plain_bootstrap(metric, predictions, labels), abs=0.02)
    assert found == bootstrap_interval(metric, predictions, labels)
    assert found[0] < METRICS[metric](predictions, labels) < found[1]


@pytest.mark.parametrize("metric", ["accuracy", "f1", "macro_f1", "matthews_correlation"])
def test_the_quick_bootstrap_of_one_repeated_example_is_its_score(metric):
    for label, prediction in ((1, 1), (1, 0), (0, 0)):
        labels, predictions = np.full(20, label), np.full(20, prediction)
        score = METRICS[metric](predictions, labels)
        assert bootstrap_interval(metric, predictions, labels, resamples=10) == (score, score)


def test_the_bootstrap_of_a_share_is_the_binomial_one():
    labels = np.ones(400, dtype=int)
    predictions = (np.arange(400) < 320).astype(int)
    low, high = bootstrap_interval("accuracy", predictions, labels, resamples=4000)
    assert (low, high) == pytest.approx(tuple(scipy.stats.binom.ppf([0.025, 0.975], 400, 0.8) / 400), abs=0.004)


def test_the_bootstrap_takes_scores_and_label_sets():
    generator = np.random.default_rng(0)
    scores = generator.uniform(0, 5, 200)
    low, high = bootstrap_interval("pearson", scores + generator.normal(size=200), scores, resamples=300)
    assert 0.6 < low < high < 0.95
    sets = generator.integers(0, 2, (200, 3))
    guessed = np.where(generator.random((200, 3)) < 0.9, sets, 1 - sets)
    low, high = bootstrap_interval("micro_f1", guessed, sets, resamples=300)
    assert low < METRICS["micro_f1"](guessed, sets) < high
