"""What a real LiteLLM proxy wrote into PostgreSQL is read as what was sent and as what the database sums, whichever way it was exported."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from support.scenario import RATES, mismatches
from support.spend_recorder import COPIED, DUMP, QUOTED, SENT, SUMS

from planner.schema import TOKEN_BUCKETS, TRAFFIC
from planner.traffic import Traffic, read
from planner.traffic.reader import Options
from planner.traffic.readers.litellm_spend import READER

_JSON = ("metadata", "request_tags", "messages", "response", "proxy_server_request")
_TIMES = ("startTime", "endTime", "completionStartTime")


def _whole(traffic: Traffic) -> pd.DataFrame:
    return traffic.frame(*TRAFFIC.names).sort_values("request_id", ignore_index=True)


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Traffic:
    """Read the recorded dump of the table."""
    return read(DUMP, out=tmp_path_factory.mktemp("dump") / "traffic", text=True)


@pytest.fixture
def table() -> pd.DataFrame:
    """Return the table with the types that psycopg gives: times, numbers, and JSON columns as values."""
    frame = pd.read_csv(DUMP, parse_dates=list(_TIMES), keep_default_na=False)
    for name in _JSON:
        frame[name] = frame[name].map(json.loads)
    return frame


def test_what_is_read_sums_to_what_the_database_sums(dump: Traffic) -> None:
    """Rows, failures, dollars and tokens of each model are those that PostgreSQL summed; nothing is set aside."""
    frame = _whole(dump)
    assert dump.meta["source_format"] == "litellm_spend"
    assert len(dump.quarantine) == 0
    sums = [json.loads(line, parse_float=Decimal) for line in SUMS.read_text("utf-8").splitlines()]
    assert sum(s["rows"] for s in sums) == len(frame) == 31
    for known in sums:
        rows = (
            frame[frame["model"] == known["model"].partition("/")[2]] if "/" in known["model"] else frame[frame["model"] == known["model"]]
        )
        assert len(rows) == known["rows"]
        assert int((rows["status"] != "ok").sum()) == known["failed"]
        assert sum((Decimal(repr(v)) for v in rows["source_cost_usd"]), Decimal(0)) == known["spend"]
        assert rows[list(TOKEN_BUCKETS[:4])].to_numpy().sum() == (known["prompt_tokens"] or 0)
        assert rows[list(TOKEN_BUCKETS[4:])].to_numpy().sum() == known["completion_tokens"]


def test_every_call_is_one_row_that_says_what_was_sent(dump: Traffic) -> None:
    """Apps by tags, team and key, tokens, cache, tools, streams, failures, retries and fallbacks come back as they were sent."""
    frame = _whole(dump)
    assert mismatches(frame[(frame["purpose"] == "user") & (frame["text_state"] == "full")], SENT) == []
    (cut,) = frame[frame["text_state"] == "cut"].to_dict("records")
    assert (cut["app"], cut["reasoning_tokens"], cut["status"]) == ("plain-key", 2, "ok")
    (refused,) = frame[frame["text_state"] == "none"].to_dict("records")
    assert (refused["status"], refused["error_class"]) == ("validation", "KeyNotFoundError")


def test_an_earlier_attempt_that_was_billed_keeps_its_money_and_is_no_request(dump: Traffic) -> None:
    """LiteLLM gives a timed-out attempt before the last a row of its own: its dollars stay, it is not demand."""
    frame = _whole(dump)
    (attempt,) = frame[frame["purpose"] == "overhead"].to_dict("records")
    (request,) = frame[frame["request_id"] == attempt["request_id"].removesuffix("-attempt-0")].to_dict("records")
    assert attempt["source_cost_usd"] == request["source_cost_usd"] > 0
    assert (request["attempts"], request["input_tokens"]) == (2, attempt["input_tokens"])


def test_a_failed_call_that_cost_nothing_has_no_tokens(dump: Traffic) -> None:
    """LiteLLM writes its own count of the prompt beside a refused call, as if it had been billed; no dollars come of it."""
    raw = pd.read_csv(DUMP)
    free = raw[(raw["status"] == "failure") & (raw["spend"] == 0)]
    assert free["prompt_tokens"].sum() > 100
    rows = _whole(dump).set_index("request_id").loc[free["request_id"]]
    assert rows[list(TOKEN_BUCKETS)].to_numpy().sum() == 0


def test_cost_is_the_rates_on_the_exclusive_buckets(dump: Traffic) -> None:
    """LiteLLM's dollars equal rates × buckets, for failed calls that were billed as for those that were answered."""
    frame = _whole(dump)
    frame = frame[~frame["cache_hit"] & (frame["provider"] == "openai")]
    priced = frame["input_tokens"] * RATES["input"] + frame["cache_read_tokens"] * RATES["cached"]
    priced += (frame["output_tokens"] + frame["reasoning_tokens"]) * RATES["output"]
    assert (priced - frame["source_cost_usd"]).abs().max() < 1e-12


def test_streams_are_known_without_the_requests_bodies(dump: Traffic, table: pd.DataFrame, tmp_path: Path) -> None:
    """The table keeps milliseconds, by which half of the plain calls seem to have a first token before the end; none becomes a stream."""
    gap_ms = (table["endTime"] - table["completionStartTime"]).dt.total_seconds() * 1000
    assert (gap_ms.round() == 1).sum() > 5
    table["proxy_server_request"] = table["response"] = "{}"  # as LiteLLM writes them by default
    table["metadata"] = table["metadata"].map(json.dumps)
    table.to_csv(tmp_path / "log.csv", index=False)
    bare = _whole(read(tmp_path / "log.csv", out=tmp_path / "bare", text=True))
    assert bare["text_state"].eq("none").all()
    assert bare["stream"].tolist() == _whole(dump)["stream"].tolist()
    assert bare["stream"].sum() == 2


def test_rows_as_json_by_copy_are_read_as_the_dump(dump: Traffic, tmp_path: Path) -> None:
    r"""``\copy (select row_to_json(t) …)`` writes each backslash twice; quotes and line breaks of prompts come back as they were sent."""
    assert b'\\\\"quoted\\\\"' in COPIED.read_bytes()
    copied = _whole(read(COPIED, out=tmp_path / "copied", text=True))
    same = _whole(dump)
    same = same[same["request_id"].isin(copied["request_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(copied, same, check_dtype=False)
    assert QUOTED in [json.loads(m)[-1]["content"] for m in copied["messages"]]


def _python_text(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path)


def _lines(frame: pd.DataFrame, path: Path) -> None:
    frame.to_json(path, orient="records", lines=True, date_format="iso")


def _parquet(frame: pd.DataFrame, path: Path) -> None:
    _with_json_text(frame).to_parquet(path)


def _other_types(frame: pd.DataFrame, path: Path) -> None:
    """Write what casts make of a table: decimals, a time zone, nanoseconds, flags."""
    frame = _with_json_text(frame)
    for name in _TIMES:
        frame[name] = frame[name].dt.tz_localize("UTC").dt.tz_convert("America/New_York").astype("datetime64[ns, America/New_York]")
    for name in ("spend", "prompt_tokens", "total_tokens"):
        frame[name] = frame[name].map(lambda v: Decimal(repr(v)))
    frame["cache_hit"] = frame["cache_hit"] == "True"
    frame.to_parquet(path)


def _with_json_text(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**{name: frame[name].map(json.dumps) for name in _JSON})


@pytest.mark.parametrize("write", [_python_text, _lines, _parquet, _other_types])
def test_what_pandas_makes_of_the_table_is_read_alike(
    write: Callable[[pd.DataFrame, Path], None], dump: Traffic, table: pd.DataFrame, tmp_path: Path
) -> None:
    """The table by pandas to CSV (JSON columns as Python's text), JSON lines or Parquet, in any type of number and time: the same rows."""
    write(table, tmp_path / "log")
    pd.testing.assert_frame_equal(_whole(read(tmp_path / "log", out=tmp_path / "traffic", text=True)), _whole(dump))


@pytest.mark.parametrize("metadata", ["{'status': 'success'}", "{}", ""])
def test_pythons_text_is_read_whatever_the_metadata(metadata: str) -> None:
    """A row whose metadata is empty has its tags and prompt in Python's text all the same."""
    row = READER.convert(
        {
            **{"request_id": "c1", "spend": "0.1", "startTime": "2026-11-01 00:00:00", "endTime": "2026-11-01 00:00:01", "model": "gpt-5"},
            **{"prompt_tokens": "10", "completion_tokens": "2", "total_tokens": "12", "call_type": "acompletion", "metadata": metadata},
            **{"request_tags": "['app:chat']", "messages": "[{'role': 'user', 'content': 'hi'}]", "proxy_server_request": "{}"},
        },
        Options(),
    )
    assert (row["app"], json.loads(row["messages"])) == ("chat", [{"role": "user", "content": "hi"}])


def test_a_column_that_is_neither_json_nor_pythons_text_is_set_aside(table: pd.DataFrame, tmp_path: Path) -> None:
    """A row whose JSON columns can be read in no way is set aside with the column's name, not read without them."""
    table["metadata"] = table["metadata"].map(str)
    table.loc[3, "metadata"] = str(table.loc[3, "metadata"])[:-1]
    table.to_csv(tmp_path / "log.csv", index=False)
    traffic = read(tmp_path / "log.csv", out=tmp_path / "traffic", text=True)
    (reason,) = traffic.quarantine["reason"]
    assert reason.startswith("metadata is neither JSON nor Python's text of it")
    assert len(traffic) == len(table) - 1
