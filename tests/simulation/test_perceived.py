"""Perceived latency: to the first token where answers are streamed, else the whole; closed forms on a log whose times are exact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.small import MODELS, traffic_of

from planner.errors import NeedsError
from planner.outcomes import Outcomes, fit_outcomes
from planner.policies import Batch, Plan, Stream, Timeout
from planner.prices import PriceBook
from planner.simulation import World, run, simulate

N = 1_200
#: Until the first token, and per token of the answer [ms].
FIRST, TOKEN = 400.0, 10.0
STREAM = Plan((Stream(("search",)),), "stream")


def log(folder: Path, **columns: Any) -> World:
    """Open a log of two apps of 60 users each, of which chat alone is streamed; every call takes exactly 400 ms and 10 ms a token."""
    tokens = np.random.default_rng(3).integers(20, 400, N)
    chat = np.arange(N) % 2 == 0
    frame = {
        "user": [f"u{i % 120}" for i in range(N)],
        "app": np.where(chat, "chat", "search"),
        "provider": "openai",
        "model": MODELS[0],
        "messages": "hi",
        "text_state": "full",
        "input_tokens": 100,
        "output_tokens": tokens,
        "latency_ms": FIRST + TOKEN * tokens,
        "ttft_ms": np.where(chat, FIRST, np.nan),
        **columns,
    }
    traffic = traffic_of(folder, frame)
    return World(traffic, fit_outcomes(traffic), PriceBook.load(), "as-logged")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The log as it is."""
    return log(tmp_path_factory.mktemp("log"))


@pytest.mark.parametrize("beside", [(), (Timeout(1e9),)], ids=["row phase", "event phase"])
def test_streaming_takes_p95_from_the_whole_answer_to_its_first_token(world: World, beside: tuple[Any, ...]) -> None:
    """As logged, chat shows at 400 ms and search when all is there; streamed, both show at 400 ms, and nothing else moves."""
    found, logged = run(world, Plan((*STREAM.levers, *beside), "stream")), run(world, Plan())
    chat, search = (found.summary.groups.index((app,)) for app in ("chat", "search"))
    whole = np.quantile(world.rows.latency_ms[1::2], 0.95)
    assert logged.latency(group=chat, perceived=True).value == pytest.approx(FIRST, rel=0.006)
    assert logged.latency(group=search, perceived=True).value == pytest.approx(whole, rel=0.006)
    for group in (chat, search):
        assert found.latency(group=group, perceived=True).value == pytest.approx(FIRST, rel=0.02)
        assert found.latency(group=group).value == logged.latency(group=group).value
    assert found.latency_difference(group=search, perceived=True).value == pytest.approx(FIRST - whole, rel=0.02)
    assert (found.latency(perceived=True).evidence, found.latency(perceived=True, group=chat).evidence) == ("estimated", "measured")
    assert (found.saving().value, found.quality_difference().value, found.changed()) == (0.0, 0.0, 0.0)
    assert found.cost().shares == logged.cost().shares


def test_the_text_and_the_table_tell_it(world: World) -> None:
    """Of a plan that streams the text names p95 before and after, and the table has it by app; a log as it is says nothing of it."""
    found = run(world, STREAM)
    assert "p95 of the perceived latency [ms], to the first token where answers are streamed: 40" in found.text
    assert f"as logged {run(world, Plan()).latency(perceived=True).value:,.0f}." in found.text
    assert "perceived" not in run(world, Plan()).text
    table = found.table.set_index("app")
    assert table["perceived_p95_ms"].to_numpy() == pytest.approx(FIRST, rel=0.02)
    assert (table["p95_ms"] > 9 * FIRST).all()


def test_tried_again_the_first_token_is_the_last_calls(tmp_path: Path) -> None:
    """Of two calls that took 3 s and gave 50 tokens, the second one's are half the time, and its first token comes in that half."""
    again = np.arange(N) == 1
    tokens = np.where(again, 50, np.random.default_rng(3).integers(20, 400, N))
    world = log(
        tmp_path,
        attempts=np.where(again, 2, 1),
        output_tokens=tokens,
        latency_ms=np.where(again, 3_000, FIRST + TOKEN * tokens),
    )
    assert world.played(STREAM).perceived_ms[1] == pytest.approx(1_500 + 1_500 * FIRST / (FIRST + 50 * TOKEN), rel=0.01)
    replayed = world.played(Plan((*STREAM.levers, Timeout(1e9)), "replayed"))
    assert 1_500 < replayed.perceived_ms[1] < replayed.latency_ms[1] == 3_000


def test_answers_in_a_file_are_not_streamed(world: World) -> None:
    """An app that streams today, sent through the batch tier, shows its answers when they are there; the flex tier streams on."""
    mine = world.rows.app.decode() == "chat"
    batch, flex = (world.played(Plan((lever,), "b")) for lever in (Batch(("chat",), 1), Batch(("chat",), 0, tier="flex")))
    np.testing.assert_array_equal(batch.perceived_ms[mine], batch.latency_ms[mine])
    assert (flex.perceived_ms[mine] < flex.latency_ms[mine]).all()


def test_a_cancelled_stream_is_billed_as_providers_bill_streams(world: World) -> None:
    """OpenAI bills what a cancelled stream had generated, and all of an answer that comes whole; what was not cancelled costs the same."""
    cut = Timeout(1_000)
    whole, streamed = (world.replayed(Plan(levers, "cut")) for levers in ((cut,), (cut, *STREAM.levers)))
    search = (whole.side.outcome != 0) & (world.rows.app.decode() == "search")
    tokens = world.rows.tokens[search, 4]
    np.testing.assert_array_equal(whole.side.tokens[search, 4], tokens)
    np.testing.assert_allclose(streamed.side.tokens[search, 4], (1_000 - FIRST) / TOKEN, atol=2)
    np.testing.assert_array_equal(streamed.side.tokens[~search], whole.side.tokens[~search])


def test_what_streaming_needs_is_named(world: World, tmp_path: Path) -> None:
    """A log that streamed nothing, and outcomes without latencies, are refused in one sentence; simulate fits what is needed."""
    mute = log(tmp_path, ttft_ms=np.nan)
    with pytest.raises(NeedsError, match="stream needs ttft_ms, which this log does not have"):
        run(mute, STREAM)
    with pytest.raises(NeedsError, match="stream needs to know how soon answers begin"):
        run(World(world.traffic, Outcomes(), world.book, "as-logged"), STREAM)
    assert simulate(world.traffic, STREAM, at="as-logged").latency(perceived=True).value == pytest.approx(FIRST, rel=0.02)
