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

__all__ = ["RETRIED", "Journal", "Past", "lines", "past"]

#: Failures after which the same call may succeed later.
RETRIED = ("transport", "rate_limit")
#: HTTP statuses that speak of the caller and not of the request.
_ABOUT_US = (401, 402, 403, 404, 407)


@dataclass(frozen=True)
class Past:
    """What a journal says.

    Parameters
    ----------
    ended: ask → its answer, else its last end. answering: the models that have answered anything.
    spent_pusd: with the most that calls without an end may have cost; ``lost`` are those calls.
    unreadable: lines that were broken off.
    """

    ended: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    answering: frozenset[str] = frozenset()
    spent_pusd: int = 0
    lost: int = 0
    unreadable: int = 0

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
    open_calls: dict[str, int] = {}
    ended: dict[str, Mapping[str, Any]] = {}
    spent = unreadable = 0
    for _, _, line in lines(path):
        match line:
            case {"event": "start", "call": str(call), "at_most_pusd": int(most)}:
                open_calls[call] = most
            case {"event": "end", "call": str(call), "ask": str(ask), "cost_pusd": int(cost)}:
                open_calls.pop(call, None)
                spent += cost
                if ask not in ended or ended[ask]["status"] != "ok":
                    ended[ask] = line or {}
            case _:
                unreadable += line is None
    answering = frozenset(str(end.get("model")) for end in ended.values() if end["status"] == "ok")
    return Past(ended, answering, spent + sum(open_calls.values()), len(open_calls), unreadable)


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
