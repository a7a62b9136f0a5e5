"""The family of decisions: equal to a loop anybody can read, at every τ."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from planner.router import choose, lookup, steps
from planner.router.decision import choose_one

GRID = (-np.inf, -0.5, -0.25, -0.0, 0.0, 0.125, 0.25, np.nan, np.inf)


@st.composite
def problems(draw: st.DrawFn):
    """Draw few values, so that ties in gain, cost and value are common."""
    n, k = draw(st.integers(0, 6)), draw(st.integers(1, 5))
    gains = draw(arrays(np.float32, (n, k), elements=st.sampled_from([np.float32(g) for g in GRID])))
    cost = draw(arrays(np.float64, (n, k), elements=st.sampled_from([0.0, 1.0, 2.0, 4.0])))
    feasible = draw(arrays(bool, (n, k)))
    reference = draw(arrays(np.int64, n, elements=st.integers(0, k - 1)))
    gains[np.arange(n), reference] = 0
    return gains, cost, feasible, reference


def slow(gains, cost, feasible, reference, tau):
    """Choose row by row, as the definition reads, in exact fractions."""
    codes = []
    for g, c, f, home in zip(gains.tolist(), cost.tolist(), feasible.tolist(), reference.tolist(), strict=True):
        able = [k for k in range(len(g)) if f[k] and np.isfinite(g[k])]
        best = min(able, key=lambda k: (-g[k], c[k], k)) if able else home
        if tau < 0:
            codes.append(best if able and g[best] >= -tau else home)
        elif not able:
            codes.append(home)
        elif tau == np.inf:
            codes.append(min(able, key=lambda k: (c[k], -g[k], k)))
        else:
            codes.append(min(able, key=lambda k: (Fraction(tau) * Fraction(c[k]) - Fraction(g[k]), c[k], -g[k], k)))
    return codes


#: Where the values drawn above cross exactly, and anywhere else.
CROSSINGS = (-np.inf, -0.25, -0.125, 0.0, 0.0625, 0.125, 0.25, 0.5, 1.0, np.inf)
TAUS = st.one_of(st.sampled_from(CROSSINGS), st.floats(-1, 2).map(lambda t: round(t, 3)))


def test_infinite_gains_of_what_cannot_answer_are_no_arithmetic():
    """A rule gives −∞ to all but its model: where that may not answer, nothing is subtracted from infinity."""
    gains = np.array([[-np.inf, 0.0, 1.0, -np.inf]], np.float32)
    cost, can = np.array([[1.0, 2.0, 3.0, 0.5]]), np.array([[True, False, False, True]])
    with np.errstate(all="raise"):
        assert choose(gains, cost, can, 3, 5.0).tolist() == [3]
        assert choose(gains, cost, can, 0, np.inf).tolist() == [0]


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


@given(st.integers(0, 2**32), st.floats(0, 100))
def test_choosing_one_is_choosing_columns_for_any_numbers(seed, tau):
    """The same for gains and costs of any size, to the last bit of a threshold."""
    rng = np.random.default_rng(seed)
    gains, cost = rng.normal(0, 0.1, (20, 5)).astype(np.float32), rng.lognormal(-5, 1, (20, 5))
    gains[:, 0], can = 0, rng.random((20, 5)) < 0.8
    thresholds, codes = steps(gains, cost, can, 0)
    for at in (tau, *thresholds[np.isfinite(thresholds)].tolist()):
        each = [choose_one(*row, 0, at) for row in zip(gains.astype(float).tolist(), cost.tolist(), can.tolist(), strict=True)]
        assert each == lookup(thresholds, codes, 0, at).tolist()


@given(problems())
def test_thresholds_ascend_to_the_cheapest(problem):
    """Thresholds ascend, the first at most 0; each step is cheaper than the one before, the last code a cheapest that can answer."""
    gains, cost, feasible, _ = problem
    thresholds, codes = steps(*problem)
    able = feasible & np.isfinite(gains)
    for row in np.flatnonzero(able.any(1)):
        passed = np.isfinite(thresholds[row])
        assert thresholds[row][0] <= 0
        assert (np.diff(thresholds[row][passed]) >= 0).all()
        assert (np.diff(cost[row, codes[row][passed]]) < 0).all()
        assert cost[row, codes[row, -1]] == cost[row][able[row]].min()
    assert np.isinf(thresholds[~able.any(1)]).all()


@given(problems())
def test_minus_infinity_is_always_the_reference(problem):
    """τ = −∞ never leaves the reference."""
    assert choose(*problem, -np.inf).tolist() == problem[3].tolist()


@given(problems(), st.floats(0, 2), st.floats(0, 2))
def test_cost_and_gain_fall_as_tau_rises(problem, one, other):
    """A higher price of money never costs more, and never promises more."""
    gains, cost, feasible, reference = problem
    feasible[np.arange(len(gains)), reference] = True
    low, high = (choose(gains, cost, feasible, reference, t) for t in sorted((one, other)))
    rows = np.arange(len(gains))
    assert (cost[rows, high] <= cost[rows, low]).all()
    assert (gains[rows, high] <= gains[rows, low]).all()
