"""Conversations are found again from what their requests repeat."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.small import traffic_of

from planner.errors import InputError
from planner.traffic import Traffic
from planner.traffic.sessions import rebuilt, sessions_of

_START = pd.Timestamp("2026-11-01", tz="UTC")


def _said(*turns: str) -> str:
    """Alternate user and assistant messages."""
    return json.dumps([{"role": ("user", "assistant")[i % 2], "content": t} for i, t in enumerate(turns)])


def _log(folder: Path, rows: Sequence[tuple[float, str, str | None]], **columns: Any) -> Traffic:
    """A log of (minute, messages, response)."""
    when = [_START + pd.Timedelta(minute, unit="min") for minute, _, _ in rows]
    texts = {"messages": [m for _, m, _ in rows], "response": [r for _, _, r in rows], "text_state": "full"}
    return traffic_of(folder, {"timestamp": when, "model": "m", **texts, **columns})


def test_turns_follow_each_other(tmp_path: Path) -> None:
    """Three turns of one conversation and one of another, in any order of rows, are two conversations with their turns in order."""
    rows = [(9, _said("hi", "ho", "and?", "so", "why?"), "because"), (0, _said("hi"), "ho"), (1, _said("hi there"), "yo")]
    traffic = _log(tmp_path / "log", [*rows, (3, _said("hi", "ho", "and?"), "so")])
    found = sessions_of(traffic)
    assert found.parent.tolist() == [3, -1, -1, 1]
    assert found.turn.tolist() == [2, 0, 0, 1]
    frame = rebuilt(traffic, tmp_path / "out").frame("session_id", "turn")
    assert frame["session_id"].fillna("none").tolist() == ["rebuilt/r1", "rebuilt/r1", "none", "rebuilt/r1"]
    assert frame["turn"].fillna(-1).tolist() == [2, 0, -1, 1]


def test_the_answer_decides_between_equal_beginnings(tmp_path: Path) -> None:
    """Two strangers who begin alike are told apart by the answers they quote; with equal answers and no users nobody is joined."""
    begin = [(0, _said("hi"), "one"), (1, _said("hi"), "two")]
    assert sessions_of(_log(tmp_path / "a", [*begin, (2, _said("hi", "one", "x"), "y")])).parent.tolist() == [-1, -1, 0]
    same = [(0, _said("hi"), "one"), (1, _said("hi"), "one"), (2, _said("hi", "one", "x"), "y")]
    assert sessions_of(_log(tmp_path / "b", same)).parent.tolist() == [-1, -1, -1]
    assert sessions_of(_log(tmp_path / "c", same, user=["u", "v", "u"])).parent.tolist() == [-1, -1, 0]
    assert sessions_of(_log(tmp_path / "d", same, user="u")).parent.tolist() == [-1, -1, 1]


def test_an_unlogged_answer_leaves_a_single_candidate(tmp_path: Path) -> None:
    """Without logged answers the messages alone decide, if only one request could be meant."""
    assert sessions_of(_log(tmp_path / "a", [(0, _said("hi"), None), (1, _said("hi", "ho", "x"), None)])).parent.tolist() == [-1, 0]
    two = [(0, _said("hi"), None), (1, _said("hi"), None), (2, _said("hi", "ho", "x"), None)]
    assert sessions_of(_log(tmp_path / "b", two)).parent.tolist() == [-1, -1, -1]


def test_a_lost_turn_is_bridged(tmp_path: Path) -> None:
    """When a turn in between was not logged, the next one continues the turn before it."""
    traffic = _log(tmp_path, [(0, _said("hi"), "ho"), (5, _said("hi", "ho", "and?", "so", "why?"), "b")])
    assert sessions_of(traffic).parent.tolist() == [-1, 0]


@pytest.mark.parametrize(
    ("columns", "minutes"),
    [
        ({"app": ["a", "b"]}, 1),
        ({"user": ["u", "v"]}, 1),
        ({"session_id": ["s", "t"]}, 1),
        ({"text_state": ["full", "cut"]}, 1),
        ({}, 13 * 60),
    ],
)
def test_what_keeps_requests_apart(tmp_path: Path, columns: dict[str, list[str]], minutes: int) -> None:
    """Another app, user or named session, a cut text, and more than twelve hours are no continuation."""
    rows = [(0, _said("hi"), "ho"), (float(minutes), _said("hi", "ho", "x"), "y")]
    assert sessions_of(_log(tmp_path, rows, **columns)).parent.tolist() == [-1, -1]


def test_an_answer_cannot_be_quoted_before_it_is_given(tmp_path: Path) -> None:
    """A request that begins before another's answer has ended does not continue it, whatever it holds."""
    rows = [(0, _said("hi"), "ho"), (0.5, _said("hi", "ho", "x"), "y")]
    assert sessions_of(_log(tmp_path / "a", rows, latency_ms=[60_000.0, 1.0])).parent.tolist() == [-1, -1]
    assert sessions_of(_log(tmp_path / "b", rows, latency_ms=[29_000.0, 1e300])).parent.tolist() == [-1, 0]


def test_names_of_the_log_are_kept(tmp_path: Path) -> None:
    """A conversation that the log names from its second turn on has that name in its first, and what is named stays as it is."""
    rows = [(0, _said("hi"), "ho"), (1, _said("hi", "ho", "x"), "y"), (2, _said("hi", "ho", "x", "y", "z"), "w"), (3, _said("q"), "a")]
    traffic = _log(tmp_path / "log", rows, session_id=[None, "s", None, "t"], turn=pd.array([None, 7, None, None], "Int32"))
    made = rebuilt(traffic, tmp_path / "out")
    frame = made.frame("session_id", "turn")
    assert frame["session_id"].tolist() == ["s", "s", "s", "t"]
    assert frame["turn"].fillna(-1).tolist() == [0, 7, 2, -1]
    assert made.meta["sessions"]["rows_rebuilt"] == 2
    assert made.meta["sessions"]["rows_named_before"] == 2


def test_tool_calls_are_part_of_the_chain(tmp_path: Path) -> None:
    """An agent's step continues the step whose tool call it answers, whether the answer was logged as a message or as parts."""
    call = {"id": "c", "type": "function", "function": {"name": "find", "arguments": '{"q": 1}'}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    ask = {"role": "user", "content": "look"}
    later = json.dumps([ask, message, {"role": "tool", "tool_call_id": "c", "content": "42"}])
    rows = [(0, json.dumps([ask]), json.dumps(message)), (0.1, json.dumps([ask]), "no idea"), (1, later, "42!")]
    assert sessions_of(_log(tmp_path, rows)).parent.tolist() == [-1, -1, 0]


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_planted_conversations_come_back(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """Conversations with distinct answers, shuffled together without ids, come back whole; none is joined to another."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[float, str, str | None]] = []
    truth = []
    for k in range(rng.integers(1, 6)):
        turns, minute = [f"opener {rng.integers(0, 2)}"], float(rng.integers(0, 60))
        for t in range(rng.integers(1, 5)):
            answer = f"answer {k} {t}"
            rows.append((minute, _said(*turns), answer))
            truth.append(k)
            turns += [answer, f"more {rng.integers(0, 2)}"]
            minute += float(rng.integers(1, 30))
    order = rng.permutation(len(rows))
    found = sessions_of(_log(tmp_path_factory.mktemp("p"), [rows[i] for i in order]))
    made = pd.factorize(found.root)[0]
    assert made.tolist() == pd.factorize(np.array(truth)[order])[0].tolist()


def test_hours_must_be_some(tmp_path: Path) -> None:
    """No hours at all are refused."""
    with pytest.raises(InputError, match="hours=0"):
        sessions_of(_log(tmp_path, [(0, _said("hi"), "ho")]), hours=0)
