"""The benchmark's metrics against slow, obvious references and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.routing import metrics
from planner.training.judge import apgr as library_apgr

F64 = NDArray[np.float64]


def slow_apgr(gain: F64, lost: F64, weight: F64) -> float:
    """APGR as the mean over a fine grid of shares, each block of ties filled evenly, request by request."""
    blocks = [np.flatnonzero(gain == g) for g in sorted(set(gain.tolist()))]
    total, gap = weight.sum(), float((weight * lost).sum())
    grid = np.linspace(0, 1, 4_001)
    values = []
    for share in grid:
        room, won = share * total, 0.0
        for block in blocks:
            mass = float(weight[block].sum())
            part = min(max(room / mass, 0.0), 1.0)
            won += part * float((weight[block] * lost[block]).sum())
            room -= part * mass
        values.append(won / gap)
    return float(np.trapezoid(values, grid))


@given(st.integers(0, 10_000))
def test_apgr_is_the_area_under_the_curve_filled_request_by_request(seed: int) -> None:
    """The closed sum equals the slow integral, with ties and weights, and the library's own."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 12))
    gain, lost = rng.integers(0, 4, n).astype(float), rng.integers(-1, 2, n).astype(float)
    weight = rng.uniform(0.5, 2, n)
    if abs((weight * lost).sum()) < 0.1:
        lost[0], weight[0] = 1.0, 10.0
    fast = metrics.apgr(metrics.rank(gain), lost, weight[None])[0]
    assert fast == pytest.approx(library_apgr(gain, np.column_stack([lost, np.zeros(n)]), 0, weight), abs=1e-9)
    if seed % 25 == 0:
        assert fast == pytest.approx(slow_apgr(gain, lost, weight), abs=5e-3 * (1 + abs(fast)))


def test_apgr_closed_forms() -> None:
    """A constant score gives a half; a perfect order of a share p of losses gives 1 − p / 2; its reverse p / 2."""
    lost = np.array([1.0] * 25 + [0.0] * 75)
    ones = np.ones((1, 100))
    assert metrics.apgr(metrics.rank(np.zeros(100)), lost, ones)[0] == pytest.approx(0.5)
    assert metrics.apgr(metrics.rank(-lost), lost, ones)[0] == pytest.approx(1 - 0.25 / 2)
    assert metrics.apgr(metrics.rank(lost), lost, ones)[0] == pytest.approx(0.25 / 2)
    assert np.isnan(metrics.apgr(metrics.rank(lost), np.zeros(100), ones)[0])


def test_apgr_of_a_stack_of_weights_is_that_of_each() -> None:
    """A weight of two is the row twice, in every line of the stack."""
    rng = np.random.default_rng(3)
    gain, lost = rng.integers(0, 9, 40).astype(float), rng.integers(-1, 3, 40).astype(float)
    counts = rng.integers(0, 3, (5, 40)).astype(float)
    stacked = metrics.apgr(metrics.rank(gain), lost, counts)
    for count, value in zip(counts.astype(int), stacked, strict=True):
        rows = np.repeat(np.arange(40), count)
        alone = metrics.apgr(metrics.rank(gain[rows]), lost[rows], np.ones((1, len(rows))))[0]
        assert value == pytest.approx(alone)


def test_cpt_is_the_first_share_that_reaches_the_part() -> None:
    """On a curve that falls again the first crossing counts, interpolated; never reached is NaN."""
    curve = (np.array([0.0, 0.2, 0.4, 1.0]), np.array([0.0, 0.6, 0.4, 1.0]))
    assert metrics.cpt(curve, 0.5) == pytest.approx(0.2 * 0.5 / 0.6)
    assert metrics.cpt(curve, 0.8) == pytest.approx(0.4 + 0.6 * 0.4 / 0.6)
    assert np.isnan(metrics.cpt(curve, 1.1))
    ranking = metrics.rank(np.zeros(10))
    random = metrics.pgr(ranking, np.ones(10), np.ones(10))
    assert [metrics.cpt(random, p) for p in (0.5, 0.8)] == pytest.approx([0.5, 0.8])


@given(st.integers(0, 10_000))
def test_hull_is_the_least_concave_curve_above_every_point(seed: int) -> None:
    """No point lies above the hull, its slopes fall and stay positive, its corners are points."""
    rng = np.random.default_rng(seed)
    cost, quality = rng.integers(0, 6, 9) / 5, rng.integers(0, 6, 9) / 5
    at = metrics.hull(cost, quality)
    assert np.all(np.interp(cost, cost[at], quality[at], left=-1) >= quality - 1e-12) or cost.min() < cost[at[0]]
    assert cost[at[0]] == cost.min()
    assert quality[at[-1]] == quality.max()
    slopes = np.diff(quality[at]) / np.diff(cost[at])
    assert np.all(slopes > 0)
    assert np.all(np.diff(slopes) < 0)


def test_aiq_by_hand() -> None:
    """Half the range rising, half flat; the ends are the single models' costs; equal costs have no range."""
    cost, quality = np.array([1.0, 2.0]), np.array([0.4, 0.8])
    assert metrics.aiq(cost, quality, 1.0, 3.0) == pytest.approx((0.6 + 0.8) / 2)
    assert metrics.aiq(cost, quality, 1.5, 2.0) == pytest.approx(0.7)
    assert np.isnan(metrics.aiq(cost, quality, 1.0, 1.0))
    assert metrics.quality_at(cost, quality, 0.25, 1.0, 3.0) == pytest.approx(0.6)
    assert metrics.cost_at(cost, quality, 0.5) == pytest.approx(1.25)
    assert np.isnan(metrics.cost_at(cost, quality, 0.9))
    assert metrics.quality_under(cost, quality, 1.25) == pytest.approx(0.5)
    assert np.isnan(metrics.quality_under(cost, quality, 0.9)), "no point of the curve is that cheap"


def test_replicates_draw_as_many_groups_as_there_are_and_the_same_for_everyone() -> None:
    """Every line sums to the number of groups; the mean weight is 1; a second call repeats them."""
    first, second = (np.concatenate(list(metrics.replicates(30, 120, seed=5))) for _ in range(2))
    assert first.shape == (120, 30)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first.sum(1), 30)
    assert first.mean(0) == pytest.approx(1, abs=0.4)
