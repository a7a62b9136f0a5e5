"""BurstGPT's traces, of both releases: hand-written rows whose reading is known."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmarks.reader_mutations import SEEDS
from planner.prices import PriceBook, audit
from planner.traffic import read


def test_the_first_release_has_arrivals_models_and_tokens(tmp_path: Path) -> None:
    """Seconds count from the stated zero, the kind of log is the app, and a total that differs is set aside."""
    traffic = read(SEEDS / "burstgpt.csv", out=tmp_path / "out", text=True)
    rows = traffic.frame("timestamp", "app", "provider", "model", "model_requested", "input_tokens", "output_tokens", "status")
    assert rows["timestamp"].tolist() == [pd.Timestamp("2024-01-01", tz="UTC") + pd.Timedelta(seconds=s) for s in (5, 45, 118)]
    assert rows["app"].tolist() == ["Conversation log", "Conversation log", "API log"]
    assert rows["model"].tolist() == ["gpt-3.5-turbo", "gpt-3.5-turbo", "gpt-4"]
    assert rows["model_requested"].tolist() == ["ChatGPT", "ChatGPT", "GPT-4"]
    assert (rows["provider"] == "azure").all()
    assert rows[["input_tokens", "output_tokens"]].to_numpy().tolist() == [[472, 18], [1087, 230], [417, 0]]
    assert rows["status"].tolist() == ["ok", "ok", "transport"]
    assert traffic.quarantine["reason"].tolist() == ["request and response tokens are 420, the source's total 421"]


def test_the_later_release_has_sessions_and_durations(tmp_path: Path) -> None:
    """Columns are found by name, elapsed seconds become milliseconds, and an empty session is none."""
    rows = read(SEEDS / "burstgpt.sessions.csv", out=tmp_path / "out", text=True).frame("session_id", "latency_ms")
    assert rows["latency_ms"].tolist() == [900, 1250, 2000]
    assert rows["session_id"].fillna("none").tolist() == ["0", "0", "none"]


def test_its_models_have_prices(tmp_path: Path) -> None:
    """The models that the trace's names stand for are in the price book; which these are is assumed, and every dollar says so."""
    found = audit(read(SEEDS / "burstgpt.csv", out=tmp_path / "out", text=True), PriceBook.load())
    assert found.priced.problems.empty
    assert found.total.evidence == "assumed"
