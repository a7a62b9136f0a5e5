"""What a sample tells of a plan's cost: the audit's own interval of the log, and one of its kind for every plan, group and period."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.small import MODELS, prompt, traffic_of

from planner.comparison import compare, periods, waterfall
from planner.comparison.contrast import saves
from planner.outcomes import Outcomes
from planner.policies import Plan, Route
from planner.prices import PriceBook, audit
from planner.router import ALWAYS_TAU, AlwaysRule, Capability, Costs, Router
from planner.simulation import AS_LOGGED, World, run, simulate_in_parts
from planner.traffic import Traffic
from planner.traffic.sampling import sampled


@pytest.fixture(scope="module")
def book() -> PriceBook:
    """Load the bundled catalogue."""
    return PriceBook.load()


def log(folder: Path, heavy: int = 0) -> Traffic:
    """Write 4,000 requests of 2,000 users over 20 days in two apps; ``heavy`` users' requests are a thousand times as long."""
    rng = np.random.default_rng(0)
    user = rng.integers(0, 2_000, 4_000)
    columns: dict[str, Any] = {
        "timestamp": pd.Timestamp("2026-11-01", tz="UTC") + pd.to_timedelta(np.sort(rng.integers(0, 20 * 86_400, 4_000)), unit="s"),
        "app": np.where(user % 2, "chat", "code"),
        "user": [f"u{u}" for u in user],
        "provider": "openai",
        "model": MODELS[0],
        "input_tokens": np.where(user < heavy, 1_000_000, 1_000),
        "output_tokens": 100,
        "messages": prompt("sum"),
        "text_state": "full",
    }
    return traffic_of(folder, columns)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Traffic:
    """Return a log in which no user is heavy."""
    return log(tmp_path_factory.mktemp("whole") / "log")


def world(traffic: Traffic, book: PriceBook) -> World:
    """Open a log at its own prices."""
    return World(traffic, Outcomes(), book, AS_LOGGED)


def test_the_log_in_a_sample_costs_what_the_audit_says(whole: Traffic, book: PriceBook, tmp_path: Path) -> None:
    """Value and limits, of all and of each app, are those of the audit; the table has them a month, and the text."""
    part = sampled(whole, 0.2, tmp_path / "s")
    found, total = run(world(part, book), Plan()), audit(part, book)
    cost = found.cost()
    assert (cost.value, cost.low, cost.high, cost.evidence) == pytest.approx(
        (total.total.value, total.total.low, total.total.high, "estimated")
    )
    spend = total.by("app").set_index("app")
    for row in found.table.to_dict("records")[:-1]:
        limits = spend.loc[row["app"], ["usd", "low", "high"]].to_numpy(float) * found.per_month
        assert [row["usd_per_month"], row["usd_low"], row["usd_high"]] == pytest.approx(limits.tolist())
    assert cost.low is not None
    assert f"[${cost.low * found.per_month:.2f}, $" in found.text
    assert {"usd_low", "usd_high"} & {*run(world(whole, book), Plan()).table} == set()


def test_the_cost_of_a_plan_has_an_interval_that_covers(whole: Traffic, book: PriceBook, tmp_path: Path) -> None:
    """Of 30 samples at least 26 say an interval that holds what the plan would cost on the whole log."""
    true = run(world(whole, book), nano()).cost().value
    hits = 0
    for seed in range(30):
        cost = run(world(sampled(whole, 0.1, tmp_path / "s", seed=seed), book), nano()).cost()
        assert cost.low is not None
        assert cost.high is not None
        hits += cost.low <= true <= cost.high
    assert 0 < true < run(world(whole, book), Plan()).cost().value
    assert hits >= 26


def test_periods_have_their_own_interval(whole: Traffic, book: PriceBook, tmp_path: Path) -> None:
    """Each of two periods has limits about its own cost, narrower than those of both."""
    opened = world(sampled(whole, 0.2, tmp_path / "s"), book)
    both = run(opened, Plan()).cost()
    halves = [run(w, Plan()).cost() for w in periods(opened, np.datetime64("2026-11-11"))]
    assert sum(h.value for h in halves) == pytest.approx(both.value)
    for half in halves:
        assert half.low is not None
        assert half.high is not None
        assert half.low < half.value < half.high
        assert both.high is not None
        assert both.low is not None
        assert half.high - half.low < both.high - both.low


def nano() -> Plan:
    """Send everything to the cheapest model."""
    k = len(MODELS)
    able = tuple(Capability(max_input_tokens=10**7) for _ in MODELS)
    costs = Costs(np.array([3.0, 2, 1]), np.zeros(k), np.zeros(k), np.zeros(k))
    return Plan((Route(Router(MODELS, MODELS[0], AlwaysRule.model(2, 0, k), costs, able, tau=ALWAYS_TAU)),), "nano")


def test_a_thin_sample_gives_no_total_an_interval(book: PriceBook, tmp_path: Path) -> None:
    """Neither cost nor saving of it has one, also as a difference of plans, and text and comparison say why."""
    opened = world(sampled(log(tmp_path / "log", heavy=20), 0.1, tmp_path / "thin"), book)
    logged = run(opened, Plan())
    assert logged.drawn is not None
    assert logged.thin.startswith("Totals have no interval")
    assert (logged.cost().low, logged.cost().evidence) == (None, "estimated")
    assert logged.thin in logged.text
    moved = run(opened, nano())
    for saving in (moved.saving(), moved.saving_share(), saves([(1, moved), (-1, logged)])):
        assert saving.value > 0
        assert (saving.low, saving.high) == (None, None)
    assert "(no interval)" in waterfall(opened, nano()).text
    assert logged.thin in compare(logged, moved).text


def test_parts_of_a_sample_have_no_interval_of_cost(whole: Traffic, book: PriceBook, tmp_path: Path) -> None:
    """Played in parts, a sample's cost is the same, estimated, and has no interval: the table says that there should be one."""
    part = sampled(whole, 0.2, tmp_path / "s")
    found = simulate_in_parts(part, Plan(), book=book, at=AS_LOGGED, rows=100)
    assert found.cost().value == run(world(part, book), Plan()).cost().value
    assert (found.cost().low, found.cost().evidence) == (None, "estimated")
    assert found.table["usd_low"].isna().all()
