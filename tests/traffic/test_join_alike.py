"""Two logs are joined only when they were drawn and redacted alike, and the joined one says how."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.small import prompt, traffic_of
from typer.testing import CliRunner

from planner.cli.app import app
from planner.errors import InputError
from planner.schema import TRAFFIC
from planner.traffic import Traffic, needs_every_row, read, sampled
from planner.traffic.join import join
from planner.traffic.sessions import rebuilt

N = 600


def _log(folder: Path, **columns: Any) -> Traffic:
    """Write N calls of 60 users."""
    rng = np.random.default_rng(0)
    made = {"model": "gpt-5-mini", "input_tokens": rng.integers(1, 9_000, N), "user": [f"u{k}" for k in rng.integers(0, 60, N)]}
    return traffic_of(folder, {**made, "request_id": [f"{folder.name}{i}" for i in range(N)], **columns})


@pytest.fixture
def logs(tmp_path: Path) -> tuple[Traffic, Traffic]:
    """Write the same calls as a gateway and a tracer log them."""
    text = {"messages": [prompt(f"q {i}") for i in range(N)], "response": "a", "text_state": "full"}
    return _log(tmp_path / "a", source_cost_usd=0.5), _log(tmp_path / "b", quality=1.0, **text)


def test_a_sample_is_not_joined_with_the_whole(logs: tuple[Traffic, Traffic], tmp_path: Path) -> None:
    """A sample beside the whole log, another share or another seed is refused in either order: 5 % of the calls would count 20 times."""
    a, b = logs
    part = sampled(a, 0.2, tmp_path / "part")
    other = sampled(b, 0.2, tmp_path / "other", seed=1)
    for one, two in ((part, b), (b, part), (part, other), (part, sampled(b, 0.3, tmp_path / "more"))):
        with pytest.raises(InputError, match=r"up to [35](\.333)? requests, and .* was not drawn so.*planner read JOINED --sample"):
            join(one, two, tmp_path / "joined")
    assert not (tmp_path / "joined").exists()


def test_one_draw_of_both_is_joined_and_stays_a_sample(logs: tuple[Traffic, Traffic], tmp_path: Path) -> None:
    """Samples by one share and seed are the sample of the joined log: its rows, its weights, and that levers need the rest of it."""
    a, b = (sampled(log, 0.2, tmp_path / f"{log.folder.name}-part") for log in logs)
    joined = join(a, b, tmp_path / "joined")
    whole = sampled(join(*logs, tmp_path / "whole"), 0.2, tmp_path / "whole-part")
    columns = ("request_id", "weight", "source_cost_usd", "quality")
    pd.testing.assert_frame_equal(joined.frame(*columns), whole.frame(*columns))
    assert joined.meta["samples"] == a.meta["samples"]
    assert len(needs_every_row(joined, ["exact_cache"])) == 1


def test_one_draw_of_other_users_is_refused(logs: tuple[Traffic, Traffic], tmp_path: Path) -> None:
    """One share and seed of logs that name users differently draws different calls: a pair that is in both by luck gives it away."""
    a, _ = logs
    named = a.frame("user")["user"]
    some = _log(tmp_path / "some", user=np.where(named == "u7", "ann", named))
    a, b = (sampled(log, 0.99, tmp_path / f"{log.folder.name}-part") for log in (a, some))
    assert {"u7", "ann"} <= {*a.frame("user")["user"], *b.frame("user")["user"]}
    with pytest.raises(InputError, match=r"of \d+ calls that are in both were drawn by another user or conversation"):
        join(a, b, tmp_path / "joined")


def test_weights_of_unknown_origin_are_refused(logs: tuple[Traffic, Traffic], tmp_path: Path) -> None:
    """A log whose rows stand for several calls, without saying by which draw, is joined to nothing."""
    heavy = _log(tmp_path / "heavy", weight=2.0)
    with pytest.raises(InputError, match="up to 2 requests"):
        join(heavy, logs[1], tmp_path / "joined")


@pytest.mark.parametrize("first", [True, False])
def test_sampled_texts_stay_said(logs: tuple[Traffic, Traffic], tmp_path: Path, first: bool) -> None:
    """Where one of the two kept the text of a share, the joined log says so, and a cache is not simulated on it; two shares are refused."""
    a, b = logs
    texts = sampled(b, 0.3, tmp_path / "texts", text_only=True)
    joined = join(a, texts, tmp_path / "joined") if not first else join(texts, a, tmp_path / "joined")
    assert [s.split(";")[1] for s in needs_every_row(joined, ["exact_cache"])] == [" this log kept that of 30.00%."]
    with pytest.raises(InputError, match="other texts were kept"):
        join(sampled(a, 0.5, tmp_path / "half", text_only=True), texts, tmp_path / "none")


def test_rebuilt_conversations_stay_said(logs: tuple[Traffic, Traffic], tmp_path: Path) -> None:
    """A joined log says that the conversations of its second log were rebuilt."""
    a, b = logs
    b = rebuilt(b, tmp_path / "rebuilt")
    assert join(a, b, tmp_path / "joined").meta["sessions"] == b.meta["sessions"]


def _lines(path: Path, **more: Any) -> Path:
    calls = [
        {"request_id": f"c{i}", "timestamp": f"2026-11-01T00:{i:02d}:00Z", "model": "gpt-5", "input_tokens": i + 1, "user": "ann", **more}
        for i in range(9)
    ]
    path.write_text("".join(json.dumps(c) + "\n" for c in calls), "utf-8")
    return path


def test_redacted_logs_are_joined_into_a_redacted_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two redacted logs make one that says it is; beside one that is not, neither users nor texts would be what they seem: refused."""
    monkeypatch.chdir(tmp_path)
    files = _lines(tmp_path / "a.jsonl"), _lines(tmp_path / "b.jsonl", messages=json.loads(prompt("I am ann@example.com")))
    for redact in (True, False):
        for file in files:
            read(
                file, out=f"{file.stem}-{redact}", redact=redact, mapping={"messages": "messages"} if file.stem == "b" else None, text=True
            )
    opened = {f"{n}-{r}": Traffic.open(f"{n}-{r}") for n in "ab" for r in (True, False)}
    joined = join(opened["a-True"], opened["b-True"], tmp_path / "joined")
    assert (joined.meta["redacted"], opened["a-False"].meta["redacted"]) == (True, False)
    assert set(joined.frame("user")["user"]) == set(opened["a-True"].frame("user")["user"]) != {"ann"}
    rows = str(joined.arrow(*TRAFFIC.names).to_pylist())
    assert "I am <EMAIL>" in rows
    assert "ann" not in rows
    for one, two in (("a-True", "b-False"), ("a-False", "b-True")):
        with pytest.raises(InputError, match=r"which is redacted, and .*which is not.*--redact"):
            join(opened[one], opened[two], tmp_path / "none")
    assert join(opened["a-False"], opened["b-False"], tmp_path / "plain").meta["redacted"] is False


def test_the_command_reads_logs_redacted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``planner join A B --redact`` reads both logs so; a folder that was read without is refused, not copied as it is."""
    monkeypatch.chdir(tmp_path)
    a, b = _lines(tmp_path / "a.jsonl"), _lines(tmp_path / "b.jsonl", quality=1.0)
    done = CliRunner().invoke(app, ["join", str(a), str(b), "--out", "joined", "--redact", "--quiet"])
    assert done.exit_code == 0, done.output
    assert Traffic.open("joined").meta["redacted"] is True
    assert "ann" not in set(Traffic.open("joined").frame("user")["user"])
    read(a, out="plain", text=True)
    refused = CliRunner().invoke(app, ["join", "plain", str(b), "--out", "again", "--redact", "--quiet"])
    assert refused.exit_code != 0
    assert not (tmp_path / "again").exists()
