"""Prediction intervals of a bill: their closed form over users and over days, the labels' share in them, and when there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student
from support.small import MODELS, traffic_of, world_of

import planner
from benchmarks.coverage import Short
from benchmarks.coverage_common import PRICED, book
from planner.errors import InputError
from planner.labels import Labels
from planner.outcomes import Outcomes
from planner.outcomes.ratios import sample_ratios
from planner.policies import ExactCache, Plan
from planner.simulation import World
from planner.simulation.predicted import predicted_bill
from planner.stats import Estimate
from planner.traffic import Traffic

USD_PER_TOKEN = book().quote(MODELS[0], at=PRICED).usd_per_mtok["input_tokens"] / 1e6


def log_of(folder: Path, users: int, days: int, tokens: Any) -> Traffic:
    """Return a log in which every user asks once a day; ``tokens`` (users, days) are the input."""
    each = np.broadcast_to(tokens, (users, days)).ravel()
    when = pd.to_datetime("2026-10-01T12:00Z") + pd.to_timedelta(np.tile(np.arange(days), users), "D")
    names = np.repeat([f"user{i}" for i in range(users)], days)
    return traffic_of(
        folder, {"user": names, "provider": "openai", "model": MODELS[0], "timestamp": when, "input_tokens": each, "output_tokens": 0}
    )


def opened(traffic: Traffic, outcomes: Outcomes | None = None) -> World:
    """Open a log; without outcomes nothing is estimated."""
    return World(traffic, outcomes or Outcomes(), book(), PRICED)


def apart(world: World, days: int) -> World:
    """Put each user of a log of ``log_of`` into a hash bucket of its own."""
    world.rows = replace(world.rows, bucket=np.array([int(r[1:]) for r in world.rows.request_id], np.int64) // days)
    return world


def limits(found: Estimate) -> tuple[float, float]:
    """Return the interval, which must be there."""
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


@pytest.mark.parametrize("ahead", [20, 60, 6_000])
def test_users_alone_give_the_closed_form(tmp_path: Path, ahead: int) -> None:
    """Of 40 users, half asking 1,000 and half 3,000 tokens, V = 1,000² / 39, and the interval is m θ exp(± t₃₉ √(V (1 + n / m)) / θ)."""
    traffic = log_of(tmp_path, 40, 3, np.where(np.arange(40) % 2, 1_000, 3_000)[:, None])
    found = predicted_bill(apart(opened(traffic), 3), Plan(), ahead)
    half = student.ppf(0.975, 39) * np.sqrt(1_000**2 / 39 * (1 + 120 / ahead)) / 2_000
    assert found.value == pytest.approx(ahead * 2_000 * USD_PER_TOKEN, rel=1e-12)
    assert limits(found) == pytest.approx((found.value * np.exp(-half), found.value * np.exp(half)), rel=1e-9)
    assert (found.evidence, found.n) == ("measured", 120)


def test_days_that_move_everybody_give_the_closed_form(tmp_path: Path) -> None:
    """Of 20 days that alternate between 1,000 and 3,000 tokens for all 30 users alike, V is that of days less that of single requests.

    1,000² (1 / 19 − 1 / 600), at 2 · 20 / 4.8 degrees of freedom: Bartlett's weights of four lags.
    """
    traffic = log_of(tmp_path, 30, 20, np.where(np.arange(20) % 2, 1_000, 3_000)[None, :])
    found = predicted_bill(apart(opened(traffic), 20), Plan(), 600)
    half = student.ppf(0.975, 40 / 4.8) * np.sqrt(2 * 1_000**2 * (1 / 19 - 1 / 600)) / 2_000
    assert np.log(np.array(limits(found)) / found.value) == pytest.approx([-half, half], rel=1e-9)


def test_labels_leave_an_error_that_no_number_of_requests_removes(tmp_path: Path) -> None:
    """Of moved requests the labels' own sampling widens the interval of many requests ahead, and the bill is said to be estimated."""
    traffic, labels = world_of(tmp_path, 1_500, 60, seed=3)
    plain = opened(traffic)
    at = [int(r[1:]) for r in labels.items["request_id"]]
    wild = labels.outcomes.assign(output_tokens=np.random.default_rng(4).lognormal(4, 1.5, len(labels.outcomes)).astype(int) + 1)
    ratios, samples = sample_ratios(Labels.of(labels.items, wild), plain.rows.bucket[at])
    plan = Plan((Short(),))
    providers = {MODELS[1]: "openai"}
    sure, unsure = (
        predicted_bill(opened(traffic, Outcomes(ratios=ratios, samples=s, providers=providers)), plan, 1e9) for s in ({}, samples)
    )
    assert sure.value == pytest.approx(unsure.value)
    widths = [np.log(high / low) for low, high in map(limits, (sure, unsure))]
    assert widths[1] > 1.3 * widths[0] > 0
    assert unsure.evidence == "estimated"


def test_no_interval_where_there_is_nothing_to_go_by(tmp_path: Path) -> None:
    """Nine users, and a cache that all of them share, give a bill without interval and say why."""
    few = predicted_bill(opened(log_of(tmp_path / "few", 9, 5, np.arange(1_000, 1_009)[:, None])), Plan(), 10)
    traffic, _ = world_of(tmp_path / "shared")
    shared = predicted_bill(World(traffic, planner.fit_outcomes(traffic), book(), PRICED), Plan((ExactCache(3_600),)), 10)
    assert (few.low, shared.low) == (None, None)
    assert min(few.value, shared.value) > 0
    assert "too few users" in few.source
    assert "share state" in shared.source


@pytest.mark.parametrize("requests", [0, -1, float("nan")])
def test_only_some_requests_can_be_ahead(tmp_path: Path, requests: float) -> None:
    """A number of requests that is not above 0 is refused."""
    with pytest.raises(InputError, match="more than 0"):
        predicted_bill(opened(log_of(tmp_path, 12, 1, 100)), Plan(), requests)
