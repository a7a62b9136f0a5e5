"""``planner join`` and what ``planner read`` does to a log, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from support.small import prompt, traffic_of
from typer.testing import CliRunner, Result

from planner.cli.join import join
from planner.cli.sessions import shaped, share_of, told
from planner.errors import InputError
from planner.traffic import Traffic

_WHEN = pd.date_range("2026-11-01", periods=6, freq="min", tz="UTC")


def _run(*arguments: str | Path) -> Result:
    app = typer.Typer()
    app.command()(join)
    return CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "100"})


@pytest.fixture
def logs(tmp_path: Path) -> tuple[Path, Path]:
    """Six calls: the gateway saw the first five, the tracer the last five, two of them under the gateway's ids."""
    calls = pd.DataFrame({"timestamp": _WHEN, "model": "gpt-5", "input_tokens": np.arange(1, 7), "output_tokens": 9})
    ids = [f"c{i}" for i in range(6)]
    traffic_of(tmp_path / "gateway", calls.assign(request_id=ids, source_cost_usd=1.0)[:5].to_dict("list"))
    traced = calls.assign(request_id=["c0", "c1", "c2", "x3", "x4", "x5"], quality=0.5, messages=prompt("q"), text_state="full")
    traffic_of(tmp_path / "tracer", traced[1:].to_dict("list"))
    return tmp_path / "gateway", tmp_path / "tracer"


def test_join_says_who_is_who(logs: tuple[Path, Path], tmp_path: Path) -> None:
    """The verb writes the joined log and says the counts and the paths it was given, in words and as JSON."""
    ran = _run(*logs, "--out", tmp_path / "both", "--quiet")
    assert ran.exit_code == 0, ran.output
    assert f"10 rows of {logs[0]} and {logs[1]} = 6 requests + 4 partners + 0 set aside." in " ".join(ran.stdout.split())
    assert "2  matched by id" in ran.stdout
    assert f"Next: planner audit {tmp_path / 'both'}" in ran.stdout
    assert max(map(len, ran.stdout.replace(str(tmp_path), "").splitlines())) <= 100
    told = json.loads(_run(*logs, "--out", tmp_path / "both", "--json").stdout)
    assert told["join"]["matched_by_id"] == 2
    assert told["join"]["matched_by_tokens"] == 2
    assert told["fields"]["quality"] == {"a": 0, "b": 5}
    assert len(Traffic.open(tmp_path / "both")) == 6


def test_join_refuses_in_one_sentence(logs: tuple[Path, Path], tmp_path: Path) -> None:
    """The same log twice is an InputError, and nothing is written."""
    ran = _run(logs[0], logs[0], "--out", tmp_path / "both")
    assert isinstance(ran.exception, InputError)
    assert not (tmp_path / "both").exists()


def test_shapes_of_a_read_log(tmp_path: Path) -> None:
    """Conversations are rebuilt before rows are drawn, the last step is at --out, and both are told."""
    turns = [[{"role": "user", "content": f"q{k}"}] for k in range(3)]
    more = [[*t, {"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}] for t in turns]
    columns = {
        "timestamp": _WHEN,
        "model": "m",
        "messages": [json.dumps(t) for t in (*turns, *more)],
        "response": "a",
        "text_state": "full",
    }
    log = traffic_of(tmp_path / "log", columns)
    found = shaped(log, tmp_path / "out", tmp_path / "passing", sessions=True, sample="100%", text_only=False, quiet=True)
    assert found.folder == tmp_path / "out"
    assert found.frame("session_id")["session_id"].tolist() == [f"rebuilt/r{i % 3}" for i in range(6)]
    first, second = told(found)
    assert "3 of 6 requests" in first.text
    assert "6 of 6 requests" in first.text
    assert second.value[0]["share"] == 1.0
    assert told(log) == []
    with pytest.raises(InputError, match="without --sample"):
        shaped(log, None, tmp_path, sessions=False, sample=None, text_only=True, quiet=True)


@pytest.mark.parametrize("text", ["0%", "200%", "two", "-1", "", "%"])
def test_a_share_that_is_none(text: str) -> None:
    """What is no share is refused with an example."""
    with pytest.raises(InputError, match=r"2%"):
        share_of(text)
