"""Windows: which counts of an app belong together, for all processes alike, and what share of its error each test may use.

In: per app the mark of the settings it runs under. Out: three numbers per app, of the count since its start, of the present window and of
the present short one, kept in one small file. Counts begin anew under other settings, after an alarm, and a window when it is full: a long
good time must not hide what begins to go wrong. Numbers only rise, also when settings come back. Where the file cannot be written each
process has numbers of its own, and tests alone. Knows nothing of what is counted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from planner.router.guard_files import locked, put

__all__ = ["Window", "Windows", "spent"]


class Window(NamedTuple):
    """The settings' mark, and how many starts, windows and short windows there have been, these included."""

    mark: str
    start: int = 1
    window: int = 1
    short: int = 1

    @classmethod
    def of(cls, value: Any) -> Window:
        """Read what was written as JSON, also before there were short windows; ValueError or TypeError for anything else."""
        mark, start, window, *short = value
        if not isinstance(mark, str) or not all(type(n) is int and 0 < n < 1 << 53 for n in (start, window, *short)):
            raise ValueError("no window")
        return cls(mark, start, window, *short)

    def anew(self, mark: str) -> Window:
        """Return what follows when all counts begin anew, under the settings of ``mark``.

        >>> Window("a", 1, 4, 9).anew("b")
        Window(mark='b', start=2, window=5, short=10)
        """
        return Window(mark, self.start + 1, self.window + 1, self.short + 1)


def spent(number: int) -> float:
    """Return the share of the error that test ``number`` (from 1) may use: 1/(k(k + 1)), which sums to 1 over all that ever come.

    >>> [spent(k) for k in (1, 2, 3)], round(sum(map(spent, range(1, 10_000))), 3)
    ([0.5, 0.16666666666666666, 0.08333333333333333], 1.0)
    """
    return 1 / (number * (number + 1))


class Windows:
    """The windows of all apps in the file ``path``; ``failed`` is told what could not be read or written."""

    def __init__(self, path: Path, failed: Callable[[str, Exception], None]) -> None:
        self.path, self._failed = path, failed
        self._lock = path.with_name(f".{path.name}.lock")
        self._known: dict[str, Window] = {}
        self._unwritten: dict[str, Window] = {}
        self._begun: dict[str, str] = {}

    def under(self, marks: Mapping[str, str]) -> dict[str, Window]:
        """Return the windows in which each app's counts belong now; an app is left out while other processes run it otherwise.

        A process opens new windows when its own settings of an app changed, not when the file shows others: it may be the late one.
        """
        self._read()
        for app, window in [*self._unwritten.items()][:1]:
            self._change(app, window, window)
        self._begun = {app: mark for app, mark in self._begun.items() if app in marks}
        for app, mark in marks.items():
            found = self._known.get(app)
            if found is not None and found.mark == mark:
                self._begun[app] = mark
            elif self._begun.get(app) != mark:
                self._change(app, found, found.anew(mark) if found else Window(mark))
        return {app: found for app, mark in marks.items() if (found := self._known.get(app)) and found.mark == mark}

    def anew(self, app: str, seen: Window) -> bool:
        """End all counts of ``app``, unless another process did; say whether this one did."""
        return self._change(app, seen, seen.anew(seen.mark))

    def full(self, app: str, seen: Window, scales: Collection[str]) -> bool:
        """End the windows of ``app`` that ``scales`` names, unless another process did."""
        return self._change(app, seen, seen._replace(**{scale: getattr(seen, scale) + 1 for scale in scales}))

    def _change(self, app: str, seen: Window | None, new: Window) -> bool:
        """Write ``new`` where the file still holds ``seen``; where nobody can write, keep it here and try again later."""
        try:
            with locked(self._lock, wait_s=0.5):
                self._read()
                if self._known.get(app) != seen:
                    return False
                put(self.path, json.dumps({**self._known, app: new}))
                self._unwritten.clear()
        except BlockingIOError:  # another process is at it; there is a next time
            return False
        except OSError as error:
            self._failed("windows not written", error)
            self._unwritten[app] = new
        self._known[app], self._begun[app] = new, new.mark
        return True

    def _read(self) -> None:
        try:
            found = json.loads(self.path.read_bytes())
            self._known |= {str(app): Window.of(one) for app, one in found.items()} | self._unwritten
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            self._failed("windows unreadable", error)
