"""Helicone's requests, row by row: hand-written records whose reading is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import planner
from benchmarks.reader_mutations import SEEDS
from planner.schema import TOKEN_BUCKETS, TRAFFIC
from planner.traffic import Traffic, read
from planner.traffic.rewrite import rewritten
from planner.traffic.rows import load_rows

REQUEST = {
    "request_id": "r-1",
    "request_created_at": "2026-11-03T09:00:00.120Z",
    "response_created_at": "2026-11-03T09:00:01.020Z",
    "response_status": 200,
    "model": "gpt-5-mini",
    "provider": "OPENAI",
    "prompt_tokens": 176,
    "completion_tokens": 30,
    "total_tokens": 206,
    "prompt_cache_read_tokens": 1024,
    "request_body": {"messages": [{"role": "user", "content": "Say hi"}]},
    "response_body": {"usage": {"prompt_tokens": 1200, "completion_tokens": 30, "prompt_tokens_details": {"cached_tokens": 1024}}},
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Read the requests of reader_seeds/helicone_export.ndjson, by the last digit of their id."""
    traffic = read(SEEDS / "helicone_export.ndjson", out=tmp_path_factory.mktemp("helicone") / "out", text=True)
    return {r["request_id"][-1]: r for r in traffic.frame(*TRAFFIC.names).to_dict("records")}


def _read(folder: Path, *requests: dict[str, Any], **options: Any) -> Traffic:
    path = folder / "requests.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in requests), "utf-8")
    return read(path, out=folder / "out", **options, text=True)


@pytest.mark.parametrize(
    ("id", "buckets"),
    [
        ("1", [176, 1024, 0, 0, 18, 12]),  # by OpenAI's usage, not by Helicone's columns
        ("3", [40, 4096, 100, 36, 30, 0]),  # by Anthropic's
        ("4", [176, 1024, 0, 0, 30, 0]),  # no body: Helicone's columns, exclusive
        ("9", [10, 40, 0, 0, 4, 3]),  # by Gemini's
    ],
)
def test_tokens_are_counted_from_the_answers_usage(rows: dict[str, dict[str, Any]], id: str, buckets: list[int]) -> None:
    """The answer's own usage decides; only where there is no body do Helicone's columns."""
    assert [rows[id][b] for b in TOKEN_BUCKETS] == buckets


@pytest.mark.parametrize("stated", [{"prompt_tokens": 1200}, {"prompt_tokens": 176}, {"prompt_tokens": None, "completion_tokens": None}])
def test_helicones_own_counts_change_nothing_where_there_is_a_body(tmp_path: Path, stated: dict[str, Any]) -> None:
    """Whether Helicone's prompt_tokens held cached ones when the row was stored makes no difference."""
    assert _read(tmp_path, {**REQUEST, **stated}).frame(*TOKEN_BUCKETS).iloc[0].tolist() == [176, 1024, 0, 0, 30, 0]


def test_a_whole_request(rows: dict[str, dict[str, Any]]) -> None:
    """Session, user, properties, prompt version, cost, times and text come from their fields."""
    row = rows["2"]
    assert (row["app"], row["user"], row["session_id"], row["prompt_version"]) == ("search", "u-7", "sess-1", "greeter:3")
    assert (row["model"], row["model_requested"], row["provider"]) == ("gpt-5-mini-2026-01-01", "gpt-5-mini", "openai")
    assert (row["latency_ms"], row["ttft_ms"], row["stream"], row["tags"]) == (870.0, 400.0, True, '["team:search"]')
    assert (row["messages"], row["response"], row["finish_reason"]) == ('[{"role":"user","content":"Say hi"}]', "Hi", "stop")
    assert rows["3"]["messages"].startswith('[{"role":"system","content":"Be brief."}')
    assert rows["4"]["text_state"] == "none"  # a note stands where the body was
    assert pd.isna(rows["4"]["messages"])


def test_first_token_times_are_of_streams_only(tmp_path: Path) -> None:
    """A body that says it was no stream has no time to first token; without a body, the time itself says it was one."""
    plain = {**REQUEST, "request_id": "r-2", "time_to_first_token": 400, "request_body": {**REQUEST["request_body"], "stream": False}}
    bare = {**REQUEST, "request_id": "r-3", "time_to_first_token": 400, "request_body": None}
    frame = _read(tmp_path, {**REQUEST, "time_to_first_token": 0}, plain, bare).frame("ttft_ms", "stream")
    assert frame["stream"].tolist() == [False, False, True]
    assert frame["ttft_ms"].isna().tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("status", "error", "booked", "error_class"),
    [
        (429, {"type": "rate_limit_error", "code": "rate_limit_exceeded"}, "rate_limit", "rate_limit_error"),
        (400, {"type": "invalid_request_error", "code": "content_filter"}, "content", "invalid_request_error"),
        (401, None, "validation", "401"),
        (503, None, "transport", "503"),
        (-3, None, "cancelled", "cancelled"),
    ],
)
def test_failures_have_their_kind(tmp_path: Path, status: int, error: dict[str, Any] | None, booked: str, error_class: str) -> None:
    """The kind comes from the HTTP status, or from a telling code in the body; −3 is Helicone's word for a caller who left."""
    row = _read(tmp_path, {**REQUEST, "response_status": status, "response_body": {"error": error}}).frame("status", "error_class").iloc[0]
    assert (row["status"], row["error_class"]) == (booked, error_class)


def test_what_is_no_answered_call_is_set_aside(tmp_path: Path) -> None:
    """Pending requests, tools and databases that were logged beside the calls are counted with their reason."""
    pending, tool = {**REQUEST, "request_id": "r-2", "response_status": -2}, {**REQUEST, "request_id": "r-3", "model": "tool:search"}
    database = {**REQUEST, "request_id": "r-4", "request_body": {"_type": "vector_db"}}
    traffic = _read(tmp_path, REQUEST, pending, tool, database)
    reasons = traffic.quarantine["reason"].tolist()
    assert "response_status is -2" in reasons[0]
    assert all("no call of a model" in r for r in reasons[1:])
    assert len(reasons) == 3


def test_cache_hits_and_thumbs_are_kept(rows: dict[str, dict[str, Any]]) -> None:
    """An answer from Helicone's cache is a hit; a user's thumb is quality 1 or 0, in either of its forms."""
    assert [rows[i]["cache_hit"] for i in "18"] == [False, True]
    assert (rows["4"]["quality"], rows["9"]["quality"], rows["4"]["quality_source"]) == (1.0, 0.0, "Helicone feedback")
    assert pd.isna(rows["1"]["quality"])


def test_the_csv_reads_like_the_lines(tmp_path: Path, rows: dict[str, dict[str, Any]]) -> None:
    """Objects whose quotes were doubled twice are decoded; the latency that the CSV leaves empty is unknown, not zero."""
    found = read(SEEDS / "helicone_export.table.csv", out=tmp_path / "out", text=True).frame(*TRAFFIC.names)
    assert len(found) == 6
    same = [*TOKEN_BUCKETS, "model", "messages", "response", "status", "session_id", "app", "source_cost_usd", "finish_reason"]
    lines = pd.DataFrame([rows[i[-1]] for i in found["request_id"]])
    whole = found["messages"].notna()  # the fourth has no body: Helicone's CSV has no columns for cached tokens
    pd.testing.assert_frame_equal(found.loc[whole, same], lines.loc[whole, same], check_dtype=False)
    assert found["latency_ms"].isna().all()


_ZERO_ID = "00000000-0000-0000-0000-000000000000"
#: The columns of @helicone/export's CSV, whose last one was renamed between two versions.
_COLUMNS = ["response_id", "response_created_at", "response_status", "request_created_at", "request_body", "request_properties"]
_COLUMNS += ["request_user_id", "model", "prompt_tokens", "completion_tokens", "latency"]


@pytest.mark.parametrize("cost", ["cost", "cost_usd"])
def test_both_versions_of_the_exports_csv_are_recognised(tmp_path: Path, cost: str) -> None:
    """Twelve columns without a request's id are Helicone's: the answer's id names the request, or its line where no answer has one."""

    def cell(value: Any) -> str:
        text = json.dumps(value, separators=(",", ":")).replace('"', '""') if isinstance(value, dict) else str(value)
        return "" if value is None else '"' + text.replace('"', '""') + '"'

    asked = {**REQUEST, "request_user_id": "u-7", "request_properties": {"team": "search"}, cost: 0.25, "latency": None}
    failed = {"response_status": 429, "completion_tokens": 0, cost: 0}
    rows = [{**asked, "response_id": "a-1"}, {**asked, "response_id": None, **failed}, {**asked, "response_id": _ZERO_ID, **failed}]
    names = [*_COLUMNS, cost]
    path = tmp_path / "output.csv"
    path.write_text("\n".join([",".join(names), *(",".join(cell(r[n]) for n in names) for r in rows)]) + "\n", "utf-8")
    traffic = read(path, out=tmp_path / "out", text=True)
    assert (traffic.meta["source_format"], len(traffic), len(traffic.quarantine)) == ("helicone_export", 3, 0)
    found = traffic.frame(*TRAFFIC.names)
    assert found["request_id"].tolist() == ["a-1", "output.csv:2", "output.csv:3"]
    assert found["source_cost_usd"].tolist() == [0.25, 0, 0]
    row = found.iloc[0]
    assert (row["app"], row["user"], row["model"], row["input_tokens"], row["output_tokens"]) == ("search", "u-7", "gpt-5-mini", 176, 30)
    assert (row["messages"], row["latency_ms"], row["status"]) == ('[{"role":"user","content":"Say hi"}]', 900, "ok")


def test_an_array_with_a_trailing_comma_is_read(tmp_path: Path) -> None:
    """Helicone's JSON may end with a comma before the bracket."""
    path = tmp_path / "requests.json"
    path.write_text(f"[{json.dumps(REQUEST)},\n{json.dumps({**REQUEST, 'request_id': 'r-2'})},\n]", "utf-8")
    traffic = read(path, out=tmp_path / "out", text=True)
    assert (len(traffic), len(traffic.quarantine)) == (2, 0)


@pytest.mark.parametrize(
    ("properties", "app_from", "app"),
    [
        ({"App": "shop"}, None, "shop"),
        ({"team": "a"}, None, "a"),
        ({"Customer": "b"}, "property:Customer", "b"),
        ({}, "prompt_name", "greeter"),
    ],
)
def test_where_the_app_comes_from(tmp_path: Path, properties: dict[str, str], app_from: str | None, app: str) -> None:
    """By default the property app, team or service, in any case; any property, or the prompt's name, when asked for."""
    traffic = _read(tmp_path, {**REQUEST, "properties": properties, "prompt_id": "greeter"}, app_from=app_from)
    assert traffic.frame("app")["app"].tolist() == [app]


_BARE = {k: v for k, v in REQUEST.items() if k not in ("request_body", "response_body")}


@pytest.mark.parametrize(
    ("counts", "buckets", "evidence"),
    [
        ({"prompt_tokens": 1200, "total_tokens": 1230}, [1200, 1024, 0, 0, 30, 0], "assumed"),  # both readings fit: the total is no help
        ({"prompt_tokens": 1200, "total_tokens": None}, [1200, 1024, 0, 0, 30, 0], "assumed"),
        ({"prompt_tokens": 176, "total_tokens": 206}, [176, 1024, 0, 0, 30, 0], "measured"),  # more cached than it could hold
        ({"prompt_tokens": 1200, "total_tokens": 2254}, [1200, 1024, 0, 0, 30, 0], "measured"),
        ({"prompt_tokens": 1200, "total_tokens": 1230, "prompt_cache_read_tokens": 0}, [1200, 0, 0, 0, 30, 0], "measured"),
        ({"prompt_tokens": 1200, "total_tokens": 1230, "prompt_cache_read_tokens": None}, [1200, 0, 0, 0, 30, 0], "assumed"),
    ],
)
def test_counts_without_a_body_are_measured_where_they_prove_themselves(
    tmp_path: Path, counts: dict[str, int | None], buckets: list[int], evidence: str
) -> None:
    """Helicone's total is prompt + completion whether or not the prompt holds cached tokens: where both can be, the money is assumed."""
    traffic = _read(tmp_path, {**_BARE, **counts})
    assert traffic.frame(*TOKEN_BUCKETS).iloc[0].tolist() == buckets
    assert planner.audit(traffic).total.evidence == evidence


def test_only_requests_whose_tokens_are_not_proved_are_assumed(tmp_path: Path) -> None:
    """One ambiguous request among four makes its own dollars assumed, in a copy, too; the audit says which and why."""
    sure = [{**REQUEST, "request_id": f"r-{i}"} for i in range(3)]
    traffic = _read(tmp_path, {**_BARE, "request_id": "r-9", "prompt_tokens": 1200, "total_tokens": 1230}, *sure)
    copy = rewritten(traffic, tmp_path / "copy", lambda rows, _: rows)
    for log in (traffic, copy):
        found = planner.audit(log)
        assert found.evidence.tolist() == [2, 0, 0, 0]
        assert found.total.shares["assumed"] == pytest.approx(found.cost_pusd[0] / 1e12)
        share = f"{found.total.shares['assumed']:.6f}"
        assert f"${share} of it rests on token counts of 1 requests that the log's own numbers do not prove." in found.text
    assert load_rows(traffic).evidence.tolist() == [2, 0, 0, 0]


def test_a_total_that_fits_no_reading_is_set_aside(tmp_path: Path) -> None:
    """A stated total that is the sum neither with nor without cached tokens puts the request into quarantine with all three numbers."""
    traffic = _read(tmp_path, REQUEST, {**_BARE, "request_id": "r-2", "prompt_tokens": 1200, "total_tokens": 1300})
    assert (len(traffic), traffic.meta["evidence"]) == (1, "measured")
    assert "1230, 2254 with cached and written ones; total_tokens is 1300" in traffic.quarantine["reason"][0]
