"""Totals of heavy clusters: the published limits, their symmetry, and that they cover where Student's do not."""

import numpy as np
import pytest
from scipy import stats

from planner.stats import jackknife
from planner.stats.totals import reach


def limit(mean: float, spread: float, p: float) -> float:
    """Return a quantile of the gamma distribution with this mean and variance, by scipy."""
    return float(stats.gamma.ppf(p, mean**2 / spread, scale=spread / mean))


def test_limits_are_fay_and_feuers() -> None:
    """Of positive parts the limits are the gamma quantiles of Fay & Feuer (1997), the upper one with one more of the heaviest."""
    x = np.append(np.zeros(190), [1.0, 2.0, 2.0, 3.0, 5.0, 7.0, 8.0, 8.0, 9.0, 12.0])
    variance = 200 / 199 * np.square(x - x.mean()).sum()
    below, above = reach(x, np.array(variance))
    total, heavy = x.sum(), x.max() - x.mean()
    assert total - below == pytest.approx(limit(total, variance, 0.025))
    assert total + above == pytest.approx(limit(total + heavy, variance + heavy**2, 0.975))


def test_a_missing_heaviest_is_allowed_for() -> None:
    """Where buckets follow Zipf's law, the one more that is allowed for is as heavy as the first rank, whether or not it was seen."""
    zipf = 1 / np.arange(1, 401.0)
    reached = [float(reach(x, np.array(1.0))[1]) for x in (zipf, zipf[1:])]
    assert reached[1] == pytest.approx(reached[0], rel=0.15)
    heavy = (1.0 - zipf.mean()) * 0.8
    assert zipf.sum() + reached[0] > limit(zipf.sum() + heavy, 1.0 + heavy**2, 0.975)


def test_losses_mirror_gains() -> None:
    """With all signs turned, what was above is below."""
    x = np.random.default_rng(2).normal(1, 2, (100, 3))
    variance = np.square(x - x.mean(axis=0)).sum(axis=0)
    (below, above), (other_below, other_above) = reach(x, variance), reach(-x, variance)
    np.testing.assert_allclose([below, above], [other_above, other_below])


def test_nothing_brought_is_nothing_missed() -> None:
    """Parts of zero have limits of zero."""
    below, above = reach(np.zeros((20, 1)), np.zeros(1))
    assert (below.tolist(), above.tolist()) == ([0.0], [0.0])


@pytest.mark.parametrize(("exponent", "most"), [(1.0, 0.90), (0.8, 0.925)])
def test_totals_of_zipf_users_cover(exponent: float, most: float) -> None:
    """Over 1,500 logs of about 400 users of a Zipf population the interval of the total covers, that of Student's t does not.

    Few of the users make most of the total; a log without them is short of both.
    """
    rng = np.random.default_rng(3)
    volume = np.arange(1, 401.0) ** -exponent
    truth, hits, plain = volume.sum(), 0, 0
    for _ in range(1500):
        user = volume[rng.integers(0, 400, rng.poisson(400))]
        user = user * rng.lognormal(-0.045, 0.3, len(user))
        bucket = np.bincount(rng.integers(0, 256, len(user)), user, 256)
        found = jackknife(bucket, lambda s: s, np.ones(256), extensive=True)
        symmetric = stats.t.ppf(0.975, 255) * found.se
        hits += bool(found.low <= truth <= found.high)
        plain += bool(abs(found.value - truth) <= symmetric)
    assert 0.925 <= hits / 1500 <= 0.98
    assert plain / 1500 < most
