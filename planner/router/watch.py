"""Watched files: the last good value of something on disk that people change while a process runs.

In: a path, how to read it, and how to see that it changed. Out: the value, and how often it could not be read. A file that vanishes,
is half-written or broken never raises here: the last good value stays. Times are monotonic and a file's own times are only compared
for being equal, so that no clock that jumps can hold anything up. Knows nothing of what the values mean.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from planner.errors import InputError

__all__ = ["Pulse", "Watched", "mark"]

T = TypeVar("T")
#: Inode, size and time of change, or of every file in a folder; None where there is nothing.
Mark = tuple[Any, ...] | None


def mark(path: Path) -> Mark:
    """Return what changes whenever the file, or anything in the folder, does; None where there is none. OSError when it cannot be seen.

    >>> mark(Path("/no/such/file")) is None
    True
    """
    try:
        about = path.stat()
        inside = sorted((f.name, *_seen(f)) for f in path.iterdir()) if path.is_dir() else ()
        return (about.st_ino, about.st_size, about.st_mtime_ns, *inside)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _seen(file: Path) -> tuple[int, int, int]:
    about = file.stat()
    return about.st_ino, about.st_size, about.st_mtime_ns


class Watched(Generic[T]):
    """The last good value of ``path``.

    Parameters
    ----------
    path: file or folder.
    read: makes a value of it; whatever it raises is counted, but for FileNotFoundError.
    keep: whether a value outlives its file, which is then counted as missing; else it is None without one.
    failed: told the error whenever something that changed cannot be read.
    """

    def __init__(self, path: Path, read: Callable[[Path], T], *, keep: bool, failed: Callable[[Exception], None]) -> None:
        self.path, self.value = path, None
        self._read, self._keep, self._failed = read, keep, failed
        self._lock = threading.Lock()
        self._mark: Mark = ()  # of no file
        self._settled = True
        self._bad = False

    value: T | None

    def forked(self) -> None:
        """Look for another process, whose lock no thread of this one holds."""
        self._lock = threading.Lock()

    def poll(self) -> None:
        """Look once; nothing is done while another thread looks.

        What changed is read once more at the next look: a second change within the tick of a file system's clock leaves no mark.
        """
        if self._lock.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._lock.release()

    def _look(self) -> None:
        try:
            found = mark(self.path)
            if found == self._mark and self._settled:
                return
            self._settled = found == self._mark
            self._bad &= self._settled
            self._mark = found
            if found is not None:
                self.value = self._read(self.path)
            elif self._keep:
                raise InputError(f"{self.path}, which is not there", "what was there before")
            else:
                self.value = None
        except FileNotFoundError:  # it vanished meanwhile: the next look finds that out
            self._mark, self._settled = (), True
        except Exception as error:  # whatever is in the file, the last good value stays
            if not self._bad:
                self._bad = True
                self._failed(error)


class Pulse:
    """Calls ``beat`` every ``every_s`` from a daemon thread, and from ``late`` where that thread stands still or did not survive a fork.

    ``clock`` is monotonic [s]; ``beat`` must not raise.
    """

    def __init__(self, beat: Callable[[], None], every_s: float = 0.5, clock: Callable[[], float] = time.monotonic) -> None:
        self.beat, self.every_s = beat, every_s
        self._clock, self._last = clock, clock()
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self._starting = threading.Lock()

    def forked(self) -> None:
        """Beat for another process: it has no thread, and is late at once."""
        self._thread, self._starting, self._ended = None, threading.Lock(), threading.Event()
        self._last = -math.inf

    def start(self) -> None:
        """Start the thread unless it runs."""
        with self._starting:
            if (self._thread is None or not self._thread.is_alive()) and not self._ended.is_set():
                self._thread = threading.Thread(target=self._run, name="planner-watch", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(5)

    def late(self) -> bool:
        """Return whether no beat came for twice the time it should take; the thread is started again then."""
        since = self._clock() - self._last
        if 0 <= since < 2 * self.every_s:
            return False
        self._last = self._clock()
        self.start()
        return True

    def _run(self) -> None:
        while not self._ended.wait(self.every_s):
            self.beat()
            self._last = self._clock()
