"""Feedback: which app and arm a thumb up or down speaks of.

In: ids of requests as they are answered; ``feedback.jsonl``, to which anybody who may write there appends
``{"id": ..., "thumb": "up" | "down"}`` with LiteLLM's call id (header ``x-litellm-call-id``) or the id of the answer. Out: thumbs with app
and arm. A client does not know its arm, so each process remembers it for its latest requests and takes the lines about those: no thumb
is counted twice, and one about a request before a restart, or long ago, not at all. Knows nothing of counts.
"""

from __future__ import annotations

import json
import os
import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

__all__ = ["Feedback"]

#: Ids that are remembered; [bytes] that are read at a time, and of the longest line.
_MOST_IDS, _MOST_BYTES = 50_000, 1 << 20


class Feedback:
    """The thumbs in ``path`` from now on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._asked: OrderedDict[str, list[str]] = OrderedDict()
        self._lock = threading.Lock()
        self._place = self._end()

    def forked(self) -> None:
        """Take thumbs for another process: about nothing that was asked of this one."""
        self._asked, self._lock = OrderedDict(), threading.Lock()

    def remember(self, ids: Sequence[str], app: str, arm: str) -> None:
        """Keep whose request goes by any of ``ids``."""
        whose = [app, arm]
        with self._lock:
            self._asked.update(dict.fromkeys(ids, whose))
            while len(self._asked) > _MOST_IDS:
                self._asked.popitem(last=False)

    def forget(self, apps: Collection[str]) -> None:
        """Take no more thumbs about what was asked of ``apps`` before."""
        with self._lock:
            for one in [i for i, whose in self._asked.items() if whose and whose[0] in apps]:
                del self._asked[one]

    def thumbs(self) -> tuple[list[tuple[str, str, bool]], int]:
        """Return (app, arm, whether down) of each new thumb about a request of this process, and how many lines were none.

        The first thumb about a request counts. OSError when the file cannot be read.
        """
        found, bad = [], 0
        for line in self._lines():
            thumb = _thumb(line)
            if thumb is None:
                bad += 1
            elif whose := self._taken(thumb[0]):
                found.append((*whose, thumb[1]))
        return found, bad

    def _taken(self, name: str) -> tuple[str, str] | None:
        with self._lock:
            whose = self._asked.pop(name, None)
            if not whose:
                return None
            app, arm = whose
            whose.clear()  # it may go by another id too
            return app, arm

    def _end(self) -> tuple[int, int]:
        """Return the file there is and how long it is."""
        try:
            about = self.path.stat()
        except OSError:
            return 0, 0
        return about.st_ino, about.st_size

    def _lines(self) -> list[bytes]:
        """Return the lines that were completed since the last time; of a file that is another or shorter now, all."""
        try:
            with self.path.open("rb") as file:
                about = os.fstat(file.fileno())
                start = self._place[1] if self._place[0] == about.st_ino and self._place[1] <= about.st_size else 0
                file.seek(start)
                text = file.read(_MOST_BYTES)
        except FileNotFoundError:
            return []
        whole = text.rfind(b"\n") + 1 or (len(text) if len(text) == _MOST_BYTES else 0)
        self._place = about.st_ino, start + whole
        return [line for line in text[:whole].split(b"\n") if line.strip()]


def _thumb(line: bytes) -> tuple[str, bool] | None:
    try:
        value: Any = json.loads(line)
        return (str(value["id"]), value["thumb"] == "down") if value["thumb"] in ("up", "down") else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
