"""Tallies: what many processes count adds up, whoever dies, whatever is damaged, and in memory that does not grow."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.router.guard_bounds import Count
from planner.router.guard_windows import Window, Windows
from planner.router.tallies import SCALES, Outcome, Tallies

NOW = {"chat": Window("m", 1, 1)}


class Told:
    """Keeps what a file's user was told of failures."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()

    def __call__(self, event: str, error: Exception) -> None:
        """Count one."""
        self.events[event] += 1


def tallies(folder: Path, worker: str, told: Told | None = None) -> Tallies:
    """Return the tallies of a process that counts for one app."""
    found = Tallies(folder, worker, told or Told())
    found.begin(NOW)
    return found


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["routed", "control"]), st.sampled_from("ab"), st.booleans(), st.booleans())))
def test_the_counts_of_all_add_up(tmp_path_factory: pytest.TempPathFactory, seen: list[tuple[int, str, str, bool, bool]]) -> None:
    """Whoever counts what in which order, writing now and then: in the end each process reads the same sums, equal to a plain count."""
    folder = tmp_path_factory.mktemp("counts")
    workers = [tallies(folder, f"w{k}") for k in range(3)]
    plain: dict[str, Count] = {}
    for who, arm, metric, hit, write in seen:
        workers[who].add("chat", arm, {metric: hit})
        plain[f"{arm} {metric}"] = plain.get(f"{arm} {metric}", Count()).plus(Count(1, int(hit)))
        if write:
            workers[who].flush()
    for worker in workers:
        worker.flush()
    for worker in workers:
        worker.read()
        assert worker.of("chat", NOW["chat"]) == dict.fromkeys(SCALES, plain)


def test_what_a_killed_process_wrote_stays_and_its_successor_adds_to_it(tmp_path: Path) -> None:
    """A process that is killed after its last write loses nothing of it; a new one under the same pid but another name counts on."""
    code = """
import os, signal, sys
from pathlib import Path
from planner.router.guard_windows import Window
from planner.router.tallies import Tallies
counted = Tallies(Path(sys.argv[1]), f"{os.getpid()}-a", print)
counted.begin({"chat": Window("m", 1, 1)})
for _ in range(100):
    counted.add("chat", "routed", {"error": True})
counted.flush()
counted.add("chat", "routed", {"error": True})
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    successor = tallies(tmp_path, "b")
    successor.add("chat", "routed", {"error": False})
    successor.read()
    assert successor.of("chat", NOW["chat"])["start"] == {"routed error": Count(101, 100)}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]]", "[[1]]", '{"a": 1}', '[["chat", "start", 1, {"routed error": [1, 2]}]]', "\x00" * 40, "[" * 5_000, "1" * (2 << 20)],
)
def test_a_damaged_file_keeps_what_was_read_from_it_last(tmp_path: Path, text: str) -> None:
    """Damage is counted once a change, the last good counts stay, and the next whole file replaces them."""
    told = Told()
    one, two = tallies(tmp_path, "one", told), tallies(tmp_path, "two")
    two.add("chat", "routed", {"error": True})
    two.flush()
    one.read()
    two.path.write_text(text, "utf-8")
    for _ in range(3):
        one.read()
    assert one.of("chat", NOW["chat"])["start"] == {"routed error": Count(1, 1)}
    assert told.events == {"counts unreadable": 1}
    two.add("chat", "routed", {"error": False})
    two.flush()
    one.read()
    assert one.of("chat", NOW["chat"])["start"] == {"routed error": Count(2, 1)}


def test_where_nothing_can_be_written_counts_stay_in_memory(tmp_path: Path) -> None:
    """A file in the folder's place: each try is counted, nothing is lost, and all is written as soon as there is room."""
    folder, told = tmp_path / "counts", Told()
    folder.write_text("", "utf-8")
    one = tallies(folder, "one", told)
    one.add("chat", "routed", {"error": True})
    one.flush()
    one.flush()
    assert told.events == {"counts not written": 2}
    assert one.of("chat", NOW["chat"])["start"] == {"routed error": Count(1, 1)}
    folder.unlink()
    one.flush()
    two = tallies(folder, "two")
    two.read()
    assert two.of("chat", NOW["chat"])["start"] == {"routed error": Count(1, 1)}
    assert one.path.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_counts_of_another_start_or_window_do_not_belong(tmp_path: Path) -> None:
    """A new window or short window drops its own counts alone, a new start all, in the own counts and in what others left."""
    one, two = tallies(tmp_path, "one"), tallies(tmp_path, "two")
    for worker in (one, two):
        worker.add("chat", "routed", {"error": True})
        worker.flush()
    windows = {Window("m", 1, 2, 1): {"start", "short"}, Window("m", 1, 2, 2): {"start"}, Window("m", 2, 3, 3): set()}
    for window, left in windows.items():
        one.begin({"chat": window})
        one.read()
        found = one.of("chat", window)
        assert found == {scale: {"routed error": Count(2, 2)} if scale in left else {} for scale in SCALES}
    one.flush()
    two.read()
    assert two.of("chat", NOW["chat"])["start"] == {"routed error": Count(1, 1)}


NOW_S = 2_000_000_000.0
_FOLD = """
import os, signal, sys
from pathlib import Path
from planner.router import tallies
from planner.router.guard_windows import Window
steps = int(sys.argv[2])

def killing(real):
    def step(*args, **kwargs):
        global steps
        if not steps:
            os.kill(os.getpid(), signal.SIGKILL)
        steps -= 1
        return real(*args, **kwargs)
    return step

tallies.put, Path.unlink = killing(tallies.put), killing(Path.unlink)
me = tallies.Tallies(Path(sys.argv[1]), "folding", print)
me.read()
me.fold({"chat": Window("m", 1, 1)}, 2e9)
"""


def left_behind(folder: Path, name: str, age_s: float = 90_000, hits: int = 1) -> Tallies:
    """Let a process count ten routed answers and write them, so long ago."""
    worker = tallies(folder, name)
    for i in range(10):
        worker.add("chat", "routed", {"error": i < hits})
    worker.flush()
    os.utime(worker.path, (NOW_S - age_s, NOW_S - age_s))
    return worker


def total(folder: Path) -> dict[str, Count]:
    """Return what a process that begins now reads."""
    fresh = tallies(folder, "fresh")
    fresh.read()
    return fresh.of("chat", NOW["chat"])["start"]


def test_files_of_the_dead_become_one(tmp_path: Path) -> None:
    """Of forty processes gone for a day one file is left with their counts; the living, however idle, keep theirs; what is past is gone."""
    folder, signs = tmp_path / "counts", tmp_path / "workers"
    for k in range(40):
        left_behind(folder, f"dead-{k}")
    past = Tallies(folder, "past", Told())
    past.begin({"chat": Window("m", 1, 1), "gone": Window("x", 3, 3, 3)})
    idle, young = left_behind(folder, "idle"), left_behind(folder, "young", age_s=60)
    signs.mkdir()
    for name, age_s in (("idle", 5), ("dead-3", 90_000)):
        (signs / f"{name}.json").touch()
        os.utime(signs / f"{name}.json", (NOW_S - age_s, NOW_S - age_s))
    me = tallies(folder, "me")
    me.read()
    me.fold(NOW, NOW_S)
    assert sorted(p.name for p in folder.glob("*.json")) == ["folded.json", idle.path.name, young.path.name]
    expected = {"routed error": Count(420, 42)}
    assert [*me.of("chat", NOW["chat"]).values(), total(folder)] == [expected] * 4
    left_behind(folder, "dead-again")
    me.read()
    me.fold({"chat": Window("m", 1, 2, 2)}, NOW_S)
    assert total(folder) == {"routed error": Count(430, 43)}
    assert me.of("chat", NOW["chat"])["window"] == {"routed error": Count(20, 2)}, "what is past is left out"


@pytest.mark.parametrize("steps", range(7))
def test_a_fold_that_is_killed_neither_loses_nor_doubles(tmp_path: Path, steps: int) -> None:
    """Killed before any of its steps, what others read is the same sum, and the next fold ends it."""
    folder = tmp_path / "counts"
    for k in range(4):
        left_behind(folder, f"dead-{k}")
    seen = tallies(folder, "seen")
    seen.read()
    done = subprocess.run([sys.executable, "-c", _FOLD, str(folder), str(steps)], capture_output=True, text=True)
    assert done.returncode == (-signal.SIGKILL if steps < 5 else 0), done.stderr
    expected = {"routed error": Count(40, 4)}
    seen.read()
    assert total(folder) == seen.of("chat", NOW["chat"])["start"] == expected
    left_behind(folder, "dead-later")
    seen.read()
    seen.fold(NOW, NOW_S)
    assert total(folder) == seen.of("chat", NOW["chat"])["start"] == {"routed error": Count(50, 5)}
    assert [p.name for p in folder.glob("*.json")] == ["folded.json"]


def test_a_process_that_was_only_asleep_counts_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose counts were folded while it slept adds what it counted since, once, and its file is folded again when it ends."""
    folder = tmp_path / "counts"
    asleep, me = left_behind(folder, "asleep"), tallies(folder, "me")
    monkeypatch.setattr(asleep, "_written_us", asleep.path.stat().st_mtime_ns // 1_000)
    monkeypatch.setattr(asleep, "_flushed_s", asleep._flushed_s - 90_000)
    me.read()
    me.fold(NOW, NOW_S)
    asleep.add("chat", "routed", {"error": True})
    asleep.flush()
    me.read()
    expected = {"routed error": Count(11, 2)}
    assert me.of("chat", NOW["chat"])["start"] == asleep.of("chat", NOW["chat"])["start"] == total(folder) == expected
    os.utime(asleep.path, (NOW_S - 88_000, NOW_S - 88_000))
    me.read()
    me.fold(NOW, NOW_S)
    assert not asleep.path.exists()
    assert total(folder) == expected


def test_many_that_fold_at_once_never_show_another_sum(tmp_path: Path) -> None:
    """While three processes fold and files come by, a reader always finds what was there: no count is missing or there twice."""
    folder = tmp_path / "counts"
    for k in range(200):
        left_behind(folder, f"dead-{k:03}")
    runs = [subprocess.Popen([sys.executable, "-c", _FOLD, str(folder), "-1"]) for _ in range(3)]
    while any(run.poll() is None for run in runs):
        assert total(folder) == {"routed error": Count(2_000, 200)}
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert [p.name for p in folder.glob("*.json")] == ["folded.json"]


@pytest.mark.parametrize("whose", ["folded.json", "dead-0.json"])
def test_what_is_damaged_is_not_folded(tmp_path: Path, whose: str) -> None:
    """A file that cannot be read stays as it is, and where it is the folded one nothing is put in its place."""
    folder, told = tmp_path / "counts", Told()
    left_behind(folder, "dead-0")
    me = tallies(folder, "me", told)
    if whose == "folded.json":
        me.read()
        me.fold(NOW, NOW_S)
    (folder / whose).write_text("{", "utf-8")
    os.utime(folder / whose, (NOW_S - 90_000, NOW_S - 90_000))
    left_behind(folder, "dead-1")
    me.read()
    me.fold(NOW, NOW_S)
    assert (folder / whose).read_text("utf-8") == "{"
    assert (folder / "dead-1.json").exists() is (whose == "folded.json")
    assert told.events["counts unreadable"] >= 1


def test_memory_is_flat(tmp_path: Path) -> None:
    """A hundred thousand more answers, of whatever apps, take less than a tenth of a byte each: what is kept does not grow with them."""
    worker = tallies(tmp_path, "one")

    def count(times: int) -> int:
        for i in range(times):
            worker.add("chat", "routed", Outcome(i % 9 == 0, float(i), i % 2 == 0, i % 3 == 0).hits(100.0))
            worker.add(f"stranger {i}", "routed", {"error": True})
            if i % 10_000 == 0:
                worker.flush()
                worker.read()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = count(20_001)
        assert count(100_000) - before < 10_000
    finally:
        tracemalloc.stop()
    assert worker.of("chat", NOW["chat"])["start"]["routed error"].n == 120_001


def test_windows_survive_what_is_written_at_once(tmp_path: Path) -> None:
    """Eight processes that end the same window end it once, and numbers only rise."""
    code = """
import sys
from pathlib import Path
from planner.router.guard_windows import Window, Windows
windows = Windows(Path(sys.argv[1]), print)
won = 0
for number in range(1, 26):
    while (found := windows.under({"chat": "m"})["chat"]).window < number:
        pass
    won += found.window == number and windows.full("chat", found, ["window"])
print(won)
"""
    path = tmp_path / "windows.json"
    Windows(path, Told()).under({"chat": "m"})
    runs = [subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) for _ in range(8)]
    won = [int(run.communicate(timeout=60)[0]) for run in runs]
    assert sum(won) == json.loads(path.read_text("utf-8"))["chat"][2] - 1 == 25
    assert all(run.returncode == 0 for run in runs)


def test_windows_end_each_by_itself_and_older_files_are_read(tmp_path: Path) -> None:
    """What is named ends, the rest goes on, settings end all; a file from before there were short windows has had none."""
    path = tmp_path / "windows.json"
    path.write_text('{"chat": ["m", 3, 7]}', "utf-8")
    windows = Windows(path, Told())
    now = windows.under({"chat": "m"})["chat"]
    assert now == Window("m", 3, 7, 1)
    for scales, then in ((["short"], (3, 7, 2)), (["window", "short"], (3, 8, 3))):
        assert windows.full("chat", now, scales)
        now = windows.under({"chat": "m"})["chat"]
        assert now[1:] == then
    assert windows.under({"chat": "other"})["chat"][1:] == (4, 9, 4)


@pytest.mark.parametrize("value", [["m", 1], ["m", 1, 1, 0], ["m", 1, 1, True], ["m", 1, 1, "2"], ["m", 1, 1, 1, 1], [1, 1, 1], 7])
def test_what_is_no_window_is_not_read_as_one(value: object) -> None:
    """A number that is none, is missing or one too many, or a mark that is no text: refused, so that nothing is counted under it."""
    with pytest.raises((ValueError, TypeError)):
        Window.of(value)
