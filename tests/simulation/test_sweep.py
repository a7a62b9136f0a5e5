"""A sweep says of every setting what a simulation of it says, and what the calls were for."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest
from support.small import world_of

from planner.errors import InputError
from planner.outcomes import fit_outcomes
from planner.outcomes.alike import ASSUMED_AT
from planner.policies import Batch, ExactCache, Hedge, LeverError, Plan, Retry, Timeout
from planner.policies.base import FAILURES
from planner.prices import PriceBook
from planner.simulation import World, retries, run, sweep


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Open a small log without labels: the correlation of two calls is assumed."""
    folder: Path = tmp_path_factory.mktemp("sweep")
    traffic, _ = world_of(folder, n=1_500)
    return World(traffic, fit_outcomes(traffic), PriceBook.load(), dt.date(2026, 11, 1))


def test_a_row_is_the_simulation_of_its_plan(world: World) -> None:
    """Money, its interval, latency and failures of each timeout are those of ``run``; the first row is the log."""
    table = sweep(world, Timeout(900), "ms", [600, 900, 2_000]).table
    assert table["label"].tolist() == ["as logged", "600", "900", "2000"]
    for plan, row in zip([Plan(), *(Plan((Timeout(ms),), "t") for ms in (600, 900, 2_000))], table.to_dict("records"), strict=True):
        ours = run(world, plan).table.iloc[-1]
        for name in ("usd_per_month", "saving_usd_per_month", "saving_low", "p50_ms", "p95_ms", "p99_ms", "failure_share"):
            assert row[name] == pytest.approx(ours[name], rel=1e-12, nan_ok=True), (plan.name, name)


def test_a_lever_of_one_app_is_told_of_that_app(world: World) -> None:
    """The figures of a lever in one app are those of the app, the others' requests are in none of them."""
    found = sweep(world, Hedge(1_000, apps=("chat",), correlation=0.5), "after_ms", [500])
    ours = run(world, Plan((Hedge(500, apps=("chat",)),), "h")).table.set_index("app").loc["chat"]
    assert found.scope == "chat"
    assert found.table["usd_per_month"].iloc[1] == pytest.approx(ours["usd_per_month"])
    assert found.table["calls_main"].iloc[1] == pytest.approx(1.0)


def test_calls_by_purpose_add_up(world: World) -> None:
    """Main calls, retries and hedges are all calls that were made, and a hedge that comes later is rarer."""
    table = sweep(world, Hedge(1_000), "after_ms", [500, 1_000, 3_000], beside=[Retry({"transport": 2})]).table.iloc[1:]
    purposes = table[[c for c in table if c.startswith("calls_")]].fillna(0.0)
    np.testing.assert_allclose(purposes.sum(axis=1), table["calls"], rtol=1e-12)
    one = table[table["correlation"] == 0.5]
    assert (np.diff(one["calls_hedge"]) < 0).all()


def test_an_assumed_correlation_is_shown_at_three(world: World) -> None:
    """Without labels a hedge is played at each assumed correlation; a stated one, or another lever, is played once."""
    shown = sweep(world, Hedge(1_000), "after_ms", [500, 800]).table
    assert shown["correlation"].iloc[1:].tolist() == [rho for rho in ASSUMED_AT for _ in range(2)]
    assert sweep(world, Hedge(1_000, correlation=0.2), "after_ms", [500]).table["correlation"].iloc[1:].tolist() == [0.2]
    assert sweep(world, ExactCache(), "capacity", [10]).table["correlation"].isna().all()


def test_misses_count_what_the_provider_takes(world: World) -> None:
    """A batch due in half an hour is never late by itself, and always once the provider takes an hour."""
    table = sweep(world, Batch(("search",), 10, deadline_hours=0.5), "window_minutes", [1, 5]).table.iloc[1:]
    assert table[["misses_0h", "misses_1h", "misses_6h"]].to_numpy().tolist() == [[0.0, 1.0, 1.0]] * 2
    assert table["waited_h"].iloc[0] < table["waited_h"].iloc[1] < 5 / 60 + 0.01


def test_a_longer_life_serves_more_from_the_cache(world: World) -> None:
    """Hits, and with them what is saved, do not fall with the time answers are kept; nothing else is played."""
    seen: list[tuple[int, int]] = []
    found = sweep(world, ExactCache(), "ttl_s", [60, 86_400], progress=lambda done, total: seen.append((done, total)))
    assert found.table["hit_share"].iloc[1] <= found.table["hit_share"].iloc[2]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert "exact_cache in all apps, ttl_s 60 to 86400" in found.text


def test_retries_by_kind_stand_between_none_and_blind(world: World) -> None:
    """No retries fail most; each kind alone costs no less than none; blind ones cost no less than those by kind."""
    table = retries(world, Retry({"transport": 2, "rate_limit": 2})).table.set_index("label")
    assert table.index.tolist() == ["as logged", "none", *FAILURES, "by kind", "blind"]
    assert table["failure_share"].iloc[1:].max() == table.loc["none", "failure_share"]
    assert (table["usd_per_month"].iloc[1:] >= table.loc["none", "usd_per_month"]).all()
    assert table.loc["blind", "usd_per_month"] >= table.loc["by kind", "usd_per_month"]
    assert table.loc["none", "calls"] == 1.0


def test_what_cannot_be_swept_is_refused(world: World) -> None:
    """A field that is none, no values, a value that the lever refuses, and retries of nothing: each is said before anything runs."""
    with pytest.raises(InputError, match="field 'after' of hedge"):
        sweep(world, Hedge(1_000), "after", [1])
    with pytest.raises(InputError, match="no values of hedge after_ms"):
        sweep(world, Hedge(1_000), "after_ms", [])
    with pytest.raises(LeverError, match="hedge after_ms is -1"):
        sweep(world, Hedge(1_000), "after_ms", [-1])
    with pytest.raises(InputError, match="retries of no kind"):
        retries(world, Retry({"transport": 0}))
