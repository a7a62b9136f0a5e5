"""Reading refuses the same calls twice, and simulation refuses levers that a sample cannot judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.small import prompt, traffic_of

import planner
from planner.errors import InputError, NeedsError
from planner.policies import ExactCache, Plan, Retry, Timeout
from planner.traffic import sampled, sources


def _lines(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in records), "utf-8")
    return path


def test_two_views_are_not_read_as_one_log(tmp_path: Path) -> None:
    """Two files with the same calls under two ids are refused, nothing is left of them, and each alone is read and joined."""
    rng = np.random.default_rng(0)
    when = pd.Timestamp("2026-11-01", tz="UTC") + pd.to_timedelta(np.cumsum(rng.integers(10_000, 90_000, 300)), unit="ms")
    calls = [
        {
            "request_id": f"a{i}",
            "timestamp": t.isoformat(),
            "model": "gpt-5",
            "input_tokens": int(x),
            "output_tokens": 7,
            "latency_ms": 800.0,
        }
        for i, (t, x) in enumerate(zip(when, rng.integers(10, 2_000, 300), strict=True))
    ]
    other = [{**c, "request_id": f"b{i}", "latency_ms": 780.0, "quality": 1.0} for i, c in enumerate(calls)]
    files = [_lines(tmp_path / "gateway.jsonl", calls), _lines(tmp_path / "tracer.jsonl", other)]
    with pytest.raises(InputError, match=r"100% of 600 requests twice.*planner\.join"):
        planner.read(files, out=tmp_path / "both", text=True)
    assert [p.name for p in (tmp_path / "both").iterdir()] == []
    a, b = (planner.read(f, out=tmp_path / f.stem, text=True) for f in files)
    assert planner.join(a, b, tmp_path / "joined").meta["join"]["matched_by_tokens"] == 300


def test_two_formats_are_not_read_as_one_log(tmp_path: Path) -> None:
    """A Langfuse export beside LiteLLM's spend logs is refused by name, instead of being set aside row by row."""
    spend = {"request_id": "a", "spend": 0.1, "startTime": "2026-11-03T09:00:00Z", "call_type": "acompletion", "model_group": "chat"}
    traced = {"id": "o", "traceId": "t", "type": "GENERATION", "startTime": "2026-11-03T09:00:00Z", "level": "DEFAULT", "usageDetails": {}}
    files = [_lines(tmp_path / "a.jsonl", [spend] * 60), _lines(tmp_path / "b.jsonl", [traced])]
    with pytest.raises(InputError, match=r"b.jsonl, which is langfuse_export, beside a.jsonl, which is litellm_spend"):
        planner.read(files, out=tmp_path / "both", text=True)


def test_logs_of_different_calls_become_one_where_that_is_said(tmp_path: Path) -> None:
    """Two logs that share no call are one with ``apart``, all rows and dollars of both in it; what was read is not read again beside."""
    spend = {"request_id": "a", "spend": 0.5, "startTime": "2026-11-03T09:00:00Z", "call_type": "acompletion", "model": "gpt-5"}
    spend |= {"prompt_tokens": 3, "completion_tokens": 4}
    traced = {"id": "o", "traceId": "t", "type": "GENERATION", "startTime": "2026-11-04T09:00:00Z", "level": "DEFAULT", "model": "gpt-5"}
    traced |= {"usageDetails": {"input": 3, "output": 4}, "costDetails": {"total": 0.25}}
    files = [_lines(tmp_path / "a.jsonl", [spend]), _lines(tmp_path / "b.jsonl", [traced])]
    a, b = (planner.read(f, out=tmp_path / f.stem, text=True) for f in files)
    with pytest.raises(InputError, match=r"a, which was read before, beside others.*planner join A B \(--apart"):
        planner.read([a.folder, b.folder])
    with pytest.raises(InputError, match=r"no call that is surely in both"):
        planner.join(a, b, tmp_path / "joined")
    joined = planner.join(a, b, tmp_path / "joined", apart=True)
    assert (len(joined), joined.meta["joined"], joined.frame("source_cost_usd").sum().item()) == (2, 0, 0.75)
    assert sources(joined)["matched"].tolist() == ["only in a", "only in b"]


def test_levers_that_need_every_row_refuse_a_sample(tmp_path: Path) -> None:
    """A cache and a shared budget of retries are refused on a sample in one sentence; levers of single requests are simulated."""
    log = traffic_of(
        tmp_path / "log",
        {
            "provider": "openai",
            "model": "gpt-5.4",
            "input_tokens": [9] * 40,
            "messages": prompt("q"),
            "text_state": "full",
            "latency_ms": 5.0,
        },
    )
    part = sampled(log, 0.5, tmp_path / "part")
    with pytest.raises(NeedsError, match=r"exact_cache needs every request.*up to 2 requests"):
        planner.simulate(part, Plan((ExactCache(),)))
    planner.simulate(log, Plan((ExactCache(),)))
    planner.simulate(part, Plan((Timeout(ms=1_000.0),)))
    planner.simulate(part, Plan((Retry(retries={"transport": 1}),)))
    with pytest.raises(NeedsError, match=r"retry needs every request"):
        planner.simulate(part, Plan((Retry(retries={"transport": 1}, budget=0.1),)))
