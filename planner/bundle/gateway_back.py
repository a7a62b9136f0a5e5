"""The router before the last export, put back: the two bundles of a folder change places in one step, as often as somebody likes.

In: an exported folder that keeps the bundle before. Out: the folder with it in force. Each of the two is whole at every moment; where the
system cannot exchange two names at once, a gateway that runs keeps what it loaded while none is there. Knows nothing of gateways.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from pathlib import Path

from planner.errors import BundleError, InputError
from planner.router.live import BUNDLE
from planner.router.load import read_manifest

__all__ = ["PREVIOUS", "put_back"]

#: Where the bundle before the last export is kept, and where one is while the two change places without the system's help.
PREVIOUS, _ASIDE = f"{BUNDLE}.previous", f".{BUNDLE}.aside"
#: Linux: paths from the working folder, and that two of them are exchanged.
_HERE, _EXCHANGE = -100, 2


def put_back(folder: str | Path) -> str:
    """Let the bundle of ``folder`` and the one before it change places; return the digest of the one that is in force now.

    Raises InputError where none is kept, and where the kept one is damaged.

    >>> put_back("/no/such/folder")
    Traceback (most recent call last):
        ...
    planner.errors.InputError: Got /no/such/folder, in which there is no bundle.previous; expected an export over another one.
    """
    path = Path(folder)
    now, before = path / BUNDLE, path / PREVIOUS
    _finish(now, before)
    if not before.is_dir():
        raise InputError(f"{path}, in which there is no {PREVIOUS}", "an export over another one")
    try:
        digest = str(read_manifest(before)[0]["digest"])
    except BundleError as error:
        raise InputError(f"{before}: {error.got}", "a whole bundle", "export the router again") from error
    if not now.exists():
        before.rename(now)
    elif not _exchanged(now, before):
        now.rename(path / _ASIDE)
        before.rename(now)
        _finish(now, before)
    return digest


def _finish(now: Path, before: Path) -> None:
    """End what a process that was killed began: the bundle that is aside was in force until then."""
    aside = now.with_name(_ASIDE)
    if aside.is_dir():
        aside.rename(before if now.exists() else now)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where the system or the file system cannot."""
    with suppress(OSError, AttributeError):
        rename = ctypes.CDLL(None, use_errno=True).renameat2
        return int(rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE)) == 0
    return False
