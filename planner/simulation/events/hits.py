"""The response cache on its own, over a trace: every question is answered at once, and nothing but the cache happens.

In: a key and a time for each lookup, and the cache's size. Out: which lookups hit. The entries are those of the loop. Knows
nothing of requests.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError
from planner.simulation.events.compiled import entry
from planner.simulation.events.inputs import Ints
from planner.simulation.events.records import read_only
from planner.simulation.events.responses import ABSENT, Entries, empty, look_up, store

__all__ = ["hits"]

#: An entry is served for ever, as far as 64-bit times go.
_FOR_EVER = 2**60


def hits(keys: Ints, times_us: Ints, capacity: int, lru: bool = True, ttl_us: int = _FOR_EVER) -> NDArray[np.bool_]:
    """Return whether each lookup finds its key; one that does not stores it at once.

    Parameters
    ----------
    keys: int64 (n,) dense from 0, as ``np.unique(…, return_inverse=True)`` makes them: memory goes by the largest.
    times_us: int64 (n,) non-decreasing, from 0.
    capacity: entries, at least 1. lru: the least recently used leaves first, else the oldest.
    ttl_us: an entry as old as this is removed when it is looked up, and stored anew.

    Returns
    -------
    bool (n,)

    Raises
    ------
    InputError: negative keys or times, times that go backwards, two lengths, no capacity.

    Examples
    --------
    >>> import numpy as np
    >>> keys, times = np.array([0, 1, 0, 2, 0, 1]), np.arange(6) * 1_000_000
    >>> hits(keys, times, 2).tolist()
    [False, False, True, False, True, False]
    >>> hits(keys, times, 2, lru=False).tolist()
    [False, False, True, False, False, False]
    """
    keys, times = np.ascontiguousarray(keys, np.int64), np.ascontiguousarray(times_us, np.int64)
    if keys.ndim != 1 or keys.shape != times.shape:
        raise InputError(f"keys of shape {keys.shape} and times of shape {times.shape}", "two columns of one length")
    if capacity < 1 or ttl_us < 0:
        raise InputError(f"a capacity of {capacity} and a lifetime of {ttl_us} µs", "at least 1, and not below 0")
    if len(keys) and (keys.min() < 0 or times[0] < 0 or (np.diff(times) < 0).any()):
        raise InputError("negative keys or times, or times that go backwards", "keys from 0 and sorted times from 0")
    found = np.empty(len(keys), np.bool_)
    entries = empty(1 + int(keys.max(initial=-1)))
    _replay(read_only(keys), read_only(times), int(capacity), bool(lru), min(int(ttl_us), _FOR_EVER), entries, found)
    return found


@entry
def _replay(fingerprint: str) -> Callable[[Ints, Ints, int, bool, int, Entries, NDArray[np.bool_]], None]:
    def replay(keys: Ints, times: Ints, capacity: int, lru: bool, ttl_us: int, entries: Entries, found: NDArray[np.bool_]) -> None:
        fingerprint  # noqa: B018 – numba keeps the compiled loop under what it closes over
        for i in range(len(keys)):
            found[i] = look_up(entries, keys[i], times[i], lru) != ABSENT
            if not found[i]:
                store(entries, keys[i], i, times[i] + ttl_us, capacity, lru)

    return replay
