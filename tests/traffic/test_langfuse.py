"""Langfuse's exports, row by row: hand-written observations whose reading is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.reader_mutations import SEEDS
from planner.schema import TOKEN_BUCKETS, TRAFFIC
from planner.traffic import Traffic, langfuse, read
from planner.traffic.langfuse import usage_buckets
from planner.traffic.values import Rejected

_COUNT = st.integers(0, 5_000)
OBSERVATION = {
    "id": "obs-1",
    "traceId": "tr-1",
    "type": "GENERATION",
    "startTime": "2026-11-03T09:00:00.120Z",
    "endTime": "2026-11-03T09:00:01.020Z",
    "model": "gpt-5-mini",
    "modelParameters": {},
    "usageDetails": {"input": 5, "output": 2, "total": 7},
    "level": "DEFAULT",
    "statusMessage": None,
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Read the observations of reader_seeds/langfuse_export.ndjson, by id."""
    traffic = read(SEEDS / "langfuse_export.ndjson", out=tmp_path_factory.mktemp("langfuse") / "out", text=True)
    return {r["request_id"]: r for r in traffic.frame(*TRAFFIC.names).to_dict("records")}


def _read(folder: Path, *observations: dict[str, Any], **options: Any) -> Traffic:
    path = folder / "observations.jsonl"
    path.write_text("".join(json.dumps(o) + "\n" for o in observations), "utf-8")
    return read(path, out=folder / "out", **options, text=True)


@pytest.mark.parametrize(
    ("id", "buckets"),
    [
        ("obs-1", [176, 1024, 0, 0, 18, 12]),
        ("obs-2", [40, 4096, 100, 36, 30, 0]),  # five-minute and one-hour writes
        ("obs-3", [40, 4096, 100, 36, 30, 0]),  # the sum of writes beside its parts is not counted twice
        ("obs-4", [120, 0, 0, 0, 12, 0]),  # audio is input and output
        ("obs-7", [8, 0, 0, 0, 0, 0]),  # an embedding
        ("obs-10", [10, 0, 0, 0, 2, 0]),  # a key of something else, outside the total
        ("obs-11", [8, 4, 0, 0, 3, 0]),  # a provider's own usage, whose prompt holds what was cached
        ("obs-12", [9, 0, 0, 0, 4, 0]),  # the sums of older exports
    ],
)
def test_usage_details_are_exclusive_buckets(rows: dict[str, dict[str, Any]], id: str, buckets: list[int]) -> None:
    """Every key of usageDetails goes into the bucket that its words say, and the buckets sum to its total."""
    assert [rows[id][b] for b in TOKEN_BUCKETS] == buckets


@given(*[_COUNT] * 6)
def test_any_split_of_keys_sums_to_the_total(plain: int, read: int, five: int, hour: int, said: int, thought: int) -> None:
    """Keys of the table's export and of SDKs alike become the buckets they name; another total is refused with both numbers."""
    usage = {"input": plain, "input_cached_tokens": read, "input_cache_creation_5m": five, "input_cache_creation_1h": hour}
    usage |= {"output": said, "output_reasoning_tokens": thought}
    row = usage_buckets({**usage, "total": sum(usage.values())})
    assert [row[b] for b in TOKEN_BUCKETS] == list(usage.values()) == [usage_buckets(usage)[b] for b in TOKEN_BUCKETS]
    with pytest.raises(Rejected, match=f"sum to {sum(usage.values())}, .* {sum(usage.values()) + 1}"):
        usage_buckets({**usage, "total": sum(usage.values()) + 1})


_KEYS = (
    "input",
    "output",
    "total",
    "total_tokens",
    "input_cached_tokens",
    "input_cache_creation",
    "input_cache_creation_5m",
    "steps",
    "unit",
)
_VALUES = st.one_of(st.integers(-2, 9), st.sampled_from([None, True, 3.0, 2.5, "4", "", {"cached_tokens": 1}]))


@given(st.dictionaries(st.sampled_from((*_KEYS, "prompt_tokens")), _VALUES, max_size=5), st.booleans())
def test_what_is_plain_is_read_as_the_rest_is(usage: dict[str, Any], summed: bool) -> None:
    """Whole numbers in plain buckets, which are read the short way, give what every other usage goes through, or its refusal."""
    if summed:
        usage["total"] = sum(v for k, v in usage.items() if k != "total" and isinstance(v, int))

    def read() -> Any:
        try:
            return usage_buckets(usage)
        except Rejected as error:
            return str(error)

    short = read()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(langfuse, "_plain", lambda usage: None)
        assert short == read()


@pytest.mark.parametrize(
    "usage", [{"input": 5, "steps": 3}, {"input": 5, "output": 2, "steps": 3, "total": 10}, {"input": -1}, {"input": 1.5}]
)
def test_a_key_that_says_nothing_is_not_guessed(usage: dict[str, Any]) -> None:
    """A key that is neither input nor output, where it counts, sets the record aside; so does what is no count."""
    with pytest.raises(Rejected):
        usage_buckets(usage)


def test_a_whole_observation(rows: dict[str, dict[str, Any]]) -> None:
    """Times, text, prompt version, session, user, tags and cost come from their fields; latency is the times' difference."""
    row = rows["obs-1"]
    assert row["timestamp"] == pd.Timestamp("2026-11-03T09:00:01.120Z")
    assert (row["latency_ms"], row["ttft_ms"], row["stream"]) == (870.0, 400.0, True)
    assert (row["app"], row["user"], row["session_id"], row["prompt_version"]) == ("search", "u-7", "sess-1", "greeter:3")
    assert (row["messages"], row["response"], row["text_state"]) == ('[{"role":"user","content":"Say hi"}]', "Hi", "full")
    assert (row["source_cost_usd"], row["tags"], row["max_tokens"]) == (0.00013, '["team:search"]', 200)
    assert rows["obs-3"]["has_tools"]
    assert json.loads(rows["obs-12"]["response"])["tool_calls"][0]["function"]["name"] == "f"
    assert pd.isna(rows["obs-4"]["max_tokens"])  # "Infinity", as the SDK writes no limit


@pytest.mark.parametrize(
    ("first_token", "stream"), [("2026-11-03T09:00:01.520Z", True), ("2026-11-03T09:00:01.990Z", False), (None, False)]
)
def test_a_first_token_at_the_end_is_no_stream(tmp_path: Path, first_token: str | None, stream: bool) -> None:
    """LiteLLM's callback gives the end of a plain call as its first token too: that is no stream and no time to first token."""
    given = {**OBSERVATION, "endTime": "2026-11-03T09:00:01.990Z", "completionStartTime": first_token}
    row = _read(tmp_path, given).frame("stream", "ttft_ms").iloc[0]
    assert (row["stream"], pd.isna(row["ttft_ms"])) == (stream, not stream)


@pytest.mark.parametrize(
    ("told", "latency", "ttft"),
    [
        ({"latency": 0.9, "timeToFirstToken": 0.4}, 900, 400),
        ({"latency": "0.9", "timeToFirstToken": "0.4"}, 900, 400),  # a cell of a table
        ({"latencyMs": 900, "timeToFirstTokenMs": 400.5}, 900, 400.5),
        ({"latency": 0.9, "latencyMs": 9}, 900, None),
        ({"latency": 1.023, "timeToFirstToken": 1.023}, 1023, None),  # the end of a plain call
        ({"latency": 0, "timeToFirstToken": ""}, 0, None),
        ({"timeToFirstToken": 0.4}, None, 400),
        ({"endTime": "2026-11-03T09:00:01.143Z", "timeToFirstToken": 1.023, "latency": 7}, 1023, None),
        ({"endTime": "2026-11-03T09:00:01.020Z", "completionStartTime": "2026-11-03T09:00:00.520Z", "timeToFirstToken": 7}, 900, 400),
        ({"latency": 0.9, "completionStartTime": "2026-11-03T09:00:00.520Z"}, 900, 400),
        ({}, None, None),
    ],
)
def test_durations_stand_in_for_moments(tmp_path: Path, told: dict[str, Any], latency: float | None, ttft: float | None) -> None:
    """Without endTime or completionStartTime, latency and timeToFirstToken [s], or as …Ms [ms], count and tell a stream."""
    row = _read(tmp_path, {**OBSERVATION, "endTime": None, **told}).frame("latency_ms", "ttft_ms", "stream").iloc[0]
    assert [None if pd.isna(row[n]) else row[n] for n in ("latency_ms", "ttft_ms")] == [latency, ttft]
    assert row["stream"] == (ttft is not None)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"latency": -0.9}, "latency is negative: -900.0 ms"),
        ({"latencyMs": -9}, "latency is negative: -9.0 ms"),
        ({"timeToFirstToken": -0.4}, "timeToFirstToken is negative: -400.0 ms"),
        ({"latency": "soon"}, "latency is 'soon', not a number"),
        ({"latency": True}, "latency is True, not a number"),
        ({"timeToFirstTokenMs": []}, "timeToFirstTokenMs is [], not a number"),
    ],
)
def test_a_duration_that_cannot_be_is_set_aside(tmp_path: Path, told: dict[str, Any], reason: str) -> None:
    """A negative duration, or one that is no number, is refused by name, as a time is."""
    traffic = _read(tmp_path, OBSERVATION, {**OBSERVATION, "id": "o-2", "endTime": None, **told})
    assert traffic.quarantine["reason"].tolist() == [reason]


def test_the_blob_has_durations_too(tmp_path: Path) -> None:
    """The blob's ``latency`` and ``time_to_first_token`` are read by their snake_case names."""
    names = {"traceId": "trace_id", "startTime": "start_time", "modelParameters": "model_parameters", "usageDetails": "usage_details"}
    given = {names.get(k, k): v for k, v in OBSERVATION.items() if k != "endTime"}
    row = _read(tmp_path, {**given, "provided_model_name": "m", "latency": 0.9, "time_to_first_token": 0.4}).frame("latency_ms", "ttft_ms")
    assert row.to_numpy().tolist() == [[900, 400]]


def test_only_calls_of_models_are_traffic(tmp_path: Path) -> None:
    """Spans, agents, tools and traces are set aside by their type: an agent's usage is that of its calls again."""
    kinds = ["SPAN", "AGENT", "TOOL", "EVENT", None]
    others = [{**OBSERVATION, "id": f"o-{k}", "type": k} for k in kinds]
    traffic = _read(tmp_path, OBSERVATION, *others)
    assert (len(traffic), len(traffic.quarantine)) == (1, 5)
    assert sum("no call of a model" in r for r in traffic.quarantine["reason"]) == 4
    assert traffic.meta["reasons"]["an observation of type SPAN: no call of a model"] == 1


@pytest.mark.parametrize(
    ("message", "status", "error_class"),
    [
        ("openai.RateLimitError: Error code: 429 - slow down", "rate_limit", "RateLimitError"),
        ("Error code: 400 - {'error': {'code': 'content_filter'}}", "content", "content_filter"),
        ("litellm.exceptions.ContextWindowExceededError: too long", "validation", "ContextWindowExceededError"),
        ("the provider answered with status 503", "transport", "503"),
        ("HTTP/1.1 401 Unauthorized", "validation", "401"),
        ("something broke", "transport", None),
        (None, "transport", None),
    ],
)
def test_failures_are_told_from_the_message(tmp_path: Path, message: str | None, status: str, error_class: str | None) -> None:
    """Langfuse has no error class: the exception's name or a status in the message says the kind, and no more of it is kept."""
    row = (
        _read(tmp_path, {**OBSERVATION, "level": "ERROR", "statusMessage": message, "usageDetails": {}})
        .frame("status", "error_class")
        .iloc[0]
    )
    assert row["status"] == status
    assert (None if pd.isna(row["error_class"]) else row["error_class"]) == error_class


def test_a_score_is_quality_when_it_says_so_or_is_named(tmp_path: Path) -> None:
    """A score called quality is taken; another only when the mapping names it, which the detection tells of."""
    scored = [{**OBSERVATION, "id": f"o-{i}", "toxicity": [0.1], "stars": [4]} for i in range(3)]
    scored[0]["quality"] = [0.75]
    plain = _read(tmp_path, *scored)
    assert plain.frame("quality")["quality"].isna().tolist() == [False, True, True]
    assert plain.frame("quality_source")["quality_source"].dropna().tolist() == ["Langfuse score quality"]
    assert plain.meta["detected"].endswith("scores quality, stars, toxicity")
    (tmp_path / "named").mkdir()
    named = _read(tmp_path / "named", *scored, mapping={"quality": "stars.0*0.2"})
    assert named.frame("quality")["quality"].tolist() == pytest.approx([0.8, 0.8, 0.8])


@pytest.mark.parametrize(
    ("app_from", "app"),
    [
        (None, "help"),
        ("tag:team", "blue"),
        ("trace_name", "chat"),
        ("prompt_name", "greeter"),
        ("environment", "prod"),
        ("metadata:a.b", "deep"),
    ],
)
def test_where_the_app_comes_from(tmp_path: Path, app_from: str | None, app: str) -> None:
    """By default an app tag; the trace's or prompt's name, the environment and metadata when asked for."""
    told = {"traceTags": ["app:help", "team:blue"], "traceName": "chat", "promptName": "greeter", "environment": "prod"}
    traffic = _read(tmp_path, {**OBSERVATION, **told, "metadata": {"a": {"b": "deep"}}}, app_from=app_from)
    assert traffic.frame("app")["app"].tolist() == [app]


def test_a_trace_is_never_guessed_to_be_an_app(tmp_path: Path) -> None:
    """Without tags the app is default: a trace's name may be of one request only."""
    assert _read(tmp_path, {**OBSERVATION, "traceName": "chat"}).frame("app")["app"].tolist() == ["default"]


def test_all_three_shapes_read_alike(tmp_path: Path, rows: dict[str, dict[str, Any]]) -> None:
    """The table's CSV, the API's page and the blob's snake_case give the columns that the JSON lines give."""
    same = [*TOKEN_BUCKETS, "model", "messages", "response", "latency_ms", "status", "prompt_version", "source_cost_usd", "max_tokens"]
    lines = pd.DataFrame(rows.values()).set_index("request_id")
    for name in ("langfuse_export.table.csv", "langfuse_blob.ndjson"):
        other = read(SEEDS / name, out=tmp_path / name, text=True).frame(*TRAFFIC.names).set_index("request_id")
        shared = lines.index.intersection(other.index)
        assert len(shared) >= 7, name
        pd.testing.assert_frame_equal(other.loc[shared, same], lines.loc[shared, same], check_dtype=False)
    page = read(SEEDS / "langfuse_export.page.json", out=tmp_path / "page", text=True).frame(*TRAFFIC.names)
    assert page[list(TOKEN_BUCKETS)].to_numpy().tolist() == [[176, 1024, 0, 0, 18, 12]] * 2
    assert page["app"].tolist() == ["help", "help"]


def test_usage_in_characters_is_set_aside(tmp_path: Path) -> None:
    """Older observations may count characters: they are no tokens."""
    old = {**OBSERVATION, "id": "o-2", "usageDetails": None, "usage": {"input": 900, "output": 30, "unit": "CHARACTERS"}}
    traffic = _read(tmp_path, OBSERVATION, old)
    assert traffic.quarantine["reason"].tolist() == ["usage is in CHARACTERS, not in tokens"]
