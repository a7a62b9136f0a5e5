"""``planner forget``: a user's rows go from everything, others stay, and doing it again changes nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer
from support.litellm_records import PAYLOAD
from typer.testing import CliRunner

from planner.cli.forget import forget
from planner.errors import InputError
from planner.labels import Labels
from planner.schema import TRAFFIC
from planner.traffic import Traffic, read
from planner.traffic.rows import identities

_USERS = ("ann", "bob", "ann.smith", "ann@example.com")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder with a log of four users, two lines of which are broken, read in full and redacted."""
    monkeypatch.chdir(tmp_path)
    rows = [{**PAYLOAD, "id": f"r{i}", "litellm_call_id": f"c{i}", "end_user": _USERS[i % 4]} for i in range(20)]
    lines = [json.dumps(r) for r in rows] + ['{"end_user": "ann", "id": ', '{"end_user": "bob", "id": ']
    (tmp_path / "log.jsonl").write_text("\n".join(lines), "utf-8")
    return tmp_path


def _run(*arguments: str) -> Any:
    app = typer.Typer()
    app.command()(forget)
    done = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def _rows(traffic: Traffic) -> pd.DataFrame:
    return traffic.frame(*TRAFFIC.names)


@pytest.mark.parametrize("redact", [False, True])
def test_the_rows_of_the_user_go_and_no_others(here: Path, redact: bool) -> None:
    """All five requests go, in a redacted log by the salt; longer names that hold the user's stay, and so does every other row."""
    before = read("log.jsonl", redact=redact)
    rows, aside = _rows(before), before.quarantine
    assert _run("ann")["rows"] == {"requests": 5, "set_aside": 0 if redact else 1, "labelled": 0}
    after = Traffic.open(before.folder)
    theirs = [f"r{i}" for i in range(0, 20, 4)]
    assert _rows(after).equals(rows[~rows["request_id"].isin(theirs)].reset_index(drop=True))
    assert len(after) == 15
    assert after.meta["quarantined"] == len(after.quarantine) == len(aside) - (not redact)
    assert after.hash != before.hash
    assert after.meta["forgotten"] == 5 + (not redact)


def test_rows_that_were_set_aside_go_by_whole_words(here: Path) -> None:
    """The broken line of the user goes; bob's stays."""
    folder = read("log.jsonl").folder
    _run("ann")
    assert Traffic.open(folder).quarantine["raw"].tolist() == ['{"end_user": "bob", "id": ']


def test_forgetting_again_changes_nothing(here: Path) -> None:
    """The second call finds no row and leaves every byte."""
    folder = read("log.jsonl").folder
    _run("ann")
    bytes_before = {f.name: f.read_bytes() for f in folder.iterdir() if f.is_file()}
    assert _run("ann")["rows"] == {"requests": 0, "set_aside": 0, "labelled": 0}
    assert {f.name: f.read_bytes() for f in folder.iterdir() if f.is_file()} == bytes_before


def test_what_was_derived_goes_with_the_old_rows(here: Path) -> None:
    """Arrays made before are made anew, as long as the new log."""
    traffic = read("log.jsonl")
    assert len(identities(traffic)["key"]) == 20
    _run("ann")
    assert not (traffic.folder / "derived").exists()
    assert len(identities(Traffic.open(traffic.folder))["key"]) == 15


def test_every_folder_below_is_searched(here: Path) -> None:
    """Two readings under --folder lose their rows, one elsewhere does not."""
    folders = [read("log.jsonl", out=here / name).folder for name in ("all/a", "all/deep/b", "other")]
    found = _run("bob", "--folder", "all")
    assert [(Path(f["folder"]).name, f["requests"]) for f in found["folders"]] == [("a", 5), ("b", 5)]
    assert [len(Traffic.open(f)) for f in folders] == [15, 15, 20]


def test_labels_lose_the_user_too(here: Path) -> None:
    """Items of the user go with all their outcomes, also in tables beside them; other files stay."""
    items = pd.DataFrame({"request_id": ["a", "b", "c"], "user": ["ann", "bob", None]})
    outcomes = pd.DataFrame({"request_id": [*"aabc"], "model": [*"mnmm"], "quality": [1.0, 0.0, 0.5, 1.0]})
    folder = Labels.of(items, outcomes).save(here / ".planner" / "labels")
    pd.DataFrame({"request_id": ["a", "b"], "reason": "x"}).to_parquet(folder / "ungraded.parquet")
    (folder / "notes.txt").write_text("kept", "utf-8")
    assert _run("ann")["rows"]["labelled"] == 1
    after = Labels.open(folder)
    assert after.items["request_id"].tolist() == ["b", "c"]
    assert after.outcomes["request_id"].tolist() == ["b", "c"]
    assert pd.read_parquet(folder / "ungraded.parquet")["request_id"].tolist() == ["b"]
    assert (folder / "notes.txt").read_text("utf-8") == "kept"
    assert after.meta["hash"] == after.hash
    assert _run("ann")["rows"]["labelled"] == 0


@pytest.mark.parametrize("left", [("old", "new"), ("old",), ("new", "")])
def test_a_killed_forget_is_brought_to_an_end(here: Path, left: Sequence[str]) -> None:
    """Whatever a kill between its renames leaves, the next call ends with one folder, whole, without the user."""
    folder = read("log.jsonl").folder
    whole = folder.rename(here / "kept")
    for suffix in left:
        shutil.copytree(whole, folder.with_name(f"{folder.name}.{suffix}") if suffix else folder)
    _run("ann")
    assert [f.name for f in folder.parent.iterdir()] == [folder.name]
    assert "ann" not in set(_rows(Traffic.open(folder))["user"])
    assert len(Traffic.open(folder)) == 15


def test_a_folder_that_is_not_there_is_an_error(here: Path) -> None:
    """The error names the folder and the option."""
    with pytest.raises(InputError, match="Say where with --folder"):
        _run("ann")
