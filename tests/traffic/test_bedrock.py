"""Bedrock's invocation log: hand-written records of every operation and maker whose reading is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.reader_mutations import SEEDS
from planner.schema import TOKEN_BUCKETS, TRAFFIC
from planner.traffic import Traffic, read

SEED = SEEDS / "bedrock.ndjson"


def _rows(traffic: Traffic) -> dict[str, dict[str, Any]]:
    return {r["request_id"]: r for r in traffic.frame(*TRAFFIC.names).to_dict("records")}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Return the rows of the seed by request."""
    return _rows(read(SEED, out=tmp_path_factory.mktemp("bedrock") / "out", text=True))


def test_converse_is_read_whole(rows: dict[str, dict[str, Any]]) -> None:
    """Bedrock's input tokens leave out cached ones; text, limit, latency and the caller's metadata are read."""
    row = rows["r-1"]
    assert [row[b] for b in TOKEN_BUCKETS] == [176, 1024, 0, 0, 30, 0]
    assert [m["role"] for m in json.loads(row["messages"])] == ["system", "user"]
    assert (row["response"], row["finish_reason"], row["max_tokens"], row["latency_ms"]) == ("Hi", "stop", 64, 900)
    assert (row["app"], row["user"], row["session_id"], row["provider"], row["stream"]) == ("search", "u-7", "s-1", "aws", False)
    assert row["timestamp"] == pd.Timestamp("2026-11-03T09:00:01Z")
    assert json.loads(row["tags"]) == ["team:search", "user:u-7", "session:s-1"]


def test_streams_are_put_together(rows: dict[str, dict[str, Any]]) -> None:
    """Of chunks the text is joined, and their last one tells latency and first byte; a Converse stream is logged as one answer."""
    row = rows["r-4"]
    assert (row["response"], row["finish_reason"], row["output_tokens"]) == ("Hi", "stop", 30)
    assert (row["stream"], row["latency_ms"], row["ttft_ms"]) == (True, 900, 400)
    assert (rows["r-2"]["stream"], rows["r-2"]["latency_ms"], rows["r-2"]["finish_reason"]) == (True, 302, "length")
    assert pd.isna(rows["r-2"]["ttft_ms"])


def test_an_answers_own_usage_says_how_long_writes_stay(rows: dict[str, dict[str, Any]]) -> None:
    """Anthropic's body splits what was written by its time to live, which the log's own count does not; the model is the profile's."""
    row = rows["r-3"]
    assert [row[b] for b in TOKEN_BUCKETS] == [40, 4096, 100, 36, 30, 0]
    assert (row["model"], row["has_tools"], row["finish_reason"]) == ("eu.anthropic.claude-haiku-4-5-20251001-v1:0", True, "tool_calls")


@pytest.mark.parametrize("request_id", ["r-5", "r-6"])
def test_other_makers_are_read_by_the_logs_counts(rows: dict[str, dict[str, Any]], request_id: str) -> None:
    """Llama's and Titan's bodies give prompt, answer, limit and end; the tokens are Bedrock's."""
    row = rows[request_id]
    assert json.loads(row["messages"]) == [{"role": "user", "content": "Say hi"}]
    assert (row["response"], row["finish_reason"], row["max_tokens"]) == ("Hi", "stop", 64)
    assert (row["input_tokens"], row["output_tokens"]) == (5, 2)


def test_failures_moved_bodies_and_events_of_cloudwatch(rows: dict[str, dict[str, Any]]) -> None:
    """A throttled call is one, a body in a file of its own leaves the counts, and a call inside an event is found."""
    assert (rows["r-7"]["status"], rows["r-7"]["error_class"], rows["r-7"]["text_state"]) == ("rate_limit", "ThrottlingException", "full")
    assert (rows["r-8"]["text_state"], rows["r-8"]["input_tokens"], rows["r-8"]["output_tokens"]) == ("none", 900, 700)
    assert (rows["r-9"]["latency_ms"], rows["r-9"]["response"]) == (700, "Hi")


def test_counts_that_contradict_are_set_aside(tmp_path: Path) -> None:
    """Where the answer's usage and the log's counts differ, the record is quarantined with both numbers."""
    traffic = read(SEED, out=tmp_path / "out", text=True)
    assert traffic.quarantine["reason"].tolist() == ["output tokens are 3 by the answer's usage, 2 by the log"]
    assert len(traffic) == 9


_TOLD = {"inputTokenCount": 9, "cacheReadInputTokenCount": 40, "cacheWriteInputTokenCount": 5}
_CONVERSE = {"inputTokens": 9, "outputTokens": 2, "totalTokens": 11}


def _one(folder: Path, told: dict[str, Any], usage: Any, **body: Any) -> Traffic:
    """Read one call whose log tells ``told`` and whose answer has ``usage``, beside one that is always sound."""
    sound = {
        "schemaType": "ModelInvocationLog",
        "timestamp": "2026-11-03T09:00:00Z",
        "requestId": "sound",
        "modelId": "m",
        "input": {"inputTokenCount": 1},
        "output": {"outputTokenCount": 1},
    }
    said = [{"metadata": {"usage": usage}}, body] if body else {"usage": usage}
    call = {**sound, "requestId": "r", "input": told, "output": {"outputBodyJson": said, "outputTokenCount": 2}}
    path = folder / "log.ndjson"
    path.write_text("".join(json.dumps(r) + "\n" for r in (sound, call)), "utf-8")
    return read(path, out=folder / "out", text=True)


@pytest.mark.parametrize(
    ("told", "usage", "buckets"),
    [
        (_TOLD, _CONVERSE, [9, 40, 5, 0]),
        (_TOLD, {**_CONVERSE, "totalTokens": 56}, [9, 40, 5, 0]),  # the answer's total holds what it does not name
        (_TOLD, {"input_tokens": 9, "output_tokens": 2}, [9, 40, 5, 0]),
        (_TOLD, {"prompt_tokens": 54, "completion_tokens": 2, "total_tokens": 56}, [9, 40, 5, 0]),
        (_TOLD, {**_CONVERSE, "cacheReadInputTokens": 40}, [9, 40, 5, 0]),  # one of the two is named
        ({"inputTokenCount": 9}, {**_CONVERSE, "cacheReadInputTokenCount": 40, "cacheWriteInputTokenCount": 5}, [9, 40, 5, 0]),
        (_TOLD, {**_CONVERSE, "cacheDetails": [{"ttl": "1h", "inputTokens": 4}, {"ttl": "5m", "inputTokens": 1}]}, [9, 40, 1, 4]),
        (_TOLD, {"input_tokens": 9, "output_tokens": 2, "cache_creation": {"ephemeral_1h_input_tokens": 5}}, [9, 40, 0, 5]),
    ],
)
def test_what_was_cached_is_never_lost(tmp_path: Path, told: dict[str, int], usage: dict[str, Any], buckets: list[int]) -> None:
    """Cached and written tokens count, whether the log, the answer's usage or both name them, under any of their names."""
    row = _rows(_one(tmp_path, told, usage))["r"]
    assert [row[b] for b in TOKEN_BUCKETS[:4]] == buckets
    assert row["output_tokens"] == 2


def test_the_last_chunk_tells_what_the_log_leaves_out(tmp_path: Path) -> None:
    """A stream's own metrics stand in for the log's counts of cached tokens."""
    row = _rows(_one(tmp_path, {"inputTokenCount": 9}, _CONVERSE, **{"amazon-bedrock-invocationMetrics": {"cacheReadInputTokenCount": 40}}))
    assert [row["r"][b] for b in TOKEN_BUCKETS[:4]] == [9, 40, 0, 0]


@pytest.mark.parametrize(
    ("usage", "reason"),
    [
        (
            {**_CONVERSE, "cacheReadInputTokens": 41, "cacheWriteInputTokens": 5},
            "read from the cache are 41 by the answer's usage, 40 by the log",
        ),
        ({**_CONVERSE, "cacheWriteInputTokens": 0}, "written to the cache are 0 by the answer's usage, 5 by the log"),
        (
            {**_CONVERSE, "cacheWriteInputTokens": 5, "cacheDetails": [{"ttl": "1h", "inputTokens": 4}]},
            "written to the cache are 5 by the answer's usage, 4 by its cacheDetails",
        ),
    ],
)
def test_cached_counts_that_contradict_are_set_aside(tmp_path: Path, usage: dict[str, Any], reason: str) -> None:
    """Where the answer and the log differ in what was cached, the record is quarantined with both numbers."""
    traffic = _one(tmp_path, _TOLD, usage)
    assert reason in traffic.quarantine["reason"][0]
    assert len(traffic) == 1


def test_the_app_may_be_the_role_that_called(tmp_path: Path) -> None:
    """``app_from="role"`` reads the assumed role; ``metadata:FIELD`` a field of the request's metadata."""
    by_role = _rows(read(SEED, out=tmp_path / "role", app_from="role", text=True))
    assert {r["app"] for r in by_role.values()} == {"search-bot"}
    by_field = _rows(read(SEED, out=tmp_path / "field", app_from="metadata:user", text=True))
    assert (by_field["r-1"]["app"], by_field["r-2"]["app"]) == ("u-7", "default")
