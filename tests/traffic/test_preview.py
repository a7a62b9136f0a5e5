"""What apps a log would have: every row of a preview is what reading it so gives, and nothing is written."""

from __future__ import annotations

import json
from pathlib import Path

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
        traffic = read(tmp_path / "log.jsonl", mapping=MAPPING, out=tmp_path / f"read-{row['app_from']}", app_from=row["app_from"] or None)
        frame = traffic.frame("app", "input_tokens", "cache_read_tokens", "output_tokens", "reasoning_tokens", "cache_write_5m_tokens")
        assert row["apps"] == frame["app"].nunique()
        assert row["unnamed"] == pytest.approx((frame["app"] == "default").mean())
        tokens = frame.drop(columns="app").sum(axis=1).groupby(frame["app"]).sum()
        assert row["largest"].startswith(f"{tokens.idxmax()} {tokens.max() / tokens.sum():.0%}")


def test_nothing_to_preview_is_refused(tmp_path: Path) -> None:
    """A log of which no record can be read, and a count of none, are a sentence each."""
    (tmp_path / "log.jsonl").write_text(json.dumps({"no": "log"}) + "\n", "utf-8")
    with pytest.raises(InputError, match="none can be read"):
        preview(tmp_path / "log.jsonl", "litellm_payload")
    with pytest.raises(InputError, match="0 records"):
        preview(tmp_path / "log.jsonl", count=0)
