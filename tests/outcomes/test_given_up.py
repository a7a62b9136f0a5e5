"""Calls that were given up count once: a log whose true failures, latencies and limits are known is fitted and simulated again."""

from __future__ import annotations

import datetime as dt
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import multivariate_normal
from support.small import MODELS, traffic_of

from planner.comparison.cascades import Alone
from planner.outcomes import fit_outcomes
from planner.outcomes.failures import KINDS, fit_call_failures
from planner.policies import Plan, Retry, Timeout
from planner.policies.base import Lever
from planner.prices import PriceBook
from planner.schema import STATUSES
from planner.simulation import World
from planner.simulation.replay import Replay
from planner.traffic.rows import load_rows

A, B = MODELS[:2]
N = 40_000
#: Latencies are lognormal [ms]; callers give up after LIMIT, and one call in thirty breaks at once whatever the model.
MEDIAN, SPREAD, LIMIT, BROKEN, BROKEN_MS = 1_100.0, 0.5, 2_500.0, 1 / 30, 200.0
TRANSPORT, CANCELLED = STATUSES.index("transport"), STATUSES.index("cancelled")


def slower(ms: float) -> float:
    """The true share of calls that take longer."""
    return float(1 - ndtr(np.log(ms / MEDIAN) / SPREAD))


@cache
def world(booked: str = "transport", patient: float = 1.0) -> World:
    """Half of the calls go to A, half to B; timeouts are ``booked`` under that status.

    The share ``patient`` of callers waits; the others leave after some time from 500 to 2,000 ms.
    """
    rng = np.random.default_rng(0)
    takes, broken = MEDIAN * np.exp(SPREAD * rng.standard_normal(N)), rng.random(N) < BROKEN
    leaves = np.where(rng.random(N) < patient, np.inf, rng.uniform(500, 2_000, N))
    left, late = ~broken & (takes > leaves), ~broken & (takes <= leaves) & (takes > LIMIT)
    columns = {
        "app": "chat",
        "provider": "openai",
        "model": np.where(np.arange(N) % 2, A, B),
        "input_tokens": 100,
        "output_tokens": np.where(broken | left | late, 0, 20),
        "latency_ms": np.select([broken, left, late], [BROKEN_MS, leaves, LIMIT], takes),
        "status": np.select([broken, left, late], ["transport", "cancelled", booked], "ok"),
        "error_class": np.select([broken, left, late], ["APIConnectionError", "ClientDisconnect", "Timeout"], ""),
    }
    traffic = traffic_of(Path(mkdtemp()), columns)
    return World(traffic, fit_outcomes(traffic), PriceBook.load(), dt.date(2026, 11, 1))


def redrawn(opened: World, *levers: Lever) -> tuple[Replay, np.ndarray]:
    """Send A's requests to B, so that all of their calls are drawn; return what happened and which calls are theirs."""
    played = opened.replayed(Plan((Alone(B), *levers)))
    moved = opened.rows.model.decode()[played.at] == A
    return played, moved[played.calls.row]


def shares(opened: World, *levers: Lever) -> np.ndarray:
    """The share of each of STATUSES among drawn calls."""
    played, drawn = redrawn(opened, *levers)
    return np.bincount(played.calls.outcome[drawn], minlength=len(STATUSES)) / drawn.sum()


def error(share: float) -> float:
    """Four standard errors of a share that is fitted on half of the calls and drawn for the other half."""
    return 4 * float(np.sqrt(2 * share * (1 - share) / (N / 2)))


@pytest.mark.parametrize("booked", ["transport", "cancelled"])
@pytest.mark.parametrize("limit", [LIMIT / 2, LIMIT, 1.3 * LIMIT])
def test_under_a_timeout_of_the_plan_calls_are_given_up_by_their_latency_alone(booked: str, limit: float) -> None:
    """However the log books timeouts, at its limit or another, as many calls time out as take longer, and as many break as broke."""
    found, late = shares(world(booked), Timeout(limit)), (1 - BROKEN) * slower(limit)
    assert found[CANCELLED] == pytest.approx(late, abs=error(late))
    assert found[TRANSPORT] == pytest.approx(BROKEN, abs=error(BROKEN))


def test_under_no_timeout_of_the_plan_the_logs_own_are_failures() -> None:
    """Calls that are drawn without a timeout fail as often as logged ones: those that broke, and those that were given up."""
    late = (1 - BROKEN) * slower(LIMIT)
    assert shares(world())[TRANSPORT] == pytest.approx(BROKEN + late, abs=error(BROKEN + late))
    assert shares(world("cancelled"))[CANCELLED] == pytest.approx(late, abs=error(late))


def test_callers_who_leave_do_so_before_the_plans_timeout_or_not_at_all() -> None:
    """A limit beyond their patience leaves as many of them as were logged; one before it finds only calls that take longer."""
    opened = world(patient=0.8)
    left = float((opened.rows.status == CANCELLED).mean())
    late = slower(4_000.0)
    assert shares(opened, Timeout(4_000.0))[CANCELLED] == pytest.approx(left + (1 - BROKEN) * late, abs=error(left) + error(late))
    soon = (1 - BROKEN) * slower(450.0)
    assert shares(opened, Timeout(450.0))[CANCELLED] == pytest.approx(soon, abs=error(soon))


def test_a_call_after_one_that_timed_out_is_as_slow_as_two_calls_are_alike() -> None:
    """After a timeout the next call times out as often as rho says, and not once more for having failed."""
    opened, limit = world(), 1_500.0
    played, drawn = redrawn(opened, Timeout(limit), Retry({"cancelled": 1}, jitter=0.0))
    assert opened.outcomes.latency is not None
    rho, z = opened.outcomes.latency.alike.value, np.log(limit / MEDIAN) / SPREAD
    again = played.calls.outcome[drawn & (played.calls.attempt == 1)]
    truth = (1 - BROKEN) * multivariate_normal.cdf([-z, -z], cov=[[1, rho], [rho, 1]]) / slower(limit)
    assert (again == CANCELLED).mean() == pytest.approx(truth, abs=4 * np.sqrt(truth * (1 - truth) / len(again)) + 0.02)


def test_how_long_other_failures_take_does_not_depend_on_timeouts() -> None:
    """Where the plan gives calls up itself, a call that breaks takes as long as those that broke, not as long as those that timed out."""
    failures = world().outcomes.call_failures
    assert failures is not None
    assert failures.took_us(B)[TRANSPORT] == pytest.approx(LIMIT * 1_000)
    assert failures.took_us(B, limited=True)[TRANSPORT] == pytest.approx(BROKEN_MS * 1_000)


def test_a_timeout_of_unknown_length_stays_a_failure(tmp_path: Path) -> None:
    """Without a latency no tail can show a timeout, so that it is not taken out of the failures."""
    columns = {"model": A, "status": ["ok"] * 380 + ["transport"] * 20, "latency_ms": [900.0] * 380 + [np.nan] * 10 + [2_000.0] * 10}
    rows = load_rows(traffic_of(tmp_path, columns))
    found = fit_call_failures(rows, {}, rows.status > 0).given_up
    assert found.kept(A, 5_000.0)[KINDS.index("transport")] == 0.5
