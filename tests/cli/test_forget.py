"""``planner forget``: a user's rows go from everything, others stay, strangers' folders too, and doing it again changes nothing."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import typer
from support.forgetting import forgotten
from support.litellm_records import PAYLOAD
from typer.testing import CliRunner

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


def _told(folder: Path) -> str:
    """Return all that is stored in a folder of Traffic, as text, with escapes as they are."""
    traffic = Traffic.open(folder)
    return _rows(traffic).to_csv() + "\n".join(traffic.quarantine.astype(str).sum(axis=1)) + (folder / "traffic.json").read_text("utf-8")


def _rows(traffic: Traffic) -> pd.DataFrame:
    return traffic.frame(*TRAFFIC.names)


@pytest.mark.parametrize("redact", [False, True])
def test_the_rows_of_the_user_go_and_no_others(here: Path, redact: bool) -> None:
    """All five requests go, in a redacted log by the salt; longer names that hold the user's stay, and so does every other row."""
    before = read("log.jsonl", redact=redact, text=True)
    rows, aside = _rows(before), before.quarantine
    assert forgotten("ann")["rows"] == {"requests": 5, "set_aside": 0 if redact else 1, "labelled": 0, "answers": 0}
    after = Traffic.open(before.folder)
    theirs = [f"r{i}" for i in range(0, 20, 4)]
    assert _rows(after).equals(rows[~rows["request_id"].isin(theirs)].reset_index(drop=True))
    assert len(after) == 15
    assert after.meta["quarantined"] == len(after.quarantine) == len(aside) - (not redact)
    assert after.hash != before.hash
    assert after.meta["forgotten"] == 5 + (not redact)


def test_rows_that_were_set_aside_go_by_whole_words(here: Path) -> None:
    """The broken line of the user goes; bob's stays."""
    folder = read("log.jsonl", text=True).folder
    forgotten("ann")
    assert Traffic.open(folder).quarantine["raw"].tolist() == ['{"end_user": "bob", "id": ']


def test_forgetting_again_changes_nothing(here: Path) -> None:
    """The second call finds no row and leaves every byte."""
    folder = read("log.jsonl", text=True).folder
    forgotten("ann")
    bytes_before = {f.name: f.read_bytes() for f in folder.iterdir() if f.is_file()}
    assert forgotten("ann")["rows"] == {"requests": 0, "set_aside": 0, "labelled": 0, "answers": 0}
    assert {f.name: f.read_bytes() for f in folder.iterdir() if f.is_file()} == bytes_before


def test_what_was_derived_goes_with_the_old_rows(here: Path) -> None:
    """Arrays made before are made anew, as long as the new log."""
    traffic = read("log.jsonl", text=True)
    assert len(identities(traffic)["key"]) == 20
    forgotten("ann")
    assert not (traffic.folder / "derived").exists()
    assert len(identities(Traffic.open(traffic.folder))["key"]) == 15


def test_every_folder_below_is_searched(here: Path) -> None:
    """Two readings under --folder lose their rows, one elsewhere does not."""
    folders = [read("log.jsonl", out=here / name, text=True).folder for name in ("all/a", "all/deep/b", "other")]
    found = forgotten("bob", "--folder", "all")
    assert [(Path(f["folder"]).name, f["requests"]) for f in found["folders"]] == [("a", 5), ("b", 5)]
    assert [len(Traffic.open(f)) for f in folders] == [15, 15, 20]


def test_labels_lose_the_user_too(here: Path) -> None:
    """Items of the user go with all their outcomes, also in tables beside them; other files stay."""
    items = pd.DataFrame({"request_id": ["a", "b", "c"], "user": ["ann", "bob", None]})
    outcomes = pd.DataFrame({"request_id": [*"aabc"], "model": [*"mnmm"], "quality": [1.0, 0.0, 0.5, 1.0]})
    folder = Labels.of(items, outcomes).save(here / ".planner" / "labels")
    pd.DataFrame({"request_id": ["a", "b"], "reason": "x"}).to_parquet(folder / "ungraded.parquet")
    (folder / "notes.txt").write_text("kept", "utf-8")
    assert forgotten("ann")["rows"]["labelled"] == 1
    after = Labels.open(folder)
    assert after.items["request_id"].tolist() == ["b", "c"]
    assert after.outcomes["request_id"].tolist() == ["b", "c"]
    assert pd.read_parquet(folder / "ungraded.parquet")["request_id"].tolist() == ["b"]
    assert (folder / "notes.txt").read_text("utf-8") == "kept"
    assert after.meta["hash"] == after.hash
    assert forgotten("ann")["rows"]["labelled"] == 0


@pytest.mark.parametrize("user", ["Jörg", "CORP\\ann", 'o"hara', "ann/7 of sales", "李"])
def test_rows_that_were_set_aside_go_however_the_name_is_escaped(here: Path, user: str) -> None:
    """JSON escapes, JSON inside JSON, CSV's doubled quotes and Python's own text hide no name; who is named like it stays."""
    rows = [{**PAYLOAD, "id": f"r{i}", "end_user": who, "total_tokens": 5} for i, who in enumerate([user, f"x{user}", "bob"])]
    texts = [json.dumps(r, ensure_ascii=ascii_only) for r in rows for ascii_only in (True, False)]
    sent = {"requester_metadata": {"user": user}}
    twice = [json.dumps({**rows[2], "metadata": json.dumps(json.dumps(sent))}), json.dumps({**rows[2], "prompt_tokens": {"of": user}})]
    sound = json.dumps({**PAYLOAD, "id": "sound", "end_user": "bob"})
    (here / "log.jsonl").write_text("\n".join([sound, *texts, *twice]), "utf-8")
    folder = read("log.jsonl", text=True).folder
    assert forgotten(user)["rows"] == {"requests": 0, "set_aside": 4, "labelled": 0, "answers": 0}
    left = Traffic.open(folder).quarantine
    assert left["line"].tolist() == [4, 5, 6, 7]
    pd.DataFrame({"request_id": ["a", "b"], "timestamp": ["2026-11-03", "x"], "model": "m", "user": ["bob", user]}).to_csv("log.csv")
    folder = read("log.csv", text=True).folder
    assert len(Traffic.open(folder).quarantine) == 1
    forgotten(user)
    assert Traffic.open(folder).quarantine.empty


def test_the_header_says_nothing_of_the_user_and_adds_up(here: Path) -> None:
    """Reasons are counted anew from what is left, times are those of others, and what is left and what went are what was read."""
    rows = [{**PAYLOAD, "id": n, "end_user": who, "startTime": PAYLOAD["startTime"] + i, "endTime": PAYLOAD["endTime"] + i} for i, (n, who)
            in enumerate([("ann/1", "ann"), ("ann/1", "ann"), ("x", "bob"), ("x", "bob"), ("y", "ann")])]  # fmt: skip
    (here / "ann.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows[:2]), "utf-8")
    (here / "bob.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows[2:]), "utf-8")
    folder = read(["ann.jsonl", "bob.jsonl"], text=True).folder
    forgotten("ann")
    meta = Traffic.open(folder).meta
    assert not re.search(r"\bann\b", _told(folder))
    assert meta["reasons"] == {"request_id 'x' again; the first one is kept": 1}
    assert meta["first"] == meta["last"] == Traffic.open(folder).frame("timestamp")["timestamp"][0].isoformat()
    assert meta["accepted"] + meta["quarantined"] + meta["forgotten"] == sum(n for f in meta["files"].values() for n in f.values()) == 5


def test_reading_a_folder_again_tells_what_was_forgotten(here: Path) -> None:
    """The counts that planner read shows of such a folder are not below zero, and say how many rows went."""
    from planner.cli.read import read as verb

    folder = read("log.jsonl", text=True).folder
    forgotten("ann")
    app = typer.Typer()
    app.command()(verb)
    said = CliRunner().invoke(app, [str(folder)], env={"COLUMNS": "100"}).stdout
    assert "15 requests accepted + 1 rows set aside (quarantine); 6 rows were forgotten" in " ".join(said.split())
    assert "-" not in "".join(line[:9] for line in said.splitlines() if "other reasons" in line)


def test_folders_that_others_named_are_left_alone(here: Path) -> None:
    """Folders whose names end like a work folder of ours, and whatever else lies in and beside a log, are as they were."""
    for name in ("november", "november.old", "october.old", "client.new", "november/deeper"):
        read("log.jsonl", out=here / "logs" / name, text=True)
    stray = here / "logs" / "november" / ".planner-forget"
    stray.mkdir()
    (stray / "notes.txt").write_text("mine", "utf-8")
    (here / "logs" / "client.new" / "notes.txt").write_text("theirs", "utf-8")
    shutil.copy(here / "log.jsonl", here / "logs" / "november" / "log.jsonl")
    before = {p: p.read_bytes() for p in (here / "logs").rglob("*") if p.is_file()}
    forgotten("nobody", "--folder", "logs")
    assert {p: p.read_bytes() for p in (here / "logs").rglob("*") if p.is_file()} == before
    (stray / "notes.txt").rename(here / "notes.txt")
    found = forgotten("ann", "--folder", "logs")
    assert [f["requests"] for f in found["folders"]] == [5] * 5
    assert (here / "logs" / "client.new" / "notes.txt").read_text("utf-8") == "theirs"
    assert (here / "logs" / "november" / "log.jsonl").exists()
    assert len(Traffic.open(here / "logs" / "november" / "deeper")) == 15


def test_a_strangers_header_stops_nothing(here: Path) -> None:
    """A traffic.json of somebody else is named and passed over; one of ours that cannot be read is, too, and the exit code says so."""
    for name in ("a", "b", "c"):
        read("log.jsonl", out=here / "logs" / name, text=True)
    (here / "logs" / "a-other").mkdir()
    (here / "logs" / "a-other" / "traffic.json").write_text('{"ads": 1}', "utf-8")
    found = forgotten("ann", "--folder", "logs")
    assert [f["requests"] for f in found["folders"]] == [5, 5, 5]
    assert [Path(s["folder"]).name for s in found["skipped"]] == ["a-other"]
    (here / "logs" / "b" / "traffic.parquet").write_bytes(b"no Parquet")
    found = forgotten("bob", "--folder", "logs", code=1)
    assert [Path(f["folder"]).name for f in found["folders"]] == ["a", "c"]
    assert [Path(s["folder"]).name for s in found["skipped"]] == ["a-other", "b"]


def test_folders_that_were_written_elsewhere_are_found(here: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without --folder everything written from here is searched, wherever; what is no longer there is told, what was paid for named."""
    far = tmp_path_factory.mktemp("far")
    inside, outside, moved = read("log.jsonl", text=True).folder, far / "outside", far / "moved"
    for out in (outside, moved):
        read("log.jsonl", out=out, text=True)
    items = pd.DataFrame({"request_id": ["a"], "user": ["ann"]})
    outcomes = pd.DataFrame({"request_id": ["a"], "model": ["m"], "quality": [1.0]})
    labels = Labels.of(pd.concat([items, pd.DataFrame({"request_id": ["b"], "user": ["bob"]})]), outcomes).save(far / "labels")
    shutil.rmtree(moved)
    found = forgotten("ann")
    assert {f["folder"]: (f["requests"], f["labelled"]) for f in found["folders"]} == {
        str(inside): (5, 0),
        str(outside): (5, 0),
        str(labels): (0, 1),
    }
    assert found["gone"] == [str(moved)]
    assert len(Traffic.open(outside)) == 15


#: Forgets a user and kills its own process before step N on files of the folder and of the work in it.
_KILLED = """
import os, signal, sys
from pathlib import Path
from planner.traffic import Traffic
from planner.traffic.forget import forget_in

folder, left = Path(sys.argv[1]), int(sys.argv[2])

def counted(real):
    def step(path, *rest, **more):
        global left
        if folder in path.parents:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return real(path, *rest, **more)
    return step

Path.unlink, Path.replace, Path.touch = map(counted, (Path.unlink, Path.replace, Path.touch))
forget_in(Traffic.open(folder), ("ann",))
"""
#: Steps of a forget: three new files are made, the header twice, the mark that they are whole; the old header goes, three files move.
_STEPS = 14


@pytest.mark.parametrize("steps", range(_STEPS + 1))
def test_a_killed_forget_is_brought_to_an_end(here: Path, steps: int) -> None:
    """Wherever it is killed, the folder is the old one, whole, or none that can be opened; the next call ends with the user gone."""
    folder = read("log.jsonl", text=True).folder
    whole = _rows(Traffic.open(folder))
    identities(Traffic.open(folder))
    done = subprocess.run([sys.executable, "-c", _KILLED, str(folder.resolve()), str(steps)], check=False, capture_output=True, text=True)
    assert done.returncode == (-signal.SIGKILL if steps < _STEPS else 0), done.stderr
    if (folder / "traffic.json").exists() and steps < _STEPS:
        assert _rows(Traffic.open(folder)).equals(whole)
    forgotten("ann")
    assert [f.name for f in folder.parent.iterdir()] == [folder.name]
    assert sorted(f.name for f in folder.iterdir() if f.name != "derived") == ["quarantine.parquet", "traffic.json", "traffic.parquet"]
    assert len(Traffic.open(folder)) == len(identities(Traffic.open(folder))["key"]) == 15
    assert "ann" not in set(_rows(Traffic.open(folder))["user"])


def test_a_folder_that_is_not_there_is_an_error(here: Path) -> None:
    """The error names the folder and the option."""
    with pytest.raises(InputError, match="Say where with --folder"):
        forgotten("ann")
