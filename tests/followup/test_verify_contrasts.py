"""What routing did is measured without bias, in intervals that hold: laws, closed forms, and coverage in worlds with a known effect."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from followup.made_worlds import made
from hypothesis import given
from hypothesis import strategies as st

from planner.followup.verify_contrasts import Contrast, alike, higher, likelier, saved, slower
from planner.followup.verify_sides import FEWEST_UNITS, Sample, sides, strata

RUNS = 500
#: 95 % less 2.6 binomial deviations of so many runs (Φ: one in 200 of sound methods is rejected). Above, an interval may be surer than it
#: says, as where few are kept: the spread of both arms counts where that of the few is smaller.
FEWEST, MOST = 0.925, 0.99


def even(mean: np.ndarray, routed: np.ndarray, moved: np.ndarray, level: np.ndarray, size: np.ndarray) -> Sample:
    """Return requests that all cost what their session's ``mean`` says; arrays by session, which has ``size`` requests."""
    of = np.repeat(np.arange(len(size)), size)
    return Sample(mean[of].astype(float), np.ones(len(of)), of, routed[of], moved[of], (level[of],))


def covered(found: list[tuple[Contrast, float]]) -> float:
    """Return the share of intervals that hold the truth; all must have one."""
    assert all(np.isfinite(c.low) for c, _ in found)
    return float(np.mean([c.low <= truth <= c.high for c, truth in found]))


@pytest.mark.parametrize(("tails", "holdout"), [((0.5, 0.8), 0.1), ((1.0, 1.0), 0.1), ((1.0, 1.0), 0.3)])
def test_the_saving_is_covered(tails: tuple[float, float], holdout: float) -> None:
    """Of 500 worlds with a known effect, heavy tails, sessions, four apps and a share that grows, 95 % of intervals hold it."""
    worlds = [made(seed, tails=tails, holdout=holdout) for seed in range(RUNS)]
    found = [(saved(world.cost), world.saved) for world in worlds]
    assert FEWEST <= covered([(c, t) for c, t in found if c]) <= MOST
    mean = np.mean([c.difference - t for c, t in found if c])
    assert abs(mean) < 0.01


def test_no_effect_is_covered() -> None:
    """Where routing changes nothing, 95 % of the intervals of the saving hold 0."""
    found = [(saved(made(seed, effect=False).cost), 0.0) for seed in range(RUNS)]
    assert FEWEST <= covered([(c, t) for c, t in found if c]) <= MOST


def test_quality_failures_and_latency_are_covered() -> None:
    """At least 92.5 % of the intervals of quality, failures and p95 hold the truth; those of rare failures may be surer than they say."""
    rng = np.random.default_rng(0)
    normal = rng.normal(size=200_000)
    good = np.clip(0.68 + 0.1 * normal, 0, 1).mean() - np.clip(0.7 + 0.1 * normal, 0, 1).mean()
    bad = np.clip(0.01 * np.exp(normal - 0.5), 0, 0.5).mean()
    spread = np.exp(7 + np.hypot(0.4, 0.6) * normal)
    quality, failures, latencies = [], [], []
    for seed in range(300):
        world = made(seed, holdout=0.2)
        share = float(world.cost.moved[world.cost.routed].mean())
        cut = int(share * len(spread))
        p95 = np.quantile(np.concatenate([0.7 * spread[:cut], spread[cut:]]), 0.95) - np.quantile(spread, 0.95)
        for rows, contrast, truth in (
            (quality, higher(world.quality), share * good),
            (failures, likelier(world.failed), share * bad),
            (latencies, slower(world.latency), float(p95)),
        ):
            assert contrast is not None
            rows.append((contrast, truth))
    assert min(covered(rows) for rows in (quality, failures, latencies)) >= 0.925
    assert covered(quality) < 0.99


def test_knowing_who_keeps_the_model_sharpens() -> None:
    """Intervals that leave kept models out of the noise are narrower by a third or more, about the same value."""
    with_it, without = (np.array([[c.difference, c.high - c.low] for c in _all(split)]) for split in (True, False))
    assert np.median(with_it[:, 1]) < 0.67 * np.median(without[:, 1])
    assert abs((with_it - without)[:, 0].mean()) < 0.01


def _all(split: bool) -> list[Contrast]:
    found = [saved(made(seed, split=split).cost) for seed in range(100)]
    return [c for c in found if c is not None]


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 5.0))
def test_constant_costs_are_exact_at_any_mix(seed: int, effect: float) -> None:
    """With one cost an app the share saved is exact, however unlike the arms' mixes of apps and the sizes of sessions are."""
    rng = np.random.default_rng(seed)
    n = 400
    app, size = rng.integers(0, 3, n), rng.integers(1, 30, n)
    routed = rng.random(n) < np.array([0.25, 0.5, 0.75])[app]
    cost = np.array([1.0, 10.0, 100.0])[app]
    found = saved(even(np.where(routed, effect, 1) * cost, routed, np.ones(n, bool), app, size))
    assert found is not None
    assert found.difference == pytest.approx(1 - effect, rel=1e-9)
    assert found.low == pytest.approx(found.high)


@given(st.integers(0, 50), st.floats(0.01, 10.0))
def test_what_routing_costs_tells_nothing_of_as_asked(seed: int, price: float) -> None:
    """At any price of what requests are moved to, as-asked cost and its interval are the same: they rest on who was kept and on spread."""
    sample = made(seed, 300, holdout=0.4, effect=False).cost
    moved = sample.moved & sample.routed
    plain, priced = saved(sample), saved(replace(sample, value=np.where(moved, price, 1) * sample.value))
    assert plain is not None
    assert priced is not None
    bills = [(c.asked, c.routed / (1 - c.low), c.routed / (1 - c.high)) for c in (plain, priced)]
    assert bills[0] == pytest.approx(bills[1], rel=1e-6, nan_ok=True)


@given(st.integers(0, 50), st.floats(0.0, 0.04))
def test_what_was_never_answered_is_slower_than_all(seed: int, share: float) -> None:
    """A quantile with requests that were never answered is the one with very slow answers in their place, interval included."""
    sample = made(seed, 400, holdout=0.4).latency
    never = np.random.default_rng(seed).random(len(sample.value)) < share
    found, finite = (slower(replace(sample, value=np.where(never, far, sample.value))) for far in (np.inf, 1e12))
    assert found is not None
    assert finite is not None
    if max(finite.routed, finite.asked) >= 1e12:
        assert np.isnan(found.difference)
        return
    assert (found.routed, found.asked, found.units) == (finite.routed, finite.asked, finite.units)
    if np.isfinite(found.low):
        assert (found.low, found.high) == pytest.approx((finite.low, finite.high))
    elif np.isfinite(finite.low):
        assert max(-finite.low, finite.high) > 1e11


def test_apps_that_are_routed_more_do_not_look_cheaper() -> None:
    """Without an effect, arms of different mixes have different means, and the saving is 0 all the same."""
    n = 600
    app = np.arange(n) % 2
    routed = np.where(app == 0, np.arange(n) % 20 > 1, np.arange(n) % 20 < 3)
    sample = even(np.array([1.0, 50.0])[app], routed, np.ones(n, bool), app, np.full(n, 3))
    raw = sample.value[sample.routed].mean() / sample.value[~sample.routed].mean()
    found = saved(sample)
    assert raw < 0.5
    assert found is not None
    assert found.difference == pytest.approx(0)


@given(st.integers(0, 50), st.floats(1e-6, 1e6))
def test_the_unit_of_money_and_the_order_of_rows_do_not_matter(seed: int, scale: float) -> None:
    """Costs in another currency, and rows in another order, give the same share and interval."""
    sample = made(seed, 300, holdout=0.4).cost
    order = np.random.default_rng(seed).permutation(len(sample.value))
    plain, scaled, mixed = (saved(s) for s in (sample, replace(sample, value=scale * sample.value), sample.take(order)))
    assert plain is not None
    for other in (scaled, mixed):
        assert other is not None
        assert (other.difference, other.low, other.high) == pytest.approx((plain.difference, plain.low, plain.high), rel=1e-6, nan_ok=True)


def test_weights_count_as_repeats() -> None:
    """A row of weight 2 in a session counts as two equal rows of it: same value and same interval."""
    sample = made(3, 400, holdout=0.4).cost
    double = np.repeat(np.arange(len(sample.value)), 2)
    heavy, twice = saved(replace(sample, weight=2 * sample.weight)), saved(sample.take(double))
    assert heavy is not None
    assert twice is not None
    assert (heavy.difference, heavy.low, heavy.high) == pytest.approx((twice.difference, twice.low, twice.high))


def test_requests_are_never_compared_across_settings() -> None:
    """What has too few of its kind is compared with others of the same chance alone, and left out where these have nobody kept."""
    unit = np.arange(60)
    chance = np.repeat([0, 1, 2], 20)
    routed = np.where(chance == 2, True, unit % 2 == 0)
    fine = np.where(chance == 1, unit, chance)
    found = strata(unit, routed, (fine, chance))
    assert (found[chance == 2] == -1).all()
    assert len(set(found[chance == 1])) == 1
    assert not set(found[chance == 0]) & set(found[chance == 1])
    assert FEWEST_UNITS < 10


def test_kept_models_bring_no_noise() -> None:
    """Whatever requests cost that keep their model in the kept arm, the comparison does not change."""
    sample = made(4, 600, holdout=0.4).cost
    other = replace(sample, value=np.where(~sample.moved & ~sample.routed, 1e6, sample.value))
    assert saved(sample) == saved(other)
    only = replace(sample.take(~sample.moved), moved=np.ones(int((~sample.moved).sum()), bool))
    assert abs(alike(only)) < 4
    assert alike(replace(only, value=np.where(only.routed, 3, 1) * only.value)) > 4


def test_nobody_kept_is_no_comparison() -> None:
    """A sample of one arm compares nothing; one with few units has values and no interval."""
    sample = made(5, 300).cost
    assert sides(sample.take(sample.routed)) is None
    assert saved(sample.take(sample.routed)) is None
    few = saved(made(6, 60, holdout=0.3).cost)
    assert few is not None
    assert np.isfinite(few.difference)
    assert np.isnan(few.low)


@pytest.mark.parametrize(("seed", "cost"), [(2, 0.0003), (3, 0.77), (11, 1 / 3)])
def test_equal_costs_are_alike(seed: int, cost: float) -> None:
    """Requests that all cost the same, in both arms, differ by the rounding of sums alone, which is no difference."""
    sample = made(seed, 600, holdout=0.4).cost
    only = replace(sample.take(~sample.moved), moved=np.ones(int((~sample.moved).sum()), bool))
    assert alike(replace(only, value=np.full(len(only.value), cost))) == 0
