"""OpenTelemetry spans, row by row: hand-written export requests whose reading is known, and what real clients recorded."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.span_recorder import CALLS, RECORDED, can_record, expected

from benchmarks.reader_mutations import SEEDS
from planner.schema import TOKEN_BUCKETS, TRAFFIC
from planner.traffic import Traffic, read
from planner.traffic.otel_spans import opened
from planner.traffic.otel_text import text_columns
from planner.traffic.records import Found


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Traffic:
    """Read the export requests of reader_seeds/otel.ndjson."""
    return read(SEEDS / "otel.ndjson", out=tmp_path_factory.mktemp("otel") / "out", text=True)


@pytest.fixture(scope="module")
def rows(seed: Traffic) -> dict[str, dict[str, Any]]:
    """Return its rows by the last three digits of the span's id."""
    return {str(r["request_id"])[-3:]: r for r in seed.frame(*TRAFFIC.names).to_dict("records")}


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(v) for v in value]}}
    kind = {bool: "boolValue", int: "intValue", float: "doubleValue"}.get(type(value), "stringValue")
    return {kind: str(value) if kind == "intValue" else value}


def _span(number: int, attributes: Mapping[str, Any], parent: int | None = None, **more: Any) -> dict[str, Any]:
    times = {"startTimeUnixNano": "1762160400000000000", "endTimeUnixNano": "1762160400900000000"}
    above = {} if parent is None else {"parentSpanId": f"{parent:016x}"}
    named = [{"key": k, "value": _value(v)} for k, v in attributes.items()]
    return {"traceId": "1" * 32, "spanId": f"{number:016x}", "name": "x", **above, **times, "attributes": named, "status": {}, **more}


def _request(*spans: dict[str, Any]) -> dict[str, Any]:
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": list(spans)}]}]}


def _read(folder: Path, *requests: dict[str, Any], **options: Any) -> Traffic:
    path = folder / "spans.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in requests), "utf-8")
    return read(path, out=folder / "out", **options, text=True)


def _chat(**more: Any) -> dict[str, Any]:
    plain = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 2}
    return {**plain, **{k.replace("__", "."): v for k, v in more.items()}}


@pytest.mark.parametrize(
    ("span", "buckets"),
    [
        ("0a1", [112, 1024, 64, 0, 18, 12]),  # the conventions' names
        ("0c1", [20, 0, 0, 0, 2, 0]),  # OpenLLMetry's
        ("0d2", [372, 128, 0, 0, 15, 25]),  # OpenInference's
        ("0e1", [176, 1024, 0, 0, 18, 12]),  # the Langfuse SDK's
        ("0f1", [10, 40, 0, 0, 4, 3]),  # Sentry's
        ("0f2", [40, 4096, 136, 0, 30, 0]),  # input beside what was cached, as the span's own total shows
    ],
)
def test_every_vocabulary_becomes_exclusive_buckets(rows: dict[str, dict[str, Any]], span: str, buckets: list[int]) -> None:
    """Cached, written and reasoning tokens leave the counts that hold them, under whatever name they stand."""
    assert [rows[span][b] for b in TOKEN_BUCKETS] == buckets


def test_a_whole_span_of_the_conventions(rows: dict[str, dict[str, Any]]) -> None:
    """Model, provider, session, user, prompt, limits, tier, times and text come from where the conventions put them."""
    row = rows["0a1"]
    assert (row["model"], row["model_requested"], row["provider"]) == ("gpt-5-mini-2026-01-01", "gpt-5-mini", "openai")
    assert (row["app"], row["user"], row["session_id"], row["prompt_version"]) == ("shop-bot", "u-7", "sess-1", "greeter")
    assert (row["latency_ms"], row["ttft_ms"], row["stream"]) == (900.0, 400.0, True)
    assert (row["max_tokens"], row["service_tier"], row["finish_reason"]) == (200, "standard", "stop")
    assert row["messages"] == '[{"role":"system","content":"Be brief."},{"role":"user","content":"Say hi"}]'
    assert (row["response"], row["text_state"], row["status"]) == ("Hi", "full", "ok")
    assert row["timestamp"] == pd.Timestamp("2025-11-03T09:00:00Z")


def test_structured_messages_keep_tools_and_modalities(rows: dict[str, dict[str, Any]]) -> None:
    """Parts become OpenAI's content, tool calls and tool answers; an image is named as one."""
    row = rows["0b1"]
    asked = json.loads(row["messages"])
    assert [m["role"] for m in asked] == ["user", "assistant", "tool"]
    assert asked[1]["tool_calls"][0]["function"] == {"name": "look_up", "arguments": '{"q":"x"}'}
    assert (asked[2]["content"], asked[2]["tool_call_id"]) == ("42", "c1")
    assert json.loads(row["response"])["tool_calls"][0]["function"]["arguments"] == '{"q":"y"}'
    assert (row["modalities"], row["has_tools"], row["finish_reason"]) == ("text,image", True, "tool_calls")
    assert row["response_format"] == "json_object"


@pytest.mark.parametrize("span", ["0a1", "0c1", "0f3"])
def test_text_is_the_same_however_it_is_held(rows: dict[str, dict[str, Any]], span: str) -> None:
    """Messages as JSON, as numbered attributes and as events say the same."""
    said = [(m["role"], m["content"]) for m in json.loads(rows[span]["messages"])]
    assert said == [("system", "Be brief."), ("user", "Say hi")]
    assert rows[span]["response"] == "Hi"


def test_a_text_that_was_cut_off_is_not_taken_for_whole(rows: dict[str, dict[str, Any]]) -> None:
    """JSON that ends early is kept and said to be cut; whole text on an event is whole."""
    assert rows["101"]["text_state"] == "cut"
    assert rows["0f1"]["text_state"] == "full"


@pytest.mark.parametrize(
    ("span", "status", "error_class"),
    [("0b2", "rate_limit", "RateLimitError"), ("0e2", "rate_limit", "RateLimitError"), ("103", "transport", "openai.APITimeoutError")],
)
def test_failures_have_their_kind(rows: dict[str, dict[str, Any]], span: str, status: str, error_class: str) -> None:
    """The kind comes from error.type, an exception's event, or what the Langfuse SDK says."""
    assert (rows[span]["status"], rows[span]["error_class"]) == (status, error_class)


@pytest.mark.parametrize(
    ("named", "status"),
    [
        ("429", "rate_limit"),
        ("timeout", "transport"),
        ("_OTHER", "transport"),
        ("ContentPolicyViolationError", "content"),
        ("400", "validation"),
    ],
)
def test_error_types_may_be_codes_or_words(tmp_path: Path, named: str, status: str) -> None:
    """A status in error.type counts like one, an unknown word is a fault of transport; no tokens are needed."""
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "error.type": named}
    assert _read(tmp_path, _request(_span(1, attributes))).frame("status")["status"].tolist() == [status]


def test_litellms_own_names(rows: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    """The model is the one that was dispatched to, cost and user are read, a router's own call is overhead, printed usage counts."""
    row = rows["101"]
    assert (row["model"], row["model_requested"], row["source_cost_usd"], row["user"]) == ("gpt-5-mini", "chat-default", 1e-5, "u-5")
    assert (row["purpose"], rows["102"]["purpose"]) == ("user", "overhead")
    printed = "{'prompt_tokens': 5, 'prompt_tokens_details': {'cached_tokens': 4}}"
    traffic = _read(tmp_path, _request(_span(1, {**_chat(), "metadata.usage_object": printed, "metadata.user_api_key_team_alias": "ops"})))
    found = traffic.frame("input_tokens", "cache_read_tokens", "app")
    assert found.iloc[0].tolist() == [1, 4, "ops"]


def test_spans_that_are_no_calls_are_set_aside_with_the_reason(seed: Traffic) -> None:
    """Agents, tools, chains, plain spans, wrappers and other signals are counted by reason, none as traffic."""
    reasons = seed.quarantine["reason"].tolist()
    assert len(seed) + len(reasons) == 22
    for words in (
        "a span of invoke_agent",
        "a span of execute_tool",
        "a span of CHAIN",
        "a span of workflow",
        "with metrics, but no spans",
    ):
        assert sum(words in r for r in reasons) == 1, words
    assert sum("without a model's name and usage" in r for r in reasons) == 1
    assert json.loads(seed.quarantine["raw"][0])["spanId"]


def test_of_nested_calls_the_innermost_counts(tmp_path: Path) -> None:
    """A call around a call with usage is not counted, through any number of spans between them, also of an earlier export."""
    inner, between, outer = _span(3, _chat(), parent=2), _span(2, {}, parent=1), _span(1, _chat(gen_ai__usage__input_tokens=99))
    together = _read(tmp_path, _request(inner, between, outer))
    assert together.frame("input_tokens")["input_tokens"].tolist() == [5]
    one_by_one = tmp_path / "one"
    one_by_one.mkdir()
    apart = _read(one_by_one, _request(inner), _request(between), _request(outer))
    assert apart.frame("request_id")["request_id"].tolist() == [f"{3:016x}"]
    assert sum("around a call" in r for r in apart.quarantine["reason"]) == 1


def test_a_call_around_one_without_usage_counts_itself(tmp_path: Path) -> None:
    """Where the inner span has no usage, the outer one has the tokens, and neither is lost."""
    bare = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
    traffic = _read(tmp_path, _request(_span(2, bare, parent=1), _span(1, _chat())))
    assert sorted(traffic.frame("input_tokens")["input_tokens"]) == [0, 5]


def test_the_memory_of_wrappers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more spans around calls than are remembered, the oldest are forgotten: what they wrap is then counted twice, never lost."""
    monkeypatch.setattr("planner.traffic.nests._REMEMBERED", 10)
    inner = [_request(_span(100 + i, _chat(), parent=i)) for i in range(1, 31)]
    outer = [_request(_span(i, _chat())) for i in range(1, 31)]
    found = [f for _, f in opened(iter([("f", Found(n, b"", r)) for n, r in enumerate([*inner, *outer], 1)]))]
    assert len(found) == 60
    assert 30 < sum(f.value is not None for f in found) < 60
    assert found[-1].value is None  # the newest is remembered


@pytest.mark.parametrize("total", [None, 7, 8, 9, 10])
def test_a_total_decides_what_the_counts_hold_or_the_span_is_set_aside(tmp_path: Path, total: int | None) -> None:
    """Input 5, output 2, cached 1, thought 2: totals of 7, 8, 9 and 10 say which are inside; 11 says nothing, and is set aside."""
    inside = {"gen_ai.usage.cache_read.input_tokens": 1, "gen_ai.usage.reasoning.output_tokens": 2}
    stated = {} if total is None else {"gen_ai.usage.total_tokens": total}
    wrong = _span(2, {**_chat(), **inside, "gen_ai.usage.total_tokens": 11})
    traffic = _read(tmp_path, _request(_span(1, {**_chat(), **inside, **stated}), wrong))
    row = traffic.frame(*TOKEN_BUCKETS).iloc[0]
    outside_input, outside_output = {None: (0, 0), 7: (0, 0), 8: (1, 0), 9: (0, 2), 10: (1, 2)}[total]
    assert row.tolist() == [4 + outside_input, 1, 0, 0, 0 + outside_output, 2]
    assert traffic.quarantine["reason"].tolist() == ["input and output tokens are 7, the source's total 11"]


def test_parts_beyond_the_whole_are_set_aside(tmp_path: Path) -> None:
    """More cached tokens than input is a contradiction with both numbers in its reason, never a bucket below zero."""
    traffic = _read(tmp_path, _request(_span(1, _chat()), _span(2, {**_chat(), "gen_ai.usage.cache_read.input_tokens": 6})))
    assert len(traffic) == 1
    assert "6, more than the 5" in traffic.quarantine["reason"][0]


@pytest.mark.parametrize(
    ("app_from", "app"),
    [(None, "vision"), ("service", "shop"), ("attribute:gen_ai.agent.name", "greeter"), ("tag:team", "blue"), ("tag:none", "default")],
)
def test_where_the_app_comes_from(tmp_path: Path, app_from: str | None, app: str) -> None:
    """By default an app tag, then the service; any attribute can be named."""
    attributes = _chat(gen_ai__agent__name="greeter", tag__tags=["app:vision", "team:blue"])
    request = _request(_span(1, attributes))
    request["resourceSpans"][0]["resource"] = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    assert _read(tmp_path, request, app_from=app_from).frame("app")["app"].tolist() == [app]


def test_attributes_can_be_mapped_by_name(tmp_path: Path) -> None:
    """A column may come from any attribute, although its name has dots."""
    traffic = _read(tmp_path, _request(_span(1, _chat(my__score=0.5))), mapping={"quality": "my.score"})
    assert traffic.frame("quality")["quality"].tolist() == [0.5]


@pytest.mark.parametrize("damage", [{"resourceSpans": 5}, {"resourceSpans": [{"scopeSpans": [{"spans": [7]}]}]}, {"resourceSpans": [[]]}])
def test_a_damaged_export_request_is_one_record(tmp_path: Path, damage: dict[str, Any]) -> None:
    """What is no list of spans is set aside whole, with the reason, and the requests beside it are read."""
    traffic = _read(tmp_path, _request(_span(1, _chat())), damage)
    assert (len(traffic), len(traffic.quarantine)) == (1, 1)
    assert "lists that OTLP has" in traffic.quarantine["reason"][0]
    assert json.loads(traffic.quarantine["raw"][0]) == damage


def test_a_pretty_printed_request_reads_like_a_line(tmp_path: Path) -> None:
    """One request, indented over many lines, gives the rows of its one-line form."""
    path = tmp_path / "pretty.json"
    path.write_text(json.dumps(_request(_span(1, _chat()), _span(2, _chat())), indent=2), "utf-8")
    assert len(read(path, out=tmp_path / "pretty", text=True)) == 2


def test_input_value_may_be_a_request_or_text() -> None:
    """OpenInference's input.value and output.value are read where no messages are, as a body or as plain text."""
    body = {"input.value": json.dumps({"messages": [{"role": "user", "content": "Say hi"}]}), "events": []}
    answer = {"output.value": json.dumps({"choices": [{"message": {"content": "Hi"}, "finish_reason": "length"}]})}
    row = text_columns({**body, **answer})
    assert (json.loads(row["messages"])[0]["content"], row["response"], row["finish_reason"]) == ("Say hi", "Hi", "length")
    plain = text_columns({"input.value": "Say hi", "output.value": "Hi", "events": []})
    assert (json.loads(plain["messages"])[0]["content"], plain["response"]) == ("Say hi", "Hi")


def _mismatches(recorder: str, traffic: Traffic) -> list[str]:
    frame = traffic.frame(*TRAFFIC.names)
    rows = {json.loads(r["messages"])[-1]["content"]: r for r in frame.to_dict("records")}
    found = [f"{len(frame)} rows of {len(CALLS)} calls"] if len(frame) != len(CALLS) else []
    for call in CALLS:
        for name, value in expected(call, recorder).items():
            if rows[call.text][name] != value:
                found.append(f"{call.text}: {name} is {rows[call.text][name]!r}, sent {value!r}")
    return found


@pytest.mark.parametrize("recorder", RECORDED)
def test_what_a_real_client_recorded_is_read_as_it_was_sent(recorder: str, tmp_path: Path) -> None:
    """The recordings in tests/data, of OpenTelemetry's instrumentation, the Langfuse SDK and Phoenix, say what was sent, once a call."""
    traffic = read(RECORDED[recorder], out=tmp_path / "out", text=True)
    assert traffic.meta["source_format"] == "otel"
    assert _mismatches(recorder, traffic) == []
    assert len(traffic.quarantine) == 1  # the agent or chain around the calls
    frame = traffic.frame("latency_ms", "ttft_ms", "stream")
    assert (frame["latency_ms"] > 0).all()
    assert not (frame["ttft_ms"] > frame["latency_ms"]).any()


if live := [name for name in RECORDED if can_record(name)]:

    @pytest.mark.parametrize("recorder", live)
    def test_a_live_client_is_read_as_the_recorded_one(recorder: str, tmp_path: Path, repository: Path) -> None:
        """Where the client is installed, what it writes today is read as what was sent."""
        out = tmp_path / "spans.jsonl"
        subprocess.run([sys.executable, repository / "tests/support/span_recorder.py", recorder, out], check=True, capture_output=True)
        assert _mismatches(recorder, read(out, out=tmp_path / "traffic", text=True)) == []
