"""Arrays kept beside a log: appended in pieces, whole or absent, read-only, and read where they are looked at."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.small import traffic_of

from planner.traffic import Traffic
from planner.traffic.derived import Piece, joined

PIECES = (
    {"keys": np.zeros(0, np.uint64), "start": np.zeros(1, np.int64)},
    {"keys": np.array([2**64 - 1, 7], np.uint64), "values": np.ones((2, 3), np.float32), "kept": np.array([True])},
    {"keys": np.array([9], np.uint64), "values": np.zeros((1, 3), np.float32), "when": np.array(["2026-11-01"], "datetime64[us]")},
)


@pytest.fixture
def traffic(tmp_path: Path) -> Traffic:
    """One request."""
    return traffic_of(tmp_path / "log", {"model": ["m"]})


def test_pieces_come_back_as_whole_arrays(traffic: Traffic) -> None:
    """Each array is its pieces one after another, with type and shape, the empty ones too: the same as joining them in memory."""
    found, expected = traffic.derived("some-1", lambda: PIECES), joined(PIECES)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert (found[name].dtype, found[name].tolist()) == (values.dtype, values.tolist())
    assert not any(values.flags.writeable for values in found.values())


def test_what_is_there_is_not_made_again(traffic: Traffic) -> None:
    """The second time, and from another handle, the arrays come from the folder."""
    first = traffic.derived("some-1", lambda: PIECES)
    again = Traffic.open(traffic.folder).derived("some-1", lambda: pytest.fail("made again"))
    assert again["values"].tolist() == first["values"].tolist()


def test_a_failure_leaves_nothing(traffic: Traffic) -> None:
    """What breaks half-way leaves no array and no file, and the next time it is made."""

    def broken() -> Iterator[Piece]:
        yield PIECES[1]
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        traffic.derived("some-1", broken)
    assert list((traffic.folder / "derived").iterdir()) == []
    assert len(traffic.derived("some-1", lambda: PIECES)["keys"]) == 3


def test_pieces_of_another_kind_are_refused(traffic: Traffic) -> None:
    """A piece whose type or row shape differs from the first one's is an error, not a file that cannot be read."""
    with pytest.raises(ValueError, match="a: a piece of float64"):
        traffic.derived("some-1", lambda: [{"a": np.zeros(1, np.int64)}, {"a": np.zeros(1)}])
    with pytest.raises(ValueError, match="a: a piece of int64"):
        traffic.derived("some-1", lambda: [{"a": np.zeros(1, np.int64)}, {"a": np.zeros((1, 2), np.int64)}])


def _slowly(folder: Path, begun: Path) -> None:
    def pieces() -> Iterator[Piece]:
        yield PIECES[1]
        begun.touch()
        time.sleep(60)

    Traffic.open(folder).derived("some-1", pieces)


def test_a_killed_process_leaves_nothing_that_is_seen(traffic: Traffic, tmp_path: Path) -> None:
    """A process that is killed while it writes leaves no arrays under the name; another one makes them meanwhile and afterwards."""
    begun = tmp_path / "begun"
    process = multiprocessing.get_context("spawn").Process(target=_slowly, args=(traffic.folder, begun))
    process.start()
    while not begun.exists():
        assert process.is_alive()
        time.sleep(0.01)
    assert not (traffic.folder / "derived" / "some-1").exists()
    assert len(traffic.derived("some-1", lambda: PIECES)["keys"]) == 3
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    assert len(traffic.derived("some-1", lambda: pytest.fail("made again"))["keys"]) == 3


def test_of_two_that_make_it_at_once_the_first_stays(traffic: Traffic) -> None:
    """Who finishes second finds the arrays of the first, and leaves no files of its own."""

    def late() -> Iterator[Piece]:
        traffic.derived("some-1", lambda: PIECES)
        yield {"keys": np.array([1], np.uint64)}

    assert len(traffic.derived("some-1", late)["keys"]) == 3
    assert [path.name for path in (traffic.folder / "derived").iterdir()] == ["some-1"]
