"""API Management's log of model calls, joined with its gateway log: hand-written records whose reading is known."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.reader_mutations import SEEDS
from planner.errors import InputError
from planner.schema import TOKEN_BUCKETS, TRAFFIC
from planner.traffic import Traffic, read

SAID = [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Say hi"}]


def _rows(traffic: Traffic) -> dict[str, dict[str, Any]]:
    return {r["request_id"]: r for r in traffic.frame(*TRAFFIC.names).to_dict("records")}


def _call(number: int, **fields: Any) -> dict[str, Any]:
    return {"TimeGenerated": "2026-11-03T09:00:01Z", "CorrelationId": f"c-{number}", **fields}


def _write(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in records), "utf-8")
    return path


def test_tokens_messages_and_gateway_become_one_row(tmp_path: Path) -> None:
    """Of the portal's CSV files the call's record gives tokens and model, its pieces the text, the gateway's record duration and app."""
    traffic = read(SEEDS / "apim_llm", out=tmp_path / "out", text=True)
    row = _rows(traffic)["c-1"]
    assert [row[b] for b in TOKEN_BUCKETS] == [176, 1024, 0, 0, 30, 0]
    assert (json.loads(row["messages"]), row["response"], row["finish_reason"], row["text_state"]) == (SAID, "Hi", "stop", "full")
    assert (row["app"], row["provider"], row["model"], row["model_requested"]) == ("search-team", "azure", "gpt-5-mini-2026-01-01", "mini")
    assert (row["latency_ms"], row["stream"], row["status"]) == (900, False, "ok")
    assert row["timestamp"] == pd.Timestamp("2026-11-03T09:00:01.12Z")
    assert (traffic.meta["accepted"], traffic.meta["quarantined"], traffic.meta["joined"]) == (5, 2, 12)


def test_pieces_are_put_in_order(tmp_path: Path) -> None:
    """Text that was cut anywhere is whole again, by sequence number; an answer whose pieces are lists goes on in the same role."""
    row = _rows(read(SEEDS / "apim_llm", out=tmp_path / "out", text=True))["c-2"]
    assert (json.loads(row["messages"]), row["response"], row["text_state"], row["stream"]) == (SAID, "Hi", "full", True)


def test_text_that_ends_early_is_cut(tmp_path: Path) -> None:
    """Messages of which the rest is missing are kept as such, and no lever takes them for whole prompts."""
    row = _rows(read(SEEDS / "apim_llm", out=tmp_path / "out", text=True))["c-5"]
    assert row["text_state"] == "cut"
    assert json.loads(row["messages"])[0]["content"].startswith('[{"role"')


def test_claudes_prompt_tokens_leave_out_cached_ones(tmp_path: Path) -> None:
    """The gateway logs what the provider counts: Anthropic's input without what was read from the cache."""
    row = _rows(read(SEEDS / "apim_llm", out=tmp_path / "out", text=True))["c-3"]
    assert [row[b] for b in TOKEN_BUCKETS] == [26, 4096, 0, 0, 121, 0]


def test_a_refused_call_has_the_gateways_reason(tmp_path: Path) -> None:
    """A limit of the gateway is a rate limit; the model is the deployment's, since none answered."""
    row = _rows(read(SEEDS / "apim_llm", out=tmp_path / "out", text=True))["c-4"]
    assert (row["status"], row["error_class"], row["model"], row["latency_ms"]) == ("rate_limit", "TokenLimitExceeded", "mini", 12)


def test_other_apis_and_contradictions_are_set_aside(tmp_path: Path) -> None:
    """A gateway's record without a call says why it is none, and a total that differs is named with both numbers."""
    reasons = " ".join(read(SEEDS / "apim_llm", out=tmp_path / "out", text=True).quarantine["reason"])
    assert "another API, or refused before a model was called" in reasons
    assert "input and output tokens are 11, the source's total 99" in reasons
    shutil.copytree(SEEDS / "apim_llm", tmp_path / "log")
    (tmp_path / "log" / "llm.csv").unlink()
    with pytest.raises(InputError, match="another API"):
        read(tmp_path / "log", out=tmp_path / "none", text=True)


_GATE = {"TimeGenerated": "2026-11-03T09:00:00.500Z", "TotalTime": 40, "BackendTime": 35, "ApimSubscriptionId": "shop"}


def _pieces(number: int, **fields: Any) -> list[dict[str, Any]]:
    """Return the messages of a call in two pieces, without the record that has its tokens."""
    said = json.dumps(SAID)
    return [_call(number, SequenceNumber=i, RequestMessages=said[a:b], **fields) for i, a, b in ((1, 0, 20), (2, 20, None))]


@pytest.mark.parametrize("order", [1, -1])
def test_a_failed_call_without_a_record_of_tokens_is_the_gateways(tmp_path: Path, order: int) -> None:
    """Messages and the gateway's record make a failed request: its status, start, duration and app, and the text that was asked."""
    records = [
        _call(1, DeploymentName="mini", ModelName="m", PromptTokens=3, CompletionTokens=1, SequenceNumber=0),
        *[*_pieces(2, DeploymentName=""), _call(2, **_GATE, ResponseCode=429, Url="https://x.invalid/deployments/mini/chat?v=1")][::order],
        *[*_pieces(3), _call(3, **_GATE, ResponseCode=503, LastErrorReason="BackendConnectionFailure")][::order],
    ]
    traffic = read(_write(tmp_path / "x.jsonl", records), out=tmp_path / "out", text=True)
    rows = _rows(traffic)
    assert (traffic.meta["accepted"], traffic.meta["quarantined"], traffic.meta["joined"]) == (3, 0, 4)
    row = rows["c-2"]
    assert (row["status"], row["error_class"], row["latency_ms"], row["app"]) == ("rate_limit", "429", 40, "shop")
    assert (row["timestamp"], row["model"], row["model_requested"]) == (pd.Timestamp("2026-11-03T09:00:00.5Z"), "mini", "mini")
    assert sum(row[b] for b in TOKEN_BUCKETS) == 0
    if order == 1:
        assert (json.loads(row["messages"]), row["text_state"]) == (SAID, "full")
    assert (rows["c-3"]["status"], rows["c-3"]["error_class"], rows["c-3"]["model"]) == ("transport", "BackendConnectionFailure", "unknown")


def test_pieces_without_their_call_say_which_record_is_missing(tmp_path: Path) -> None:
    """An answered call without its tokens, and messages of which nothing else was read, are set aside with what would complete them."""
    head = _call(1, DeploymentName="mini", ModelName="m", PromptTokens=3, CompletionTokens=1, SequenceNumber=0)
    records = [head, *_pieces(2), _call(2, **_GATE, ResponseCode=200), *_pieces(3), _call(4, **_GATE, ResponseCode=429)]
    traffic = read(_write(tmp_path / "x.jsonl", records), out=tmp_path / "out", text=True)
    assert (traffic.meta["accepted"], traffic.meta["quarantined"], traffic.meta["joined"]) == (1, 4, 2)
    reasons = traffic.quarantine.sort_values("line")["reason"].tolist()
    assert reasons[0].startswith("a call that was answered, without its record with tokens (SequenceNumber 0)")
    assert all(r.startswith("messages of a call without its record with tokens") for r in reasons[1:3])
    assert "another API, or refused before a model was called" in reasons[3]


def test_a_call_begins_when_the_gateway_says(tmp_path: Path) -> None:
    """The gateway's record has the start; the time of the call's own record, which may be its end, stands in only without it."""
    head = {"DeploymentName": "mini", "ModelName": "m", "PromptTokens": 3, "CompletionTokens": 1, "SequenceNumber": 0}
    records = [_call(1, **head), _call(1, **_GATE, ResponseCode=200), _call(2, **head)]
    rows = _rows(read(_write(tmp_path / "x.jsonl", records), out=tmp_path / "out", text=True))
    assert rows["c-1"]["timestamp"] == pd.Timestamp("2026-11-03T09:00:00.5Z")
    assert rows["c-2"]["timestamp"] == pd.Timestamp("2026-11-03T09:00:01Z")


def test_records_of_storage_are_the_same(tmp_path: Path) -> None:
    """What diagnostic settings write to storage has its fields under ``properties``, in small letters; a tool call is the answer."""
    row = _rows(read(SEEDS / "apim_llm.storage.ndjson", out=tmp_path / "out", text=True))["c-1"]
    assert [row[b] for b in TOKEN_BUCKETS] == [176, 1024, 0, 0, 30, 0]
    assert (row["app"], row["latency_ms"], row["stream"], json.loads(row["messages"])) == ("search-team", 900, True, SAID)
    assert json.loads(row["response"])["tool_calls"][0]["id"] == "t1"


def test_without_the_gateways_log_calls_are_read_alone(tmp_path: Path) -> None:
    """Tokens, model and text need no gateway record; then duration is unknown and the app the default."""
    log = _write(
        tmp_path / "x.jsonl", [_call(1, DeploymentName="mini", ModelName="m", PromptTokens=3, CompletionTokens=1, SequenceNumber=0)]
    )
    row = _rows(read(log, out=tmp_path / "out", text=True))["c-1"]
    assert (row["input_tokens"], row["app"], row["status"]) == (3, "default", "ok")
    assert pd.isna(row["latency_ms"])


@pytest.mark.parametrize(("app_from", "app"), [("product", "unlimited"), ("api", "inference-api"), ("deployment", "mini")])
def test_the_app_is_what_is_asked_for(tmp_path: Path, app_from: str, app: str) -> None:
    """``app_from`` names the subscription (the default), the product, the API or the deployment."""
    assert _rows(read(SEEDS / "apim_llm", out=tmp_path / "out", app_from=app_from, text=True))["c-1"]["app"] == app


def test_only_an_answer_that_called_nobody_was_cached(tmp_path: Path) -> None:
    """The gateway's cache answered where it was hit and no time was spent behind it; a policy's own look-up is no answer."""
    head = {"DeploymentName": "mini", "ModelName": "m", "PromptTokens": 3, "CompletionTokens": 1, "SequenceNumber": 0}
    gate = {"ResponseCode": 200, "TotalTime": 9, "Cache": "hit"}
    records = [_call(1, **head), _call(1, **gate, BackendTime=0), _call(2, **head), _call(2, **gate, BackendTime=8)]
    rows = _rows(read(_write(tmp_path / "x.jsonl", records), out=tmp_path / "out", text=True))
    assert (rows["c-1"]["cache_hit"], rows["c-2"]["cache_hit"]) == (True, False)
