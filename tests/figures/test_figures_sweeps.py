"""Pictures of sweeps show the numbers of the table they are given, dashed where those are assumed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from planner.errors import InputError
from planner.figures import retries, sweep
from planner.policies import Batch, Hedge, Retry
from planner.simulation.sweep import Sweep

SURE = {"evidence": "assumed", "latency_evidence": "assumed"}
MONEY = {"saving_usd_per_month": 1.0, "saving_low": 0.5, "saving_high": 2.0}


def _rows(values: list[float], correlation: float = np.nan, **more: float) -> list[dict[str, object]]:
    return [
        {
            "label": f"{v:g}",
            "value": v,
            "correlation": correlation,
            "p99_ms": 1_000 * v,
            "usd_per_month": 9 - v,
            "calls": 1.5,
            **MONEY,
            **SURE,
            **more,
        }
        for v in values
    ]


def _found(lever: Hedge | Batch | Retry, varied: str, rows: list[dict[str, object]]) -> Sweep:
    logged = {"label": "as logged", "value": np.nan, "correlation": np.nan, "p99_ms": 4_000.0, "usd_per_month": 6.0, "calls": 1.0}
    first = {**logged, **MONEY, "evidence": "measured", "latency_evidence": "measured", "failure_share": 0.01}
    return Sweep(lever, varied, "chat", "prices of a day", 1_234, pd.DataFrame([first, *rows]))


def test_lines_are_the_table() -> None:
    """A line a correlation, dashed, in both plots; the log as a level; the chosen value in the title at the middle correlation."""
    rows = [row for rho in (0.0, 0.5, 0.8) for row in _rows([1.0, 2.0, 4.0], rho)]
    picture = sweep(_found(Hedge(1), "after_ms", rows), "p99_ms", "usd_per_month", chosen=2.0, note="SYNTHETIC")
    for axes, column, logged in zip(picture.axes[::-1], ("p99_ms", "usd_per_month"), (4_000.0, 6.0), strict=True):
        curves = [line for line in axes.lines if line.get_marker() == "o" and len(line.get_xdata())]
        assert [list(line.get_ydata()) for line in curves] == [[row[column] for row in rows[:3]]] * 3
        assert {line.get_linestyle() for line in curves} == {"--"}
        assert any(np.allclose(line.get_ydata(), logged) for line in axes.lines if len(line.get_ydata()) == 2)
    assert picture.title == (
        "Delay before the second call 0.002\u00a0s: p99 of the time to an answer 2.0\u00a0s (as logged 4.0\u00a0s), cost per month $7.00 "
        "(as logged $6.00)"
    )
    said = "".join(t.get_text() for t in picture.texts).replace("\n", " ")
    assert "SYNTHETIC · 1,234 requests of chat · calls per request 1.50 to 1.50, as logged 1.00 · money assumed, times assumed" in said
    assert picture.png() == sweep(_found(Hedge(1), "after_ms", rows), "p99_ms", "usd_per_month", chosen=2.0, note="SYNTHETIC").png()


def test_misses_are_a_line_a_turnaround() -> None:
    """All turnarounds of a batch are drawn and named."""
    rows = _rows([5.0, 60.0], misses_0h=0.0, misses_1h=0.1, misses_6h=0.9)
    picture = sweep(_found(Batch(("a",), 5), "window_minutes", rows), "misses", "saving_usd_per_month")
    upper = picture.axes[1]
    assert [list(line.get_ydata()) for line in upper.lines if len(line.get_xdata()) == 2] == [[0.0, 0.0], [0.1, 0.1], [0.9, 0.9]]
    assert [t.get_text() for t in upper.get_legend().get_texts()] == [f"provider takes {h} h" for h in (0, 1, 6)]


def test_retries_are_against_none() -> None:
    """Bars are what no retries lose more, of 1,000 requests, and what they cost less; assumed ones are hollow."""
    settings = {
        "none": (0.03, 5.0, "measured"),
        "transport": (0.02, 6.0, "measured"),
        "by kind": (0.01, 7.0, "measured"),
        "blind": (0.01, 8.0, "assumed"),
    }
    rows = [
        {**_rows([i])[0], "label": name, "failure_share": lost, "usd_per_month": usd, "evidence": evidence}
        for i, (name, (lost, usd, evidence)) in enumerate(settings.items())
    ]
    picture = retries(_found(Retry({"transport": 2}), "retries", rows))
    widths = [[round(patch.get_width(), 9) for patch in axes.patches] for axes in picture.axes]
    assert widths == [[10.0, 20.0, 20.0], [1.0, 2.0, 3.0]]
    assert [patch.get_facecolor()[:3] == (1.0, 1.0, 1.0) for patch in picture.axes[0].patches] == [False, False, True]
    assert picture.title == "Retries by kind rescue 20.0 of 1,000 requests; blind ones 20.0, for $1.00 a month more"


def test_what_was_not_played_is_not_drawn() -> None:
    """A column or a value that the sweep has not is an error that names those it has."""
    found = _found(Hedge(1), "after_ms", _rows([1.0]))
    with pytest.raises(InputError, match="column 'misses'"):
        sweep(found, "misses", "calls")
    with pytest.raises(InputError, match=r"chosen 3.0; expected one of 1"):
        sweep(found, "p99_ms", "calls", chosen=3.0)
