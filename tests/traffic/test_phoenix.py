"""Spans as Phoenix exports them: its REST API and its dataframe, in every container that pandas writes one to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.span_recorder import RECORDED

from planner.schema import TRAFFIC
from planner.traffic import Traffic, read

_REST = RECORDED["phoenix"]
_FRAME = _REST.with_suffix(".frame.jsonl")
_CONTAINERS = ("page.json", "rows.jsonl", "array.json", "epoch.jsonl", "frame.csv", "frame.parquet")


def _written(path: Path) -> Path:
    """Write what was recorded in another container."""
    if path.name == "page.json":
        page = {"data": [json.loads(line) for line in _REST.read_text("utf-8").splitlines()], "next_cursor": None}
        path.write_text(json.dumps(page), "utf-8")
        return path
    frame = pd.DataFrame([json.loads(line) for line in _FRAME.read_text("utf-8").splitlines()])
    for name in ("start_time", "end_time"):
        frame[name] = pd.to_datetime(frame[name], format="ISO8601")
    frame.index = pd.Index(frame["context.span_id"])
    if path.suffix == ".csv":
        frame.to_csv(path)
    elif path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.name.startswith("epoch"):
        for name in ("start_time", "end_time"):
            frame[name] = frame[name].dt.as_unit("us").astype("int64")  # epochs, as pandas writes by default before its version 4
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_json(path, orient="records", lines=path.suffix == ".jsonl", date_format="iso", date_unit="us")
    return path


def _rows(traffic: Traffic) -> pd.DataFrame:
    return traffic.frame(*TRAFFIC.names).sort_values("request_id", ignore_index=True)


@pytest.mark.parametrize("name", _CONTAINERS)
def test_the_dataframe_says_what_the_api_says(name: str, tmp_path: Path) -> None:
    """Nested or flat, as JSON or as Python prints it, with every column for every span: the same rows, and the same set aside."""
    expected = read(_REST, out=tmp_path / "rest", text=True)
    found = read(_written(tmp_path / name), out=tmp_path / "out", text=True)
    pd.testing.assert_frame_equal(_rows(found), _rows(expected))
    assert found.quarantine["reason"].tolist() == expected.quarantine["reason"].tolist() == ["a span of CHAIN: no call of a model"]


def _span(name: str, parent: str | None = None, **attributes: Any) -> dict[str, Any]:
    about = {"name": name, "context": {"trace_id": "t", "span_id": name}, "parent_id": parent, "span_kind": "LLM", "status_code": "OK"}
    times = {"start_time": "2026-11-03T09:00:00+00:00", "end_time": "2026-11-03T09:00:02+00:00"}
    counts = {"llm.token_count.prompt": 10, "llm.token_count.completion": 3}
    return {**about, **times, "attributes": {"llm.model_name": "gpt-5-mini", **counts, **attributes}, "events": []}


def _read(folder: Path, *spans: dict[str, Any], **options: Any) -> Traffic:
    path = folder / "spans.jsonl"
    path.write_text("".join(json.dumps(s) + "\n" for s in spans), "utf-8")
    return read(path, out=folder / "out", **options)


def test_a_span_around_a_call_is_no_second_call(tmp_path: Path) -> None:
    """A framework's span around its client's own is set aside, which comes after the call, since Phoenix exports the newest first."""
    traffic = _read(tmp_path, _span("own", "around"), _span("around"), _span("alone"))
    assert sorted(traffic.frame("request_id")["request_id"]) == ["alone", "own"]
    assert traffic.quarantine["reason"].str.contains("around").tolist() == [True]


def test_metadata_may_name_the_app(tmp_path: Path) -> None:
    """--app-from attribute:metadata.NAME is read from metadata, whether it is JSON or an object."""
    spans = (_span("a", metadata=json.dumps({"team": "red"})), _span("b", metadata={"team": "blue"}))
    traffic = _read(tmp_path, *spans, app_from="attribute:metadata.team")
    assert dict(traffic.frame("request_id", "app").itertuples(index=False)) == {"a": "red", "b": "blue"}


def test_cached_tokens_and_cost_are_read(tmp_path: Path) -> None:
    """Prompt tokens hold cached and written ones; the cost that an instrumentation states is the source's."""
    details = {"llm.token_count.prompt_details.cache_read": 6, "llm.token_count.prompt_details.cache_write": 1, "llm.cost.total": 0.25}
    columns = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "output_tokens", "source_cost_usd")
    assert _read(tmp_path, _span("a", **details)).frame(*columns).iloc[0].tolist() == [3, 6, 1, 3, 0.25]


def test_a_span_nested_too_deeply_is_set_aside(tmp_path: Path) -> None:
    """Attributes a thousand objects deep are refused with the reason, and cost no other span."""
    deep = json.dumps(_span("a", metadata="DEEP")).replace('"DEEP"', '{"a":' * 990 + "1" + "}" * 990)
    lines = f"{deep}\n{json.dumps(_span('b'))}\n"
    (tmp_path / "spans.jsonl").write_text(lines, "utf-8")
    traffic = read(tmp_path / "spans.jsonl", out=tmp_path / "out")
    assert traffic.frame("request_id")["request_id"].tolist() == ["b"]
    assert traffic.quarantine["reason"].tolist() == ["a span whose attributes are nested too deeply"]


def test_a_printed_list_that_is_none_sets_nothing_on_fire(tmp_path: Path) -> None:
    """Text that only begins like a list is kept as text; NaN is no value; a row is accepted without what could not be read."""
    spans = (_span("a", **{"llm.input_messages": "[{'message.role': oops", "tag.tags": "[" * 5_000}), _span("b", **{"user.id": np.nan}))
    traffic = _read(tmp_path, *spans)
    assert traffic.frame("user")["user"].isna().all()
    assert len(traffic) == 2
