"""Evidence at any time: equal to quadrature and to a grid, of mean one, and exceeded as rarely as it says, to the last digit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate
from scipy.special import betainc

from planner.router.guard_bounds import Count, evidence, evidence_above, excess, log_mixture, lower
from planner.router.guard_windows import spent


@st.composite
def counts(draw: st.DrawFn, most: int = 400) -> Count:
    """Draw hits among at least one."""
    n = draw(st.integers(1, most))
    return Count(n, draw(st.integers(0, n)))


def likelihood(count: Count, rate: float | np.ndarray) -> np.ndarray:
    """Return the log-likelihood by its definition."""
    with np.errstate(divide="ignore", invalid="ignore"):
        hit, miss = np.log(rate), np.log1p(-np.asarray(rate))
        return np.where(count.hits > 0, count.hits * hit, 0.0) + np.where(count.n > count.hits, (count.n - count.hits) * miss, 0.0)


@pytest.mark.parametrize("count", [Count(0, 0), Count(1, 0), Count(5, 5), Count(40, 3), Count(300, 290)])
def test_the_mixture_is_the_likelihood_averaged_over_rates(count: Count) -> None:
    """The closed form equals the integral over a Beta(1/2, 1/2), taken numerically over the arcsine of the rate."""

    def at(angle: float) -> float:
        rate = math.sin(angle) ** 2
        return rate**count.hits * (1 - rate) ** (count.n - count.hits) * 2 / math.pi

    found, error = integrate.quad(at, 0, math.pi / 2, epsabs=0, epsrel=1e-10, limit=500)
    assert error < 1e-6 * found
    assert log_mixture(count) == pytest.approx(math.log(found), abs=1e-6)


@given(counts(), counts(), st.floats(0, 0.3))
def test_evidence_is_the_least_over_all_pairs_of_rates(worse: Count, better: Count, margin: float) -> None:
    """No pair of rates that is no reason for an alarm, on a fine grid over all of them, explains the counts better than the one found."""
    rate = np.linspace(0, 1, 301)
    pairs = likelihood(worse, rate)[:, None] + likelihood(better, rate)[None, :]
    allowed = rate[:, None] <= rate[None, :] + margin
    least = log_mixture(worse) + log_mixture(better) - np.where(allowed, pairs, -np.inf).max()
    found = evidence(worse, better, margin)
    if worse.rate - better.rate <= margin:
        assert found == 0.0
        assert least < 1.0
    else:
        assert found <= least + 1e-9


@given(counts(), counts(), st.floats(0, 0.3))
def test_evidence_is_reached_at_some_pair_of_rates(worse: Count, better: Count, margin: float) -> None:
    """A grid of a million pairs on the border comes within a thousandth of what halving finds."""
    if worse.rate - better.rate > margin:
        rate = np.linspace(better.rate, worse.rate - margin, 100_001)
        least = log_mixture(worse) + log_mixture(better) - (likelihood(worse, rate + margin) + likelihood(better, rate)).max()
        assert evidence(worse, better, margin) == pytest.approx(float(least), abs=1e-3)


@given(st.integers(0, 60))
def test_the_e_value_has_mean_one(n: int) -> None:
    """Mixture over likelihood is a fair bet at any true rate, which cancels: the mixture sums to 1 over all orders of hits."""
    total = math.fsum(math.comb(n, h) * math.exp(log_mixture(Count(n, h))) for h in range(n + 1))
    assert total == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize(("rate", "alpha"), [(0.03, 0.05), (0.03, 0.001), (0.3, 0.05)])
def test_the_level_holds_exactly_over_all_looks(rate: float, alpha: float) -> None:
    """The exact probability, by recursion over all paths, that 2,000 looks ever show evidence above the true rate is α at most."""
    alive, stopped = np.array([1.0]), 0.0
    for n in range(1, 2_001):
        alive = np.append(alive * (1 - rate), 0.0) + np.append(0.0, alive * rate)
        first = next((h for h in range(int(n * rate), n + 1) if evidence_above(Count(n, h), rate) >= -math.log(alpha)), n + 1)
        stopped += float(alive[first:].sum())
        alive[first:] = 0.0
    assert 0.05 * alpha < stopped <= alpha


@pytest.mark.parametrize("margin", [0.0, 0.2])
def test_the_level_of_two_arms_holds_exactly_over_all_looks(margin: float) -> None:
    """By recursion over all paths of 2 × 60 answers with rates exactly the margin apart, evidence is ever shown with α at most."""
    p, q, alpha = 0.3 + margin, 0.3, 0.1
    alive, stopped = np.array([[1.0]]), 0.0
    for k in range(1, 121):
        rate, axis = (p, 0) if k % 2 else (q, 1)
        pad = [(0, 0), (0, 0)]
        pad[axis] = (0, 1)
        stay = np.pad(alive * (1 - rate), pad)
        pad[axis] = (1, 0)
        alive = stay + np.pad(alive * rate, pad)
        n = [alive.shape[0] - 1, alive.shape[1] - 1]
        for i, j in np.argwhere(alive > 0).tolist():
            if evidence(Count(n[0], i), Count(n[1], j), margin) >= -math.log(alpha):
                stopped += float(alive[i, j])
                alive[i, j] = 0.0
    assert 0 < stopped <= alpha


@given(counts(2_000), st.sampled_from([0.1, 0.001, 1e-6]))
def test_the_lower_bound_is_where_the_evidence_is_enough(count: Count, alpha: float) -> None:
    """Just below the bound there is evidence that the rate is above, just above it there is none; it is below the rate that was seen."""
    bound = lower(count, alpha)
    assert 0 <= bound <= count.rate
    if bound > 1e-9:
        assert evidence_above(count, bound) >= -math.log(alpha)
        assert evidence_above(count, bound * (1 + 1e-9) + 1e-12) <= -math.log(alpha) + 1e-6


@given(counts(2_000))
def test_the_lower_bound_is_below_that_of_a_single_look(count: Count) -> None:
    """A bound for all looks is never above Clopper and Pearson's for one."""
    single = 0.0
    if count.hits:
        low, high = 0.0, count.rate
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if betainc(count.hits, count.n - count.hits + 1, middle) < 0.01 else (low, middle)
        single = low
    assert lower(count, 0.01) <= single + 1e-9


@given(counts(1_000), counts(1_000), st.sampled_from([0.1, 0.001]))
def test_the_excess_is_the_greatest_margin_with_evidence(worse: Count, better: Count, alpha: float) -> None:
    """At the bound of the excess there is evidence, a little above there is none, and it is below the difference that was seen."""
    bound = excess(worse, better, alpha)
    assert 0 <= bound <= max(worse.rate - better.rate, 0.0)
    if bound > 1e-9:
        assert evidence(worse, better, bound) >= -math.log(alpha) - 1e-9
        assert evidence(worse, better, bound + 1e-6) < -math.log(alpha) + 1e-3


def test_what_cannot_be_is_infinite_evidence_and_nothing_is_none() -> None:
    """A hit where the rate is stated as 0 settles it; without answers of the better arm, or of any, nothing is shown."""
    assert evidence_above(Count(3, 1), 0.0) == math.inf
    assert evidence_above(Count(0, 0), 0.0) == 0.0
    assert evidence(Count(100, 100), Count(0, 0), 0.0) == 0.0
    assert (excess(Count(100, 100), Count(0, 0), 0.1), lower(Count(0, 0), 0.1)) == (0.0, 0.0)


def test_shares_of_the_error_sum_to_it() -> None:
    """However many tests there ever are, they spend no more than there is."""
    assert math.fsum(spent(k) for k in range(1, 100_001)) == pytest.approx(1 - 1 / 100_001, rel=1e-12)
