"""Blocks of time: days are days, shocks that last are seen, and both ways together cover."""

import numpy as np
import pytest

from planner.stats import BLOCKS, LAGS, Interval, blocks, influence, jackknife, two_way, weekdays


def mean(s: np.ndarray) -> np.ndarray:
    """Return the weighted mean of each row of sums."""
    return s[:, 0] / s[:, 1]


def test_a_day_is_one_block_whatever_the_log() -> None:
    """All times of a UTC day share a block, the next day has the next one, and parts of a log agree with the whole."""
    times = np.datetime64("2026-11-01", "us") + np.arange(0, 96) * np.timedelta64(1, "h")
    found = blocks(times)
    assert (found.reshape(4, 24) == found[::24, None]).all()
    assert (np.diff(found[::24]) % BLOCKS == 1).all()
    assert (blocks(times[50:]) == found[50:]).all()


def test_variance_of_shocks_that_last_is_the_textbook_sum() -> None:
    """With lags, the variance is γ₀ + 2 Σ (1 − l/(L+1)) γₗ of Newey & West (1987), here by loops; never below that of days apart."""
    x = np.random.default_rng(1).normal(size=40).cumsum()
    found = influence(np.column_stack([x, np.ones(40)]), mean, np.ones(40), lags=LAGS)
    u, expected = found.moves, 0.0
    for i in range(40):
        for j in range(40):
            lag = min((i - j) % 40, (j - i) % 40)
            expected += max(0.0, 1 - lag / (LAGS + 1)) * float(u[i] * u[j])
    lost = 39 / (39 - sum(2 * (1 - lag / (LAGS + 1)) for lag in range(1, LAGS + 1)))
    assert float(found.variance) == pytest.approx(expected * lost)
    opposed = influence(np.column_stack([np.tile([1.0, -1.0], 20), np.ones(40)]), mean, np.ones(40), lags=LAGS)
    assert float(opposed.variance) == pytest.approx(float(np.square(opposed.moves).sum()))


def shocks(rng: np.random.Generator, days: int = 28) -> np.ndarray:
    """Return a sum for each of ``days`` of 256 blocks: what lasts a day, and half of that on the next."""
    fresh = rng.normal(size=days + 1)
    return np.column_stack([np.append(fresh[1:] + 0.5 * fresh[:-1], np.zeros(256 - days)), np.arange(256) < days])


def test_variance_and_freedom_of_few_days_are_right() -> None:
    """Over 4,000 logs of 28 days: the kernel's own sum on average within 4 %, and a freedom near 2 E[V]² / Var[V]."""
    rng = np.random.default_rng(8)
    found = [influence(x, mean, x[:, 1], lags=LAGS) for x in (shocks(rng) for _ in range(4_000))]
    variance = np.array([float(f.variance) for f in found])
    assert variance.mean() == pytest.approx((1.25 + 2 * 0.8 * 0.5) / 28, rel=0.04)
    assert np.median([float(f.freedom) for f in found]) == pytest.approx(2 * variance.mean() ** 2 / variance.var(), rel=0.2)


def test_weekdays_follow_the_log_over_the_end_of_the_blocks() -> None:
    """Wherever a log of 30 days begins among the blocks, its day k is weekday k modulo seven; nothing has no weekdays."""
    for first in (0, 5, 240, 255):
        at = (first + np.arange(30)) % BLOCKS
        assert (weekdays(np.isin(np.arange(BLOCKS), at))[at] == np.arange(30) % 7).all()
    assert not weekdays(np.zeros(BLOCKS, bool)).any()


def test_shocks_of_days_are_covered() -> None:
    """Over 600 logs of 28 days whose shocks hit all users and last two days, users alone miss them; users and days together cover."""
    rng = np.random.default_rng(2)
    alone = both = 0
    for _ in range(600):
        fresh = rng.normal(0, 0.1, 29)
        shock = (fresh[1:] + 0.5 * fresh[:-1])[None, :]
        weight = rng.poisson(20 / np.sqrt(np.arange(1, 201))[:, None], (200, 28))
        total = weight * (0.3 + shock + rng.normal(0, 0.2, (200, 1))) + np.sqrt(weight) * rng.normal(0, 0.5, (200, 28))
        users, days = (
            jackknife(np.column_stack([total.sum(a), weight.sum(a)]), mean, weight.sum(a), lags=g) for a, g in ((1, 0), (0, LAGS))
        )
        found = two_way(users, days)
        alone += bool(users.low <= 0.3 <= users.high)
        both += bool(found.low <= 0.3 <= found.high)
    assert alone / 600 < 0.8
    assert 0.92 <= both / 600 <= 0.995


def test_one_way_without_an_interval_gives_none() -> None:
    """Nine days say nothing, however many users there are."""
    users = jackknife(np.arange(80.0), lambda s: s, np.ones(80), extensive=True)
    days = jackknife(np.arange(9.0), lambda s: s, np.ones(9), lags=LAGS)
    found = two_way(users, days)
    assert isinstance(found, Interval)
    assert float(found.value) == float(users.value)
    assert np.isnan(found.low)
    assert np.isnan(found.high)
