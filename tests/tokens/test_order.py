"""A permutation that is never built: that it is one, and that it looks like a shuffle."""

from collections import Counter
from math import factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from electra_hf.tokens.order import permuted


@given(size=st.integers(1, 3000), seed=st.integers(-(2**63), 2**64), epoch=st.integers(0, 2**40))
def test_every_number_comes_once(size, seed, epoch):
    order = permuted(np.arange(size), size, seed, epoch)
    assert order.dtype == np.int64
    assert np.array_equal(np.sort(order), np.arange(size))


def test_any_part_is_that_of_the_whole():
    whole = permuted(np.arange(1000), 1000, seed=3, epoch=2)
    assert np.array_equal(permuted(np.array([999, 0, 17]), 1000, seed=3, epoch=2), whole[[999, 0, 17]])


def test_huge_orders_cost_nothing():
    size = 10**12
    places = permuted(np.arange(size - 10_000, size), size, seed=0, epoch=0)
    assert len(np.unique(places)) == 10_000 and places.min() >= 0 and places.max() < size
    assert stats.kstest(places / size, "uniform").pvalue > 1e-3


def test_seeds_and_epochs_are_unrelated():
    size = 10_000
    orders = [permuted(np.arange(size), size, seed, epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1))]
    for first in range(4):
        for second in range(first):
            # Of two random permutations, about one place in all agrees.
            assert (orders[first] == orders[second]).sum() < 10
            assert abs(stats.spearmanr(orders[first], orders[second]).statistic) < 0.05


def test_neighbours_are_unrelated():
    size = 200_000
    order = permuted(np.arange(size), size, seed=5, epoch=0)
    assert abs(stats.spearmanr(order[:-1], order[1:]).statistic) < 0.01
    assert stats.chisquare(np.histogram((order[1:] - order[:-1]) % size, bins=100)[0]).pvalue > 1e-3
    assert stats.chisquare(np.histogram(order[:10_000], bins=100, range=(0, size))[0]).pvalue > 1e-3


@pytest.mark.parametrize("size", [2, 3, 4])
def test_all_orders_of_a_few_are_equally_likely(size):
    seen = Counter(tuple(permuted(np.arange(size), size, seed, epoch=0).tolist()) for seed in range(4000))
    assert len(seen) == factorial(size)
    assert stats.chisquare(list(seen.values())).pvalue > 1e-3


def test_pairs_are_equally_likely():
    size = 10
    first_two = np.array([permuted(np.arange(2), size, seed, epoch=3) for seed in range(9000)])
    counts = np.bincount(first_two[:, 0] * size + first_two[:, 1], minlength=size * size)
    assert stats.chisquare(counts[counts > 0]).pvalue > 1e-3
    assert (counts > 0).sum() == size * (size - 1)
