"""What coverage says of a log equals what a plain count says, in requests and in dollars."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.litellm_records import PAYLOAD, SPEND
from support.small import traffic_of

from planner.errors import InputError
from planner.traffic import Traffic, coverage, read
from planner.traffic.coverage import _ANY, _SETTINGS
from planner.traffic.reader import all_readers
from planner.traffic.sampling import needs_every_row, sampled

_CUT = {"messages": [{"role": "user", "content": "a... (litellm_truncated skipped 9 chars.) ...b"}]}


def _read(folder: Path, records: list[dict[str, Any]]) -> Traffic:
    path = folder / "log.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in records), "utf-8")
    return read(path, out=folder / "out", text=True)


@pytest.fixture
def mixed(tmp_path: Path) -> Traffic:
    """Read four spend log rows: two with whole text, one cut, one without; of 1, 2, 3 and 4 dollars."""
    changes: list[dict[str, Any]] = [
        {"session_id": "s"},
        {"session_id": "s", "request_tags": ["app:<b>shop</b>"]},
        {"proxy_server_request": _CUT},
        {"proxy_server_request": {}, "metadata": {}, "completionStartTime": None},
    ]
    rows = [{**SPEND, "request_id": f"r{i}", "spend": i + 1, "session_id": f"s{i}", **c} for i, c in enumerate(changes)]
    return _read(tmp_path, rows)


def test_shares_are_counted_per_app_in_rows_and_dollars(mixed: Traffic) -> None:
    """Text states part every app's rows and dollars, and single facts have the rows that hold them."""
    table = coverage(mixed).table.set_index(["what", "app"])
    assert table.loc["requests", ["rows", "usd"]].to_dict("index") == {
        "all": {"rows": 4, "usd": 10},
        "<b>shop</b>": {"rows": 1, "usd": 2},
        "search": {"rows": 3, "usd": 8},
    }
    states = [table.loc[f"text {s}"] for s in ("full", "cut", "none")]
    assert sum(s["rows"] for s in states).tolist() == [4, 1, 3]
    assert sum(s["usd"] for s in states).tolist() == [10, 2, 8]
    assert table.loc[("text full", "all")].tolist() == [2, 0.5, 3, 0.3]
    assert table.loc[("session of several", "all"), "rows"] == 2
    assert table.loc[("cached tokens", "all"), "rows"] == 3
    assert table.loc[("finish reason", "all"), "rows"] == 0


def test_levers_speak_about_the_spend_whose_rows_have_what_they_need(mixed: Traffic) -> None:
    """Text levers reach the dollars of whole prompts only, and each gap names LiteLLM's setting that closes it."""
    levers = coverage(mixed).levers.set_index("lever")
    for name in ("routing", "semantic cache", "compression", "prompt cache"):
        assert levers.loc[name, "share_usd"] == pytest.approx(0.3)
        assert levers.loc[name, "setting"] == "general_settings.store_prompts_in_spend_logs: true"
    assert levers.loc["batch", ["share_usd", "setting"]].tolist() == [1, ""]
    assert levers.loc["retries", "share_usd"] == 0
    assert "disable_error_logs" in levers.loc["retries", "setting"]


def test_mostly_cut_prompts_ask_for_a_longer_limit(tmp_path: Path) -> None:
    """Where prompts are stored but shortened, the setting to change is their length."""
    levers = coverage(_read(tmp_path, [{**SPEND, "proxy_server_request": _CUT}])).levers.set_index("lever")
    assert "MAX_STRING_LENGTH_PROMPT_IN_DB" in levers.loc["routing", "setting"]


def test_failures_open_retries(tmp_path: Path) -> None:
    """A log with failed calls can speak about retries on all rows that have a latency."""
    failed = {**PAYLOAD, "id": "f", "litellm_call_id": "f", "status": "failure", "error_information": {"error_class": "Timeout"}}
    levers = coverage(_read(tmp_path, [PAYLOAD, failed])).levers.set_index("lever")
    assert levers.loc["retries", ["share_rows", "setting"]].tolist() == [1, ""]


def test_given_costs_replace_the_logs_own_and_are_named(mixed: Traffic) -> None:
    """Dollars passed in are used as they are; the text says where dollars come from; a wrong shape is refused."""
    given = coverage(mixed, np.array([5.0, 5.0, 0.0, 0.0]))
    assert given.levers.set_index("lever").loc["routing", "share_usd"] == 1
    assert given.text.startswith("4 requests, $10.00 (at the prices of the audit).")
    assert coverage(mixed).text.startswith("4 requests, $10.00 (measured: as the log itself states).")
    with pytest.raises(InputError, match=r"cost_usd of shape \(3,\); expected one cost per row: shape \(4,\)"):
        coverage(mixed, np.zeros(3))


def test_a_row_of_a_sample_counts_as_often_as_it_stands_for(tmp_path: Path) -> None:
    """Requests, dollars, shares and levers are those of the log that a sample stands for, estimated, with the interval of its dollars."""
    rows = [
        {
            "request_id": f"r{i}", "timestamp": f"2026-11-03T09:{i // 60 % 60:02}:{i % 60:02}Z", "model": "m", "app": f"a{i % 2}",
            "input_tokens": 10 + i, "source_cost_usd": 0.001 * (1 + i % 5), "latency_ms": 5 if i % 2 else None,
        }
        for i in range(2_000)
    ]  # fmt: skip
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
    log = read(path, out=tmp_path / "out", text=True)
    whole, part = coverage(log), coverage(sampled(log, 0.2, tmp_path / "part"))
    assert (whole.drawn, whole.limits) == (None, None)
    assert part.limits is not None
    assert part.limits[0] <= 6.0 <= part.limits[1]
    a, b = (c.table.set_index(["what", "app"]) for c in (whole, part))
    assert b["rows"].to_numpy() == pytest.approx(a["rows"].to_numpy(), rel=0.25)
    assert b.loc[("requests", "all"), "rows"] == pytest.approx(5 * part.drawn)
    assert b.loc[("requests", "all"), "usd"] == pytest.approx(6.0, rel=0.25)
    assert part.text.startswith(f"{part.drawn:,} rows of a sample stand for {5 * part.drawn:,} requests, $")
    assert "] (estimated: as the log itself states)." in part.text
    given = coverage(sampled(log, 0.2, tmp_path / "again"), np.ones(part.drawn))
    assert given.table["usd"].iloc[0] == pytest.approx(5 * part.drawn)
    assert "(estimated, at the prices of the audit)" in given.text
    mixed = coverage(read_weights(tmp_path, [1.0, 9.0]))
    assert mixed.levers.set_index("lever").loc["hedging", ["share_rows", "share_usd"]].tolist() == pytest.approx([0.9, 0.9])


def read_weights(folder: Path, weights: list[float]) -> Traffic:
    """Return a log of a row for each weight, of which only the last has a latency."""
    frame = pd.DataFrame({"model": "m", "input_tokens": 1, "source_cost_usd": 1.0, "weight": weights, "latency_ms": np.nan})
    frame.loc[len(weights) - 1, "latency_ms"] = 7.0
    return traffic_of(folder / "weights", frame)


def test_without_any_costs_shares_are_of_requests(tmp_path: Path) -> None:
    """A trace without money is described in requests, and says so."""
    path = tmp_path / "trace.csv"
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03,1200,30\n", "utf-8")
    found = coverage(read(path, out=tmp_path / "out", text=True))
    assert "no costs in this log: shares are of requests" in found.text
    assert "batch: can speak about 100% of requests." in found.text
    assert np.isnan(found.table["usd"]).all()


def test_streaming_needs_streams(tmp_path: Path) -> None:
    """Only streams with a first-token time say what streaming does; without any, the log says that nothing is streamed."""
    plain = {**PAYLOAD, "stream": False, "model_parameters": {}}
    silent = coverage(_read(tmp_path, [plain])).levers.set_index("lever").loc["streaming"]
    assert (silent["share_rows"], silent["setting"].partition(";")[0]) == (0, "not streamed today")
    streams = [{**PAYLOAD, "id": f"s{i}", "litellm_call_id": f"s{i}", "stream": i == 0, "model_parameters": {}} for i in range(4)]
    found = coverage(_read(tmp_path, streams)).levers.set_index("lever").loc["streaming"]
    assert (found["share_rows"], found["setting"]) == (0.25, "")  # what is not streamed lacks nothing
    deaf = [*streams, {**streams[0], "id": "s9", "litellm_call_id": "s9", "completionStartTime": None}]
    assert "completionStartTime" in coverage(_read(tmp_path, deaf)).levers.set_index("lever").loc["streaming", "setting"]


@pytest.mark.parametrize(("redacted", "cut"), [(True, False), (False, True), (True, True)])
def test_prompts_that_left_no_hash_are_told_by_their_cause(tmp_path: Path, redacted: bool, cut: bool) -> None:
    """Of a log read without text, requests that LiteLLM redacted ask for its logging, those that it cut for its limit."""
    hidden = [{"role": "user", "content": "redacted-by-litellm"}]
    others = [{"messages": hidden, "response": {}}] * redacted + [_CUT] * cut
    payloads = [{**PAYLOAD, **change, "id": f"s{i}", "litellm_call_id": f"s{i}"} for i, change in enumerate([{}, *others])]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(p) + "\n" for p in payloads), "utf-8")
    setting = coverage(read(tmp_path / "log.jsonl", out=tmp_path / "out")).levers.set_index("lever").loc["exact cache", "setting"]
    assert ("turn_off_message_logging" in setting, "MAX_STRING_LENGTH" in setting) == (redacted, cut)


def test_requests_without_token_counts_are_said(tmp_path: Path) -> None:
    """Answered requests without a token count are counted in the text: they have no cost."""
    path = tmp_path / "log.jsonl"
    rows = [{"request_id": str(i), "timestamp": 1_762_160_400, "model": "m", "input_tokens": n} for i, n in enumerate((0, 0, 7))]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
    assert "2 of them have no token counts: no cost." in coverage(read(path, out=tmp_path / "out", text=True)).text


def test_prefix_blocks_open_the_prompt_cache_without_text(tmp_path: Path) -> None:
    """A trace with prefix ids can speak about prompt caching, not about routing."""
    found = coverage(_read(tmp_path, [{"timestamp": 1, "input_length": 600, "output_length": 3, "hash_ids": [1, 2]}]))
    levers = found.levers.set_index("lever")["share_rows"]
    assert (levers["prompt cache"], levers["routing"]) == (1, 0)


def test_the_notebook_view_escapes_names_from_the_log(mixed: Traffic) -> None:
    """An app's name from the log cannot become markup."""
    shown = coverage(mixed)._repr_html_()
    assert "<b>shop</b>" not in shown
    assert "&lt;b&gt;shop&lt;/b&gt;" in shown


def test_every_setting_belongs_to_a_format_and_a_gap() -> None:
    """A hint names a format that can be read, and answers a question that some lever asks."""
    assert set(_SETTINGS) <= set(all_readers())
    assert all(set(hints) <= set(_ANY) for hints in _SETTINGS.values())


@pytest.mark.parametrize("text_only", [False, True])
def test_levers_that_a_plan_refuses_on_a_sample_speak_about_nothing(tmp_path: Path, text_only: bool) -> None:
    """Coverage and ``needs_every_row``, which plans are checked by, name the same levers, and the option that closes the gap."""
    columns = {"model": "m", "messages": [f"q{i}" for i in range(200)], "text_state": "full", "input_tokens": 9, "source_cost_usd": 1.0}
    log = traffic_of(tmp_path / "log", {**columns, "latency_ms": 5.0})
    part = sampled(log, 0.5, tmp_path / "part", text_only=text_only)
    whole, levers = (coverage(t).levers.set_index("lever") for t in (log, part))
    keys = {"exact cache": "exact_cache", "semantic cache": "semantic_cache", "prompt cache": "prompt_cache", "batch": "batch"}
    refused = [name for name, key in keys.items() if needs_every_row(part, [key])]
    assert refused == (["exact cache", "semantic cache", "prompt cache"] if text_only else [*keys])
    assert (whole.loc[[*keys], "share_usd"] == 1).all()
    assert (levers.loc[refused, ["share_rows", "share_usd"]] == 0).all(axis=None)
    option = "--sample-text" if text_only else "--sample"
    assert set(levers.loc[refused, "setting"]) == {f"read the log without {option}"}
    assert levers["needs"].str.contains("of every request" if text_only else "every request").sum() == len(refused)
    assert levers.loc["hedging", "share_usd"] == 1
    said = coverage(part).text
    assert f"{', '.join(refused)}" in said
    assert f"read the log without {option}." in said
