"""The journal of a run: every call before it is made and after it ended, one JSON line each, on disk before anything else happens.

In: calls as they start and end. Out: what is done, what was paid, and what may have been paid without an answer, also after a kill in
the middle of a line. Knows nothing of connections or of what answers mean.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from planner.errors import InputError

__all__ = ["RETRIED", "Journal", "Paid", "Past", "lines", "past"]

#: Failures after which the same call may succeed later.
RETRIED = ("transport", "rate_limit")
#: HTTP statuses that speak of the caller and not of the request.
_ABOUT_US = (401, 402, 403, 404, 407)


@dataclass(frozen=True, eq=False)
class Paid:
    """What all calls of an ask cost together, line by line; one without an end costs the most that it may have cost, which is assumed.

    Parameters
    ----------
    pusd: ask → [pUSD]. open: call → its ask and what is held for it. unsure: asks of which an end is paid as assumed.

    >>> paid = Paid()
    >>> paid.add({"event": "start", "call": "c", "ask": "a", "at_most_pusd": 9})
    >>> paid.pusd["a"], paid.evidence("a")
    (9, 'assumed')
    >>> paid.add({"event": "end", "call": "c", "ask": "a", "cost_pusd": 4, "evidence": "measured"})
    >>> paid.pusd["a"], paid.evidence("a")
    (4, 'measured')
    """

    pusd: dict[str, int] = field(default_factory=dict)
    open: dict[str, tuple[str, int]] = field(default_factory=dict)
    unsure: set[str] = field(default_factory=set)

    def add(self, line: Mapping[str, Any]) -> None:
        """Count a line; what is no start or end of a call counts nothing."""
        match line:
            case {"event": "start", "call": str(call), "ask": str(ask), "at_most_pusd": int(most)}:
                self.open[call] = ask, most
                self.pusd[ask] = self.pusd.get(ask, 0) + most
            case {"event": "end", "call": str(call), "ask": str(ask), "cost_pusd": int(cost)}:
                self.pusd[ask] = self.pusd.get(ask, 0) + cost - self.open.pop(call, (ask, 0))[1]
                if cost and line.get("evidence") == "assumed":
                    self.unsure.add(ask)

    def evidence(self, ask: str) -> str:
        """Return the weakest evidence of what the calls of ``ask`` cost."""
        return "assumed" if ask in self.unsure or any(a == ask for a, _ in self.open.values()) else "measured"


@dataclass(frozen=True)
class Past:
    """What a journal says.

    Parameters
    ----------
    ended: ask → its answer, else its last end. answering: the models that have answered anything.
    paid: what every ask cost. unreadable: lines that were broken off.
    """

    ended: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    answering: frozenset[str] = frozenset()
    paid: Paid = field(default_factory=Paid)
    unreadable: int = 0

    @property
    def spent_pusd(self) -> int:
        """[pUSD] of all calls, with the most that those without an end may have cost."""
        return sum(self.paid.pusd.values())

    @property
    def lost(self) -> int:
        """How many calls have no end."""
        return len(self.paid.open)

    def done(self, ask: str) -> bool:
        """Say whether ``ask`` needs no further call: it was answered, or fails however often it is asked.

        A refusal is final only from a model that answers others, and not when it is about the key, the money or the model's name.
        """
        end = self.ended.get(ask, {"status": "transport"})
        refused = (
            end["status"] in RETRIED
            or end.get("http") in _ABOUT_US
            or (end["status"] == "validation" and str(end.get("model")) not in self.answering)
        )
        return end["status"] == "ok" or not refused


def lines(path: Path) -> Iterator[tuple[int, bytes, dict[str, Any] | None]]:
    """Yield (number from 1, raw line, its JSON object or None where it is none) of a file; nothing when it is absent."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            if raw.strip():
                try:
                    value = json.loads(raw)
                except ValueError:
                    value = None
                yield number, raw, value if isinstance(value, dict) else None


def past(path: Path) -> Past:
    """Read a journal; an absent one is an empty past."""
    ended: dict[str, Mapping[str, Any]] = {}
    paid, unreadable = Paid(), 0
    for _, _, line in lines(path):
        paid.add(line or {})
        unreadable += line is None
        match line:
            case {"event": "end", "call": str(), "ask": str(ask), "cost_pusd": int()}:
                if ask not in ended or ended[ask]["status"] != "ok":
                    ended[ask] = line or {}
    answering = frozenset(str(end.get("model")) for end in ended.values() if end["status"] == "ok")
    return Past(ended, answering, paid, unreadable)


class Journal:
    """An open journal, held by one process alone; use as a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._calls = 0

    def __enter__(self) -> Journal:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._file: BinaryIO = os.fdopen(descriptor, "ab")
        _hold(self._file, self.path)
        self._opened = self.path.stat().st_size
        if torn(self.path):
            self._file.write(b"\n")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def number(self) -> str:
        """Return a name for the next call that no other call in this journal has."""
        with self._lock:
            self._calls += 1
            return f"{self._opened:x}-{self._calls}"

    def write(self, event: str, **values: Any) -> None:
        """Append one line and return when it is on disk."""
        line = json.dumps({"event": event, **values}, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
        with self._lock:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())


def torn(path: Path) -> bool:
    """Say whether the last line of a file was broken off."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        return size > 0 and (file.seek(size - 1), file.read(1))[1] != b"\n"


def _hold(file: BinaryIO, path: Path) -> None:
    """Lock a file until it is closed or the process ends; InputError when another process has it."""
    import fcntl  # of POSIX systems alone; nothing else here needs one

    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise InputError(f"{path.parent}, at which another run is working", "one run at a time", "wait for it, or stop it") from error
