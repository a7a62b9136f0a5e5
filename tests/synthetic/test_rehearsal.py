"""The sample's next month under an exported router: the same world, the bundle's own decisions, and the effect that the generator knows."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.chain import chain

import planner
from planner.bundle import Production, export_gateway
from planner.errors import InputError
from planner.router import Router
from planner.router.assign import assign
from planner.router.rollout import read, write
from planner.simulation import World
from planner.synthetic import build, rehearse
from planner.synthetic.labels import answered
from planner.synthetic.log import Log
from planner.synthetic.served import served
from planner.synthetic.verdicts import cost_usd
from planner.synthetic.world import APPS, DAYS, MODELS, SEED, START, model_at
from planner.traffic import Traffic

REQUESTS = 6_000
NAMES = [m.name for m in MODELS]


@cache
def month() -> Log:
    """Return the month after the sample's, as nobody steers it."""
    return build(REQUESTS, SEED + 1, month=1)


def exported(folder: Path, world: World | None) -> Production:
    """Export the sample's router."""
    return export_gateway(planner.Plan((planner.policies.Route(chain().training.router),), "route"), folder, world=world)


@pytest.fixture(scope="module")
def production(work_folder: Path) -> Production:
    """Export the sample's router with its log, turn every app on, and hold three tenths out."""
    c = chain()
    made = exported(work_folder / "rehearsed", World(c.traffic, c.outcomes, c.book, c.book.date))
    made.turn("active", holdout=0.3)
    return made


@pytest.fixture(scope="module")
def after(production: Production, work_folder: Path) -> Traffic:
    """Rehearse the month."""
    return rehearse(production.folder, work_folder / "next.jsonl.zst", REQUESTS)


def as_asked() -> Log:
    """Return the month with every request at the model that stands behind its group."""
    t = month().table
    day = t["time_us"].to_numpy() // 86_400_000_000 + DAYS
    home = np.empty(len(t), np.int64)
    for i, app in enumerate(APPS):
        mine = np.flatnonzero(t["app"].to_numpy() == i)
        home[mine] = [NAMES.index(m) for m in model_at(app.models, day[mine])]
    return served(month(), home)


def test_the_log_served_by_its_own_models_is_the_log() -> None:
    """Nothing changes where no model does."""
    pd.testing.assert_frame_equal(served(month(), month().column("model")).table, month().table)


def test_another_model_answers_as_labels_say() -> None:
    """Tokens of a moved request are those of the labels of the same requests, and other apps keep all they had."""
    log, rows = month(), np.flatnonzero((month().column("app") == 1) & (month().column("status") == "ok"))
    model = log.column("model").copy()
    model[rows] = 4
    found, told = served(log, model).table.iloc[rows], answered(log, rows, 4)
    assert found["visible"].tolist() == told["output_tokens"].tolist()
    assert found["input"].tolist() == told["input_tokens"].tolist()
    assert found["reasoning"].tolist() == told["reasoning_tokens"].tolist()
    other = log.column("app") != 1
    pd.testing.assert_frame_equal(served(log, model).table[other], log.table[other])


def test_the_month_follows_the_sample(after: Traffic) -> None:
    """It begins when the sample ends, has other requests, and the newest prompt versions."""
    frame, before = after.frame("timestamp", "request_id", "prompt_version", "app"), chain().traffic.frame("timestamp", "request_id")
    assert frame["timestamp"].min() > before["timestamp"].max()
    assert not set(frame["request_id"]) & set(before["request_id"])
    assert set(frame.loc[frame["app"] == "support-chat", "prompt_version"].dropna()) == {"support-v8"}


def test_every_request_went_where_the_bundle_sends_it(production: Production, after: Traffic) -> None:
    """Loaded again, the router and the rollout decide every written request as the log says that they did."""
    router, rollout = Router.load(production.bundle), read(production.folder / "rollout.json")
    home, known = {a.name: a.models[-1][0] for a in APPS}, 0
    columns = [
        "timestamp",
        "app",
        "session_id",
        "user",
        "request_id",
        "tags",
        "action",
        "model",
        "action_propensities",
        "messages",
        "has_tools",
    ]
    for row in after.frame(*columns, "response_format", "max_tokens").to_dict("records"):
        said = dict(t.removeprefix("planner-").split(":", 1) for t in json.loads(row["tags"]) if t.startswith("planner-"))
        if not said:
            assert row["app"] in ("hr-helper", "nightly-summary") or row["model"] == "gpt-5.4-nano"
            continue
        known += 1
        beside = {"app": row["app"], "tools": row["has_tools"], "response_format": row["response_format"], "max_tokens": row["max_tokens"]}
        decision = router.decide(json.loads(row["messages"]), beside, at=str(row["timestamp"].date()))
        key = {"session": row["session_id"], "user": row["user"], "request": row["request_id"]}[said["unit"]]
        assigned = assign(rollout, row["app"], key, decision, home[row["app"]])
        assert (said["decided"], said["arm"], row["action"]) == (decision.model, assigned.arm, assigned.model)
        assert row["model"] == row["action"]
        assert json.loads(row["action_propensities"]) == assigned.propensities
    assert known > 0.88 * REQUESTS


def test_a_request_is_decided_on_its_own_day(production: Production, work_folder: Path) -> None:
    """Candidates that retire in the middle of the month answer before, and from that day on neither by decision nor by exploration."""
    router = Router.load(production.bundle)
    day = str(START.astype("datetime64[D]") + np.timedelta64(DAYS + DAYS // 2, "D"))
    stay = {router.reference, *dict(router.references).values(), *(m for a in APPS for m, _ in a.models)}
    pairs = zip(router.candidates, router.capabilities, strict=True)
    can = tuple(can if model in stay else replace(can, retires=day) for model, can in pairs)
    route = planner.policies.Route(replace(router, capabilities=can))
    made = export_gateway(planner.Plan((route,), "route"), work_folder / "retiring")
    rollout = read(production.folder / "rollout.json")
    apps = {app: replace(own, explore=0.5, floor_passed=router.candidates) for app, own in rollout.apps.items()}
    write(made.folder / "rollout.json", replace(rollout, apps=apps))
    frame = rehearse(made.folder, work_folder / "retiring.jsonl.zst", 2_000).frame("timestamp", "action", "tags")
    moved = frame["tags"].str.contains("planner-arm:routed") & ~frame["action"].isin(stay)
    assert moved.sum() > 20
    assert frame.loc[moved, "timestamp"].max() < pd.Timestamp(day, tz="UTC")


def test_verify_measures_the_saving_that_the_generator_knows(production: Production, after: Traffic) -> None:
    """The saving measured on those held out covers what routing truly saved on those that were routed."""
    t = as_asked().table
    fresh = t["input"] - t["cached"] - t["written"]
    usd = cost_usd(t["model"].to_numpy(), fresh, t["cached"], t["written"], t["visible"] + t["reasoning"])
    usd = np.where((t["status"] == "ok") & ~t["cache_hit"], usd, 0.0)
    asked = dict(zip(t["request_id"], usd, strict=True))
    frame = after.frame("request_id", "tags")
    routed = frame["tags"].str.contains("planner-arm:routed").to_numpy()
    paid = planner.audit(after, chain().book).cost_pusd / 1e12
    saved = 1 - paid[routed].sum() / sum(asked[r] for r in frame["request_id"][routed])
    found = planner.verify(after, production.folder, book=chain().book)
    stated = found.estimate("saving_share")
    assert stated is not None
    assert stated.low is not None
    assert stated.high is not None
    assert not found.alarms
    assert stated.low < saved < stated.high
    assert stated.high - stated.low < 0.15


def test_what_cannot_be_rehearsed_is_refused(tmp_path: Path) -> None:
    """A folder in which nothing is steered, and one that knows nothing of the sample's model groups, are refused in a sentence."""
    made = exported(tmp_path / "shadow", None)
    with pytest.raises(InputError, match="no app is steered"):
        rehearse(made.folder, tmp_path / "next.jsonl.zst", 100)
    made.turn("active")
    with pytest.raises(InputError, match="names no model group of the sample"):
        rehearse(made.folder, tmp_path / "next.jsonl.zst", 100)
