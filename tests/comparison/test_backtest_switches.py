"""Switches of models that a log holds are experiments: the ratios of the labels against what happened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from comparison.back_logs import START, columns, log_of

from planner.comparison.backtest import backtest
from planner.comparison.backtest_switches import effects, find_switches
from planner.labels import Labels
from planner.prices import PriceBook
from planner.traffic.rows import load_rows

OLD, NEW = "gpt-5.4", "gpt-5.4-nano"


def switched(n: int = 4_000, longer: float = 1.6, quicker: float = 0.5) -> pd.DataFrame:
    """Return a log in which "chat" goes from OLD to NEW on its 15th day, whose answers are longer and come sooner."""
    frame = columns(n)
    late = (frame["app"] == "chat") & (frame["timestamp"] >= START + pd.Timedelta(days=14))
    return frame.assign(
        model=np.where(late, NEW, frame["model"]),
        output_tokens=np.where(late, np.rint(frame["output_tokens"] * longer), frame["output_tokens"]).astype(int),
        latency_ms=np.where(late, frame["latency_ms"] * quicker, frame["latency_ms"]),
    )


def labels_of(frame: pd.DataFrame, longer: float = 1.6, quicker: float = 0.5, n: int = 400) -> Labels:
    """Return answers of both models to ``n`` early requests of "chat", the new ones ``longer`` and sooner."""
    early = frame[(frame["app"] == "chat") & (frame["status"] == "ok") & (frame["model"] == OLD)].head(n)
    rng = np.random.default_rng(5)
    items = early[["request_id", "app", "user"]].assign(messages='[{"role": "user", "content": "x"}]')
    noise = rng.lognormal(0, 0.2, len(early))
    old = early[["request_id", "input_tokens", "output_tokens", "latency_ms"]].assign(model=OLD)
    new = old.assign(
        model=NEW,
        output_tokens=np.rint(old["output_tokens"] * longer * noise / noise.mean()).astype(int).clip(1),
        latency_ms=old["latency_ms"] * quicker,
    )
    return Labels.of(items, pd.concat([old, new]).assign(quality=1.0, grader="exact"))


def test_a_switch_is_found(tmp_path: Path) -> None:
    """One app switched once, on its day; the other did not."""
    (found,) = find_switches(load_rows(log_of(tmp_path, switched())))
    assert (found.app, found.before, found.after) == ("chat", OLD, NEW)
    assert str(found.when)[:10] == "2026-11-15"


def test_no_switch_where_chance_deals(tmp_path: Path) -> None:
    """A log that draws one request in ten for another model never switches."""
    frame = columns(2_000)
    drawn = np.random.default_rng(0).random(len(frame)) < 0.1
    assert find_switches(load_rows(log_of(tmp_path, frame.assign(model=np.where(drawn, NEW, frame["model"]))))) == []


def test_ratios_that_hold_are_hits(tmp_path: Path) -> None:
    """Labels that pair the models as the log's own switch does predict tokens, dollars and times within their intervals."""
    frame = switched()
    found = backtest(log_of(tmp_path, frame), labels=labels_of(frame), runs=1)
    told = found.switches.set_index("measure")
    assert set(told.index) == {"usd", "input_tokens", "output_tokens", "latency_p50_ms", "latency_p95_ms"}
    assert told.loc["output_tokens", "predicted"] == pytest.approx(1.6 * told.loc["output_tokens", "was"], rel=0.05)
    assert told["hit"].tolist() == [True] * 5
    assert found.verdict("route") == "hit"


def test_ratios_that_mislead_are_a_miss(tmp_path: Path) -> None:
    """Labels in which the new model is terse, against a log in which it is not: the lever of routes is off."""
    frame = switched()
    found = backtest(log_of(tmp_path, frame), labels=labels_of(frame, longer=0.8), runs=1)
    told = found.switches.set_index("measure")
    assert told.loc["output_tokens", "hit"] is False
    assert found.verdict("route") == "miss"
    assert "output_tokens in chat" in found.levers.set_index("lever").loc["route", "reason"]


def test_without_labels_nothing_is_claimed(tmp_path: Path) -> None:
    """Where nothing pairs the models, tokens and dollars have no prediction, and say why; what happened is still told."""
    traffic = log_of(tmp_path, switched(2_000))
    told = effects(traffic, load_rows(traffic), None, PriceBook.load(), 0).set_index("measure")
    assert told.loc[["usd", "input_tokens", "output_tokens"], "predicted"].isna().all()
    assert told["actual"].notna().all()
    assert "no label" in told.loc["usd", "source"]
