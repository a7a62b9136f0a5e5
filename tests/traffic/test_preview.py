"""What apps a log would have: every row of a preview is what reading it so gives, and nothing is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from planner.errors import InputError
from planner.synthetic import sample_folder
from planner.synthetic.sample import MAPPING
from planner.traffic import read
from planner.traffic.preview import preview
from planner.traffic.records import records


def log(folder: Path, count: int = 400) -> Path:
    """Write the first records of the sample's log."""
    source, found = sample_folder() / "sample_log.jsonl.zst", folder / "log.jsonl"
    lines = [record.raw for _, record in zip(range(count), records(source), strict=False)]
    found.write_bytes(b"\n".join(line for line in lines if isinstance(line, bytes)))
    return found


def test_each_source_shows_what_reading_gives(tmp_path: Path) -> None:
    """Apps, requests without a name and the largest one are those of the log read with that source."""
    shown = preview(log(tmp_path))
    assert {"", "tag:app", "tag:team", "team", "key", "model_group", "metadata:prompt_version"} == set(shown["app_from"])
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]
    for row in shown.to_dict("records"):
        traffic = read(
            tmp_path / "log.jsonl", mapping=MAPPING, out=tmp_path / f"read-{row['app_from']}", app_from=row["app_from"] or None, text=True
        )
        frame = traffic.frame("app", "input_tokens", "cache_read_tokens", "output_tokens", "reasoning_tokens", "cache_write_5m_tokens")
        assert row["apps"] == frame["app"].nunique()
        assert row["unnamed"] == pytest.approx((frame["app"] == "default").mean())
        tokens = frame.drop(columns="app").sum(axis=1).groupby(frame["app"]).sum()
        assert row["largest"].startswith(f"{tokens.idxmax()} {tokens.max() / tokens.sum():.0%}")


def _helicone(i: int, quote: str) -> dict[str, Any]:
    properties = json.dumps({"bot": f"b{i % 3}", "tier": "x"} if i % 2 else {"tier": "x"}).replace('"', quote)
    made = {"request_id": f"7d{i}", "request_created_at": "2026-11-03T09:00:00Z", "response_status": 200, "model": "gpt-5-mini"}
    return {**made, "provider": "OPENAI", "prompt_tokens": 1200, "completion_tokens": 30, "request_properties": properties}


def _langfuse(i: int) -> dict[str, Any]:
    about = {"bot": f"b{i % 3}", "more": {"team": "t"}, "note": {"bot": ""}}
    made = {"id": f"o{i}", "traceId": "t", "type": "GENERATION", "startTime": "2026-11-03T09:00:00Z", "level": "DEFAULT", "model": "m"}
    return {**made, "usageDetails": {"input": 9, "output": 1}, "environment": "prod", "metadata": about}


def _spend(i: int, written: Callable[[Any], str]) -> dict[str, Any]:
    made = {"request_id": f"c{i}", "call_type": "acompletion", "spend": 0.1, "prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}
    about = {"requester_metadata": {"bot": f"b{i % 3}"}, "status": "success"}
    times = {"startTime": "2026-11-03T09:00:00Z", "endTime": "2026-11-03T09:00:01Z"}
    return {**made, **times, "model": "gpt-5-mini", "request_tags": "[]", "metadata": written(about)}


@pytest.mark.parametrize(
    ("name", "records", "fields"),
    [
        ("helicone.jsonl", [_helicone(i, '"') for i in range(30)], {"property:bot": 3, "property:tier": 1}),
        ("helicone.csv", [_helicone(i, '""') for i in range(30)], {"property:bot": 3, "property:tier": 1}),
        ("langfuse.jsonl", [_langfuse(i) for i in range(30)], {"metadata:bot": 3, "metadata:more.team": 1}),
        ("spend.csv", [_spend(i, json.dumps) for i in range(30)], {"metadata:bot": 3}),
        ("spend.jsonl", [_spend(i, lambda about: json.dumps(json.dumps(about))) for i in range(30)], {"metadata:bot": 3}),
    ],
)
def test_fields_that_name_an_app_are_found(tmp_path: Path, name: str, records: list[dict[str, Any]], fields: dict[str, int]) -> None:
    """A source that takes a field's name is shown for every field that would name an app, wherever and however the log keeps it."""
    frame = pd.DataFrame(records)
    if name.endswith("csv"):
        frame.to_csv(tmp_path / name, index=False)
    else:
        (tmp_path / name).write_text("".join(json.dumps(r) + "\n" for r in records), "utf-8")
    shown = preview(tmp_path / name).set_index("app_from")
    assert {s for s in shown.index if s.partition(":")[0] in ("property", "metadata")} == set(fields)
    for source, named in fields.items():
        apps = read(tmp_path / name, out=tmp_path / source, app_from=source, text=True).frame("app")["app"]
        assert len({*apps} - {"default"}) == named
        assert shown.loc[source, "apps"] == apps.nunique()
        assert shown.loc[source, "unnamed"] == pytest.approx((apps == "default").mean())


def test_nothing_to_preview_is_refused(tmp_path: Path) -> None:
    """A log of which no record can be read, and a count of none, are a sentence each."""
    (tmp_path / "log.jsonl").write_text(json.dumps({"no": "log"}) + "\n", "utf-8")
    with pytest.raises(InputError, match="none can be read"):
        preview(tmp_path / "log.jsonl", "litellm_payload")
    with pytest.raises(InputError, match="0 records"):
        preview(tmp_path / "log.jsonl", count=0)
