"""Forget a user in the answers that production asked for in the background, while production goes on writing them.

In: a folder ``mirror`` of an exported folder, and the names of the user. Out: how many lines went. A line goes in its place, one write of
blanks over all of it, which readers pass over: no line moves, so that what is appended meanwhile is never lost, and a kill leaves whole
lines. Files of others are left alone. Knows nothing of what is in an answer but whose it is.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from planner.traffic.forget import names_in

__all__ = ["exported", "forget_answers", "growing", "mirrors"]

_FILES = "answers-????-??-??.jsonl"
#: Where an exported folder has them, and what tells that a folder is one.
_MIRROR, _EXPORTED = Path("state") / "mirror", ("rollout.json", "bundle")
#: [s] after which a line without an end is taken for one that was broken off; for which what was asked before may still be written.
_SETTLED_S, _LATE_S = 0.2, 600.0


def mirrors(root: Path, below: bool = True) -> list[Path]:
    """Return the folders of answers: ``root`` and those ``below`` it, or that of ``root``, an exported folder, alone."""
    if not below:
        return [root / _MIRROR] if any((root / _MIRROR).glob(_FILES)) else []
    found = {file.parent for file in root.rglob(_FILES) if file.parent.resolve().name == _MIRROR.name}
    return sorted(folder for folder in found if all(map(_ours, folder.glob(_FILES))))


def exported(folder: Path) -> bool:
    """Say whether ``folder`` is one that a gateway runs."""
    return any((folder / name).exists() for name in _EXPORTED)


def growing(folder: Path) -> bool:
    """Say whether a question that was asked by now may be written into ``folder`` only later: something was added minutes ago."""
    return any(time.time() - file.stat().st_mtime < _LATE_S for file in folder.glob(_FILES))


def forget_answers(folder: Path, names: Sequence[str]) -> int:
    """Blank the lines of the user with these ``names`` in all files of ``folder``, and return how many there were.

    Lines that are no JSON go, too, where they name the user.
    """
    return sum(_blanked(file, names) for file in sorted(folder.glob(_FILES)))


def _blanked(path: Path, names: Sequence[str]) -> int:
    gone, before = 0, path.stat()
    with path.open("rb") as file, path.open("r+b", buffering=0) as over:
        for at, line in _lines(file):
            if _theirs(line, names):
                over.seek(at)
                over.write(b" " * len(line))
                gone += 1
        if gone:
            os.fsync(over.fileno())
    if gone and path.stat().st_size == before.st_size:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # what tells when it was last added to
    return gone


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield every line with its place, without its end; the last one once nobody is writing it any more."""
    at = 0
    while raw := file.readline():
        while not raw.endswith(b"\n"):
            time.sleep(_SETTLED_S)
            if not (more := file.readline()):
                break
            raw += more
        yield at, raw.rstrip(b"\n")
        at += len(raw)


def _theirs(line: bytes, names: Sequence[str]) -> bool:
    value = _read(line)
    if value is None:
        return names_in(line.decode("utf-8", "replace"), names)
    request = value.get("request")
    return isinstance(request, dict) and request.get("user") in names


def _read(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _ours(file: Path) -> bool:
    """Say whether the first line that can be read is the end of a call; a file without any is nobody's."""
    with file.open("rb") as lines:
        for line in lines:
            if (value := _read(line)) is not None:
                return value.get("event") == "end" and "ask" in value and "request" in value
    return True
