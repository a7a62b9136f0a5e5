"""Whether a folder is being written: a lock on it that ends with the process, however that ends.

In: a folder. Out: the lock, or an error where another has it; where a system has no such locks, none is held and all folders are free.
Knows nothing of what is written.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from planner.errors import InputError

__all__ = ["BusyError", "alone"]


class BusyError(InputError):
    """Another process, or another reading in this one, is writing the folder."""


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for the time of the block; BusyError when another has it."""
    file = _opened(folder)
    try:
        if file is not None and not _locked(file):
            raise BusyError(f"{folder}, which is being written", "a folder that nobody is writing", "wait until that is over")
        yield
    finally:
        if file is not None:
            os.close(file)


def _opened(folder: Path) -> int | None:
    """Open a folder; None on a system that does not open folders, which has no such locks either."""
    return os.open(folder, os.O_RDONLY) if os.name == "posix" else None


def _locked(file: int) -> bool:
    """Say whether a file is locked now by whoever opened it; on a file system without such locks everything is."""
    import fcntl  # of POSIX systems alone

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
