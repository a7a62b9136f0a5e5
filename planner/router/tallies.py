"""Tallies: how many answers of each app and arm there were and how many were bad, of one process and of all together.

In: answers as they are given. Out: counts per app, arm and metric, since the start of the present settings and in the present windows.
Each process writes its own file, whole and in one step, and reads those of the others, so that nobody waits for anybody and what a
process that died has counted stays. A file that is damaged keeps the counts that were last read from it; where nothing can be written
they stay in memory. Files of processes that gave no sign of life for a day are folded into one, which names each with the time of its
last change: until it is removed it counts nowhere else, and a process that was only asleep goes on with what it counted since. Knows
nothing of limits, tests or alarms.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from planner.router.guard_bounds import Count
from planner.router.guard_files import locked, put
from planner.router.guard_windows import Window

__all__ = ["SCALES", "Outcome", "Tallies"]

#: Of each count there are three: since the start, in the window and in the short one; a window's field of that name holds its number.
SCALES = ("start", "window", "short")
#: [bytes] of the largest file that is read, of a process and of those folded.
_MOST_BYTES, _MOST_FOLDED_BYTES = 1 << 20, 1 << 24
#: [s] without a sign of life after which a file is folded, and for which it is named there, should its process wake up again.
_OLD_S, _NAMED_S = 86_400, 7 * 86_400
#: The file of folded counts, where signs of life are beside the counts, and the key under which files are named in it.
_FOLDED, _SIGNS, _NAMES = "folded.json", "workers", ("", "names")

#: (app, scale) → the number of the start or window, and "arm metric" → [n, hits].
Part = tuple[int, dict[str, list[int]]]
Parts = dict[tuple[str, str], Part]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended.

    Parameters
    ----------
    error: the client saw an error; then the rest says nothing.
    latency_ms: [ms]; None where it is not known.
    length: the answer was cut off at its limit; None where it was not read to its end.
    schema_ok: whether it kept the format asked for; None where none was, or where that was not checked.
    fell_back: another model group answered than the one it was sent to, which is an error of that one though no client saw it.
    """

    error: bool
    latency_ms: float | None
    length: bool | None
    schema_ok: bool | None
    fell_back: bool = False

    def hits(self, limit_ms: float | None) -> dict[str, bool]:
        """Return metric → whether this answer is a bad one, for those metrics in which it counts.

        >>> Outcome(False, 1_200.0, False, None).hits(limit_ms=1_000.0)
        {'error': False, 'fallback': False, 'length': False, 'slow': True}
        """
        found = {"error": self.error or self.fell_back}
        if not self.error:
            found["fallback"] = self.fell_back
            if self.length is not None:
                found["length"] = self.length
            if self.latency_ms is not None and limit_ms is not None:
                found["slow"] = self.latency_ms > limit_ms
            if self.schema_ok is not None:
                found["schema"] = not self.schema_ok
        return found


class _Read(NamedTuple):
    """What was read of a file: its inode, time of change [ns] and size then, its counts, and whether these are of that very state."""

    mark: tuple[int, int, int]
    parts: Parts
    whole: bool

    @property
    def changed_us(self) -> int:
        """When it was changed [µs]."""
        return self.mark[1] // 1_000


class Tallies:
    """The counts of ``worker``, and those that others wrote into ``folder``; ``failed`` is told what could not be read or written."""

    def __init__(self, folder: Path, worker: str, failed: Callable[[str, Exception], None]) -> None:
        self.path, self._failed = folder / f"{worker}.json", failed
        self._own: Parts = {}
        self._others: dict[str, _Read] = {}
        self._lock = threading.Lock()
        self._written, self._written_us, self._flushed_s = "", 0, time.time()

    def forked(self, worker: str) -> None:
        """Count for another process, from nothing, into a file of its own."""
        self.path, self._lock = self.path.with_name(f"{worker}.json"), threading.Lock()
        self._written, self._written_us, self._flushed_s = "", 0, time.time()
        self._own = {key: (number, {}) for key, (number, _) in self._own.items()}

    def begin(self, windows: Mapping[str, Window]) -> None:
        """Count for these apps too, from now on; their counts of another start or window are dropped."""
        with self._lock:
            for app, window in windows.items():
                for scale in SCALES:
                    number = getattr(window, scale)
                    if self._own.get((app, scale), (0, {}))[0] != number:
                        self._own[app, scale] = number, {}

    def add(self, app: str, arm: str, hits: Mapping[str, bool]) -> None:
        """Count an answer, metric → whether it is a bad one; of an app that is not counted for, nothing."""
        with self._lock:
            for scale in SCALES:
                if part := self._own.get((app, scale)):
                    for metric, hit in hits.items():
                        count = part[1].setdefault(f"{arm} {metric}", [0, 0])
                        count[0] += 1
                        count[1] += hit

    def flush(self) -> None:
        """Write this process's counts where they changed; after a long sleep only when it is known whether they were folded meanwhile."""
        if time.time() - self._flushed_s < _OLD_S / 2:
            self._flushed_s = time.time()
            return self._flush()
        try:
            with locked(self._folding, wait_s=0.5):
                self.read()
                self._flush()
            self._flushed_s = time.time()
        except OSError as error:
            self._failed("counts not written", error)
        return None

    def _flush(self) -> None:
        with self._lock:
            text = json.dumps(_rows({key: part for key, part in self._own.items() if part[1]}))
        if text == (self._written or "[]"):
            return
        try:
            put(self.path, text)
            self._written, self._written_us = text, self.path.stat().st_mtime_ns // 1_000
        except OSError as error:
            self._failed("counts not written", error)

    def read(self) -> None:
        """Read what the other processes wrote since the last time; the folded file last, so that what is folded meanwhile is in it."""
        try:
            names = {e.name for e in os.scandir(self.path.parent) if e.name.endswith(".json")} - {self.path.name, _FOLDED}
        except FileNotFoundError:
            names = set()
        found = {}
        for name in (*names, _FOLDED):
            with suppress(FileNotFoundError):
                found[name] = self._read(name)
        named = _named(found)
        self._others = {name: one for name, one in found.items() if named.get(name) != one.changed_us}
        if self._written and named.get(self.path.name) == self._written_us:
            self._go_on()

    def _read(self, name: str) -> _Read:
        path = self.path.parent / name
        about, old = path.stat(), self._others.get(name)
        mark = (about.st_ino, about.st_mtime_ns, about.st_size)
        if old is not None and old.mark == mark:
            return old
        try:
            if about.st_size > (_MOST_FOLDED_BYTES if name == _FOLDED else _MOST_BYTES):
                raise ValueError("larger than any counts")
            return _Read(mark, _parts(json.loads(path.read_bytes())), whole=True)
        except FileNotFoundError:
            raise
        except (OSError, ValueError, TypeError, RecursionError) as error:
            self._failed("counts unreadable", error)
            return _Read(mark, old.parts if old else {}, whole=False)

    def _go_on(self) -> None:
        """Count on from what was written and folded, as from nothing."""
        with self._lock:
            for key, (number, counts) in _parts(json.loads(self._written)).items():
                now, own = self._own.get(key, (0, {}))
                if now == number:
                    rest = {name: [a - b for a, b in zip(count, counts.get(name, (0, 0)), strict=True)] for name, count in own.items()}
                    self._own[key] = number, {name: count for name, count in rest.items() if count[0]}
        self._written = ""

    def of(self, app: str, window: Window) -> dict[str, dict[str, Count]]:
        """Return scale → "arm metric" → the count of all processes together, of the start and window in ``window``."""
        found: dict[str, dict[str, Count]] = {scale: {} for scale in SCALES}
        with self._lock:
            mine = {(app, scale): self._own[app, scale] for scale in SCALES if (app, scale) in self._own}
            own = {key: (number, {name: [*c] for name, c in counts.items()}) for key, (number, counts) in mine.items()}
        for parts in (own, *(one.parts for one in self._others.values())):
            for scale, total in found.items():
                number, counts = parts.get((app, scale), (0, {}))
                if number == getattr(window, scale):
                    for name, count in counts.items():
                        total[name] = total.get(name, Count()).plus(Count(*count))
        return found

    def fold(self, windows: Mapping[str, Window], now_s: float | None = None) -> None:
        """Put the counts of processes without a sign of life for a day into one file in place of theirs; ``now_s`` is the time of day.

        What counts no more in ``windows`` is left out. A fold that is killed half-way changes no sum, and the next one ends it.
        """
        now_s = time.time() if now_s is None else now_s
        if not self._gone(now_s):
            return
        try:
            with locked(self._folding):
                self.read()
                self._fold(windows, now_s)
                self.read()
        except BlockingIOError:  # another process is at it
            return
        except OSError as error:
            self._failed("counts not folded", error)

    def _fold(self, windows: Mapping[str, Window], now_s: float) -> None:
        gone, folded = self._gone(now_s), self._others.get(_FOLDED)
        if folded is not None and not folded.whole:
            return
        named = _named(self._others)
        kept = {name: us for name, us in named.items() if now_s - us / 1e6 < _NAMED_S or (self.path.parent / name).exists()}
        sums = _sums([one.parts for one in (*gone.values(), *([folded] if folded else []))], windows)
        names = {name: [us, 0] for name, us in (kept | {name: one.changed_us for name, one in gone.items()}).items()}
        put(self.path.with_name(_FOLDED), json.dumps(_rows({**sums, _NAMES: (0, names)})))
        for name in names:
            self._remove(name, names[name][0])

    def _remove(self, name: str, changed_us: int) -> None:
        """Remove a file that is folded, unless its process woke up and wrote it again."""
        file = self.path.parent / name
        with suppress(FileNotFoundError):
            if file.stat().st_mtime_ns // 1_000 == changed_us:
                file.unlink()

    def _gone(self, now_s: float) -> dict[str, _Read]:
        """Return the whole files of others that neither changed for a day nor have a sign of life of that day beside them."""
        return {
            name: one
            for name, one in self._others.items()
            if name not in (_FOLDED, self.path.name) and one.whole and now_s - max(one.changed_us / 1e6, self._sign_s(name)) > _OLD_S
        }

    def _sign_s(self, name: str) -> float:
        try:
            return (self.path.parent.parent / _SIGNS / name).stat().st_mtime
        except OSError:
            return 0.0

    @property
    def _folding(self) -> Path:
        return self.path.with_name(".folded.lock")


def _named(read: Mapping[str, _Read]) -> dict[str, int]:
    """Return the files whose counts are in the folded one, and when each was changed last before [µs]."""
    found = read[_FOLDED].parts.get(_NAMES, (0, {}))[1] if _FOLDED in read else {}
    return {name: us for name, (us, _) in found.items()}


def _sums(several: Iterable[Parts], windows: Mapping[str, Window]) -> Parts:
    """Return the sums of counts: of each app and scale those of its latest window, none of one before that in ``windows``."""
    found: Parts = {}
    for parts in several:
        for (app, scale), (number, counts) in parts.items():
            least = getattr(windows[app], scale) if app in windows and scale in SCALES else 0
            latest, total = found.get((app, scale), (0, {}))
            if (app, scale) == _NAMES or number < max(latest, least):
                continue
            total = total if number == latest else {}
            for name, count in counts.items():
                total[name] = [a + b for a, b in zip(total.get(name, (0, 0)), count, strict=True)]
            found[app, scale] = number, total
    return found


def _rows(parts: Parts) -> list[list[Any]]:
    return [[*key, *part] for key, part in parts.items()]


def _parts(rows: Any) -> Parts:
    """Read what ``_rows`` made; ValueError or TypeError for anything else."""
    found: Parts = {}
    for app, scale, number, counts in rows:
        for n, hits in counts.values():
            if type(n) is not int or type(hits) is not int or not 0 <= hits <= n < 1 << 53:
                raise ValueError("no counts")
        found[str(app), str(scale)] = int(number), {str(name): [n, hits] for name, (n, hits) in counts.items()}
    return found
