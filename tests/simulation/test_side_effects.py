"""Second actions are counted by hand on a log whose calls are known."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.small import MODELS, traffic_of

from planner.outcomes import fit_outcomes
from planner.policies import Fallback, Hedge, Plan, PromptCache, Retry, Timeout
from planner.prices import PriceBook
from planner.simulation import World
from planner.simulation.side_effects import SideEffects, as_logged, repeats, side_effects

RETRY = Retry({"transport": 2, "cancelled": 2}, jitter=0.0)


def log(folder: Path, tools: bool) -> World:
    """600 requests, half of them with tools (or none); every tenth had one attempt that was lost before its answer."""
    n = 600
    columns = {
        "app": "agent",
        "provider": "openai",
        "model": MODELS[0],
        "input_tokens": 100,
        "output_tokens": 20,
        "latency_ms": np.random.default_rng(0).lognormal(7, 0.5, n),
        "has_tools": tools & (np.arange(n) % 2 == 0),
        "attempts": np.where(np.arange(n) % 10 == 0, 2, 1),
    }
    traffic = traffic_of(folder, columns)
    return World(traffic, fit_outcomes(traffic), PriceBook.load(), dt.date(2026, 11, 1))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The log with tools."""
    return log(tmp_path_factory.mktemp("acts"), tools=True)


def counted(world: World, *levers: object) -> SideEffects:
    """What a plan of these levers does."""
    plan = Plan(levers)  # type: ignore[arg-type]
    return side_effects(world, plan, world.replayed(plan))


def test_logged_retries_are_second_actions_unless_they_carry_a_key(world: World) -> None:
    """Each of the sixty logged retries with tools may act twice without a key, and none of them with one."""
    bare = counted(world, replace(RETRY, idempotency_keys=False))
    keyed = counted(world, RETRY)
    kinds = world.replayed(Plan((RETRY,))).calls.outcome
    lost = int(np.isin(kinds, (1, 5)).sum())
    assert (bare.requests, bare.certain, bare.keyed) == (300, 0, 0)
    assert bare.possible == keyed.keyed == lost
    assert keyed.possible == 0


def test_a_hedge_acts_beside_its_call_whatever_the_key(world: World) -> None:
    """A hedge that is out while the first call runs may act too: as many as were sent with tools, key or not."""
    plan = (Hedge(800), RETRY)
    found = counted(world, *plan)
    played = world.replayed(Plan(plan))
    hedged = played.calls.row[played.calls.purpose == 2]
    with_tools = world.acts[played.at][hedged].sum()
    assert found.possible + found.certain >= with_tools > 0


def test_no_tools_no_second_actions(tmp_path: Path) -> None:
    """Requests without tools are not counted, however often they are asked."""
    assert counted(log(tmp_path, tools=False), Timeout(700), RETRY) == SideEffects(0, 0, 0, 0)


def test_the_logs_own_attempts_count_whatever_a_plan_does(world: World) -> None:
    """Sixty requests with tools were tried twice: so in the log, and so under a plan that asks nothing of its own accord again."""
    assert as_logged(world) == SideEffects(300, 0, 60, 0)
    assert counted(world, Timeout(1e9)) == as_logged(world)
    assert counted(world, replace(RETRY, idempotency_keys=False)) == as_logged(world)
    hedged = counted(world, Hedge(800))
    played = world.replayed(Plan((Hedge(800),)))
    both = played.calls.row[played.calls.purpose == 2]
    assert hedged.possible == 60 + int(world.acts[played.at][both].sum())


def test_only_plans_that_ask_again_where_tools_are_offered_are_asked(world: World, tmp_path: Path) -> None:
    """Retries, hedges and fallbacks repeat in apps with tools; other levers, and apps without tools, do not."""
    for lever in (RETRY, Hedge(800), Fallback((MODELS[1],))):
        assert repeats(world, Plan((lever,)))
        assert not repeats(log(tmp_path / lever.key, tools=False), Plan((lever,)))
    assert not repeats(world, Plan((Timeout(700), PromptCache())))
