"""``planner forget`` and readings that are not over: what they left goes as a whole, and nothing of anybody else's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from support.forgetting import forgotten
from support.litellm_records import PAYLOAD

from planner.errors import InputError
from planner.traffic import Traffic, read

_USERS = ("ann", "bob", "ann.smith", "ann@example.com")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder with a log of four users."""
    monkeypatch.chdir(tmp_path)
    rows = [{**PAYLOAD, "id": f"r{i}", "litellm_call_id": f"c{i}", "end_user": _USERS[i % 4]} for i in range(20)]
    (tmp_path / "log.jsonl").write_text("\n".join(json.dumps(r) for r in rows), "utf-8")
    return tmp_path


#: Reads a log into a folder, what was converted kept from the first byte on, and ends in the middle: by a kill, or by Ctrl-C.
_BROKEN_OFF = """
import os, signal, sys
import planner.traffic.read, planner.traffic.streams as streams
from planner.traffic import read
sys.modules["planner.traffic.read"]._KEPT_BYTES, streams._BLOCK_BYTES = 0, 2_000

def end(rows):
    if sys.argv[2] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    raise KeyboardInterrupt

read("log.jsonl", out=sys.argv[1], rows_done=end)
"""


#: Reads a log into a folder, what was converted kept from the first byte on, and waits in the middle for a word.
_WAITS = (
    _BROKEN_OFF.split("def end")[0]
    + """
def wait(rows):
    print("here", flush=True)
    sys.stdin.readline()

read("log.jsonl", out=sys.argv[1], rows_done=wait)
"""
)


def _bytes_of(user: str, folder: Path) -> list[Path]:
    """Return the files below ``folder`` in which ``user`` can be found: as they are, or as one column of a file of Arrow."""
    found = []
    for path in (p for p in folder.rglob("*") if p.is_file()):
        content = path.read_bytes()
        if path.suffix == ".arrow":
            content += pa.ipc.open_file(content).read_all().to_pandas().to_csv().encode()
        found += [path] if user.encode() in content else []
    return found


@pytest.mark.parametrize("how", ["kill", "interrupt"])
def test_what_a_broken_off_reading_left_is_removed(here: Path, how: str) -> None:
    """Half-written rows and converted pieces go, here and in listed folders, and are named; the next reading begins anew."""
    outs = (here / ".planner" / "traffic" / "inside", here / "outside")
    for out in outs:
        done = subprocess.run([sys.executable, "-c", _BROKEN_OFF, str(out), how], check=False, capture_output=True)
        assert done.returncode != 0
        assert _bytes_of("ann.smith", out / "parts")
        assert (out / "traffic.parquet").exists() == (how == "kill")
    found = forgotten("ann.smith")
    assert [Path(f).name for f in found["removed"]] == ["inside", "outside"]
    assert "broken off" in found["notes"][0]
    assert [list(out.iterdir()) for out in outs] == [[], []]
    for out in outs:
        assert len(read("log.jsonl", out=out, text=True)) == 20
    assert forgotten("ann.smith")["rows"]["requests"] == 10
    assert forgotten("ann.smith")["removed"] == []


def test_pieces_beside_a_log_that_is_whole_are_removed(here: Path) -> None:
    """A reading that was killed between its header and the last of its pieces leaves a log: it loses its rows, and the pieces."""
    out = here / ".planner" / "traffic" / "log"
    subprocess.run([sys.executable, "-c", _BROKEN_OFF, str(out), "interrupt"], check=False, capture_output=True)
    (out / "parts").rename(here / "parts")
    read("log.jsonl", out=out, text=True)
    (here / "parts").rename(out / "parts")
    found = forgotten("ann.smith")
    assert (found["rows"]["requests"], len(found["removed"])) == (5, 1)
    assert len(Traffic.open(out)) == 15
    assert not (out / "parts").exists()


def test_a_reading_under_way_is_left_alone_and_named(here: Path) -> None:
    """Forgetting anybody meanwhile ends with code 1 and says to do it again; the reading ends well, and then it is done."""
    told = []
    traffic = read("log.jsonl", out=here / "out", rows_done=lambda _: told.append(forgotten("ann", code=1)), text=True)
    assert len(traffic) == 20
    assert [(Path(s["folder"]).name, s["reason"]) for s in told[0]["skipped"]] == [
        ("out", "A reading is under way there; forget again when it is over.")
    ]
    assert told[0]["removed"] == []
    assert forgotten("ann")["rows"]["requests"] == 5
    assert len(Traffic.open(here / "out")) == 15


def test_pieces_of_a_reading_under_way_elsewhere_stay(here: Path) -> None:
    """A reading in another process keeps its pieces, and goes on from them; killed, its pieces go."""
    out = here / "out"
    reading = subprocess.Popen([sys.executable, "-c", _WAITS, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert reading.stdin is not None
    assert reading.stdout is not None
    assert reading.stdout.readline() == "here\n"
    before = sorted(out.rglob("*"))
    assert (out / "parts").is_dir()
    assert [Path(s["folder"]).name for s in forgotten("ann.smith", code=1)["skipped"]] == ["out"]
    assert sorted(out.rglob("*")) == before
    with pytest.raises(InputError, match="which is being written"):
        read("log.jsonl", out=out, text=True)
    reading.kill()
    reading.communicate()
    assert [Path(f).name for f in forgotten("ann.smith")["removed"]] == ["out"]
    assert list(out.iterdir()) == []


def test_files_of_others_are_no_broken_off_reading(here: Path) -> None:
    """Tables and folders of strangers with the names of ours stay, however they lie together."""
    for name in ("a", "b/parts", "c/parts"):
        (here / "logs" / name).mkdir(parents=True)
    for name in ("traffic", "quarantine"):
        pd.DataFrame({"user": ["ann"]}).to_parquet(here / "logs" / "a" / f"{name}.parquet")
    (here / "logs" / "b" / "parts" / "ann.arrow").write_text("theirs", "utf-8")
    (here / "logs" / "c" / "parts" / "key").write_text("theirs", "utf-8")
    (here / "logs" / "c" / "parts" / "ann.txt").write_text("theirs", "utf-8")
    before = sorted((here / "logs").rglob("*"))
    assert forgotten("ann", "--folder", "logs")["removed"] == []
    assert sorted((here / "logs").rglob("*")) == before
