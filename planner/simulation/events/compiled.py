"""How the event phase is compiled: once for a machine, and again whenever a line of it changes.

In: a function. Out: the same function as numba compiles it. Numba's own cache looks only at the file of the function that is
called, so that a change in a function it calls would go unnoticed; here the key covers every file of this folder.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from numba import njit

from planner.schema import PURPOSES, STATUSES

__all__ = ["entry", "hook"]

P = ParamSpec("P")
R = TypeVar("R")

#: The loop allocates nothing, so that no references need to be counted; numba refuses to compile it if it ever does.
_OUTSIDE: dict[str, Any] = {"error_model": "numpy", "_nrt": False, "cache": True}
#: Nobody calls a hook but compiled code: it needs no doors to Python and C, which take longer to compile than the hook.
_INSIDE: dict[str, Any] = {"error_model": "numpy", "_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "forceinline": True}


def hook(function: Callable[P, R]) -> Callable[P, R]:
    """Return ``function`` for use inside compiled code, which it becomes part of."""
    return cast(Callable[P, R], njit(**_INSIDE)(function))


def entry(made: Callable[[str], Callable[P, R]]) -> Callable[P, R]:
    """Return the compiled function that ``made`` returns, kept on disk; it must close over the fingerprint that ``made`` is given."""
    return cast(Callable[P, R], njit(**_OUTSIDE)(made(_fingerprint())))


def _fingerprint() -> str:
    """Return a hash of all that decides what is compiled: numba keys its files by what the function closes over."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    text = b"\x1f".join([*(f.read_bytes() for f in files), repr((STATUSES, PURPOSES)).encode()])
    return blake2b(text, digest_size=16).hexdigest()
