"""Evidence at any time: equal to quadrature and to a grid, of mean one, and exceeded as rarely as it says, to the last digit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate
from scipy.special import betaln

from planner.router.guard_bounds import Count, evidence, evidence_above, excess, log_mixture
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


def against(count: Count, rate: np.ndarray, a: np.ndarray | float, b: np.ndarray | float) -> np.ndarray:
    """Return log e against rates by definition: Jeffreys' average and that of Beta(a, b), half and half, over the likelihood."""
    any_rate, near = (betaln(count.hits + x, count.n - count.hits + y) - betaln(x, y) for x, y in ((0.5, 0.5), (a, b)))
    return np.asarray(np.logaddexp(any_rate, near) - math.log(2) - likelihood(count, rate))


def pairs(worse: Count, better: Count, rate: np.ndarray, held: float | None) -> np.ndarray:
    """Return log e against each pair of rates, (rates of worse, rates of better)."""
    own = against(worse, rate, 1_000 * rate, 1_000 * (1 - rate))
    other = against(better, rate, 0.5, 0.5) if held is None else against(better, rate, 100 * held + 0.5, 100.5 - 100 * held)
    return np.asarray(own[:, None] + other[None, :])


HELD = st.one_of(st.none(), st.floats(0, 1))


@given(counts(), counts(), st.floats(0, 0.3), HELD, st.floats(0, 1), st.floats(0, 1))
def test_no_pair_of_rates_explains_more_than_the_one_found(
    worse: Count, better: Count, margin: float, held: float | None, low: float, high: float
) -> None:
    """On a fine grid over all pairs that are no reason for an alarm, closer ones too, none has less evidence against it."""
    rate = np.linspace(0.0005, 0.9995, 301)
    allowed = rate[:, None] <= rate[None, :] + margin
    everywhere = evidence(worse, better, margin, held)
    if everywhere > 0:
        assert everywhere <= np.where(allowed, pairs(worse, better, rate, held), np.inf).min() + 1e-9
    low, high = min(low, high), max(low, high)
    within = allowed & (rate[None, :] >= low) & (rate[None, :] <= high)
    outside = min(evidence(worse, better, margin, held, (0, low)), evidence(worse, better, margin, held, (high, 1)))
    found = evidence(worse, better, margin, held, (low, high))
    if min(found, outside) > 0:
        assert min(found, outside) <= np.where(within, pairs(worse, better, rate, held), np.inf).min() + 1e-9
    if worse.rate - better.rate <= margin:
        assert found == everywhere == 0.0


@given(counts(), counts(), st.floats(0, 0.3), HELD)
def test_evidence_is_reached_at_some_pair_of_rates(worse: Count, better: Count, margin: float, held: float | None) -> None:
    """A grid of a hundred thousand pairs on the border comes within a hundredth of what is found, and never below it."""
    if worse.rate - better.rate > margin:
        rate = np.linspace(1e-6, 1 - margin - 1e-6, 100_001)
        other = against(better, rate, 0.5, 0.5) if held is None else against(better, rate, 100 * held + 0.5, 100.5 - 100 * held)
        least = float((against(worse, rate + margin, 1_000 * (rate + margin), 1_000 * (1 - rate - margin)) + other).min())
        assert evidence(worse, better, margin, held) == pytest.approx(max(least, 0.0), abs=1e-2)


@given(counts(5_000), st.floats(0.01, 0.99), st.floats(0.01, 0.99), HELD)
def test_evidence_against_a_rate_is_convex_in_it(count: Count, low: float, high: float, held: float | None) -> None:
    """Half way between two rates there is no more evidence than half way between theirs: what golden section needs."""
    rate = np.array([low, (low + high) / 2, high])
    other = against(count, rate, 0.5, 0.5) if held is None else against(count, rate, 100 * held + 0.5, 100.5 - 100 * held)
    for at in (against(count, rate, 1_000 * rate, 1_000 * (1 - rate)), other):
        assert at[1] <= (at[0] + at[2]) / 2 + 1e-7


@given(st.integers(0, 60), st.floats(0.01, 200), st.floats(0.01, 200))
def test_the_e_value_has_mean_one(n: int, a: float, b: float) -> None:
    """Mixture over likelihood is a fair bet at any true rate, which cancels: any mixture sums to 1 over all orders of hits."""
    total = math.fsum(math.comb(n, h) * math.exp(log_mixture(Count(n, h), a, b)) for h in range(n + 1))
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


@pytest.mark.parametrize(("margin", "held", "gap"), [(0.0, None, 0.0), (0.2, 0.3, 0.0), (0.0, 0.05, 0.0), (0.2, 0.9, 0.05)])
def test_the_level_of_two_arms_holds_exactly_over_all_looks(margin: float, held: float | None, gap: float) -> None:
    """By recursion over all paths of 2 × 40 answers: rates within the margin show evidence with α at most, whatever was held."""
    p, q, alpha = 0.3 + margin - gap, 0.3, 0.1
    alive, stopped = np.array([[1.0]]), 0.0
    for k in range(1, 81):
        rate, axis = (p, 0) if k % 2 else (q, 1)
        pad = [(0, 0), (0, 0)]
        pad[axis] = (0, 1)
        stay = np.pad(alive * (1 - rate), pad)
        pad[axis] = (1, 0)
        alive = stay + np.pad(alive * rate, pad)
        n = [alive.shape[0] - 1, alive.shape[1] - 1]
        for i, j in np.argwhere(alive > 1e-12).tolist():
            if i / max(n[0], 1) - j / max(n[1], 1) > margin and evidence(Count(n[0], i), Count(n[1], j), margin, held) >= -math.log(alpha):
                stopped += float(alive[i, j])
                alive[i, j] = 0.0
    assert 0 < stopped <= alpha


@given(counts(1_000), counts(1_000), st.sampled_from([0.1, 0.001]), HELD)
def test_the_excess_is_the_greatest_margin_with_evidence(worse: Count, better: Count, alpha: float, held: float | None) -> None:
    """At the bound of the excess there is evidence, a little above there is none, and it is below the difference that was seen."""
    bound = excess(worse.rate - better.rate, lambda margin: evidence(worse, better, margin, held) >= -math.log(alpha))
    assert 0 <= bound <= max(worse.rate - better.rate, 0.0)
    if bound > 1e-9:
        assert evidence(worse, better, bound, held) >= -math.log(alpha) - 1e-9
        assert evidence(worse, better, bound + 1e-6, held) < -math.log(alpha) + 1e-2


def test_what_cannot_be_is_no_error_and_nothing_is_no_evidence() -> None:
    """Rates of 0 and 1 are held and met without an error; without answers of the better arm, or of any, nothing is shown."""
    assert evidence_above(Count(30, 3), 0.0) > 50
    assert evidence(Count(500, 500), Count(500, 0), 0.5, held=0.0) > 250
    assert evidence(Count(500, 500), Count(500, 0), 0.5, held=1.0) > 250
    assert evidence_above(Count(0, 0), 0.0) == 0.0
    assert evidence(Count(100, 100), Count(0, 0), 0.0) == 0.0
    assert evidence(Count(100, 100), Count(100, 0), 1.0) == 0.0
    assert evidence(Count(100, 100), Count(100, 0), 0.3, None, (0.8, 1.0)) == math.inf, "no rate is there to be ruled out"


def test_shares_of_the_error_sum_to_it() -> None:
    """However many tests there ever are, they spend no more than there is."""
    assert math.fsum(spent(k) for k in range(1, 100_001)) == pytest.approx(1 - 1 / 100_001, rel=1e-12)


@given(counts(), counts(), st.floats(0, 0.2), HELD, st.floats(0.02, 0.98))
def test_closer_pairs_are_ruled_out_by_the_ranges_up_to_their_own(
    worse: Count, better: Count, margin: float, held: float | None, limit: float
) -> None:
    """A closer pair has no less than the range from 0 to its rate of ``better``, in parts or whole; the part above alone may find more."""
    rate = np.linspace(0.005, 0.995, 67)
    found = pairs(worse, better, rate, held)
    near, far = (evidence(worse, better, margin, held, between) for between in ((0.0, limit), (limit, 1.0)))
    closer = rate[:, None] <= rate[None, :] + margin
    below = np.broadcast_to(rate[None, :] <= limit, found.shape)
    assert not near or found[closer & below].min(initial=math.inf) >= near - 0.02
    assert not min(near, far) or found[closer].min() >= min(near, far) - 0.02


def test_a_range_that_begins_above_finds_what_a_closer_pair_has_not() -> None:
    """What is said of closer pairs in ``evidence``: alone the upper range is sure of far more than the pair 2 points closer allows."""
    worse, better = Count(10_000, 1_000), Count(10, 0)
    assert evidence(worse, better, 0.02, 0.02, (0.12, 1.0)) > 60
    assert pairs(worse, better, np.array([0.10, 0.12]), 0.02)[0, 1] < 0
    assert evidence(worse, better, 0.02, 0.02, (0.0, 0.12)) < 2
