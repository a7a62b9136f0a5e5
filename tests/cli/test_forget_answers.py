"""``planner forget`` in the answers of production: the user's lines go, no line of others is lost, also of those written meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.forgetting import forgotten

from planner.labels.journal import lines
from planner.labels.mirrored import mirror_files, mirrored_work
from planner.router.guard_files import append
from planner.router.mirror import Mirror, Today
from planner.traffic.written import noted

DAY = "2026-11-03"


@pytest.fixture
def production(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work beside an exported folder in which a mirror wrote twelve pairs of three users."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "far" / "production"
    folder.mkdir(parents=True)
    (folder / "rollout.json").write_text("{}", "utf-8")
    mirror = Mirror(folder / "state")
    for i in range(12):
        write(mirror, f"r{i}", ("ann", "bob", "ann.smith")[i % 3])
    return folder


def write(mirror: Mirror, request: str, user: str) -> None:
    """Keep a pair as the hook does."""
    answer = {"choices": [{"message": {"role": "assistant", "content": f"secret of {user}"}}]}
    found = {
        "status": "ok",
        "model": "mini",
        "cost_pusd": 1,
        "evidence": "measured",
        "body": answer,
        "at_most_pusd": 2,
        "provider": "openai",
    }
    asked = {"app": "chat", "id": request, "session": None, "user": user, "messages": [{"role": "user", "content": f"I am {user}"}]}
    mirror._keep(DAY, found, asked, Today(request, "large", answer, user=user))


def asked(folder: Path) -> list[str]:
    """Return the requests whose pairs are still there."""
    return [line["request"]["id"] for file in mirror_files(folder / "state" / "mirror") for _, _, line in lines(file) if line]


def test_the_answers_of_the_user_go_and_those_of_others_stay(production: Path) -> None:
    """Four of twelve lines go, counted; names that hold the user's stay; what is left is ingested as before; again changes nothing."""
    (file,) = mirror_files(production / "state" / "mirror")
    size = file.stat().st_size
    found = forgotten("ann", "--folder", str(production))
    assert found["rows"] == {"requests": 0, "set_aside": 0, "labelled": 0, "answers": 4}
    assert asked(production) == [f"r{i}" for i in range(12) if i % 3]
    assert (b'secret of ann"' in file.read_bytes(), file.stat().st_size) == (False, size)
    assert "forget again then" in found["notes"][0]
    assert len(mirrored_work([file]).items) == 8
    assert forgotten("ann", "--folder", str(production))["rows"]["answers"] == 0
    os.utime(file, (0, 0))
    assert [len(forgotten(user, "--folder", str(production))["notes"]) for user in ("ann.smith", "ann")] == [1, 1]
    assert forgotten("bob", "--folder", str(production / "state" / "mirror"))["rows"]["answers"] == 4


def test_an_exported_folder_on_the_list_is_found_unnamed(production: Path) -> None:
    """One that was listed when it was written is searched without --folder; without any answers it is not said to be gone."""
    noted(production)
    assert forgotten("ann")["rows"]["answers"] == 4
    (production / "state" / "mirror" / f"answers-{DAY}.jsonl").unlink()
    assert forgotten("ann")["gone"] == []


def test_a_line_that_was_broken_off_goes_where_it_names_the_user(production: Path) -> None:
    """Half a line of ann's goes, one of bob's stays, and what is appended afterwards is whole."""
    (file,) = mirror_files(production / "state" / "mirror")
    for user in ("bob", "ann"):
        append(file, f'{{"event": "end", "request": {{"user": "{user}", "mess')
    with file.open("r+b") as torn:
        torn.truncate(file.stat().st_size - 1)
    assert forgotten("ann", "--folder", str(production))["rows"]["answers"] == 5
    write(Mirror(production / "state"), "later", "bob")
    assert asked(production)[-1] == "later"
    assert b'"user": "bob", "mess' in file.read_bytes()
    assert b'"user": "ann"' not in file.read_bytes()


_APPENDS = """
import json, sys
from pathlib import Path
from planner.router.guard_files import append
for i in range(3_000):
    user = ("ann", "bob")[i % 2]
    line = {"event": "end", "ask": str(i), "request": {"id": f"m{i}", "user": user}, "text": "x" * 2_000}
    append(Path(sys.argv[1]), json.dumps(line))
"""


def test_nothing_that_is_written_meanwhile_is_lost(production: Path) -> None:
    """A process appends while the user is forgotten over and over: every line of others is there, whole, in order; the user is gone."""
    (file,) = mirror_files(production / "state" / "mirror")
    hook = subprocess.Popen([sys.executable, "-c", _APPENDS, str(file)])
    gone, times = 0, 0
    while hook.poll() is None:
        gone += forgotten("ann", "--folder", str(production))["rows"]["answers"]
        times += 1
    gone += forgotten("ann", "--folder", str(production))["rows"]["answers"]
    assert hook.returncode == 0
    assert times >= 2
    assert gone == 4 + 1_500
    assert asked(production) == [f"r{i}" for i in range(12) if i % 3] + [f"m{i}" for i in range(1, 3_000, 2)]
    assert all(line is not None for _, _, line in lines(file))


def test_files_of_others_with_the_same_name_stay(production: Path) -> None:
    """A stranger's file of answers is as it was, whatever it says of the user."""
    theirs = production.parent / "other" / "mirror" / f"answers-{DAY}.jsonl"
    theirs.parent.mkdir(parents=True)
    theirs.write_text('{"user": "ann"}\nann\n', "utf-8")
    assert forgotten("ann", "--folder", str(production.parent))["rows"]["answers"] == 4
    assert theirs.read_text("utf-8") == '{"user": "ann"}\nann\n'
