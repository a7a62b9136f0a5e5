"""``planner backtest`` as a user runs it: a log in, sentences and tables or one JSON object out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from comparison.back_logs import columns, log_of


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a log that keeps its rule."""
    return log_of(tmp_path_factory.mktemp("log") / "november", columns(2_500)).folder


@pytest.fixture(scope="module")
def drifted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a log whose last part is slower."""
    return log_of(tmp_path_factory.mktemp("log") / "december", columns(2_500, slower=2.0)).folder


def test_text_tells_what_happened(log: Path, planner: Callable[..., Any]) -> None:
    """The shell tells the bill, how many intervals hold, and every app and lever, in at most 100 columns and without a warning."""
    ran = planner("backtest", log, "--runs", 2)
    assert ran.code == 0, ran.err
    words = " ".join(ran.out.split())
    for part in ("Predicted $", "intervals by app hold", "Not tested: prompt cache", "chat dollars", "search p95 [ms]", "hedge hit on"):
        assert part in words, part
    assert max(map(len, ran.out.splitlines())) <= 100
    assert ran.err == ""


def test_json_holds_what_the_library_says(log: Path, planner: Callable[..., Any]) -> None:
    """``--json`` is the library's table, verdicts and plan."""
    from planner.comparison.backtest import backtest
    from planner.traffic import Traffic

    shown = planner("backtest", log, "--runs", 2, "--json").json
    found = backtest(Traffic.open(log), runs=2)
    assert [r["predicted"] for r in shown["table"]] == pytest.approx(found.table["predicted"].tolist())
    assert shown["intervals"] == {"tested": found.tested, "hit": found.hits, "nominal": 0.95}
    assert {r["lever"]: r["verdict"] for r in shown["levers"]} == found.levers.set_index("lever")["verdict"].to_dict()
    assert shown["configured"][0]["kind"] == "retry"


def test_a_miss_is_said_to_be_off(drifted: Path, planner: Callable[..., Any]) -> None:
    """A lever that missed is OFF in the table and named in the sentences; it is a result, not an error."""
    ran = planner("backtest", drifted, "--runs", 2, "--split", "2026-11-20")
    assert ran.code == 0, ran.err
    words = " ".join(ran.out.split())
    assert "Off by default, since it missed here: hedge (latency: latency_p" in words
    assert "hedge miss OFF" in words


@pytest.mark.parametrize(
    ("arguments", "says"), [(("--split", "soon"), "split 'soon'"), (("--split", "2031-01-01"), "at least 100"), (("--runs", "0"), "--runs")]
)
def test_bad_input_is_one_sentence(log: Path, planner: Callable[..., Any], arguments: tuple[str, ...], says: str) -> None:
    """A split that cannot be is named on stderr with exit code 2, nothing is on stdout, and there is no traceback."""
    ran = planner("backtest", log, *arguments)
    assert ran.code == 2
    assert says in ran.err
    assert "Traceback" not in ran.err
    assert ran.out == ""


def test_help_has_examples(planner: Callable[..., Any]) -> None:
    """``--help`` shows how it is called."""
    assert "planner backtest november --split 2026-11-20" in planner("backtest", "--help").out
