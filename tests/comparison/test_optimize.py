"""The cheapest plan within limits: found, locked, reported on a later period, and the same after a kill."""

from __future__ import annotations

import datetime as dt
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from support.small import prompt, traffic_of

from planner.comparison import Limits, Space, optimize, periods
from planner.errors import InputError, NeedsError
from planner.outcomes import Outcomes
from planner.policies import Batch, Compress, ExactCache, Hedge, Plan, PromptCache, Retry, Route, SemanticCache, Stream, Timeout
from planner.prices import PriceBook
from planner.simulation import World, run

TAUS = (-0.2, -0.1, 0.0, 1.0, 5.0, 20.0)


@pytest.fixture(scope="module")
def halves(world) -> tuple[World, World]:
    """Cut the world in the middle."""
    return periods(world[0], np.sort(world[0].rows.timestamp)[len(world[0].rows) // 2])


@pytest.fixture(scope="module")
def space(world) -> Space:
    """Make a space of 7 × 2 × 3 plans: a route at six levels, a prompt cache, a hedge at two delays, and a timeout that stays."""
    plan = Plan((Route(world[1].router), PromptCache(), Hedge(2_000.0), Timeout(60_000.0)), "all")
    return Space.of(plan, {"route.tau": TAUS, "hedge.after_ms": (1_000, 4_000)}, ["timeout"])


def test_periods_are_the_log_in_two(world, halves) -> None:
    """Requests, cost and held-out labels of both periods add up to those of the whole log, and their Summaries cannot be mixed up."""
    whole, parts = run(world[0], Plan()), [run(half, Plan()) for half in halves]
    for measure in ("requests_micro", "cost_pusd", "calls", "failures_micro"):
        assert whole.summary.measure(measure).sum() == sum(p.summary.measure(measure).sum() for p in parts) > 0
    held = [w.outcomes.holdout for w in (world[0], *halves)]
    assert len(held[0].rows) == len(held[1].rows) + len(held[2].rows)
    assert held[1].rows.timestamp.max() < halves[1].between[0] <= held[2].rows.timestamp.min()
    assert sum(p.summary.header.days for p in parts) == pytest.approx(whole.summary.header.days, abs=0.01)
    assert "traffic" in parts[0].summary.header.comparable(parts[1].summary.header)


def test_a_plan_plays_in_a_period_what_happens_in_it(world, halves) -> None:
    """A plan whose levers hold no state costs and moves over the two periods what it does over the whole log, to the integer."""
    routed = Plan((Route(world[1].router.with_tau(5.0)),), "routed")
    whole, parts = run(world[0], routed), [run(half, routed) for half in halves]
    assert whole.summary.measure("cost_pusd").sum() == sum(p.summary.measure("cost_pusd").sum() for p in parts)
    assert whole.summary.pair("changed_micro").sum() == sum(p.summary.pair("changed_micro").sum() for p in parts) > 0


def test_caches_are_cold_at_the_start_of_a_period(tmp_path: Path) -> None:
    """Of three equal questions, of which the last two are in the later period, the second is not answered from before the cut."""
    traffic = traffic_of(
        tmp_path,
        {
            "app": "faq", "provider": "openai", "model": "gpt-5.4", "messages": [prompt("Why?")] * 3, "text_state": "full",
            "input_tokens": 100, "output_tokens": 10, "latency_ms": 500.0, "status": "ok", "has_tools": False,
        },
    )  # fmt: skip
    world = World(traffic, Outcomes(), PriceBook.load(), dt.date(2026, 11, 1))
    plan = Plan((ExactCache(),), "cached")
    early, late = periods(world, world.rows.timestamp[1])
    assert [int(run(w, plan).summary.measure("calls").sum()) for w in (world, early, late)] == [1, 1, 1]
    assert int(run(late, Plan()).summary.measure("calls").sum()) == 2


def test_labels_that_the_log_lacks_are_halved_by_user(world, halves) -> None:
    """A label whose request is not in the log has no time: its user decides, so that no user is in both periods."""
    opened, _ = world
    held = opened.outcomes.holdout
    rows = replace(held.rows, key=held.rows.key + np.uint64(1))
    strange = replace(opened.outcomes, holdout=replace(held, rows=rows))
    parts = periods(World(opened.traffic, strange, opened.book, opened.at), halves[1].between[0])
    buckets = [{*p.outcomes.holdout.rows.bucket.tolist()} for p in parts]
    assert not buckets[0] & buckets[1]
    assert all(buckets)


@pytest.mark.parametrize("limits", [Limits(0.1), Limits(None), Limits(0.1, p95_ms=2_800.0)])
def test_the_whole_space_gives_the_cheapest_allowed(halves, space: Space, limits: Limits) -> None:
    """Tried whole, no plan of the space is cheaper and within the limits by its own simulation; the locked lever is always on."""
    early, late = halves
    found = optimize(early, late, space, limits)
    assert found.whole
    assert len(found.table) == len(space) == 7 * 2 * 3
    assert (found.table["timeout"] != "off").all()
    logged = run(early, Plan()).failures()
    costs = {}
    for picks in product(*map(range, space.sizes)):
        played = run(early, space.plan(picks))
        quality, slow = played.quality_difference(), played.latency()
        fine = limits.floor is None or (quality.low is not None and quality.low >= -limits.floor)
        fine &= limits.p95_ms is None or (slow.high or slow.value) <= limits.p95_ms
        if fine and played.failures() <= logged + limits.more_failures:
            costs[picks] = played.cost().value
    if not costs:
        assert found.plan is None
        return
    assert found.searched.cost().value == min(costs.values())
    assert found.reported.saving().value == run(late, found.plan).saving().value
    assert "On the later period, which chose nothing" in found.text


def test_evolution_finds_what_the_whole_space_holds(halves, space: Space) -> None:
    """With fewer simulations than plans, at one seed, the search ends with the plan that is cheapest of all, and twice the same."""
    early, late = halves
    whole = optimize(early, late, space, Limits(0.1))
    few = [optimize(early, late, space, Limits(0.1), evaluations=30) for _ in range(2)]
    assert not few[0].whole
    assert len(few[0].table) <= 30
    assert few[0].table.equals(few[1].table)
    assert few[0].searched.cost().value == whole.searched.cost().value


def test_without_an_allowed_plan_today_stays(halves, space: Space) -> None:
    """A p95 that no plan has leaves no plan, and the words say so."""
    found = optimize(*halves, space, Limits(0.1, p95_ms=1.0))
    assert (found.plan, found.holds) == (None, False)
    assert "Keep today's" in found.text
    assert not found.table["allowed"].any()


def test_what_no_label_measured_is_never_within_a_floor(halves) -> None:
    """A compression without labels is not allowed under a floor, and is where quality is not limited."""
    space = Space.of(Plan((Compress("rank"),), "short"), locked=["compress"])
    assert optimize(*halves, space, Limits(1.0)).plan is None
    assert optimize(*halves, space, Limits(None)).plan is not None


def test_contradictory_choices_are_no_plans(halves) -> None:
    """Settings that contradict each other in one plan are refused there alone, with the reason, and cost no simulation."""
    hedged = Plan((Batch(("chat",), window_minutes=1.0), Hedge(100_000.0, apps=("chat",))), "late")
    found = optimize(*halves, Space.of(hedged, {"batch.window_minutes": (1.0, 60.0)}), Limits(None))
    refused = found.table[found.table["refused"] != ""]
    assert len(found.table) == 6
    assert len(refused) == 1
    assert "batch window" in refused["refused"].iloc[0]
    assert not refused["allowed"].any()


def test_bad_spaces_and_periods_are_refused_before_anything_runs(world, halves, space: Space, tmp_path: Path) -> None:
    """Unknown levers, fields, values and apps, overlapping periods and a foreign journal each end in one sentence."""
    plan = Plan((Hedge(800.0), Retry({"transport": 1})), "p")
    for vary, locked, said in (
        ({"hegde.after_ms": (1,)}, (), "Did you mean 'hedge'"),
        ({"hedge.after": (1,)}, (), "Did you mean 'after_ms'"),
        ({"hedge.after_ms": ("soon",)}, (), "milliseconds"),
        ({"hedge.after_ms": ()}, (), "at least one"),
        ({"hedge.after_ms": (1,)}, ("hedge",), "locked and varied"),
        ({}, ("rerty",), "Did you mean 'retry'"),
    ):
        with pytest.raises(InputError, match=said):
            Space.of(plan, vary, locked)
    with pytest.raises(InputError, match="later period"):
        optimize(halves[1], halves[0], space)
    with pytest.raises(InputError, match="caht"):
        optimize(*halves, Space.of(Plan((Hedge(800.0, apps=("caht",)),), "p")))
    with pytest.raises(NeedsError, match="ttft_ms"):
        optimize(*halves, Space.of(Plan((Stream(("chat",)),), "p")))
    other = tmp_path / "search.jsonl"
    optimize(*halves, Space.of(Plan((PromptCache(),), "p")), Limits(None), journal=other)
    shifted = periods(world[0], np.sort(world[0].rows.timestamp)[len(world[0].rows) // 3])
    with pytest.raises(InputError, match="another traffic"):
        optimize(*shifted, space, journal=other)
    other.write_text("{}\n")
    with pytest.raises(InputError, match="journal of a search"):
        optimize(*halves, space, journal=other)


def test_caches_of_one_kind_only(halves) -> None:
    """Two kinds of response cache in one app contradict each other already in the plan that spans the space."""
    with pytest.raises(InputError, match="semantic_cache"):
        Plan((ExactCache(), SemanticCache(0.9)), "two")


SEARCH = """
import sys
import datetime as dt
from pathlib import Path
import numpy as np
from planner.comparison import Limits, Space, optimize, periods
from planner.outcomes import fit_outcomes
from planner.policies import Hedge, Plan, PromptCache, Retry, Timeout
from planner.prices import PriceBook
from planner.simulation import World
from planner.traffic import Traffic

def search(folder, journal, progress=None):
    traffic = Traffic.open(folder)
    world = World(traffic, fit_outcomes(traffic), PriceBook.load(), dt.date(2026, 11, 1))
    plan = Plan((Retry({"transport": 1}), PromptCache(), Hedge(800), Timeout(60_000)), "all")
    vary = {"retry.retries": ({"transport": 1}, {"transport": 2}), "hedge.after_ms": (800, 2_000, 4_000), "timeout.ms": (20_000, 60_000)}
    early, late = periods(world, np.sort(world.rows.timestamp)[len(world.rows) // 2])
    return optimize(early, late, Space.of(plan, vary), Limits(None), journal=journal, evaluations=25, progress=progress)

if __name__ == "__main__":
    search(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_killed_search_goes_on_and_ends_the_same(world, tmp_path: Path) -> None:
    """After kill −9 and half a line the rest is simulated, nothing twice, and the end is that of a search never killed."""
    folder, journal = world[0].traffic.folder, tmp_path / "search.jsonl"
    script = tmp_path / "search.py"
    script.write_text(SEARCH, "utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    running = subprocess.Popen([sys.executable, str(script), str(folder), str(journal)], env=environment, start_new_session=True)
    until = time.monotonic() + 120
    while time.monotonic() < until and running.poll() is None and _lines(journal) < 5:
        time.sleep(0.01)
    assert running.poll() is None
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    with journal.open("ab") as file:
        file.write(b'{"plan": "broken of')
    before = _lines(journal) - 1
    assert before >= 4
    search = runpy.run_path(str(script))["search"]
    kept = journal.read_bytes().rsplit(b"\n", 1)[0]
    resumed = search(folder, journal)
    whole = search(folder, None)
    assert journal.read_bytes().startswith(kept)
    plans = [json.loads(line)["plan"] for line in journal.read_bytes().splitlines()[1:]]
    assert len({*plans}) == len(plans)
    assert len(plans) > before
    assert resumed.table.equals(whole.table)
    assert resumed.plan.hash == whole.plan.hash
    assert resumed.text == whole.text


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_where_none_fits_the_nearest_is_named(halves) -> None:
    """A latency that no plan keeps to is said, with the plan that comes nearest and how far it is off."""
    found = optimize(*halves, Space.of(Plan((Timeout(60_000.0), Hedge(2_000.0)), "all")), Limits(None, p95_ms=1.0))
    assert found.plan is None
    tried = found.table[found.table["refused"] == ""]
    least = tried["p95_high"].fillna(tried["p95_ms"]).min()
    assert f"and has a p95 of {least:,.0f} ms at worst, where 1 is the limit" in found.text
    assert "Nearest is: " in found.text
