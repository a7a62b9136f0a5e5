"""OpenRouter's generations, row by row: hand-written records whose reading is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.reader_mutations import SEEDS
from planner.schema import TOKEN_BUCKETS, TRAFFIC
from planner.traffic import read


def _rows(name: str, folder: Path, **options: Any) -> dict[str, dict[str, Any]]:
    traffic = read(SEEDS / name, out=folder / name, **options, text=True)
    return {r["request_id"]: r for r in traffic.frame(*TRAFFIC.names).to_dict("records")}


def test_the_providers_own_tokens_are_billed(tmp_path: Path) -> None:
    """Native counts decide, with cached and reasoning tokens inside them; more cached than prompt tokens is set aside."""
    traffic = read(SEEDS / "openrouter.ndjson", out=tmp_path / "out", text=True)
    assert traffic.frame(*TOKEN_BUCKETS).iloc[0].tolist() == [176, 1024, 0, 0, 18, 12]
    assert "1300, more than the 1200" in traffic.quarantine["reason"][0]
    assert len(traffic) + len(traffic.quarantine) == 8


def test_a_whole_generation(tmp_path: Path) -> None:
    """Model, session, user and times come from their fields, within ``data`` or not."""
    rows = _rows("openrouter.ndjson", tmp_path)
    row = rows["gen-1"]
    assert (row["model"], row["provider"], row["user"], row["session_id"]) == ("openai/gpt-5-mini", "openrouter", "u-7", "sess-1")
    assert (row["source_cost_usd"], row["text_state"], row["stream"]) == (0.00013, "none", True)
    assert rows["gen-6"]["model_requested"] == "openrouter/auto"
    assert rows["gen-6"]["finish_reason"] == "length"
    own = [c for c in TRAFFIC.names if c not in ("request_id", "timestamp")]
    pd.testing.assert_series_equal(pd.Series(rows["gen-8"])[own], pd.Series(row)[own])


def test_latency_is_the_longer_time_and_a_shorter_one_of_a_stream_the_first_token(tmp_path: Path) -> None:
    """``latency`` below ``generation_time`` is the first token's, of streams only; else it is the call's."""
    rows = _rows("openrouter.ndjson", tmp_path)
    assert (rows["gen-1"]["latency_ms"], rows["gen-1"]["ttft_ms"]) == (900.0, 400.0)
    assert rows["gen-2"]["latency_ms"] == 950.0
    assert pd.isna(rows["gen-2"]["ttft_ms"])


def test_ends_and_costs(tmp_path: Path) -> None:
    """Cancelled and failed generations are such; with a key of one's own the provider's bill is added."""
    rows = _rows("openrouter.ndjson", tmp_path)
    assert [rows[f"gen-{i}"]["status"] for i in (1, 3, 4)] == ["ok", "cancelled", "transport"]
    assert rows["gen-5"]["source_cost_usd"] == pytest.approx(0.00021)


def test_the_activity_export(tmp_path: Path) -> None:
    """The CSV reads like the API: its app, its variant in the model's name, first-token times of streams, and its own-key cost."""
    rows = _rows("openrouter.activity.csv", tmp_path)
    assert [rows["gen-a1"][b] for b in TOKEN_BUCKETS] == [176, 1024, 0, 0, 18, 12]
    assert (rows["gen-a1"]["app"], rows["gen-a1"]["latency_ms"], rows["gen-a1"]["ttft_ms"]) == ("Help desk", 900.0, 400.0)
    assert (rows["gen-a2"]["model"], rows["gen-a2"]["status"]) == ("openai/gpt-5-mini-2026-01-01:free", "cancelled")
    assert rows["gen-a3"]["source_cost_usd"] == pytest.approx(0.00033)
    assert _rows("openrouter.activity.csv", tmp_path / "key", app_from="key")["gen-a1"]["app"] == "prod"


def test_daily_sums_are_no_generations(tmp_path: Path) -> None:
    """``/activity`` has sums per day: it is no log of calls and is not taken for one."""
    from planner.errors import InputError

    path = tmp_path / "activity.json"
    day = {"date": "2026-11-03", "model": "openai/gpt-5-mini", "provider_name": "OpenAI", "requests": 5, "prompt_tokens": 50, "usage": 0.01}
    path.write_text(json.dumps({"data": [day]}), "utf-8")
    with pytest.raises(InputError, match="one of the formats"):
        read(path, out=tmp_path / "out", text=True)
