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


def test_only_files_that_are_old_and_of_the_past_are_removed(tmp_path: Path) -> None:
    """Of four files of others, the one that is a day old and holds nothing of the present goes; the rest stay."""
    now = 2_000_000_000.0
    for name, number, age_s in (("old-past", 1, 90_000), ("old-present", 2, 90_000), ("new-past", 1, 60), ("new-present", 2, 60)):
        worker = Tallies(tmp_path, name, Told())
        worker.begin({"chat": Window("m", number, number, number)})
        worker.add("chat", "routed", {"error": False})
        worker.flush()
        os.utime(worker.path, (now - age_s, now - age_s))
    me = Tallies(tmp_path, "me", Told())
    me.read()
    me.forget({"chat": Window("m", 2, 2, 2)}, now)
    assert sorted(p.stem for p in tmp_path.glob("*.json")) == ["new-past", "new-present", "old-present"]


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
