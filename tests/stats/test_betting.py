"""Betting: exact at every size, as strong as a z-test nearly, and equal to the slow account of a bettor."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.stats.betting import STAKE, fixed_sequence, growth, p_values


def drawn(mean, differ, n, sets, seed):
    """Return (n, sets) of −1, 0 and 1 with this mean; ``differ`` is the chance of not 0."""
    u = np.random.default_rng(seed).random((n, sets))
    return np.where(u < (differ + mean) / 2, 1.0, np.where(u < differ, -1.0, 0.0))


def slow(x, lowest, level):
    """Return the p-value of one column by a bettor's account, one observation after another, for fewer than 100 of them."""
    wealth = most = 1.0
    squares = 10 * 0.1 * lowest**2
    for done, value in enumerate(x):
        price = min(level / 1.05 * wealth, 1 - 1e-12)
        d = NormalDist().inv_cdf(price)
        bet = NormalDist().pdf(d) / price / math.sqrt(squares / (10 + done) * (len(x) - done))
        wealth *= 1 + min(bet, STAKE / lowest) * value
        most = max(most, wealth)
        squares += value**2
    return 1 / most


@given(st.lists(st.floats(-0.5, 1.0), min_size=1, max_size=40), st.sampled_from([0.01, 0.05, 0.2]))
def test_it_is_the_account_of_a_bettor(values, level):
    """The vectorised p-value equals that of a bettor who bets once an observation."""
    found = p_values(np.array([values, values[::-1]]).T, 0.5, level)
    assert found.tolist() == pytest.approx([slow(values, 0.5, level), slow(values[::-1], 0.5, level)])


@pytest.mark.parametrize(("n", "differ"), [(100, 0.5), (500, 0.03), (1000, 0.15)])
def test_it_rejects_a_true_null_no_more_often_than_it_says(n, differ):
    """With a mean of exactly 0, at most 5 % of 4,000 samples reach p ≤ 0.05 (within 3 SE), skewed, rare or plain."""
    floor = 0.02
    rejected = p_values(floor - drawn(floor, differ, n, 4000, n), 1 - floor) <= 0.05
    assert rejected.mean() <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 4000)


def test_a_rare_ruin_is_not_overlooked():
    """Where one in fifty loses everything and the others gain a little, 100 observations certify nothing unless they cannot be unlucky."""
    floor = 0.02
    x = floor - (np.random.default_rng(0).random((100, 4000)) < floor)
    assert (p_values(x, 1 - floor) <= 0.05).mean() <= 0.06
    assert p_values(np.full((100, 1), floor), 1 - floor)[0] > 0.05
    assert p_values(np.full((160, 1), floor), 1 - floor)[0] <= 0.05


def test_its_power_comes_near_to_the_z_tests():
    """Where the z-test with the true variance rejects in 80 % of samples, so do the bets in at least 76 %."""
    n, differ, floor = 2500, 0.15, 0.02
    mean = floor - 2.486 * math.sqrt(differ / n)
    assert (p_values(floor - drawn(mean, differ, n, 1500, 3), 1 - floor) <= 0.05).mean() >= 0.76


def test_a_sequence_stops_at_its_first_failure():
    """The p-values before the first failure are those of single tests; all behind it are not looked at."""
    x = np.random.default_rng(1).normal(0.2, 0.3, (400, 80)).clip(-1, 1)
    x[:, 50] -= 0.3
    found, alone = fixed_sequence(x, 1.0), p_values(x, 1.0)
    assert found[:51].tolist() == pytest.approx(alone[:51].tolist())
    assert np.isnan(found[51:]).all()
    assert found[50] > 0.05


def test_what_is_expected_changes_power_alone():
    """A wrong second moment beforehand leaves a true null as rarely rejected."""
    floor = 0.02
    x = floor - drawn(floor, 0.15, 500, 3000, 8)
    for moment in (1e-6, 10.0):
        assert (p_values(x, 1 - floor, 0.05, np.full(3000, moment)) <= 0.05).mean() <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 3000)


def test_growth_is_that_of_the_best_constant_bet():
    """No constant bet on a fine grid grows faster, and a falling mean grows nothing."""
    x = np.random.default_rng(2).normal(0.1, 0.4, (3000, 1)).clip(-0.8, 1)
    best = max(np.log1p(bet * x).mean() for bet in np.linspace(0, STAKE / 0.8, 500))
    assert growth(x, 0.8)[0] == pytest.approx(best, rel=0.05)
    assert growth(-x, 1.0)[0] == 0
