"""What a request is taken for at run time: the same app, messages and limits as the log reader finds in it afterwards."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.router import Requests
from planner.router.litellm_request import CALLS, app_of, asked, metadata_of, unit_of
from planner.router.rollout import APP_SOURCES
from planner.traffic import litellm
from planner.traffic.shapes import prompt_columns, request_columns
from planner.traffic.values import Rejected

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
VALUES = st.none() | st.booleans() | st.integers(-9, 9) | TEXTS | st.lists(TEXTS, max_size=2) | st.dictionaries(TEXTS, TEXTS, max_size=2)
TAGS = st.lists(TEXTS | st.sampled_from(["app:search", "team:x", "service:", "service:y", "User-Agent: curl"]), max_size=4)
METADATA = st.fixed_dictionaries(
    {},
    optional={
        "tags": TAGS | TEXTS,
        "user_api_key_team_alias": VALUES,
        "user_api_key_team_id": VALUES,
        "user_api_key_alias": VALUES,
        "requester_metadata": st.dictionaries(st.sampled_from(["service", "x"]), VALUES) | st.none() | TEXTS,
    },
)
SOURCES = st.sampled_from([None, "tag:app", "tag:x", "team", "key", "model_group", "metadata:service", "metadata:y"])
CHAT: list[dict[str, Any]] = [{"role": "user", "content": "Hi"}]


@given(METADATA, TEXTS, SOURCES)
@settings(max_examples=500, deadline=None)
def test_the_app_is_the_log_readers(metadata: dict[str, Any], group: str, source: str | None) -> None:
    """For any metadata and any source of apps, run time and log reader name the same app."""
    try:
        logged = litellm.app_of(litellm.tags_of(metadata.get("tags")), metadata, group or None, source)
    except Rejected:
        return
    assert app_of(metadata, group, source) == logged


def test_both_sides_know_the_same_sources() -> None:
    """A rollout takes as app_from what the log reader takes."""
    assert APP_SOURCES == litellm.APP_SOURCES


def payloads() -> list[tuple[str, dict[str, Any]]]:
    """Return one request of each call type, with system prompt, tools, format and limit in that type's own words."""
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    chat = {
        "messages": [{"role": "system", "content": "Be brief."}, *CHAT],
        "response_format": schema,
        "max_completion_tokens": 9,
        "max_tokens": 7,
    }
    blocks = [{"type": "text", "text": "Be brief."}]
    messages = {"messages": CHAT, "system": blocks, "max_tokens": 7, "output_config": {"format": {"type": "json_schema", "schema": {}}}}
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "Hi"}, {"type": "input_image", "image_url": "x"}]},
        {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "1"},
        {"type": "function_call_output", "call_id": "1", "output": "42"},
    ]
    responses = {"input": items, "instructions": "Be brief.", "max_output_tokens": 7, "text": {"format": {"type": "json_object"}}}
    plain = {"input": "Hi", "text": {"format": {"type": "text"}}}
    return [
        ("acompletion", {**chat, "tools": tools}),
        ("anthropic_messages", {**messages, "tools": [{"name": "f", "input_schema": {}}]}),
        ("aresponses", {**responses, "tools": tools}),
        ("aresponses", plain),
    ]


@pytest.mark.parametrize(("call_type", "body"), payloads())
def test_messages_and_limits_are_the_log_readers(call_type: str, body: dict[str, Any]) -> None:
    """What is decided on at run time is what the reader makes of the same body in a log: messages, tools, format, limit, modalities."""
    found = asked({"model": "gpt-5", **body}, None, call_type)
    assert found is not None
    system = body.get("system") or body.get("instructions")
    logged = {**prompt_columns(body.get("messages") or body.get("input"), system), **request_columns(body)}
    assert found.messages == json.loads(logged["messages"])
    now = Requests.one(found.messages, found.metadata)
    names = ("has_tools", "max_tokens", "modalities", "text_state")
    later = Requests.of([json.loads(logged["messages"])], **{name: [logged[name]] for name in names})
    for name in names:
        assert list(getattr(now, name)) == list(getattr(later, name))
    assert (now.user, now.system) == (later.user, later.system)
    wanted = {"acompletion": 2, "anthropic_messages": 2, "aresponses": 1 if system else 0}[call_type]
    assert now.response_format.tolist() == [wanted]


def test_a_session_is_found_where_the_log_finds_it() -> None:
    """Session before end user before the call itself, in LiteLLM's own order; an id equal to the call's is no session."""
    call = {"litellm_call_id": "c"}
    assert unit_of({**call, "litellm_session_id": "s", "litellm_trace_id": "t"}, {"session_id": "m"}) == ("s", "session")
    assert unit_of({**call, "litellm_trace_id": "t"}, {"session_id": "m"}) == ("t", "session")
    assert unit_of(call, {"session_id": "m", "trace_id": "n"}) == ("m", "session")
    assert unit_of({**call, "litellm_trace_id": "c"}, {"trace_id": "n"}) == ("n", "session")
    assert unit_of(call, {"user_api_key_end_user_id": "u"}) == ("u", "user")
    assert unit_of(call, {}, SimpleNamespace(end_user_id="v")) == ("v", "user")
    assert unit_of(call, {}, SimpleNamespace(end_user_id=None)) == ("c", "request")
    assert len({unit_of({}, {})[0] for _ in range(20)}) == 20


def test_metadata_is_litellms_own() -> None:
    """Messages and Responses carry LiteLLM's metadata as litellm_metadata, beside the client's own metadata."""
    assert metadata_of({"litellm_metadata": {"a": 1}, "metadata": {"b": 2}}) == {"a": 1}
    assert metadata_of({"metadata": {"b": 2}}) == {"b": 2}
    assert metadata_of({"metadata": "text"}) == {}


@pytest.mark.parametrize("call_type", ["aembedding", "amoderation", "aimage_generation", "pass_through_endpoint", None, 7])
def test_other_calls_are_not_ours(call_type: Any) -> None:
    """Embeddings, images and whatever else passes a proxy are left alone."""
    assert asked({"model": "gpt-5", "messages": CHAT}, None, call_type) is None


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("model", "messages", "input", "system", "instructions", "metadata", "litellm_metadata", "tools", "text", "max_tokens")


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, ANYTHING)) | ANYTHING, st.sampled_from(CALLS), SOURCES)
@settings(max_examples=500, deadline=None)
def test_nothing_a_client_sends_raises(data: Any, call_type: str, source: str | None) -> None:
    """Any JSON at all is read or left alone, and what was read can be decided on."""
    found = asked(data, None, call_type, source)
    if found is not None:
        assert isinstance(found.app, str)
        assert isinstance(found.key, str)
        assert found.app
        assert found.key
        Requests.one(found.messages, found.metadata)
