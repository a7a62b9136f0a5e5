"""Latency quantiles: read off histograms as if off the rows, paired with the log, and silent where they must be."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.small import MODELS, traffic_of

from planner.outcomes import Outcomes, Ratio
from planner.policies import Plan, Route
from planner.prices import PriceBook
from planner.router import ALWAYS_TAU, AlwaysRule, Capability, Costs, Router
from planner.simulation import Simulation, World, merge, run, simulate
from planner.simulation.summary import PAIRED, TIMES
from planner.stats import influence
from planner.stats.quantiles import limits

DEAR, MINI, NANO = MODELS
N = 3000


def log(folder: Path, users: int = 120, **columns: object) -> World:
    """Open a log of lognormal latencies of users who differ in speed, and a mini that takes 0.4 of the time."""
    rng = np.random.default_rng(1)
    user = rng.integers(0, users, N)
    latency = 1000 * np.exp(0.3 * rng.normal(size=users)[user] + 0.6 * rng.normal(size=N))
    frame = {
        "user": [f"u{u}" for u in user],
        "app": np.where(np.arange(N) % 3 == 0, "chat", "search"),
        "provider": "openai",
        "model": DEAR,
        "input_tokens": 100,
        "latency_ms": latency,
        "ttft_ms": latency / 4,
        "messages": "hi",
        "text_state": "full",
        **columns,
    }
    outcomes = Outcomes({(DEAR, MINI): Ratio(1.0, 1.0, 0.0, 0.4, 99), (DEAR, NANO): Ratio(1.0, 1.0, 0.0, 1.0, 99)})
    return World(traffic_of(folder, frame), outcomes, PriceBook.load(), "as-logged")


def sent(model: str) -> Plan:
    """Send everything to ``model``."""
    costs = Costs(np.array([3.0, 2, 1]), *(np.zeros(3) for _ in range(3)))
    able = (Capability(10**6),) * 3
    return Plan((Route(Router(MODELS, DEAR, AlwaysRule.model(MODELS.index(model), 0, 3), costs, able, tau=ALWAYS_TAU)),), model)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The log."""
    return log(tmp_path_factory.mktemp("log"))


@pytest.mark.parametrize("q", [0.5, 0.95])
def test_interval_is_woodruffs_on_the_rows(world: World, q: float) -> None:
    """Value and limits agree with those computed from the rows themselves, the share above taken at the quantile itself."""
    found = run(world, Plan()).latency(q)
    x, bucket = world.rows.latency_ms, world.rows.bucket
    value = np.quantile(x, q)
    sums = np.column_stack([np.bincount(bucket, x > value, 256), np.bincount(bucket, minlength=256)])
    moves = influence(sums, lambda s: s[:, 0] / s[:, 1], sums[:, 1])
    low, high = np.quantile(x, limits(q, float(moves.variance), float(moves.freedom)))
    assert found.value == pytest.approx(value, rel=0.006)
    assert (found.low, found.high) == pytest.approx((low, high), rel=0.04)
    assert (found.evidence, found.n) == ("measured", N)


def test_nothing_changed_is_no_difference(world: World) -> None:
    """The empty plan has no difference, measured; a plan that takes 0.4 of the time everywhere has −0.6 of the quantile."""
    same, quick = run(world, Plan()), run(world, sent(MINI))
    none = same.latency_difference()
    assert (none.value, none.low, none.high, none.evidence) == (0.0, 0.0, 0.0, "measured")
    moved = quick.latency_difference(0.95)
    assert moved.value == pytest.approx(-0.6 * same.latency(0.95).value, rel=0.02)
    assert moved.low is not None
    assert moved.high is not None
    assert moved.low < moved.value < moved.high < 0
    assert moved.evidence == "estimated"


def test_differences_are_paired(world: World) -> None:
    """The interval of the difference is narrower than two apart would give: the same users are slow on both sides."""
    quick = run(world, sent(MINI))
    both, own = quick.latency_difference(0.95), quick.latency(0.95)
    logged = run(world, Plan()).latency(0.95)
    apart = np.hypot(own.high - own.low, logged.high - logged.low)
    assert both.high - both.low < 0.8 * apart


def test_perceived_latency_has_its_own_quantiles(world: World) -> None:
    """Time to the first token is a quarter of the whole in this log, where all is streamed, in every group."""
    found = run(world, Plan())
    for group in (None, 0, 1):
        assert found.latency(0.9, group, perceived=True).value == pytest.approx(found.latency(0.9, group).value / 4, rel=0.02)
    assert found.latency_difference(0.9, perceived=True).value == 0.0
    moved = run(world, sent(MINI))
    assert moved.latency(0.9, perceived=True).value == pytest.approx(0.4 * found.latency(0.9, perceived=True).value, rel=0.02)


def test_groups_are_apart(world: World) -> None:
    """A group's quantile is that of its own rows."""
    found = run(world, Plan())
    chat = found.summary.groups.index(("chat",))
    assert found.latency(0.9, chat).value == pytest.approx(
        np.quantile(world.rows.latency_ms[world.rows.app.decode() == "chat"], 0.9), rel=0.006
    )
    assert found.latency(0.9, chat).n == N // 3


def test_few_users_and_unknown_times_have_no_interval(tmp_path: Path) -> None:
    """Nine users give a value alone; a log without times gives neither."""
    few = run(log(tmp_path / "few", users=9), Plan()).latency()
    assert np.isfinite(few.value)
    assert (few.low, few.high) == (None, None)
    none = run(log(tmp_path / "none", latency_ms=np.nan, ttft_ms=np.nan), Plan()).latency()
    assert np.isnan(none.value)
    assert (none.low, none.n) == (None, 0)


def test_failed_requests_have_no_latency(tmp_path: Path) -> None:
    """What failed took its time too, but gave no answer: only answered requests count."""
    status = np.where(np.arange(N) % 2 == 0, "ok", "transport")
    world = log(tmp_path, status=status)
    found = run(world, Plan()).latency(0.5)
    assert found.n == N // 2
    assert found.value == pytest.approx(np.median(world.rows.latency_ms[::2]), rel=0.006)


def test_histograms_of_parts_add_up(tmp_path: Path) -> None:
    """Fine and coarse histograms tell the same weights, fractions included, and merged parts tell what the whole tells."""
    world = log(tmp_path, weight=np.tile([0.25, 2.5], N // 2))
    whole = run(world, sent(MINI)).summary
    np.testing.assert_array_equal(whole.latency.sum(axis=2), whole.latency_buckets.sum(axis=(1, 3)))
    assert int(whole.latency[:, TIMES.index("latency_ms")].sum()) == round(1e6 * world.rows.weight.sum())
    both = merge(whole, whole)
    np.testing.assert_array_equal(both.latency_buckets, 2 * whole.latency_buckets)
    twice, once = Simulation("twice", both), Simulation("once", whole)
    assert twice.latency().value == once.latency().value


def test_shared_state_needs_days(world: World, tmp_path: Path) -> None:
    """Where users share state, three days give a value and no interval of money or latency; forty give one, wider than by users alone."""
    days = log(tmp_path, timestamp=np.datetime64("2026-09-01") + (np.arange(N) % 40) * np.timedelta64(1, "D"))
    for opened, given in ((world, False), (days, True)):
        plan = sent(MINI)
        apart = run(opened, plan)
        shared = Simulation(plan.name, _summary_with_shared_state(opened, plan))
        for name in ("saving", "saving_share", "latency", "latency_difference"):
            alone, both = getattr(apart, name)(), getattr(shared, name)()
            assert both.value == alone.value
            assert (both.low is not None) is given
            if given:
                assert both.low <= alone.low
                assert both.high >= alone.high


def _summary_with_shared_state(world: World, plan: Plan):
    from planner.simulation.summarise import summarise

    return summarise(world, replace(world.header(plan), shared=True), world.played(plan), None)


def test_days_add_up_to_the_whole(world: World) -> None:
    """The sums of all days are those of all buckets, and simulate says the same as run."""
    plan = sent(NANO)
    summary = _summary_with_shared_state(world, plan)
    np.testing.assert_array_equal(summary.latency_daily.sum(axis=1), summary.latency_buckets.sum(axis=1))
    np.testing.assert_array_equal(summary.daily[..., -len(PAIRED) :].sum(axis=1), summary.paired.sum(axis=1))
    assert int(summary.daily[..., 1].sum()) == int(summary.measure("cost_difference_pusd").sum())
    assert (summary.daily.sum(axis=(0, 2)) != 0).sum() == 3
    again = simulate(world.traffic, plan, outcomes=world.outcomes, book=world.book, at="as-logged")
    assert again.latency().value == run(world, plan).latency().value
