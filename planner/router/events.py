"""Events: what went wrong in our own code at run time, counted, and written down without ever holding a request up.

In: the kind of event and an error. Out: lines in ``events.jsonl``, at most one a kind and second, each with how often it came since the
last; the kind and the error's type, never its text, which may quote a prompt. Where nothing can be written the counts stay in
memory. Knows nothing of routers.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["Events"]

#: [bytes] from which a file is put aside as ``….1``; [kinds] that are told apart.
_MOST_BYTES, _MOST_KINDS = 1 << 20, 256


class Events:
    """Counts of one process, ``worker``, appended to ``path``."""

    def __init__(self, path: Path, worker: str) -> None:
        self.path, self.worker = path, worker
        self.totals: Counter[tuple[str, str]] = Counter()
        self._new: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def forked(self, worker: str) -> None:
        """Count for another process: what this one counted is its own to write, and its lock may be held by a thread that is not here."""
        self.worker, self._lock = worker, threading.Lock()
        self.totals, self._new = Counter(), Counter()

    def count(self, event: str, error: BaseException | str) -> None:
        """Count one event of the kind ``event``."""
        kind = error if isinstance(error, str) else type(error).__name__
        with self._lock:
            key = (event, kind) if (event, kind) in self.totals or len(self.totals) < _MOST_KINDS else ("other", "")
            self.totals[key] += 1
            self._new[key] += 1

    def flush(self) -> None:
        """Write what was counted since the last time; keep it where that fails."""
        with self._lock:
            new, self._new = self._new, Counter()
        if not new:
            return
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        rows = [{"at": at, "worker": self.worker, "event": e, "error": kind, "count": n} for (e, kind), n in new.items()]
        try:
            self._append("".join(json.dumps(row) + "\n" for row in rows).encode())
        except OSError:
            with self._lock:
                self._new.update(new)

    def _append(self, text: bytes) -> None:
        """Append in one write, so that lines of several processes do not mix."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            if self.path.stat().st_size > _MOST_BYTES:
                self.path.replace(self.path.with_suffix(".jsonl.1"))
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if os.write(file, text) < len(text):
                raise OSError("a full disk")
        finally:
            os.close(file)
