"""The unseen month, small: the law that serves it, its bill, and a handful of runs."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.closed_loop_predictive import main, one, predictive, served
from benchmarks.coverage import MODELS, SHORT, world
from benchmarks.coverage_common import PRICED, book
from planner.followup.gap import PARTS


def test_the_month_is_served_by_the_true_law_under_the_plan() -> None:
    """Short prompts get the smaller model's own answer, all others the larger one's, and each costs tokens times its model's rates."""
    made = world(5)
    month = served(made)
    short = made.asked.input < SHORT
    assert (month["model"].to_numpy() == np.where(short, MODELS[1], MODELS[0])).all()
    assert (month["output_tokens"] == np.where(short, made.asked.output[:, 1], made.asked.output[:, 0])).all()
    rates = [book().quote(m, at=PRICED).usd_per_mtok for m in MODELS]
    usd = [(made.asked.input * r["input_tokens"] + made.asked.output[:, k] * r["output_tokens"]) / 1e6 for k, r in enumerate(rates)]
    assert month["cost_pusd"].sum() / 1e12 == pytest.approx(np.where(short, usd[1], usd[0]).sum(), rel=1e-9)


def test_a_run_is_its_own() -> None:
    """The same seed and run give the same months and interval, another run gives others; no part is cache, price or failures."""
    first = one(1, 0)
    assert first == one(1, 0)
    assert first.bill != one(1, 1).bill
    assert [first.parts[name] for name in ("price", "cache", "failures")] == [0, 0, 0]
    assert first.parts["tokens"] != 0


def test_two_dozen_months_lie_in_their_intervals() -> None:
    """Of 24 bills at least 19 lie in the interval stated before, which is neither empty nor everything, and progress is told."""
    told: list[tuple[int, int]] = []
    found = predictive(24, 0, lambda done, total: told.append((done, total)))
    assert found["coverage"] >= 19 / 24
    assert found["coverage"] + found["too_low"] + found["too_high"] == pytest.approx(1)
    assert 0.2 < found["median_width"] < 1.2
    assert found["mean_stated_usd"] == pytest.approx(found["mean_bill_usd"], rel=0.25)
    assert told == [(i + 1, 24) for i in range(24)]


def test_the_command_prints_every_key(capsys: pytest.CaptureFixture[str]) -> None:
    """``--json`` prints one object with coverage, runs, width and the parts of the gap."""
    assert main(["--runs", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"coverage", "runs", "median_width", "gap"} <= set(found)
    assert set(found["gap"]) == set(PARTS)
