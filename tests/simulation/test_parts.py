"""A log in parts: the same integers as of the log at once, after a kill, and on a cluster."""

from __future__ import annotations

import datetime as dt
import gc
import json
import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from simulation.test_levers import BITES, DATE, MODELS, log
from support.small import traffic_of, world_of

from benchmarks.simulate import SEVEN, made
from planner.errors import InputError
from planner.labels import Labels
from planner.outcomes import Outcomes, fit_outcomes
from planner.policies import Batch, Cascade, ExactCache, Fallback, Hedge, Plan, PromptCache, RateLimit, Retry, Route, Timeout
from planner.prices import PriceBook
from planner.router import Capability, Costs, Router, TableRule
from planner.simulation import Summary, World, run, simulate_in_parts
from planner.simulation.cut import begins, cut
from planner.simulation.replay import SITTING_US
from planner.traffic import Traffic
from planner.training import Training, train

PLANS = {name: levers for name, levers in BITES.items() if not {lever.key for lever in levers} & {"batch", "micro_batch", "semantic_cache"}}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Training]:
    """The log of the table of laws, with outcomes from labels, and what was trained on them."""
    folder = tmp_path_factory.mktemp("parts")
    traffic = log(folder)
    _, labels = world_of(folder / "labels", 900)
    book = PriceBook.load()
    training = train(labels, reference=MODELS[0], book=book, at=DATE)
    return World(traffic, fit_outcomes(traffic, labels, training), book, DATE), training


def parted(world: World, plan: Plan, **how: Any) -> Summary:
    """Play ``plan`` in parts."""
    return simulate_in_parts(world.traffic, plan, outcomes=world.outcomes, book=world.book, at=world.at, by=world.by, **how).summary


def assert_same(one: Summary, other: Summary) -> None:
    """Assert that two Summaries are equal in every integer and word."""
    assert one.header == other.header
    assert one.groups == other.groups
    for field in fields(Summary):
        if field.name not in ("header", "groups"):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), err_msg=field.name)


@pytest.mark.parametrize("rows", [60, 400])
@pytest.mark.parametrize("name", PLANS)
def test_parts_leave_no_trace(opened: tuple[World, Training], name: str, rows: int) -> None:
    """A plan's Summary is the same of parts of any size as of the log at once."""
    world, _ = opened
    plan = Plan(PLANS[name], name)
    assert_same(parted(world, plan, rows=rows), run(world, plan).summary)


def test_routed_parts_leave_no_trace(opened: tuple[World, Training]) -> None:
    """Routers that hold a session to its first turn's model, alone and beside a cache, route every part as they route the log at once."""
    world, training = opened
    able, zero = (Capability(max_input_tokens=10**6),) * 2, np.zeros(2)
    rule = TableRule(("search",), np.array([[0, 0.1]], np.float32), np.array([0, -0.1], np.float32))
    by_app = Router(MODELS[:2], MODELS[0], rule, Costs(np.array([3.0, 1.0]), zero, zero, zero), able, tau=0.0)
    for router in (training.router, by_app):
        for levers in ((), (ExactCache(capacity=50), Timeout(1_500), Retry({"cancelled": 1}))):
            plan = Plan((Route(replace(router, unit="session")), *levers), "routed")
            found = parted(world, plan, rows=100)
            assert_same(found, run(world, plan).summary)
            as_logged = World(world.traffic, world.outcomes, world.book, "as-logged")
            assert_same(parted(as_logged, plan, rows=100), run(as_logged, plan).summary)
    assert 0.2 < found.pair("changed_micro").sum() / 900e6 < 0.8


def test_sittings_stay_together(opened: tuple[World, Training]) -> None:
    """Every row is in one part; turns of one session less than an hour apart are in the part of the first of them."""
    world, _ = opened
    rows, parts = world.rows, cut(world.traffic, 50)
    assert sorted(np.concatenate(parts.positions).tolist()) == list(range(len(rows)))
    part = np.empty(len(rows), int)
    for k, positions in enumerate(parts.positions):
        part[positions] = k
    when = (rows.timestamp - np.datetime64(0, "us")).astype(np.int64)
    for session in np.unique(rows.session[rows.session >= 0]):
        mine = np.flatnonzero((rows.session == session) & rows.steerable)
        mine = mine[np.argsort(when[mine], kind="stable")]
        close = np.diff(when[mine]) < SITTING_US
        assert (np.diff(part[mine])[close] == 0).all()
    assert len(parts) > 10
    assert begins(np.array([0]), np.array([-1])).tolist() == [0]


def test_a_later_day_is_another_sitting(tmp_path: Path) -> None:
    """A user who comes back an hour later comes when the log says, whatever became of the turn before."""
    frame = {
        "request_id": ["a", "b", "c"],
        "timestamp": [pd.Timestamp("2026-11-02 10:00", tz="UTC") + pd.Timedelta(m, "min") for m in (0, 30, 95)],
        "app": ["chat"] * 3,
        "session_id": ["s"] * 3,
        "provider": ["openai"] * 3,
        "model": [MODELS[0]] * 3,
        "input_tokens": [100] * 3,
        "output_tokens": [100] * 3,
        "latency_ms": [60_000.0] * 3,
        "status": ["ok"] * 3,
    }
    world = world_at(traffic_of(tmp_path / "log", frame).folder)
    happened = world.replayed(Plan((Timeout(10_000),))).happened
    assert (happened.arrived_us / 60_000_000).round(3).tolist() == [0.0, 29.167, 95.0]


def asked(tmp_path: Path, models: list[str], minutes: list[float], texts: list[str], **columns: object) -> World:
    """Open a log of plain requests, each to a model, at a minute, with a text."""
    n = len(models)
    frame = {
        "timestamp": [pd.Timestamp("2026-11-02 10:00", tz="UTC") + pd.Timedelta(m, "min") for m in minutes],
        "app": ["chat"] * n,
        "provider": ["openai" if m.startswith("gpt") else "anthropic" for m in models],
        "model": models,
        "messages": texts,
        "text_state": ["full"] * n,
        "input_tokens": [3_000] * n,
        "output_tokens": [100] * n,
        "latency_ms": [500.0] * n,
        "status": ["ok"] * n,
        **columns,
    }
    return world_at(traffic_of(tmp_path / "log", frame).folder)


def test_caches_keep_what_models_left_that_come_back(tmp_path: Path) -> None:
    """Prompt blocks and answers of a model that no request of some parts goes to are there when the model is asked again."""
    rare, often = "claude-sonnet-4-5", "gpt-5.4"
    models = [rare, rare, often, often, often, often, rare, often, rare, often]
    shared = '[{"role":"system","content":"' + "You answer questions about our products. " * 300 + '"},{"role":"user","content":"%s"}]'
    texts = [shared % ("same" if m == rare else f"x{i}") for i, m in enumerate(models)]
    world = asked(tmp_path, models, [0, 1, 2, 2.5, 3, 3.5, 4, 4.5, 24, 25], texts, weight=[1, 2, 0, 1, 1.5, 1, 1, 1, 3, 1])
    for levers in ((PromptCache(),), (ExactCache(ttl_s=86_400),), (ExactCache(ttl_s=86_400), PromptCache(), Fallback((often,)))):
        plan, whole = Plan(levers, "rare"), run(world, Plan(levers, "rare")).summary
        for rows in (1, 2, 3):
            assert_same(parted(world, plan, rows=rows), whole)
        assert whole.measure("cost_difference_pusd").sum() < 0


def test_a_verifier_sleeps_where_its_app_is_not(opened: tuple[World, Training]) -> None:
    """A cascade with a verifier is played in parts of which some have no request of its app."""
    world = opened[0]
    answers = world.outcomes.answers
    assert answers is not None
    told = [json.dumps({MODELS[1]: bool(quality > 0.5)}) for quality in answers.outcomes["quality"]]
    outcomes = replace(world.outcomes, answers=Labels.of(answers.items, answers.outcomes.assign(validators=told)))
    again = World(world.traffic, outcomes, world.book, world.at)
    plan = Plan((Cascade(MODELS[2], MODELS[0], (), MODELS[1], ("search",)), Timeout(5_000, apps=("search",))), "verified")
    assert_same(parted(again, plan, rows=8), run(again, plan).summary)


def test_parts_without_anything_to_play(tmp_path: Path) -> None:
    """Stretches in which a cache of today answered everything, and many requests at the first moment, are parts like others."""
    hits = [False] * 4 + [True] * 3 + [False] * 3
    world = asked(tmp_path, ["gpt-5.4"] * 10, [0, 0, 0, 0, 4, 5, 6, 7, 8, 9], ["[]"] * 10, cache_hit=hits, user=["u"] * 10)
    for levers in ((Timeout(100),), (ExactCache(),)):
        assert_same(parted(world, Plan(levers), rows=2), run(world, Plan(levers)).summary)
    nothing = asked(tmp_path / "hits", ["gpt-5.4"] * 3, [0, 1, 2], ["[]"] * 3, cache_hit=[True] * 3)
    assert_same(parted(nothing, Plan((Timeout(100),)), rows=1), run(nothing, Plan((Timeout(100),))).summary)


WORK = """
import sys
from pathlib import Path
from simulation.test_parts import plan_of, world_at
from planner.simulation import simulate_in_parts
world = world_at(Path(sys.argv[1]))
simulate_in_parts(world.traffic, plan_of(), outcomes=world.outcomes, book=world.book, at=world.at, rows=40, keep=Path(sys.argv[2]))
"""


def world_at(folder: Path) -> World:
    """Open the log in ``folder`` with what it alone tells."""
    traffic = Traffic.open(folder)
    return World(traffic, fit_outcomes(traffic), PriceBook.load(), DATE)


def plan_of() -> Plan:
    """A plan whose caches and limits last."""
    levers = (ExactCache(), PromptCache(), Timeout(1_500), Hedge(900), Retry({"cancelled": 1}), RateLimit({"openai": (30.0, None, None)}))
    return Plan(levers, "lasting")


def test_a_part_is_let_go_of_at_once(opened: tuple[World, Training]) -> None:
    """Nothing that a world of one part hands out keeps it alive: memory is free for the next one without waiting for a collector."""
    world = World(opened[0].traffic, opened[0].outcomes, opened[0].book, DATE)
    world.played(Plan(BITES["exact cache"]))
    left = weakref.ref(world)
    gc.disable()
    try:
        del world
        assert left() is None
    finally:
        gc.enable()


def test_no_part_reads_the_whole_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is streamed from the log does not grow with the number of parts, text or none: time stays linear in size."""
    streamed: list[int] = []
    batches = Traffic.batches

    def counted(traffic: Traffic, *given: Any, **named: Any) -> Iterator[Any]:
        for batch in batches(traffic, *given, **named):
            streamed.append(len(batch))
            yield batch

    monkeypatch.setattr(Traffic, "batches", counted)
    for text in (False, True):
        traffic = made(tmp_path / f"{text}", 2_000, text=text)
        fitted = fit_outcomes(traffic)
        totals = []
        for rows in (100, 1_000, 100):
            streamed.clear()
            simulate_in_parts(traffic, SEVEN, outcomes=fitted, book=PriceBook.load(), at=DATE, rows=rows)
            totals.append(sum(streamed))
        assert totals[2] == totals[1]


def test_a_killed_run_goes_on(opened: tuple[World, Training], tmp_path: Path) -> None:
    """Kill −9 in the middle, then the same call: the same integers, and finished parts are not played again."""
    folder, kept = opened[0].traffic.folder, tmp_path / "kept"
    tests = str(Path(__file__).parent.parent)
    running = subprocess.Popen([sys.executable, "-c", WORK, folder, kept], env=os.environ | {"PYTHONPATH": tests})
    while not (kept / "part-00002.npz").exists():
        assert running.poll() is None, "the run ended before it could be killed"
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    world = world_at(folder)
    count = len(cut(world.traffic, 40))
    assert 3 <= len(list(kept.glob("part-*.npz"))) < count
    first = (kept / "part-00000.npz").stat().st_mtime_ns
    assert_same(parted(world, plan_of(), rows=40, keep=kept), run(world, plan_of()).summary)
    assert (kept / "part-00000.npz").stat().st_mtime_ns == first
    assert_same(parted(world, plan_of(), rows=40, keep=kept), run(world, plan_of()).summary)


def test_another_run_is_refused(opened: tuple[World, Training], tmp_path: Path) -> None:
    """A folder that keeps another run, or other things, is not written to; the error says what differs."""
    world, kept = world_at(opened[0].traffic.folder), tmp_path / "kept"
    parted(world, Plan((Timeout(1_500),)), rows=300, keep=kept)
    with pytest.raises(InputError, match="keeps another run: plan"):
        parted(world, Plan((Timeout(1_600),)), rows=300, keep=kept)
    with pytest.raises(InputError, match="keeps another run: rows"):
        parted(world, Plan((Timeout(1_500),)), rows=299, keep=kept)
    with pytest.raises(InputError, match="holds other things"):
        parted(world, Plan(), keep=world.traffic.folder)


def test_a_damaged_run_is_not_gone_on_with(opened: tuple[World, Training], tmp_path: Path) -> None:
    """Where a part that others rest on is gone or cannot be read, the run is not continued on cold caches: it says what is wrong."""
    world, kept = world_at(opened[0].traffic.folder), tmp_path / "kept"
    parted(world, plan_of(), rows=200, keep=kept)
    whole = (kept / "part-00001.npz").read_bytes()
    (kept / "part-00001.npz").unlink()
    with pytest.raises(InputError, match=r"before-00001.npz, which is missing or damaged"):
        parted(world, plan_of(), rows=200, keep=kept)
    (kept / "part-00001.npz").write_bytes(whole[:100])
    with pytest.raises(InputError, match=r"part-00001.npz, which is missing or damaged"):
        parted(world, plan_of(), rows=200, keep=kept)
    with pytest.raises(InputError, match="a folder, or the name of a new one"):
        parted(world, plan_of(), rows=200, keep=kept / "part-00000.npz")


def test_levers_that_gather_are_refused(opened: tuple[World, Training]) -> None:
    """A batch looks at all requests at once: it is refused by name before anything is read."""
    with pytest.raises(InputError, match="batch in parts of the log"):
        parted(opened[0], Plan((Batch(("search",), window_minutes=60),)))
    with pytest.raises(InputError, match="parts of 0 rows"):
        parted(opened[0], Plan(), rows=0)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """A real cluster of two processes on this machine."""
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster, Client(cluster) as client:
        yield client


@pytest.mark.parametrize("name", ["timeout", "together"])
def test_a_cluster_gives_the_same(opened: tuple[World, Training], client: Any, name: str, tmp_path: Path) -> None:
    """A Dask cluster gives the integers of one machine, for plans whose parts run at the same time and one after another."""
    world, plan = opened[0], Plan(PLANS[name], name)
    told: list[int] = []
    found = parted(world, plan, rows=200, client=client, keep=tmp_path / "kept", progress=lambda done, _: told.append(done))
    assert_same(found, run(world, plan).summary)
    assert told[-1] == len(world.traffic)
    assert_same(parted(world, plan, rows=200, keep=tmp_path / "kept"), found)


def test_large_logs_are_played_in_parts(opened: tuple[World, Training], monkeypatch: pytest.MonkeyPatch) -> None:
    """``simulate`` opens a large log in parts, and says the same as of the log at once; empty plans and unfitted outcomes too."""
    from planner.simulation import simulate

    world = opened[0]
    monkeypatch.setattr(sys.modules["planner.simulation.simulate"], "LARGE", 100)
    for plan in (Plan(), Plan(PLANS["together"], "together")):
        found = simulate(world.traffic, plan, outcomes=world.outcomes, book=world.book, at="as-logged").summary
        assert_same(found, run(World(world.traffic, world.outcomes, world.book, "as-logged"), plan).summary)
    assert_same(
        simulate(world.traffic, at=dt.date(2026, 11, 1)).summary, run(World(world.traffic, Outcomes(), world.book, DATE), Plan()).summary
    )
