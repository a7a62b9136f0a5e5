"""Tallies: how many answers of each app and arm there were and how many were bad, of one process and of all together.

In: answers as they are given. Out: counts per app, arm and metric, since the start of the present settings and in the present windows.
Each process writes its own file, whole and in one step, and reads those of the others, so that nobody waits for anybody and what a
process that died has counted stays. A file that is damaged keeps the counts that were last read from it; where nothing can be written
they stay in memory. Knows nothing of limits, tests or alarms.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.router.guard_bounds import Count
from planner.router.guard_files import put
from planner.router.guard_windows import Window

__all__ = ["SCALES", "Outcome", "Tallies"]

#: Of each count there are three: since the start, in the window and in the short one; a window's field of that name holds its number.
SCALES = ("start", "window", "short")
#: [bytes] of the largest file that is read, [s] after which a file that holds nothing of the present is removed.
_MOST_BYTES, _OLD_S = 1 << 20, 86_400

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


class Tallies:
    """The counts of ``worker``, and those that others wrote into ``folder``; ``failed`` is told what could not be read or written."""

    def __init__(self, folder: Path, worker: str, failed: Callable[[str, Exception], None]) -> None:
        self.path, self._failed = folder / f"{worker}.json", failed
        self._own: Parts = {}
        self._others: dict[str, tuple[Any, Parts]] = {}
        self._lock = threading.Lock()
        self._written = ""

    def forked(self, worker: str) -> None:
        """Count for another process, from nothing, into a file of its own."""
        self.path, self._lock, self._written = self.path.with_name(f"{worker}.json"), threading.Lock(), ""
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
        """Write this process's counts where they changed."""
        with self._lock:
            text = json.dumps([[*key, *part] for key, part in self._own.items() if part[1]])
        if text == (self._written or "[]"):
            return
        try:
            put(self.path, text)
            self._written = text
        except OSError as error:
            self._failed("counts not written", error)

    def read(self) -> None:
        """Read what the other processes wrote since the last time."""
        try:
            files = {e.name: e.stat() for e in os.scandir(self.path.parent) if e.name.endswith(".json") and e.name != self.path.name}
        except FileNotFoundError:
            files = {}
        self._others = {name: found for name, found in self._others.items() if name in files}
        for name, about in files.items():
            mark, (seen, old) = (about.st_ino, about.st_mtime_ns, about.st_size), self._others.get(name, (None, {}))
            if mark != seen:
                self._others[name] = mark, self._parsed(self.path.parent / name, about.st_size, old)

    def _parsed(self, path: Path, size: int, old: Parts) -> Parts:
        try:
            if size > _MOST_BYTES:
                raise ValueError("larger than any counts")
            return _parts(json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            self._failed("counts unreadable", error)
            return old

    def of(self, app: str, window: Window) -> dict[str, dict[str, Count]]:
        """Return scale → "arm metric" → the count of all processes together, of the start and window in ``window``."""
        found: dict[str, dict[str, Count]] = {scale: {} for scale in SCALES}
        with self._lock:
            mine = {(app, scale): self._own[app, scale] for scale in SCALES if (app, scale) in self._own}
            own = {key: (number, {name: [*c] for name, c in counts.items()}) for key, (number, counts) in mine.items()}
        for parts in (own, *(parts for _, parts in self._others.values())):
            for scale, total in found.items():
                number, counts = parts.get((app, scale), (0, {}))
                if number == getattr(window, scale):
                    for name, count in counts.items():
                        total[name] = total.get(name, Count()).plus(Count(*count))
        return found

    def forget(self, windows: Mapping[str, Window], now_s: float | None = None) -> None:
        """Remove files a day old of which no count belongs to ``windows``, as of processes long gone; ``now_s`` is the time of day."""
        now_s = time.time() if now_s is None else now_s
        for name, ((_, changed_ns, _), parts) in self._others.items():
            if now_s - changed_ns / 1e9 > _OLD_S and not any(
                app in windows and number == getattr(windows[app], scale) for (app, scale), (number, _) in parts.items()
            ):
                with suppress(OSError):
                    (self.path.parent / name).unlink()


def _parts(rows: Any) -> Parts:
    """Read what ``flush`` wrote; ValueError or TypeError for anything else."""
    found: Parts = {}
    for app, scale, number, counts in rows:
        for n, hits in counts.values():
            if type(n) is not int or type(hits) is not int or not 0 <= hits <= n < 1 << 53:
                raise ValueError("no counts")
        found[str(app), str(scale)] = int(number), {str(name): [n, hits] for name, (n, hits) in counts.items()}
    return found
