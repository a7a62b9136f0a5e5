"""The family of decisions: equal to a loop anybody can read, at every τ."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from planner.router import choose, lookup, steps
from planner.router.decision import choose_one

GRID = (-np.inf, -0.3, -0.1, -0.0, 0.0, 0.1, 0.3, np.nan, np.inf)


@st.composite
def problems(draw: st.DrawFn):
    """Draw few values, so that ties in gain and cost are common."""
    n, k = draw(st.integers(0, 6)), draw(st.integers(1, 5))
    gains = draw(arrays(np.float32, (n, k), elements=st.sampled_from([np.float32(g) for g in GRID])))
    cost = draw(arrays(np.float64, (n, k), elements=st.sampled_from([0.0, 1.0, 2.0])))
    feasible = draw(arrays(bool, (n, k)))
    reference = draw(arrays(np.int64, n, elements=st.integers(0, k - 1)))
    gains[np.arange(n), reference] = 0
    return gains, cost, feasible, reference


def slow(gains, cost, feasible, reference, tau):
    """Choose row by row, as the definition reads."""
    codes = []
    for g, c, f, home in zip(gains.tolist(), cost.tolist(), feasible.tolist(), reference.tolist(), strict=True):
        able = [k for k in range(len(g)) if f[k] and g[k] >= -tau]
        codes.append(min(able, key=lambda k: (c[k], -g[k], k)) if able else home)
    return codes


TAUS = st.one_of(st.sampled_from([-np.inf, -0.3, -0.1, 0.0, 0.1, 0.3, np.inf]), st.floats(-1, 1))


@given(problems(), TAUS)
def test_choose_is_the_definition(problem, tau):
    """Choosing columns at once gives what reading the definition row by row gives."""
    assert choose(*problem, tau).tolist() == slow(*problem, tau)


@given(problems(), TAUS)
def test_choosing_one_is_choosing_columns(problem, tau):
    """A request by itself is given what it is given among others."""
    gains, cost, feasible, reference = problem
    rows = zip(gains.astype(float).tolist(), cost.tolist(), feasible.tolist(), reference.tolist(), strict=True)
    assert [choose_one(*row, tau) for row in rows] == choose(*problem, tau).tolist()


@given(problems(), TAUS)
def test_steps_hold_every_tau(problem, tau):
    """The stored thresholds answer any τ as choosing anew does."""
    assert lookup(*steps(*problem), problem[3], tau).tolist() == choose(*problem, tau).tolist()


@given(problems())
def test_steps_at_their_own_thresholds(problem):
    """Exactly at a threshold, and just below it, the stored thresholds still agree with choosing anew."""
    thresholds, codes = steps(*problem)
    for tau in np.unique(thresholds[np.isfinite(thresholds)]):
        for at in (tau, np.nextafter(tau, -np.inf)):
            assert lookup(thresholds, codes, problem[3], at).tolist() == choose(*problem, float(at)).tolist()


@given(problems())
def test_minus_infinity_is_always_the_reference(problem):
    """τ = −∞ never leaves the reference unless a gain is infinite."""
    gains, cost, feasible, reference = problem
    finite = np.where(np.isposinf(gains), np.float32(0.3), gains)
    assert choose(finite, cost, feasible, reference, -np.inf).tolist() == reference.tolist()


@given(problems(), st.floats(0, 1), st.floats(0, 1))
def test_cost_falls_as_tau_rises(problem, one, other):
    """Where the reference can answer and τ ≥ 0, being willing to lose more never costs more."""
    gains, cost, feasible, reference = problem
    feasible[np.arange(len(gains)), reference] = True
    low, high = (choose(gains, cost, feasible, reference, t) for t in sorted((one, other)))
    rows = np.arange(len(gains))
    assert (cost[rows, high] <= cost[rows, low]).all()
