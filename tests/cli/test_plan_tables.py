"""What a table must not hide: names that differ at their end, limits of intervals, and rows that are in no figure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from planner.cli.output import grid

LONG = "exact cache in docs-rag: 100,000 answers for {} h, lru; retry transport 2×, rate_limit 2× in all apps"
CACHE = """
format: planner.plan
version: 1
name: cache
levers:
  - kind: exact_cache
"""


def laid(**columns: list[str]) -> str:
    """Lay out columns as they are."""
    return grid(pd.DataFrame(columns), {name: (name, str) for name in columns})


def test_names_that_differ_at_the_end_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two long plans are both there whole, within 100 columns, and so is every number."""
    monkeypatch.delenv("COLUMNS", raising=False)
    shown = laid(plan=[LONG.format(24), LONG.format(168)], usd=["$226.92", "$222.42"], saves=["$3.72 [$2.48, $5.01]"] * 2)
    assert max(map(len, shown.splitlines())) <= 100
    words = " ".join(line[: shown.index("usd") - 4].strip() for line in shown.splitlines())
    for hours in (24, 168):
        assert LONG.format(hours) in words
    assert "…" not in shown
    assert shown.count("[$2.48, $5.01]") == 2


def test_intervals_break_before_their_bracket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five intervals side by side are too wide for 100 columns: they take two lines, and no limit is lost; a wide terminal takes one."""
    columns = {f"saving {i}": ["-$7.93 [-$10.00, -$5.00]"] for i in range(5)}
    monkeypatch.setenv("COLUMNS", "100")
    narrow = laid(app=["chat"], **columns)
    assert max(map(len, narrow.splitlines())) <= 100
    assert narrow.count("[-$10.00, -$5.00]") == narrow.count("-$7.93") == 5
    monkeypatch.setenv("COLUMNS", "200")
    assert len(laid(app=["chat"], **columns).splitlines()) == 2


def test_rows_set_aside_and_hits_are_said(desk: Any, planner: Callable[..., Any], tmp_path: Path) -> None:
    """Two damaged lines of the log are told by compare and by replay, each of which has the share of answers from the cache."""
    plan = tmp_path / "cache.yaml"
    plan.write_text(CACHE, "utf-8")
    compared, replayed = planner("compare", desk.traffic, plan), planner("replay", desk.traffic, plan)
    for ran in (compared, replayed):
        assert ran.code == 0, ran.err
        assert "2 rows of the source were set aside" in " ".join(ran.out.split())
        assert "from cache" in ran.out
    shares = [row["hit_share"] for row in planner("compare", desk.traffic, plan, "--json").json["plans"]]
    assert shares[-1] > shares[0]
    assert planner("replay", desk.traffic, plan, "--json").json["by_app"][-1]["hit_share"] == pytest.approx(shares[-1])


def test_replay_names_the_verb_that_can(desk: Any, planner: Callable[..., Any], tmp_path: Path) -> None:
    """What cannot be replayed in parts is an error that names the verb which plays it."""
    plan = tmp_path / "batch.yaml"
    plan.write_text(CACHE.replace("exact_cache", "batch\n    apps: [nightly-summary]\n    window_minutes: 60"), "utf-8")
    ran = planner("replay", desk.traffic, plan)
    assert ran.code == 2
    assert "planner compare" in " ".join(ran.err.split())
