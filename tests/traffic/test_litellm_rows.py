"""LiteLLM's two exports, row by row: hand-written records whose reading is known."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.litellm_records import PAYLOAD, SPEND

from planner.errors import InputError
from planner.schema import TOKEN_BUCKETS, TRAFFIC
from planner.traffic import Traffic, read
from planner.traffic.litellm import metadata_columns

_JSON_COLUMNS = ("request_tags", "messages", "response", "proxy_server_request", "metadata")


LEFT = {"error_class": "ClientDisconnected", "error_code": "499", "error_message": "Client disconnected the request"}


def _with(record: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**record, **changes}


def _read(folder: Path, *records: dict[str, Any], **options: Any) -> Traffic:
    path = folder / "log.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in records), "utf-8")
    return read(path, out=folder / "traffic", **options, text=True)


def _row(folder: Path, record: dict[str, Any], **options: Any) -> dict[str, Any]:
    traffic = _read(folder, record, **options)
    assert traffic.quarantine["reason"].tolist() == []
    return dict(traffic.frame(*TRAFFIC.names).iloc[0])


def test_a_payload_becomes_exclusive_buckets_and_whole_latency(tmp_path: Path) -> None:
    """Cached and reasoning tokens leave the inclusive counts; latency is the times' difference, not response_time."""
    row = _row(tmp_path, PAYLOAD)
    assert [row[b] for b in TOKEN_BUCKETS] == [176, 1024, 0, 0, 18, 12]
    assert (row["latency_ms"], row["ttft_ms"], row["stream"]) == (pytest.approx(900), pytest.approx(400), True)
    assert (row["app"], row["user"], row["session_id"], row["prompt_version"]) == ("search", "u-7", "sess-1", "v3")
    assert (row["model"], row["model_requested"], row["provider"]) == ("gpt-5-mini", "chat-default", "openai")
    assert row["tags"] == '["team:search"]'
    assert row["timestamp"] == pd.Timestamp("2025-11-03T09:00:00.120Z")


def test_first_token_times_are_of_streams_only(tmp_path: Path) -> None:
    """A call that was not streamed has no time to first token, whatever completionStartTime says."""
    row = _row(tmp_path, _with(PAYLOAD, stream=False, model_parameters={}))
    assert pd.isna(row["ttft_ms"])
    assert not row["stream"]


@pytest.mark.parametrize("twice", [False, True])
def test_spend_logs_read_alike_from_json_and_csv(tmp_path: Path, twice: bool) -> None:
    """JSON columns of a CSV dump are decoded however often they were encoded, and text comes from the request body."""
    from_json = _row(tmp_path, SPEND)
    cells = {k: json.dumps(v) if k in _JSON_COLUMNS else v for k, v in SPEND.items()}
    if twice:
        cells = {k: json.dumps(v) if k in _JSON_COLUMNS else v for k, v in cells.items()}
    with (tmp_path / "dump.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(cells))
        writer.writeheader()
        writer.writerow(cells)
    from_csv = dict(read(tmp_path / "dump.csv", out=tmp_path / "csv", text=True).frame(*TRAFFIC.names).iloc[0])
    pd.testing.assert_series_equal(pd.Series(from_csv), pd.Series(from_json))
    assert from_csv["messages"] == '[{"role":"user","content":"Say hi"}]'
    assert from_csv["response"] == "Hi"
    assert (from_csv["attempts"], from_csv["input_tokens"], from_csv["cache_read_tokens"]) == (2, 176, 1024)
    assert (from_csv["app"], from_csv["prompt_version"]) == ("search", "v3")
    assert pd.isna(from_csv["cache_key"])
    assert from_csv["ttft_ms"] == pytest.approx(400)


def test_a_json_array_reads_like_lines(tmp_path: Path) -> None:
    """One array of objects gives the rows that one object a line gives."""
    records = [_with(SPEND, request_id=f"r{i}") for i in range(5)]
    (tmp_path / "array.json").write_text(json.dumps(records, indent=1), "utf-8")
    array = read(tmp_path / "array.json", out=tmp_path / "array", text=True).frame()
    pd.testing.assert_frame_equal(array, _read(tmp_path, *records).frame())


def test_without_stored_prompts_there_is_no_text(tmp_path: Path) -> None:
    """By default spend logs hold no prompt: the row says so instead of an empty prompt."""
    row = _row(tmp_path, _with(SPEND, proxy_server_request={}, response={}))
    assert row["text_state"] == "none"
    assert pd.isna(row["messages"])
    assert pd.isna(row["response"])


def test_cut_prompts_are_marked(tmp_path: Path) -> None:
    """A prompt that LiteLLM shortened is "cut", so that nothing tokenises or compares it as if it were whole."""
    cut = "long head... (litellm_truncated skipped 900 chars. See MAX_STRING) ...tail"
    row = _row(tmp_path, _with(SPEND, proxy_server_request={"messages": [{"role": "user", "content": cut}]}))
    assert row["text_state"] == "cut"


def test_redacted_prompts_are_no_text(tmp_path: Path) -> None:
    """LiteLLM's placeholder for a message it was told not to log is not taken for a prompt."""
    row = _row(tmp_path, _with(PAYLOAD, messages=[{"role": "user", "content": "redacted-by-litellm"}]))
    assert row["text_state"] == "none"


def test_cache_hits_cost_nothing_and_are_marked(tmp_path: Path) -> None:
    """A row whose id carries LiteLLM's cache-hit suffix is a cache hit, even where the flag is missing."""
    row = _row(tmp_path, _with(SPEND, request_id="chatcmpl-f1_cache_hit1762160401.5", cache_hit="", spend=0))
    assert row["cache_hit"]
    assert row["source_cost_usd"] == 0


def test_calls_of_the_gateways_own_are_overhead(tmp_path: Path) -> None:
    """A router's or judge's own call is not user traffic."""
    row = _row(tmp_path, _with(SPEND, metadata={"internal_call_origin": "autorouter_classifier"}))
    assert row["purpose"] == "overhead"


def test_a_batch_job_keeps_its_money_as_overhead(tmp_path: Path) -> None:
    """The one row of a whole batch job is booked as batch overhead: its dollars stay, it is not a request."""
    row = _row(tmp_path, _with(SPEND, request_id="batch_7_batch_cost", spend=1.5))
    assert (row["purpose"], row["service_tier"], row["source_cost_usd"]) == ("overhead", "batch", 1.5)


def test_managing_calls_are_overhead(tmp_path: Path) -> None:
    """Fetching a batch or listing files is no request of a user to a model."""
    assert _row(tmp_path, _with(SPEND, call_type="aretrieve_batch"))["purpose"] == "overhead"


@pytest.mark.parametrize(
    ("error_class", "code", "kind"),
    [
        ("RateLimitError", "429", "rate_limit"),
        ("Timeout", "408", "transport"),
        ("APIConnectionError", "500", "transport"),
        ("ContentPolicyViolationError", "400", "content"),
        ("BadRequestError", "content_filter", "content"),
        ("ContextWindowExceededError", "400", "validation"),
        ("AuthenticationError", "401", "validation"),
        ("BudgetExceededError", "400", "validation"),
        ("SomethingNew", "503", "transport"),
        ("SomethingNew", "404", "validation"),
        ("SomethingNew", "499", "cancelled"),
    ],
)
def test_failures_stay_with_their_kind(tmp_path: Path, error_class: str, code: str, kind: str) -> None:
    """A failed call of no tokens is kept, with the kind that says what a retry would do."""
    error = {"error_class": error_class, "error_code": code}
    tokens = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    row = _row(tmp_path, _with(PAYLOAD, status="failure", error_information=error, metadata={}, response={}, **tokens))
    assert (row["status"], row["error_class"]) == (kind, error_class)


def test_failed_database_rows_keep_their_error(tmp_path: Path) -> None:
    """A failed spend log row finds its error in the metadata, which is JSON text in a dump, and costs nothing."""
    error = {"error_class": "litellm.exceptions.RateLimitError", "error_code": "429", "error_message": "slow down"}
    metadata = json.dumps({"status": "failure", "error_information": error})
    tokens = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "spend": 0.0}
    row = _row(tmp_path, _with(SPEND, status="failure", metadata=metadata, response={}, **tokens))
    assert (row["status"], row["source_cost_usd"], row["text_state"]) == ("rate_limit", 0, "full")


def test_anthropic_counts_that_were_added_back_are_taken_out_again(tmp_path: Path) -> None:
    """Cache reads and both lifetimes of cache writes leave prompt_tokens."""
    usage = {
        "cache_read_input_tokens": 4096,
        "cache_creation_input_tokens": 136,
        "prompt_tokens_details": {
            "cached_tokens": 4096,
            "cache_creation_tokens": 136,
            "cache_creation_token_details": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 36},
        },
    }
    tokens = {"prompt_tokens": 4272, "completion_tokens": 30, "total_tokens": 4302}
    row = _row(tmp_path, _with(PAYLOAD, metadata={"usage_object": usage}, **tokens))
    assert [row[b] for b in TOKEN_BUCKETS] == [40, 4096, 100, 36, 30, 0]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"total_tokens": 999}, "prompt_tokens + completion_tokens are 1230, the source's total_tokens 999"),
        ({"prompt_tokens": 1000, "total_tokens": 1030}, "cached and written tokens are 1024, more than the 1000 prompt tokens"),
        ({"completion_tokens": 5, "total_tokens": 1205}, "reasoning tokens are 12, more than the 5 completion tokens"),
        ({"startTime": None}, "no timestamp"),
        ({"startTime": "yesterday"}, "startTime is 'yesterday', not a time"),
        ({"endTime": 1762160399.0}, "endTime − startTime is negative"),
        ({"status": "odd"}, "neither success nor failure"),
        ({"prompt_tokens": -1}, "prompt_tokens is -1, below zero"),
        ({"prompt_tokens": 2.5}, "prompt_tokens is 2.5, not a whole number"),
        ({"response_cost": -0.1}, "source_cost_usd is -0.1, not from 0 to inf"),
        ({"startTime": 17.0, "endTime": 18.0}, "is not between 2000 and 2100"),
    ],
)
def test_a_contradiction_is_quarantined_whole_with_both_numbers(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    """A row that cannot be true is set aside with its reason, its line and every byte of it; the others stay."""
    bad = _with(PAYLOAD, id="bad", **changes)
    traffic = _read(tmp_path, PAYLOAD, bad)
    (aside,) = traffic.quarantine.to_dict("records")
    assert len(traffic) == 1
    assert reason in aside["reason"]
    assert (aside["line"], aside["file"]) == (2, "log.jsonl")
    assert json.loads(aside["raw"]) == bad


def test_repeated_ids_keep_the_first(tmp_path: Path) -> None:
    """The second row of one request id is set aside, also across files."""
    (tmp_path / "more.jsonl").write_text(json.dumps(_with(PAYLOAD, end_user="other")) + "\n", "utf-8")
    (tmp_path / "log.jsonl").write_text(json.dumps(PAYLOAD) + "\n", "utf-8")
    traffic = read([tmp_path / "log.jsonl", tmp_path / "more.jsonl"], out=tmp_path / "t", text=True)
    assert traffic.frame("user")["user"].tolist() == ["u-7"]
    assert traffic.quarantine["reason"].tolist() == ["request_id 'chatcmpl-f2' again; the first one is kept"]
    assert traffic.meta["files"] == {"log.jsonl": {"accepted": 1, "quarantined": 0}, "more.jsonl": {"accepted": 0, "quarantined": 1}}


@pytest.mark.parametrize(
    ("app_from", "app"),
    [
        (None, "search"),
        ("tag:prompt", "v3"),
        ("model_group", "chat-default"),
        ("team", "Team A"),
        ("key", "k-1"),
        ("metadata:area", "north"),
    ],
)
def test_the_app_comes_from_where_it_is_told(tmp_path: Path, app_from: str | None, app: str) -> None:
    """Tags come first by default; app_from names another place."""
    metadata = {
        "user_api_key_team_alias": "Team A",
        "user_api_key_alias": "k-1",
        "requester_metadata": {"area": "north"},
    }
    assert _row(tmp_path, _with(SPEND, metadata=metadata), app_from=app_from)["app"] == app


def test_an_app_source_that_a_format_lacks_is_refused(tmp_path: Path) -> None:
    """An unknown app_from says which there are, before anything is read."""
    with pytest.raises(InputError, match=r"app_from='teem' for litellm_spend; expected what names the app there: tag:PREFIX, team, key"):
        _read(tmp_path, SPEND, app_from="teem")


@pytest.mark.parametrize("record", [SPEND, PAYLOAD])
def test_without_tags_the_team_then_the_key_is_the_app(tmp_path: Path, record: dict[str, Any]) -> None:
    """An untagged call belongs to its team's alias, else its key's, else to "default"."""
    keyed = {"user_api_key_alias": "k-1"}
    teamed = {**keyed, "user_api_key_team_alias": "Team A"}
    usage = {"usage_object": {}}
    assert _row(tmp_path, _with(record, request_tags=[], metadata={**teamed, **usage}))["app"] == "Team A"
    assert _row(tmp_path, _with(record, request_tags=[], metadata={**keyed, **usage}))["app"] == "k-1"
    assert _row(tmp_path, _with(record, request_tags=[], metadata=usage))["app"] == "default"


def test_the_routed_model_is_the_model_and_the_group_what_was_asked_for(tmp_path: Path) -> None:
    """Behind an automatic router the target stands in routing_decision; the router's name stays as model_requested."""
    row = _row(tmp_path, _with(SPEND, model="auto", model_group="auto", metadata={"routing_decision": {"routed_model": "gpt-5"}}))
    assert (row["model"], row["model_requested"]) == ("gpt-5", "auto")


@pytest.mark.parametrize("record", [SPEND, PAYLOAD])
def test_behind_our_hook_what_was_asked_for_is_what_the_client_asked(tmp_path: Path, record: dict[str, Any]) -> None:
    """Where our hook sent another group, the log keeps that as the model, and as asked for the client's own, also before a fallback."""
    planner = {"bundle": "0123456789ab", "arm": "routed", "asked": "assistant", "decided": "gpt-5-mini"}
    own = {"spend_logs_metadata": {"action": "gpt-5-mini", "planner": planner}, "original_model_group": "gpt-5-nano"}
    sent = _with(record, model_group="gpt-5-mini", metadata={**record["metadata"], **own})
    row = _row(tmp_path, sent)
    assert (row["model"], row["model_requested"], row["action"]) == ("gpt-5-mini", "assistant", "gpt-5-mini")
    del planner["asked"]
    assert _row(tmp_path, sent)["model_requested"] == "gpt-5-nano"


def test_other_endpoints_shapes_are_text_too(tmp_path: Path) -> None:
    """Anthropic's system and blocks and the Responses API's output are read as messages, answer and finish reason."""
    body = {
        "system": "Be brief",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "image", "source": {}}]}],
    }
    answer = {"type": "message", "content": [{"type": "text", "text": "Hello"}], "stop_reason": "max_tokens"}
    row = _row(tmp_path, _with(SPEND, proxy_server_request=body, response=answer))
    assert json.loads(row["messages"])[0] == {"role": "system", "content": "Be brief"}
    assert (row["response"], row["finish_reason"], row["modalities"]) == ("Hello", "length", "text,image")
    output = [{"type": "message", "content": [{"type": "output_text", "text": "Hey"}]}]
    row = _row(tmp_path, _with(SPEND, proxy_server_request={"input": "Hi"}, response={"output": output, "status": "completed"}))
    assert (row["messages"], row["response"], row["finish_reason"]) == ('[{"role":"user","content":"Hi"}]', "Hey", "stop")


def test_attempts_are_joined_across_blocks(tmp_path: Path) -> None:
    """A failed call and its retry are one row, in either order of their logging and however many rows lie between them."""
    failed = _with(PAYLOAD, id="call-2", status="failure", error_information={"error_class": "Timeout", "error_code": "408"}, response={})
    failed |= {
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "total_tokens": 0,
        "metadata": {},
        "startTime": 1762160390.0,
        "endTime": 1762160395.0,
    }
    between = [_with(PAYLOAD, id=f"x{i}", litellm_call_id=f"c{i}", messages="") for i in range(16_500)]
    for order in ([failed, *between, PAYLOAD], [PAYLOAD, failed]):
        traffic = _read(tmp_path, *order)
        row = traffic.frame("request_id", "attempts", "latency_ms", "status", "ttft_ms").set_index("request_id").loc["chatcmpl-f2"]
        assert (row["attempts"], row["status"]) == (2, "ok")
        assert (row["latency_ms"], row["ttft_ms"]) == (pytest.approx(11_020), pytest.approx(10_520))
        assert traffic.quarantine["reason"].tolist() == ["an earlier attempt of request 'chatcmpl-f2', counted in its attempts"]


def test_our_own_labelling_is_no_traffic() -> None:
    """Calls that ``planner labels`` made, told by their tag, are overhead; any other tag is a user's."""
    assert metadata_columns({}, ["planner:labels"], None)["purpose"] == "overhead"
    assert metadata_columns({}, ["team:search"], None)["purpose"] == "user"


@pytest.mark.parametrize(("error", "status"), [({"error_class": "", "error_code": ""}, "ok"), (None, "ok"), (LEFT, "cancelled")])
def test_a_stream_that_its_client_left_is_cancelled(tmp_path: Path, error: Any, status: str) -> None:
    """LiteLLM logs a stream that its client left as a success; its short time is no latency of the model, so it is cancelled here."""
    assert _row(tmp_path, _with(PAYLOAD, status="success", error_information=error))["status"] == status
