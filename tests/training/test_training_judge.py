"""Judging: exact curves, honest intervals, and the ceiling and floor that every rule lies between."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.router import Scores, choose
from planner.training import Judged, apgr, curve, judge
from planner.training.judge import mixed, onehot, oracle, tau_for


def rows(n=300, k=3, seed=0):
    """Return judged rows with independent qualities; model 0 is the reference and the dearest."""
    rng = np.random.default_rng(seed)
    quality = (rng.random((n, k)) < np.linspace(0.9, 0.5, k)).astype(float)
    cost = np.tile(np.linspace(3, 1, k), (n, 1)) * rng.uniform(0.5, 2, (n, 1))
    return Judged(quality, cost, rng.uniform(0.5, 2, n), np.array([f"u{i}" for i in range(n)]), np.zeros(n, np.int64))


def scores(found, seed=0):
    """Return noisy but informative scores for judged rows."""
    rng = np.random.default_rng(seed)
    gains = (found.quality - found.quality[:, :1]) * 0.2 + rng.normal(0, 0.1, found.quality.shape)
    gains[:, 0] = 0
    n = len(gains)
    return Scores(gains.astype(np.float32), found.cost_usd, np.ones(gains.shape, bool), np.zeros(n, np.int8), np.zeros(n, np.int64))


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), min_size=2, max_size=12))
def test_apgr_is_the_mean_over_random_ties(cases):
    """APGR with ties is the mean over orders that break them: computed here as the mean of both extreme orders' trapezoids."""
    gain = np.array([c[0] for c in cases], float)
    quality = np.array([[c[1], c[2]] for c in cases], float)
    lost = quality[:, 0] - quality[:, 1]
    if lost.sum() == 0:
        assert np.isnan(apgr(gain, quality, 0, np.ones(len(gain))))
        return
    areas = []
    for second in (lost, -lost):
        won = np.concatenate([[0], np.cumsum(lost[np.lexsort((second, gain))])]) / lost.sum()
        areas.append(np.trapezoid(won, dx=1 / len(gain)))
    assert apgr(gain, quality, 0, np.ones(len(gain))) == pytest.approx(np.mean(areas))


def test_apgr_landmarks():
    """A constant score has APGR ½; the true gain beats any other score."""
    found = rows(k=2)
    true = found.quality[:, 1] - found.quality[:, 0]
    best = apgr(true, found.quality, 0, found.weight)
    assert apgr(np.zeros(300), found.quality, 0, found.weight) == pytest.approx(0.5)
    random = [apgr(np.random.default_rng(s).random(300), found.quality, 0, found.weight) for s in range(20)]
    assert best > max(random)
    assert np.mean(random) == pytest.approx(0.5, abs=0.05)


def test_the_table_is_plain_weighted_means():
    """Quality, cost and shares in the table are weighted means over rows; the reference differs from itself by exactly 0."""
    found = rows()
    codes = choose(scores(found).gains, found.cost_usd, np.ones((300, 3), bool), 0, 0.1)
    table = judge(found, {"reference": onehot(np.zeros(300, int), 3), "rule": onehot(codes, 3)}, ("a", "b", "c"))
    picked = found.quality[np.arange(300), codes]
    assert table.loc["rule", "quality"] == pytest.approx(np.average(picked, weights=found.weight))
    assert table.loc["rule", "quality_diff"] == pytest.approx(np.average(picked - found.quality[:, 0], weights=found.weight))
    assert table.loc["rule", "share b"] == pytest.approx(np.average(codes == 1, weights=found.weight))
    assert table.loc["reference", ["quality_diff", "diff_low", "diff_high"]].tolist() == [0, 0, 0]
    assert table.loc["rule", "diff_low"] < table.loc["rule", "quality_diff"] < table.loc["rule", "diff_high"]


def test_the_interval_covers():
    """Over 200 worlds the 95 % interval of a constant rule's difference holds the truth in 90 to 99 % of them."""
    hits = 0
    for seed in range(200):
        line = judge(found := rows(150, 2, seed), {"other": onehot(np.ones(150, int), 2)}, ("a", "b")).loc["other"]
        hits += line["diff_low"] <= -0.4 <= line["diff_high"]
        assert len(found.quality) == 150
    assert 180 <= hits <= 198


def test_oracle_and_mix():
    """The oracle is the best quality there is, at the least cost for it; a mix costs what it was asked to cost."""
    found = rows()
    best = oracle(found)
    assert np.array_equal((best * found.quality).sum(1), found.quality.max(1))
    ties = found.quality == found.quality.max(1, keepdims=True)
    assert np.allclose((best * found.cost_usd).sum(1), np.where(ties, found.cost_usd, np.inf).min(1))
    half = np.average(found.cost_usd[:, [0, 2]].mean(1), weights=found.weight)
    assert np.average((mixed(found, 2, 0, half) * found.cost_usd).sum(1), weights=found.weight) == pytest.approx(half)


def test_the_curve_is_choosing_at_each_tau():
    """Every point of a curve is what choosing at its τ gives."""
    found, known = rows(), None
    known = scores(found)
    for line in curve(found, known, points=9).itertuples():
        codes = choose(known.gains, known.cost_usd, known.feasible, 0, line.tau)
        assert line.quality == pytest.approx(np.average(found.quality[np.arange(300), codes], weights=found.weight))


def test_tau_for_a_floor():
    """A larger accepted loss never gives a dearer rule; no loss at all keeps the reference when every other model is worse."""
    found = rows(2_000)
    known = scores(found)
    spent = []
    for floor in (0.0, 0.05, 0.2, 0.9):
        codes = choose(known.gains, known.cost_usd, known.feasible, 0, tau_for(found, known, floor))
        spent.append((found.cost_usd[np.arange(2_000), codes] * found.weight).sum())
    assert spent == sorted(spent, reverse=True)
    worse = Judged(np.tile([1.0, 0.0], (200, 1)), np.tile([2.0, 1.0], (200, 1)), np.ones(200), found.unit[:200], np.zeros(200, np.int64))
    flat = Scores(np.zeros((200, 2), np.float32), worse.cost_usd, np.ones((200, 2), bool), np.zeros(200, np.int8), np.zeros(200, np.int64))
    assert tau_for(worse, flat, 0.01) == -np.inf
