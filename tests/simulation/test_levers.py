"""Every lever over one log, against the laws that any plan keeps: one table of levers × laws."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.small import MODELS, traffic_of, world_of

from planner.comparison.noninferiority import unmeasured
from planner.outcomes import fit_outcomes
from planner.policies import (
    Batch,
    Compress,
    ExactCache,
    Fallback,
    Hedge,
    MicroBatch,
    Plan,
    PromptCache,
    RateLimit,
    Retry,
    SemanticCache,
    Stream,
    Timeout,
)
from planner.prices import PriceBook
from planner.schema import EVIDENCE
from planner.simulation import World, run
from planner.traffic import Traffic
from planner.traffic.rows import Coded
from planner.training import train

DATE = dt.date(2026, 11, 1)
#: Settings that bite on this log, each alone and all that may stand together.
BITES: dict[str, tuple[Any, ...]] = {
    "exact cache": (ExactCache(ttl_s=7 * 86_400),),
    "exact cache, coalescing": (ExactCache(capacity=20, eviction="fifo", coalesce=True),),
    "semantic cache": (SemanticCache(0.5, guard=False),),
    "prompt cache": (PromptCache(),),
    "timeout": (Timeout(1_500),),
    "hedge": (Hedge(1_000),),
    "hedge elsewhere": (Hedge(1_000, MODELS[2]),),
    "retry": (Retry({"transport": 3, "cancelled": 1}),),
    "blind retry": (Retry.blind(3),),
    "fallback": (Fallback((MODELS[1],)),),
    "rate limit": (RateLimit({"openai": (4.0, None, None)}),),
    "batch": (Batch(("search",), window_minutes=60),),
    "micro-batch": (MicroBatch(("search",), size=4, wait_ms=20_000),),
    "stream": (Stream(("search",)),),
    "together": (
        ExactCache(apps=("search",)),
        PromptCache(),
        Timeout(1_500),
        Hedge(900),
        Retry({"transport": 2, "rate_limit": 2, "cancelled": 1}),
        Fallback((MODELS[2],)),
        RateLimit({"openai": (30.0, None, None)}),
        Stream(("search",)),
    ),
}
#: The same levers, set so that nothing can come of them.
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "exact cache": (ExactCache(ttl_s=1),),
    "timeout": (Timeout(1e9),),
    "hedge": (Hedge(1e9),),
    "retry": (Retry({"transport": 2}),),
    "rate limit": (RateLimit({"openai": (1e9, None, None)}),),
    "fallback": (Fallback((MODELS[0],), kinds=("cancelled",)),),
    "stream": (Stream(("chat",)),),
    "together": (ExactCache(ttl_s=1), Timeout(1e9), Hedge(1e9), RateLimit({"openai": (1e9, None, None)})),
}


def log(folder: Path, n: int = 900) -> Traffic:
    """A log with repeats, sessions, long shared prompts, failures, retries, arrivals that share their moment, and chat alone streamed."""
    base, _ = world_of(folder / "base", n)
    frame = base.frame(*(c for c in base.arrow().column_names), "messages")
    rng = np.random.default_rng(5)
    again = rng.random(n) < 0.3
    source = rng.integers(0, 40, n)
    shared = '[{"role":"system","content":"' + "You answer questions about our products. " * 150 + '"},'
    messages = np.where(again, frame["messages"].to_numpy()[source], frame["messages"])
    frame["messages"] = [shared + m[1:] for m in messages]
    frame["input_tokens"] += 1_500 * (frame["status"] == "ok")
    frame["app"] = np.where(again, frame["app"].to_numpy()[source], frame["app"])
    frame["model"] = np.where(again, frame["model"].to_numpy()[source], frame["model"])
    frame["session_id"] = np.where(rng.random(n) < 0.3, frame["user"], None)
    frame["timestamp"] = pd.Timestamp("2026-11-01", tz="UTC") + pd.to_timedelta(np.sort(rng.integers(0, 7_200, n)), "s")
    frame["attempts"] = np.where(frame["status"] == "ok", np.where(rng.random(n) < 0.05, 2, 1), 3)
    frame["ttft_ms"] = np.where((frame["app"] == "chat") & (frame["status"] == "ok"), 0.3 * frame["latency_ms"], np.nan)
    return traffic_of(folder / "log", frame.to_dict("list"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The log with outcomes from labels of a log of the same kind."""
    folder = tmp_path_factory.mktemp("levers")
    traffic = log(folder)
    _, labels = world_of(folder / "labels", 900)
    book = PriceBook.load()
    training = train(labels, reference=MODELS[0], book=book, at=DATE)
    return World(traffic, fit_outcomes(traffic, labels, training), book, DATE)


def arrays(world: World, plan: Plan) -> dict[str, np.ndarray]:
    """Every array of a plan's side, the model by name."""
    side = world.played(plan)
    return {name: value.decode() if name == "model" else value for name, value in vars(side).items()}


@pytest.mark.parametrize("name", BITES)
def test_requests_are_conserved(world: World, name: str) -> None:
    """Every request of the log is there once, with one end; none is invented and none is lost."""
    summary = run(world, Plan(BITES[name], name)).summary
    assert int(summary.measure("rows").sum()) == len(world.rows)
    assert int(summary.measure("requests_micro").sum()) == int(run(world, Plan()).summary.measure("requests_micro").sum())


@pytest.mark.parametrize("name", [n for n in BITES if n != "batch"])
def test_cost_is_tokens_times_the_dated_rate(world: World, name: str) -> None:
    """The bill of a plan is that of its calls, each priced by itself, to the pico-dollar; what was not called costs nothing."""
    played = world.replayed(Plan(BITES[name], name))
    calls = played.calls
    when = world.rows.timestamp[played.at][calls.row]
    moment = np.datetime64(DATE) + (when - when.astype("datetime64[D]"))
    priced = world.book.price(calls.provider, calls.model, calls.tier, calls.tokens, moment)
    known = world.has_price[played.at][calls.row]
    assert int(priced.cost_pusd[known].sum()) == int(played.side.cost_pusd[played.at].sum())
    assert (played.side.parts_pusd.sum(axis=1) == played.side.cost_pusd).all()


@pytest.mark.parametrize("name", NEUTRAL)
def test_a_neutral_setting_is_the_identity(world: World, name: str) -> None:
    """A lever that cannot bite leaves every number of every request as logged; how long a tried request's last call took is not logged."""
    found, logged = arrays(world, Plan(NEUTRAL[name], name)), arrays(world, Plan())
    for key in ("model", "cost_pusd", "tokens", "outcome", "priced", "evidence", "quality", "calls"):
        np.testing.assert_array_equal(found[key], logged[key], err_msg=key)
    once = world.rows.attempts == 1 if name == "retry" else np.ones(len(world.rows), bool)
    for key in ("latency_ms", "perceived_ms"):
        np.testing.assert_allclose(found[key][once], logged[key][once], atol=1e-3, err_msg=key)


@pytest.mark.parametrize("beside", [(), (Timeout(1e9),)], ids=["row phase", "event phase"])
def test_a_stream_moves_perceived_latency_alone(world: World, beside: tuple[Any, ...]) -> None:
    """People see an answer of the app at its first token; money, tokens, ends, quality, and all of the other app, are the log's."""
    found, logged = arrays(world, Plan((Stream(("search",)), *beside), "stream")), arrays(world, Plan())
    for key in ("model", "cost_pusd", "tokens", "outcome", "priced", "evidence", "quality", "calls", "unmeasured"):
        np.testing.assert_array_equal(found[key], logged[key], err_msg=key)
    np.testing.assert_allclose(found["latency_ms"], logged["latency_ms"], atol=1e-3)
    rows = world.rows
    mine = (rows.app.decode() == "search") & (rows.status == 0)
    others = ~mine & (rows.status == 0)
    np.testing.assert_allclose(found["perceived_ms"][others], logged["perceived_ms"][others], atol=1e-3)
    assert (found["perceived_ms"][mine] <= found["latency_ms"][mine]).all()
    assert np.median((found["perceived_ms"] / found["latency_ms"])[mine]) < 0.6
    for model in MODELS[:2]:
        own = mine & (rows.attempts == 1) & (rows.model.decode() == model)
        first, whole = world.outcomes.latency.expected_us(rows.take(own), model, rows.tokens[own])
        np.testing.assert_allclose(found["perceived_ms"][own], rows.latency_ms[own] * first / whole, rtol=1e-3, err_msg=model)


def test_who_shares_no_call_has_only_waited(world: World) -> None:
    """Beside a micro-batch, who is alone in a call is as logged but for the wait; who shares one pays for what it still sends."""
    lever = MicroBatch(("search",), 4, 20_000)
    intents = world.intents(Plan((lever,)), world.block)
    alone = intents.variant < 0
    found, logged = arrays(world, Plan((lever,), "micro-batch")), arrays(world, Plan())
    for key in ("model", "cost_pusd", "tokens", "outcome", "evidence", "quality", "calls"):
        np.testing.assert_array_equal(found[key][alone], logged[key][alone], err_msg=key)
    single = world.rows.session < 0
    waited = logged["latency_ms"] + intents.submit_ms
    np.testing.assert_allclose(found["latency_ms"][single], waited[single], atol=1e-3)
    assert (intents.submit_ms[alone] > 0).any()
    sent = logged["tokens"][:, :4].sum(axis=1) - intents.removed
    assert intents.removed.sum() > 100_000
    np.testing.assert_array_equal(found["tokens"][:, :4].sum(axis=1), sent)
    assert np.isnan(found["quality"][~alone]).all()
    assert (found["evidence"][~alone] == EVIDENCE.index("assumed")).all()
    assert unmeasured(world, Plan((lever,))) == (lever.words(),)


@pytest.mark.parametrize("name", BITES)
def test_the_same_seed_gives_the_same_bytes(world: World, name: str) -> None:
    """Twice the same plan, in a world opened twice, is byte for byte the same Summary."""
    again = World(world.traffic, world.outcomes, world.book, DATE)
    first, second = (run(w, Plan(BITES[name], name)).summary for w in (world, again))
    for part in ("sums", "paired", "labelled", "latency", "exposure"):
        assert getattr(first, part).tobytes() == getattr(second, part).tobytes(), part


@pytest.mark.parametrize("name", BITES)
def test_quality_is_at_most_the_oracles(world: World, name: str) -> None:
    """No request is predicted better than the best of all models would have been."""
    quality = world.played(Plan(BITES[name], name)).quality
    best = np.max([world.outcomes.quality(Coded(np.zeros(len(quality), np.int32), (m,))) for m in MODELS], axis=0)
    known = np.isfinite(quality)
    assert (quality[known] <= best[known] + 1e-9).all()


@pytest.mark.parametrize("name", [n for n in BITES if BITES[n][0].apps is None and n not in ("rate limit", "together")])
def test_other_apps_stay_as_logged(world: World, name: str) -> None:
    """A lever of one app leaves every request of the others, cost, end and time, as it was observed."""
    plan = Plan(tuple(replace(lever, apps=("chat",)) for lever in BITES[name]), name)
    other = world.rows.app.decode() != "chat"
    found, logged = arrays(world, plan), arrays(world, Plan())
    for key in ("model", "cost_pusd", "tokens", "outcome", "evidence"):
        np.testing.assert_array_equal(found[key][other], logged[key][other], err_msg=key)


@pytest.mark.parametrize("name", BITES)
def test_the_order_of_rows_leaves_no_trace(world: World, tmp_path: Path, name: str) -> None:
    """Rows stored in any order give the same Summary, requests of one moment going by their id."""
    frame = world.traffic.frame(*world.traffic.arrow().column_names, "messages")
    shuffled = traffic_of(tmp_path, frame.sample(frac=1, random_state=3).reset_index(drop=True).to_dict("list"))
    outcomes = fit_outcomes(world.traffic)
    here, there = (run(World(t, outcomes, world.book, DATE), Plan(BITES[name], name)).summary for t in (world.traffic, shuffled))
    np.testing.assert_array_equal(here.sums, there.sums)


def test_what_is_drawn_or_split_is_not_measured(world: World) -> None:
    """A saving by caches or retries never counts as measured: its evidence is that of what it rests on."""
    for name in ("prompt cache", "hedge", "timeout", "fallback"):
        side, logged = world.played(Plan(BITES[name], name)), world.logged
        changed = side.cost_pusd != logged.cost_pusd
        assert changed.any(), name
        assert (side.evidence[changed] > EVIDENCE.index("measured")).all(), name


@pytest.mark.parametrize(
    "lever",
    [Compress("lossless", keep_prefix=False), SemanticCache(0.3, guard=False), MicroBatch(("search",), 4, 20_000)],
    ids=lambda lever: lever.key,
)
def test_an_answer_that_no_label_tells_of_carries_no_quality(world: World, lever: Any) -> None:
    """A changed prompt, a shared call, or another question's answer makes the difference in quality unknown, however little of it."""
    found = run(world, Plan((lever,), "open"))
    assert found.unmeasured() > 0
    difference = found.quality_difference()
    assert np.isnan(difference.value)
    assert difference.evidence == "assumed"
    assert "whose quality no label tells" in found.text


def test_a_call_drawn_anew_fails_as_requests_end(world: World) -> None:
    """Without a lever of retries, a request on another tier fails as often as requests do, not as often as their first calls."""
    side = world.played(Plan(BITES["batch"], "batch"))
    mine = (world.rows.app.decode() == "search") & world.rows.steerable
    expected = float((world.rows.status != 0).mean())
    error = np.sqrt(expected * (1 - expected) / mine.sum())
    assert float((side.outcome[mine] != 0).mean()) == pytest.approx(expected, abs=4 * error)


def test_a_hedge_pays_more_the_less_alike_its_calls_are(world: World) -> None:
    """The tail that a second call takes away shrinks as the two calls' latencies come to be alike; at 1 only failures are hedged."""
    tails = [np.nanquantile(world.played(Plan((Hedge(500, correlation=rho),), "h")).latency_ms, 0.95) for rho in (0.0, 0.5, 0.95)]
    assert tails == sorted(tails)
