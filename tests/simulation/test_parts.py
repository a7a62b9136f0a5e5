"""A log in parts: the same integers as of the log at once, after a kill, and on a cluster."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from simulation.test_levers import BITES, DATE, MODELS, log
from support.small import traffic_of, world_of

from planner.errors import InputError
from planner.outcomes import Outcomes, fit_outcomes
from planner.policies import Batch, ExactCache, Hedge, Plan, PromptCache, RateLimit, Retry, Route, Timeout
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
