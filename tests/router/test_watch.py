"""Watched files: what changes is seen within a second, what breaks never holds anything up, whatever a clock does."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from planner.router.watch import Pulse, Watched, mark


class Files:
    """A watched file of JSON values, and the errors it was told."""

    def __init__(self, path: Path, keep: bool) -> None:
        self.path, self.errors = path, list[str]()
        self.reads = 0
        self.watched: Watched[object] = Watched(path, self._read, keep=keep, failed=lambda e: self.errors.append(type(e).__name__))

    def _read(self, path: Path) -> object:
        self.reads += 1
        return json.loads(path.read_text("utf-8"))

    def put(self, text: str) -> None:
        """Write as an editor does that overwrites, and look."""
        self.path.write_text(text, "utf-8")
        self.watched.poll()

    @property
    def value(self) -> object:
        """What holds now."""
        return self.watched.value


@pytest.fixture(params=[True, False], ids=["kept", "dropped"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    """A watched file that is not there yet; once with a value that outlives it."""
    return Files(tmp_path / "value.json", request.param)


def test_the_last_good_value_stays(files: Files) -> None:
    """Half-written, empty, binary: the last good value holds, each is counted once, however often one looks."""
    files.put("[1]")
    for text in ("[1", "", "\x00"):
        files.put(text)
        for _ in range(5):
            files.watched.poll()
    assert files.value == [1]
    assert files.errors == ["JSONDecodeError"] * 3
    files.put("[2]")
    assert files.value == [2]


def test_a_deleted_file(tmp_path: Path) -> None:
    """What must outlive its file does, and its absence is counted once; what means "nothing is on" without a file ends with it."""
    for keep in (True, False):
        files = Files(tmp_path / f"{keep}.json", keep)
        files.put("[1]")
        files.path.unlink()
        for _ in range(3):
            files.watched.poll()
        assert files.value == ([1] if keep else None)
        assert files.errors == (["InputError"] if keep else [])
        files.put("[2]")
        assert files.value == [2]


def test_what_never_was_there(files: Files) -> None:
    """Without a file there is no value, and nothing raises."""
    files.watched.poll()
    assert files.value is None
    assert files.reads == 0


def test_nothing_is_read_twice_without_need(files: Files) -> None:
    """A file is read when it changed and once more, then no more."""
    files.put("[1]")
    for _ in range(10):
        files.watched.poll()
    assert files.reads == 2


def test_a_change_that_leaves_no_mark_is_seen(files: Files) -> None:
    """Two writes within one tick of the file system's clock, same size, same inode: the second is read at the next look."""
    files.put("[1]")
    before = files.path.stat()
    files.path.write_text("[2]", "utf-8")
    os.utime(files.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert mark(files.path) is not None
    files.watched.poll()
    assert files.value == [2]


@pytest.mark.parametrize("offset_s", [-(10**8), -3600, 3600, 10**9])
def test_file_times_may_jump(files: Files, offset_s: int) -> None:
    """A file from the past or the future, as after a clock jump or a restored backup, is read like any other."""
    files.put("[1]")
    files.path.write_text("[2]", "utf-8")
    at = time.time() + offset_s
    os.utime(files.path, (at, at))
    files.watched.poll()
    assert files.value == [2]


def test_a_folder_changes_with_its_files(tmp_path: Path) -> None:
    """The mark of a folder changes when a file in it is added, replaced, grown or removed."""
    seen = {mark(tmp_path)}
    steps: tuple[Callable[[], object], ...] = (
        lambda: (tmp_path / "a").write_text("1", "utf-8"),
        lambda: (tmp_path / "a").write_text("22", "utf-8"),
        lambda: (tmp_path / "b").write_text("22", "utf-8"),
        lambda: (tmp_path / "b").replace(tmp_path / "a"),
        lambda: (tmp_path / "a").unlink(),
    )
    for number, step in enumerate(steps, 2):
        step()
        seen.add(mark(tmp_path))
        assert len(seen) == number
    assert mark(tmp_path / "none") is None
    assert mark(tmp_path / "a" / "b") is None


def test_looking_is_never_waited_for(tmp_path: Path) -> None:
    """While one thread reads, a second look returns at once instead of waiting for it."""
    began, go = threading.Event(), threading.Event()

    def slow(path: Path) -> str:
        began.set()
        go.wait(10)
        return path.read_text("utf-8")

    path = tmp_path / "x"
    path.write_text("1", "utf-8")
    watched = Watched(path, slow, keep=True, failed=lambda e: None)
    thread = threading.Thread(target=watched.poll)
    thread.start()
    began.wait(10)
    start = time.monotonic()
    watched.poll()
    took = time.monotonic() - start
    go.set()
    thread.join()
    assert took < 1
    assert watched.value == "1"


class Clock:
    """A clock that is set by hand [s]."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.mark.parametrize("jump_s", [5.0, 1e9, -5.0, -1e9])
def test_a_clock_jump_never_stops_the_looking(jump_s: float) -> None:
    """Wherever a clock jumps to, a request soon looks itself again, and then not at every request."""
    clock = Clock()
    pulse = Pulse(lambda: None, 3600.0, clock)
    assert not pulse.late()
    clock.now += 7300 if jump_s > 0 else 0
    clock.now += jump_s
    assert pulse.late()
    assert not pulse.late()
    clock.now += 7300
    assert pulse.late()
    pulse.stop()


def test_the_pulse_beats_and_ends() -> None:
    """The thread beats at its pace, is started once however often it is asked to, and ends."""
    beats = list[float]()
    pulse = Pulse(lambda: beats.append(time.monotonic()), 0.02)
    before = threading.active_count()
    for _ in range(5):
        pulse.start()
    assert threading.active_count() == before + 1
    end = time.monotonic() + 5
    while len(beats) < 5 and time.monotonic() < end:
        time.sleep(0.01)
    pulse.stop()
    stopped = len(beats)
    assert stopped >= 5
    time.sleep(0.1)
    assert len(beats) == stopped
    pulse.start()
    assert threading.active_count() == before


def test_a_dead_thread_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a fork the child has no thread: the first late request notices, and starts one."""
    clock = Clock()
    pulse = Pulse(lambda: None, 0.01, clock)
    pulse.start()
    first = pulse._thread
    assert first is not None
    monkeypatch.setattr(first, "is_alive", lambda: False)
    clock.now += 100
    assert pulse.late()
    assert pulse._thread is not first
    pulse.stop()
