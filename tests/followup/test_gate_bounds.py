"""The bounds of a gate are exact: few items, coarse grades and clusters do not make them wrong, and they come near the z-test's width."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from planner.followup.gate_bounds import LEVEL, bounds, grouped, lower, needed

MARGIN = 0.02
RUNS = 120


def units_of(difference: np.ndarray, size: int = 1, weight: np.ndarray | None = None, seed: int = 0):
    """Group items in runs of ``size``."""
    unit = (np.arange(len(difference)) // size).astype(str)
    return grouped(difference, np.ones(len(difference)) if weight is None else weight, unit, MARGIN, seed)


def passes(draw, size: int = 1, weights=None) -> int:
    """Count the runs whose lower bound reaches the margin."""
    rng = np.random.default_rng(7)
    found = 0
    for seed in range(RUNS):
        difference = draw(rng)
        weight = None if weights is None else weights(rng, len(difference))
        found += lower(units_of(difference, size, weight, seed), -MARGIN) >= -MARGIN
    return found


def three(n: int, worse: float, better: float):
    """Draw right-or-wrong grades: so many worse, so many better, the rest the same."""
    return lambda rng: rng.choice([-1.0, 0.0, 1.0], n, p=[worse, 1 - worse - better, better])


def repeated(draw, size: int):
    """Repeat each draw: the items of a cluster share their fate."""
    return lambda rng: np.repeat(draw(rng), size)


@pytest.mark.parametrize(
    ("draw", "size"),
    [
        (three(60, 0.02, 0.0), 1),  # two items in a hundred: most samples of sixty hold no such item, or one
        (three(200, 0.02, 0.0), 1),
        (three(400, 0.07, 0.05), 1),
        (lambda rng: rng.choice([-0.4, 0.0, 0.2], 300, p=[0.1, 0.8, 0.1]), 1),  # fifths of a rubric
        (repeated(three(200, 0.02, 0.0), 3), 3),
    ],
)
def test_at_the_margin_it_passes_one_time_in_forty_at_most(draw, size) -> None:
    """A true loss of exactly the margin passes in at most 2.5 % of runs, within what chance allows of 120 runs (99.9 %)."""
    assert passes(draw, size) <= binom.ppf(0.999, RUNS, LEVEL)


def test_unequal_weights_do_not_let_it_pass() -> None:
    """Items that stand for very different numbers of requests keep the error rate."""
    assert passes(three(300, 0.07, 0.05), weights=lambda rng, n: 1 + rng.pareto(2, n)) <= binom.ppf(0.999, RUNS, LEVEL)


def test_the_usual_interval_fails_where_this_does_not() -> None:
    """Mean less 1.96 standard errors passes a true loss of the margin in a third of samples of sixty: why the bounds bet."""
    rng, wrong = np.random.default_rng(7), 0
    for _ in range(RUNS):
        x = three(60, 0.02, 0.0)(rng)
        wrong += x.mean() - 1.96 * x.std(ddof=1) / np.sqrt(len(x)) >= -MARGIN
    assert wrong > 0.2 * RUNS


def test_power_comes_near_to_the_z_test() -> None:
    """Of 1,000 items with three per cent either way, it passes at least four fifths as often as a z-test that is valid there."""
    rng, z = np.random.default_rng(7), 0
    for _ in range(RUNS):
        x = three(1_000, 0.03, 0.03)(rng)
        z += x.mean() - 1.96 * x.std(ddof=1) / np.sqrt(len(x)) >= -MARGIN
    assert z > 0.5 * RUNS
    assert passes(three(1_000, 0.03, 0.03)) >= 0.8 * z


def test_identical_answers_pass_from_184_items_on() -> None:
    """Where nothing differs, ln(40) / −ln(1 − margin) = 183 units are what any exact test takes, give or take one bet."""
    least = math.log(1 / LEVEL) / -math.log(1 - MARGIN)
    assert bounds(units_of(np.zeros(math.ceil(1.05 * least))), MARGIN)[0] >= -MARGIN
    assert bounds(units_of(np.zeros(math.floor(0.95 * least))), MARGIN)[0] < -MARGIN


@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(1, 4))
@settings(max_examples=25)
def test_bounds_are_ordered_and_mirror(seed: int, n: int, size: int) -> None:
    """Low is at most high, both in [−1, 1], and the bounds of −D are those of D turned round, to the step of the grid."""
    rng = np.random.default_rng(seed)
    x = rng.choice([-1.0, -0.5, 0.0, 0.5, 1.0], n)
    low, high = bounds(units_of(x, size), MARGIN)
    assert -1 <= low <= high <= 1
    turned = bounds(units_of(-x, size), MARGIN)
    assert turned[0] == pytest.approx(-high, abs=0.0011)
    assert turned[1] == pytest.approx(-low, abs=0.0011)


def test_seed_moves_the_order_and_little_else() -> None:
    """Another order of the bets moves the lower bound by less than the width of the interval."""
    x = three(500, 0.05, 0.05)(np.random.default_rng(0))
    found = [bounds(units_of(x, seed=seed), MARGIN) for seed in range(5)]
    lows = [low for low, _ in found]
    assert max(lows) - min(lows) < 0.5 * (found[0][1] - found[0][0])


def test_rows_needed_are_enough() -> None:
    """With as many units as it asks for, the test passes in about four cases of five."""
    rng = np.random.default_rng(1)
    pilot = three(4_000, 0.02, 0.02)(rng)
    n = int(needed(units_of(pilot), MARGIN))
    assert 0.65 * RUNS <= passes(three(n, 0.02, 0.02)) <= 0.92 * RUNS
    assert math.isnan(needed(units_of(three(500, 0.2, 0.0)(rng)), MARGIN))


def test_heavy_units_are_scaled_down_and_said() -> None:
    """One unit with half of the weight counts for a few mean ones; the rest of its weight is reported as not counted."""
    weight = np.append(np.ones(199), 199.0)
    units = units_of(np.zeros(200), weight=weight)
    assert units.top == pytest.approx(2 * weight.mean())
    assert units.trimmed == pytest.approx(1 - (199 + units.top) / 398)
