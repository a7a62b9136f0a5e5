"""The jackknife against closed forms, and its refusals."""

import numpy as np
import pytest
from scipy import stats

from planner.stats import BUCKETS, buckets, effective_clusters, influence, jackknife


def test_mean_has_the_textbook_interval() -> None:
    """For a mean of buckets that all lie equally far from it, the jackknife-t interval is Student's own."""
    x = 5 + np.tile([-1.0, 1.0], 30)
    found = jackknife(np.column_stack([x, np.ones(60)]), lambda s: s[:, 0] / s[:, 1], np.ones(60))
    low, high = stats.t.interval(0.95, 59, x.mean(), x.std(ddof=1) / np.sqrt(60))
    np.testing.assert_allclose([found.value, found.low, found.high], [x.mean(), low, high], rtol=1e-12)


def test_degrees_of_freedom_are_those_of_the_variance() -> None:
    """Over 4,000 draws of 80 normal buckets, of which four are ten times as wide, 2 E[V]² / Var[V] is near the median of what is told."""
    rng = np.random.default_rng(9)
    scale = np.where(np.arange(80) < 4, 10.0, 1.0)
    found = [influence(np.column_stack([x, np.ones(80)]), mean, np.ones(80)) for x in scale * rng.normal(size=(4000, 80))]
    variance = np.array([float(f.variance) for f in found])
    assert np.median([float(f.freedom) for f in found]) == pytest.approx(2 * variance.mean() ** 2 / variance.var(), rel=0.35)
    even = influence(np.column_stack([rng.normal(size=80), np.ones(80)]), mean, np.ones(80))
    assert 40 < float(even.freedom) <= 79


def mean(s: np.ndarray) -> np.ndarray:
    """Return the weighted mean of each row of sums."""
    return s[:, 0] / s[:, 1]


def test_total_has_the_variance_of_a_sum() -> None:
    """An extensive statistic gets the standard error of a sum of independent buckets, √B · s."""
    x = np.random.default_rng(2).normal(10, 3, size=80)
    found = jackknife(x, lambda s: s, np.ones(80), extensive=True)
    np.testing.assert_allclose(found.se, np.sqrt(80) * x.std(ddof=1), rtol=1e-12)


def test_intervals_of_a_ratio_cover() -> None:
    """The 95 % interval of a ratio of sums over 256 uneven buckets covers the truth in 92–98 % of 1,000 draws."""
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(1000):
        n = rng.poisson(5, 256)
        y = rng.normal(0.3 * n, np.sqrt(np.maximum(n, 1e-9)) * 0.5)
        found = jackknife(np.column_stack([y, n]), lambda s: s[:, 0] / s[:, 1], n)
        hits += bool(found.low <= 0.3 <= found.high)
    assert 0.92 <= hits / 1000 <= 0.98


@pytest.mark.parametrize(("buckets", "given"), [(9, False), (12, True)])
def test_too_few_clusters_give_no_interval(buckets: int, given: bool) -> None:
    """Below ten effective clusters there is a value but no interval."""
    x = np.arange(float(buckets))
    found = jackknife(x, lambda s: s, np.ones(buckets), extensive=True)
    assert found.value == x.sum()
    assert bool(np.isfinite(found.low)) is given


def test_empty_buckets_do_not_count() -> None:
    """Empty buckets change neither the value nor the interval."""
    x = np.random.default_rng(4).normal(size=40)
    plain = jackknife(x, lambda s: s, np.ones(40), extensive=True)
    padded = jackknife(np.append(x, np.zeros(10)), lambda s: s, np.append(np.ones(40), np.zeros(10)), extensive=True)
    assert (plain.value, plain.low, plain.high) == (padded.value, padded.low, padded.high)


def test_effective_clusters_see_the_largest() -> None:
    """One user with half of all requests leaves fewer than four effective clusters."""
    assert effective_clusters(np.append(np.ones(100), 100)) < 4


def test_buckets_are_even_and_belong_to_names() -> None:
    """50,000 users spread over 256 buckets as chance would, and a user's bucket depends on nobody else."""
    names = [f"user {i}" for i in range(50_000)]
    found = buckets(names)
    assert stats.chisquare(np.bincount(found, minlength=BUCKETS)).pvalue > 1e-4
    assert (buckets(reversed(names)) == found[::-1]).all()
