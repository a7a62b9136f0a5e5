"""Files that several processes share: put in one step, appended in one write, changed under a lock; for their owner alone.

In: a path and what to write. Out: files that a reader never sees half of; OSError where that fails. Knows nothing of what is in them.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

__all__ = ["append", "locked", "put"]


def put(path: Path, text: str) -> None:
    """Write a file in one step: who reads meanwhile sees the old one or the new one."""
    _folder(path.parent)
    with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=".", delete=False) as new:
        try:
            new.write(text)
            new.flush()
            Path(new.name).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(new.name).unlink()
            raise


def append(path: Path, line: str) -> None:
    """Append a line in one write, so that lines of several processes do not mix; one that a full disk broke off is ended first."""
    _folder(path.parent)
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        size = os.fstat(file).st_size
        torn = size and os.pread(file, 1, size - 1) != b"\n"
        text = f"{line}\n".encode("utf-8", "replace")
        if os.write(file, b"\n" + text if torn else text) < len(text):
            raise OSError("a full disk")
    finally:
        os.close(file)


@contextmanager
def locked(path: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the lock file ``path`` against other processes and threads; BlockingIOError when it is not to be had within ``wait_s``.

    It ends with the process, however that ends. A folder can be held itself, by whoever can read it.
    """
    _folder(path.parent)
    file = os.open(path, os.O_RDONLY) if path.is_dir() else os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        end = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise
                time.sleep(0.005)
        yield
    finally:
        os.close(file)


def _folder(path: Path) -> None:
    """Make a folder and those above it, each for its owner alone."""
    if not path.is_dir():
        _folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
