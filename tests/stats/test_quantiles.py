"""Quantiles of histograms: exact where the binomial is, wide where users differ, and silent where nothing bounds them."""

import numpy as np
import pytest
from scipy import stats

from planner.stats import position, tail
from planner.stats.quantiles import limits


@pytest.mark.parametrize(("n", "q"), [(100, 0.5), (100, 0.95), (400, 0.05), (400, 0.95), (2000, 0.99)])
def test_limits_of_independent_observations_are_exact(n: int, q: float) -> None:
    """The chance that the share below the true quantile lies between the limits, by the binomial itself, is 95 % or a little more."""
    low, high = limits(q, q * (1 - q) / n, 1e9)
    share = np.arange(n + 1) / n
    inside = stats.binom.pmf(np.arange(n + 1), n, q)[(share >= low) & (share <= high)].sum()
    assert 0.95 <= inside <= 0.99


def test_too_few_to_bound() -> None:
    """A p99 of 300 observations, all of which lie below it with a chance of 5 %, has no limits; of 500 it has."""
    assert np.isnan(limits(0.99, 0.0099 / 300, 1e9)).all()
    assert np.isfinite(limits(0.99, 0.0099 / 500, 1e9)).all()


@pytest.mark.parametrize("q", [0.5, 0.9, 0.95])
def test_variance_is_that_of_the_share(q: float) -> None:
    """Independent observations have the binomial variance, whichever bin's edge it is read off; fifty each alike have 50 times as much."""
    rng = np.random.default_rng(4)
    x = rng.lognormal(0, 1, 20_000)
    bins = np.floor(10 * np.log10(x)).astype(int) + 40
    alone, together = np.zeros((256, 80)), np.zeros((256, 80))
    np.add.at(alone, (np.arange(20_000) % 256, bins), 1)
    np.add.at(together, (np.arange(20_000) % 250, bins[np.arange(20_000) % 250]), 1)
    assert float(tail(alone, q).share.variance) == pytest.approx(q * (1 - q) / 20_000, rel=0.25)
    assert float(tail(together, q).share.variance) == pytest.approx(q * (1 - q) / 250, rel=0.1)


def test_all_in_one_bin_counts_each_cluster_once() -> None:
    """Where the histogram shows no difference between buckets, the limits are those of as many observations as clusters."""
    counts = np.zeros((100, 8))
    counts[:, 3] = 7
    found = tail(counts, 0.95)
    assert (found.low, found.high) == pytest.approx(limits(0.95, 0.95 * 0.05 / 100, 99))


def test_few_clusters_have_no_limits() -> None:
    """Nine buckets say nothing of the error of a quantile."""
    assert np.isnan(tail(np.ones((9, 8)), 0.5).low)


def test_position_is_that_of_the_sorted_values() -> None:
    """The bin of a quantile is that of the smallest value with at least so much below or at it."""
    rng = np.random.default_rng(5)
    values = np.sort(rng.integers(0, 30, 501))
    for q in (0.01, 0.5, 0.95, 1.0):
        assert position(np.bincount(values, minlength=30), q) == values[int(np.ceil(q * 501)) - 1]


def test_quantiles_of_users_cover() -> None:
    """Over 600 logs of 300 users who differ in speed and by Zipf's law in volume, the interval of p95 holds the true one in 92 to 98 %."""
    rng = np.random.default_rng(6)
    truth, hits, given = stats.norm.ppf(0.95) * np.hypot(0.3, 0.8), 0, 0
    for _ in range(600):
        volume = rng.poisson(2_000 / np.arange(1, 301) ** 0.8 / 4)
        user = np.repeat(np.arange(300), volume)
        x = 0.3 * rng.normal(size=300)[user] + 0.8 * rng.normal(size=len(user))
        counts = np.zeros((256, 80))
        np.add.at(counts, (rng.integers(0, 256, 300)[user], np.clip(np.floor(x / 0.23) + 40, 0, 79).astype(int)), 1)
        found = tail(counts, 0.95)
        given += np.isfinite(found.low)
        hits += bool(np.isfinite(found.low) and np.quantile(x, found.low) <= truth <= np.quantile(x, found.high))
    assert given >= 590
    assert 0.92 <= hits / given <= 0.98
