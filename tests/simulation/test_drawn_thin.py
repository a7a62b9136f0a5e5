"""A sample gives a figure limits where enough of those who hold it are to be expected: by app, plan and period, never by what was drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.small import MODELS, prompt, traffic_of

from planner.comparison import periods
from planner.comparison.contrast import saves
from planner.outcomes import Outcomes
from planner.policies import Plan, Route
from planner.prices import PriceBook
from planner.router import ALWAYS_TAU, AlwaysRule, Capability, Costs, Router
from planner.simulation import AS_LOGGED, World, run, trace
from planner.simulation.predicted import predicted_bill
from planner.traffic import Traffic
from planner.traffic.sampling import sampled, spread_of

DAYS = 20
#: In groups sorted by name.
CHAT, DOCS, RARE = 0, 1, 2


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Traffic:
    """Write 4,100 requests: of 2,000 users, alike in chat and twenty heavy ones in docs; of 100 in rare, one of whom has the dear model."""
    rng = np.random.default_rng(0)
    user = np.append(rng.integers(0, 2_000, 4_000), np.arange(2_000, 2_100))
    docs, rare = user % 4 == 3, user >= 2_000
    columns: dict[str, Any] = {
        "timestamp": pd.Timestamp("2026-11-01", tz="UTC") + pd.to_timedelta(np.sort(rng.integers(0, DAYS * 86_400, len(user))), unit="s"),
        "app": np.where(rare, "rare", np.where(docs, "docs", "chat")),
        "user": [f"u{u}" for u in user],
        "provider": "openai",
        "model": np.where(user > 2_000, MODELS[2], MODELS[0]),
        "input_tokens": np.where(docs & (user < 80), 100_000, 1_000),
        "output_tokens": 100,
        "messages": prompt("sum"),
        "text_state": "full",
    }
    return traffic_of(tmp_path_factory.mktemp("whole") / "log", columns)


def world(traffic: Traffic) -> World:
    """Open a log at its own prices."""
    return World(traffic, Outcomes(), PriceBook.load(), AS_LOGGED)


def nano(*apps: str) -> Plan:
    """Send some apps, or all, to the cheapest model."""
    k = len(MODELS)
    able = tuple(Capability(max_input_tokens=10**7) for _ in MODELS)
    costs = Costs(np.array([3.0, 2, 1]), np.zeros(k), np.zeros(k), np.zeros(k))
    router = Router(MODELS, MODELS[0], AlwaysRule.model(2, 0, k), costs, able, tau=ALWAYS_TAU)
    return Plan((Route(router.with_apps(apps) if apps else router),), "nano")


def test_a_draw_keeps_how_few_hold_each_app(whole: Traffic, tmp_path: Path) -> None:
    """Of every app the effective users are those of the whole log, whatever was drawn, and times brings what was drawn to what it spent."""
    part = sampled(whole, 0.1, tmp_path / "s")
    found, own = spread_of(part), whole.frame("app", "user", "input_tokens", "output_tokens")
    assert found is not None
    drawn = part.frame("app", "input_tokens", "output_tokens", "weight")
    for app, rows in own.assign(spent=own["input_tokens"] + own["output_tokens"]).groupby("app"):
        spent = rows.groupby("user")["spent"].sum()
        assert found.apps[app] == pytest.approx(spent.sum() ** 2 / (spent**2).sum())
        mine = drawn[drawn["app"] == app]
        stands = float(((mine["input_tokens"] + mine["output_tokens"]) * mine["weight"]).sum())
        assert found.times[app] == pytest.approx(spent.sum() / stands if stands else 1.0)


def test_an_app_that_few_hold_has_no_limits_and_the_others_have(whole: Traffic, tmp_path: Path) -> None:
    """Docs, and what all cost, have none in any of 25 samples; chat always has, and they hold in at least 22."""
    true = run(world(whole), nano("chat"))
    hits = {"cost": 0, "saving": 0}
    for seed in range(25):
        found = run(world(sampled(whole, 0.1, tmp_path / "s", seed=seed)), nano("chat"))
        assert [found.cost(group).low for group in (None, DOCS)] == [None, None]
        for name in hits:
            here = getattr(found, name)(CHAT)
            assert here.low is not None
            hits[name] += here.low <= getattr(true, name)(CHAT).value <= here.high
    assert min(hits.values()) >= 22


def test_a_saving_has_limits_where_those_whom_it_is_saved_on_are_many(whole: Traffic, tmp_path: Path) -> None:
    """What is saved on chat has them though the total has none; on docs, or as a share of the total, there are none; text says so."""
    opened = world(sampled(whole, 0.1, tmp_path / "s"))
    chat, docs = run(opened, nano("chat")), run(opened, nano("docs"))
    assert chat.thin.startswith("Totals have no interval")
    assert chat.saving().low is not None
    assert chat.saving_share().low is None
    assert (docs.saving().low, docs.saving(DOCS).low) == (None, None)
    assert "(no interval: too few were drawn of those who hold what changes)" in docs.text
    assert saves([(1, chat), (-1, docs)]).low is None


def test_a_plan_that_leaves_the_spend_to_few_has_no_limits(tmp_path: Path) -> None:
    """Where the even part becomes cheap, what is left is held by few: the plan's cost has none, the log's has, with a word of care."""
    user = np.arange(2_000)
    columns = {
        "app": np.where(user < 30, "docs", "chat"),
        "user": [f"u{u}" for u in user],
        "provider": "openai",
        "model": MODELS[0],
        "input_tokens": np.where(user < 30, 80_000, 2_000),
        "messages": prompt("sum"),
        "text_state": "full",
    }
    opened = world(sampled(traffic_of(tmp_path / "log", columns), 0.1, tmp_path / "s"))
    logged, moved = run(opened, Plan()), run(opened, nano("chat"))
    assert logged.cost().low is not None
    assert logged.rough.startswith("Read the limits of totals with care")
    assert logged.rough in logged.text
    assert (moved.cost().low, moved.rough) == (None, "")
    assert moved.thin in moved.text


def test_a_sample_from_before_apps_were_counted_is_judged_as_a_whole(whole: Traffic, tmp_path: Path) -> None:
    """Its apps have no limits where all of it has none, as before."""
    part = sampled(whole, 0.1, tmp_path / "s")
    older = Traffic(part.folder, {**part.meta, "samples": [{k: v for k, v in s.items() if k != "apps"} for s in part.meta["samples"]]})
    found = run(world(older), nano("chat"))
    assert found.thin == run(world(part), Plan()).thin != ""
    assert {found.cost(group).low for group in (None, CHAT, DOCS)} == {None}
    assert found.saving().low is None


def test_a_period_is_judged_by_its_own(whole: Traffic, tmp_path: Path) -> None:
    """Two days of twenty have no limits in a sample that is large enough for all of them; eighteen have."""
    opened = world(sampled(whole, 0.4, tmp_path / "s"))
    early, late = (run(w, Plan()) for w in periods(opened, np.datetime64("2026-11-03")))
    assert run(opened, Plan()).cost().low is not None
    assert (early.cost().low, early.thin[:23]) == (None, "Totals have no interval")
    assert late.cost().low is not None


def test_what_was_not_drawn_may_change(whole: Traffic, tmp_path: Path) -> None:
    """Where a plan reaches what was not drawn alone, it is not measured that nothing is saved; where it reaches nothing, it is."""
    part = sampled(whole, 0.1, tmp_path / "s")
    assert MODELS[0] not in set(part.frame("app", "model").query("app == 'rare'")["model"])
    opened = world(part)
    both, moved, logged = run(opened, nano("rare", "chat")), run(opened, nano("rare")), run(opened, Plan())
    assert (moved.saving().value, moved.saving().low, moved.saving().evidence) == (0.0, None, "estimated")
    assert "Saving $0.00 (no interval: nothing that was drawn changes) a month" in moved.text
    difference = saves([(1, moved), (-1, logged)])
    assert (difference.low, difference.evidence) == (None, "estimated")
    assert both.saving(RARE).evidence == "estimated"
    for untouched in (moved.saving(CHAT), both.saving(DOCS), logged.saving(), logged.saving(CHAT)):
        assert (untouched.low, untouched.high, untouched.evidence) == (0.0, 0.0, "measured")


def test_a_frontier_has_limits_where_its_savings_may(whole: Traffic, tmp_path: Path) -> None:
    """At every level that saves on docs the saving has none, as ``simulate`` says; a router of chat alone has them."""
    opened = world(sampled(whole, 0.1, tmp_path / "s"))
    for plan, told in ((nano(), False), (nano("chat"), True)):
        found = trace(opened, plan.levers[0].router)  # type: ignore[attr-defined]
        last, said = found.table.iloc[-1], run(opened, plan).saving()
        assert last["saving_usd_per_month"] > 0
        assert np.isfinite(last["saving_low"]) == (said.low is not None) == told
        assert trace(world(whole), plan.levers[0].router).table["saving_low"].notna().all()  # type: ignore[attr-defined]


def test_a_bill_ahead_is_not_predicted_from_a_thin_sample(whole: Traffic, tmp_path: Path) -> None:
    """It has no interval, and its source says why."""
    found = predicted_bill(world(sampled(whole, 0.1, tmp_path / "s")), Plan(), 4_000)
    assert found.low is None
    assert "Totals have no interval" in found.source
