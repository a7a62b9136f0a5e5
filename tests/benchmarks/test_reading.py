"""The reading benchmark: its logs are read whole, with about 1 KB of text a call, and every promised number is there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.reading_logs import CONTAINERS, FORMATS, written
from planner.schema import TRAFFIC
from planner.traffic import read


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_log_is_read_as_what_it_is(name: str, tmp_path: Path) -> None:
    """Every call becomes a row of its format's reader, with its text, tokens, times, app, user and session."""
    traffic = read(written(tmp_path / "log.jsonl", name, 200), out=tmp_path / "out", text=True)
    frame = traffic.frame(*TRAFFIC.names)
    assert traffic.meta["source_format"] == name
    assert len(frame) == 200
    assert not len(traffic.quarantine)
    assert 700 < (frame["messages"].str.len() + frame["response"].str.len()).mean() < 1_400
    assert (frame["text_state"] == "full").all()
    assert (frame["output_tokens"] >= 60).all()
    assert frame["cache_read_tokens"].any()
    assert frame[["user", "session_id", "latency_ms", "model", "response"]].notna().all(axis=None)
    assert frame["user"].nunique() > 100
    assert frame["session_id"].nunique() == 50


def test_the_formats_hold_the_same_calls(tmp_path: Path) -> None:
    """The same seed gives the same calls in every format: equal tokens, users, texts and times."""
    same = ["user", "input_tokens", "cache_read_tokens", "output_tokens", "messages", "response", "timestamp", "model", "latency_ms"]
    frames = [read(written(tmp_path / f"{n}.jsonl", n, 50), out=tmp_path / n, text=True).frame(*same) for n in FORMATS]
    assert all(frame.equals(frames[0]) for frame in frames[1:])


@pytest.mark.parametrize("container", list(CONTAINERS))
@pytest.mark.parametrize("name", ["litellm_spend", "langfuse_export"])
def test_a_container_holds_the_same_calls(name: str, container: str, tmp_path: Path) -> None:
    """In lines, an array, CSV or Parquet, a format's calls are recognised and read as the same rows."""
    found = (
        read(written(tmp_path / f"log.{CONTAINERS[kind]}", name, 50, container=kind), out=tmp_path / kind, text=True)
        for kind in ("lines", container)
    )
    lines, other = (traffic.frame(*TRAFFIC.names) for traffic in found)
    assert len(lines) == 50
    assert other.equals(lines)


def test_every_promised_number_is_there() -> None:
    """As JSON: rates, ratios and memory of the worst format, and of each."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.reading",
        "--rows",
        "400",
        "--rounds",
        "1",
        "--formats",
        "litellm_payload",
        "otel",
        "--json",
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    found = json.loads(done.stdout)
    for numbers in (found, *found["formats"].values()):
        assert all(numbers[name] > 0 for name in ("rows_per_s", "ratio_to_orjson", "ratio_to_orjson_cpu", "peak_rss_mib"))
    assert set(found["formats"]) == {"litellm_payload", "otel"}
