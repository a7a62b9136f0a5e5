"""One quantity, one number: a saving has the same evidence and the same interval wherever it is read."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.small import MODELS, prompt, traffic_of

from planner.comparison import compare, recommend, waterfall
from planner.outcomes import fit_outcomes
from planner.policies import Batch, ExactCache, Plan, Retry, Timeout
from planner.prices import PriceBook
from planner.simulation import World, run, simulate_in_parts
from planner.simulation.amounts import dollars
from planner.traffic import App, Apps

DATE, N, DAYS = dt.date(2026, 11, 1), 3_000, 28
NIGHTLY, CACHE = Batch(("nightly",), window_minutes=60), ExactCache(ttl_s=86_400, apps=("docs",))
MINE = Plan((NIGHTLY, CACHE, Retry({"transport": 1})), "mine")


def opened(folder: Path, nightly_users: int = 80, **columns: object) -> World:
    """Open four weeks of two apps: "nightly", which may wait, and "docs", of which 80 users ask one of 300 questions."""
    rng = np.random.default_rng(3)
    docs = rng.random(N) < 0.6
    frame = {
        "app": np.where(docs, "docs", "nightly"),
        "user": [f"d{rng.integers(80)}" if d else f"n{rng.integers(nightly_users)}" for d in docs],
        "timestamp": pd.Timestamp("2026-10-01", tz="UTC") + pd.to_timedelta(np.sort(rng.random(N)) * DAYS, unit="D").round("ms"),
        "provider": "openai",
        "model": MODELS[0],
        "input_tokens": rng.integers(200, 900, N),
        "output_tokens": rng.integers(20, 400, N),
        "latency_ms": rng.lognormal(7, 0.4, N),
        "messages": [prompt(f"question {rng.integers(300)}" if d else f"report {i}") for i, d in enumerate(docs)],
        "text_state": "full",
        "finish_reason": "stop",
        **columns,
    }
    traffic = traffic_of(folder, frame)
    return World(traffic, fit_outcomes(traffic), PriceBook.load(), DATE)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Return the log with enough users in both apps."""
    return opened(tmp_path_factory.mktemp("log"))


def terms(world: World) -> Apps:
    """Say that "nightly" may wait a day, and "docs" may be cached."""
    mine = App(owner="me", interactive=False, may_wait_hours=24, side_effects=False)
    return Apps({"nightly": mine, "docs": replace(mine, interactive=True)})


def test_what_did_not_happen_is_estimated_everywhere(world: World) -> None:
    """Another price tier and a served hit are estimated, never measured, in a plan, its waterfall, in parts, and without labels."""
    batch, cache = run(world, Plan((NIGHTLY,))), run(world, Plan((CACHE,)))
    parts = simulate_in_parts(world.traffic, Plan((CACHE,)), outcomes=world.outcomes, book=world.book, at=DATE, rows=700)
    for found in (batch, cache, parts):
        assert found.saving().evidence == "estimated"
        assert found.cost().evidence == "estimated"
        assert "measured" not in found.saving().shares
    assert [s.saving.evidence for s in waterfall(world, Plan((NIGHTLY, CACHE))).steps] == ["estimated"] * 2
    table = recommend(world.traffic, book=world.book, apps=terms(world), at=DATE).table.set_index("kind")
    assert table.loc[["slow tier", "response cache"], "evidence"].tolist() == ["estimated"] * 2


def test_what_stays_is_measured(world: World) -> None:
    """The bill of requests that a plan leaves alone is measured, and the log's own is so whole."""
    logged, cache = run(world, Plan()), run(world, Plan((CACHE,)))
    assert logged.cost().evidence == "measured"
    assert cache.cost().shares["measured"] == pytest.approx(cache.cost().value)
    assert cache.cost().value + cache.saving().value == pytest.approx(logged.cost().value)


def test_a_saving_keeps_its_interval_in_company(world: World) -> None:
    """A lever alone has to the digit the interval that it has in another plan, in its app's row, and in the list without labels."""
    steps = {s.lever: s for s in waterfall(world, MINE).steps}
    plain = recommend(world.traffic, book=world.book, apps=terms(world), at=DATE).table.set_index("kind")
    for lever, key, app, kind in ((NIGHTLY, "batch", "nightly", "slow tier"), (CACHE, "exact_cache", "docs", "response cache")):
        alone = run(world, Plan((lever,)))
        own, group = alone.saving(), alone.summary.groups.index((app,))
        expected = (own.value, own.low, own.high)
        assert own.low is not None
        for other in (alone.saving(group), steps[key].alone):
            assert (other.value, other.low, other.high) == pytest.approx(expected)
        row = plain.loc[kind]
        assert (row["usd_per_month"], row["low"], row["high"]) == pytest.approx([x * alone.per_month for x in expected], rel=1e-6)


def test_an_interval_that_differs_says_why(world: World) -> None:
    """What a lever saves last, beside a cache, is less sure than alone, and the text says that days make the difference."""
    found = waterfall(world, MINE)
    (batch, *_) = found.steps
    assert batch.last.high - batch.last.low > batch.alone.high - batch.alone.low
    assert "days count as well as users" in found.text
    assert "days count" not in waterfall(world, Plan((NIGHTLY, Timeout(60_000.0, apps=("docs",))))).text


def test_few_users_have_no_interval_anywhere(tmp_path: Path) -> None:
    """What five users' requests save has no interval, however many ask for other things, and the verdict says that this is why."""
    few = opened(tmp_path, nightly_users=5)
    plan = Plan((NIGHTLY,), "batch")
    alone = run(few, plan)
    assert alone.saving().value > 0
    assert alone.saving().low is alone.saving(alone.summary.groups.index(("nightly",))).low is None
    assert "no interval: too few users" in alone.text
    assert pd.isna(recommend(few.traffic, book=few.book, apps=terms(few), at=DATE).table.set_index("kind").loc["slow tier", "low"])
    verdict = compare(plan, world=few).verdict
    assert verdict.startswith("Nothing is sure")
    assert "Of 'batch' the saving has no interval" in verdict


def test_a_batch_is_no_quicker_by_its_interval(tmp_path: Path) -> None:
    """Where the p95 lies between those who wait and a batch, its change is above 0 and no longer than the batch waits."""
    rng = np.random.default_rng(0)
    rare = opened(tmp_path, app=np.where(rng.random(N) < 0.055, "nightly", "docs"), user=[f"u{u}" for u in rng.integers(0, 150, N)])
    slower = run(rare, Plan((NIGHTLY,))).latency_difference()
    assert slower.low is not None
    assert slower.high is not None
    assert -2_000 < slower.low < slower.value < slower.high < 61 * 60_000


def test_rows_in_no_figure_are_said_first(tmp_path: Path) -> None:
    """Requests without a price stand in the sentences above the table, with their number."""
    some = opened(tmp_path, model=np.where(np.arange(N) < 37, "unheard-of", MODELS[0]))
    head = " ".join(compare(Plan((CACHE,), "cache"), world=some).head)
    assert "37 rows of the log have no price" in head


def test_hits_are_counted(world: World) -> None:
    """The share of requests that a cache answers is the hits by the requests, in the table and in words."""
    found = run(world, Plan((CACHE,)))
    hits = (world.played(Plan((CACHE,))).calls == 0).sum()
    assert hits > 100
    assert found.hits() == pytest.approx(hits / N)
    assert found.table.iloc[-1]["hit_share"] == found.hits()
    assert f"{hits / N:.1%} of requests are answered from a cache" in found.text
    assert run(world, Plan((Timeout(60_000.0),))).hits() == 0


@pytest.mark.parametrize(("usd", "said"), [(0.0589, "$0.059"), (0.28, "$0.28"), (3.6, "$3.60"), (230.1, "$230"), (-4.2e-5, "-$0.000042")])
def test_small_money_keeps_two_digits(usd: float, said: str) -> None:
    """No amount that is something is written as nothing."""
    assert dollars(usd) == said
