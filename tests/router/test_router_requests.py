"""Requests: what a decision is made from, and what cannot be answered at all."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError
from planner.router import Capability, Requests, Support
from planner.router.capabilities import KEEP
from planner.router.gate import feasible, outside

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "first question"},
    {"role": "assistant", "content": "answer"},
    {"role": "user", "content": "yes"},
]
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda x: st.one_of(st.lists(x, max_size=3), st.dictionaries(st.sampled_from(["role", "content", "type", "text", "a"]), x, max_size=4)),
    max_leaves=12,
)


def test_a_session_is_decided_by_its_first_turn():
    """Every later turn of a session is read as its first one was: same text, same turn, same cost basis."""
    early, late = Requests.of([TALK[:2]]), Requests.of([TALK])
    for column in ("system", "user", "turn", "context", "input_tokens"):
        assert np.array_equal(getattr(early, column), getattr(late, column))
    assert late.total_tokens > early.total_tokens


def test_a_request_is_read_with_its_context():
    """As a unit of its own, a turn is the newest text, with its place in the talk."""
    found = Requests.of([TALK], unit="request")
    assert (found.user, found.turn.tolist()) == (("yes",), [1])
    assert found.context[0] > 0


@given(JSON, st.dictionaries(st.sampled_from(["app", "tools", "response_format", "max_tokens", "modalities", "text_state"]), JSON))
def test_any_json_is_a_request(messages, metadata):
    """Whatever JSON a client sends, it is read, and as one request."""
    assert len(Requests.one(messages, metadata)) == 1


def test_as_a_gateway_sees_it():
    """Tools, response formats, images and either name of the output limit are read from the call itself."""
    image = [{"role": "user", "content": [{"type": "input_image"}, {"type": "text", "text": "what?"}]}]
    call = {"tools": [{}], "response_format": {"type": "json_schema"}, "max_completion_tokens": 7, "app": "chat"}
    found = Requests.one(image, call)
    assert (found.has_tools[0], found.response_format[0], found.max_tokens[0]) == (True, 2, 7)
    assert (found.app, found.modalities) == (("chat",), ("image",))


def test_no_text_is_said():
    """A request without any text says so, whatever the log claims."""
    assert Requests.of(["", [{"role": "user", "content": None}], "x"], text_state=["full", "full", "cut"]).text_state.tolist() == [2, 2, 1]


@pytest.mark.parametrize("nothing", [None, float("nan"), np.float64("nan"), pd.NA])
def test_missing_values_are_the_plainest(nothing):
    """Whatever a table puts where a value is missing reads as if the column were not there."""
    columns = ("app", "has_tools", "response_format", "modalities", "max_tokens", "text_state")
    found, plain = Requests.of(["x"], **{c: [nothing] for c in columns}), Requests.of(["x"])
    assert all(np.array_equal(getattr(found, c), getattr(plain, c)) for c in columns)


def test_columns_of_one_length():
    """A column of another length is refused by name."""
    with pytest.raises(InputError, match="1 values of app; expected 2"):
        Requests.of(["a", "b"], app=["x"])
    with pytest.raises(InputError, match="unit 'turn'; expected one of session, request"):
        Requests.of(["a"], unit="turn")


KNOWN = Capability(context_tokens=100, tools=True, formats=("text", "json_object"), modalities=("text", "image"), apps=("a",))


@pytest.mark.parametrize(
    ("given", "can"),
    [
        ({}, True),
        ({"app": "b"}, False),
        ({"tools": [1]}, True),
        ({"response_format": "json_object"}, True),
        ({"response_format": "json_schema"}, False),
        ({"response_format": "something new"}, False),
        ({"modalities": "text,image"}, True),
        ({"modalities": ["audio"]}, False),
        ({"max_tokens": 90}, True),
        ({"max_tokens": 100}, False),
    ],
)
def test_what_is_not_known_is_not_feasible(given, can):
    """A candidate is feasible only for what somebody said it can do; a model nobody described, never."""
    requests = Requests.one("a few words", {"app": "a", **given})
    assert feasible(requests, [KNOWN, Capability()], "2026-01-01").tolist() == [[can, False]]


def test_a_retired_model_is_not_feasible():
    """From its retirement date on a model is not offered."""
    last = Capability(max_input_tokens=10, retires="2026-06-01")
    assert [feasible(Requests.of(["x"]), [last], day)[0, 0] for day in ("2026-05-31", "2026-06-01")] == [True, False]


def test_support():
    """Unknown apps, longer, cut and empty requests are each outside for their own reason."""
    support = Support(apps=("a",), max_tokens=3)
    requests = Requests.of(
        ["x", "x", "one two three four five", "x", ""], app=["a", "b", "a", "a", "b"], text_state=["full"] * 3 + ["cut", "full"]
    )
    assert outside(requests, support, ["b"]).tolist() == [0, 3, 4, 6, 5]
    assert outside(requests, support).tolist() == [0, KEEP, 4, 6, KEEP], "an app nobody knows keeps its model, whatever else is wrong"
