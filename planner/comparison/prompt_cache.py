"""What a provider's prompt cache could have held: pure functions over the leading blocks of prompts in time.

In: block keys, arrival and completion times, a lifetime. Out: how many leading blocks of each prompt had been seen by a
request that was complete and not older than the lifetime, and how many are shared with any other prompt at all. Knows
nothing of rates, apps or providers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from planner.text.prints import Prefixes, leading

__all__ = ["moved", "shared_and_warm"]


def shared_and_warm(
    prefixes: Prefixes, rows: NDArray[np.int64], start_ms: NDArray[np.int64], ready_ms: NDArray[np.int64], lifetime_s: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return, for each of ``rows``, its leading blocks that another of them has too, and those that are warm on arrival.

    Parameters
    ----------
    start_ms, ready_ms: per row of ``rows``: arrival, and when it has filled the cache.
    lifetime_s: an entry dies so long after the arrival of the request that was last to complete.

    Examples
    --------
    Three prompts of two equal blocks, ten seconds apart; the third comes after the lifetime of 60 s:

    >>> p = Prefixes(np.array([1, 2] * 3, np.uint64), np.array([0, 2, 4, 6]), np.array([256] * 3), 128)
    >>> t = np.array([0, 10_000, 90_000])
    >>> [x.tolist() for x in shared_and_warm(p, np.arange(3), t, t + 1_000, 60)]
    [[2, 2, 2], [0, 2, 0]]
    """
    counts = (prefixes.start[1:] - prefixes.start[:-1])[rows]
    owner = np.repeat(np.arange(len(rows)), counts)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    _, code = np.unique(prefixes.keys[prefixes.start[rows][owner] + place], return_inverse=True)
    twice = np.bincount(code)[code] > 1 if len(code) else np.zeros(0, bool)
    warm = _alive(code, start_ms[owner], np.maximum(ready_ms, start_ms + 1)[owner], lifetime_s * 1_000)
    return leading(twice, counts), leading(warm & twice, counts)


def _alive(code: NDArray[np.int64], start: NDArray[np.int64], ready: NDArray[np.int64], lifetime: int) -> NDArray[np.bool_]:
    """Say of each use of a block whether the last one to be complete before it arrived at most ``lifetime`` earlier."""
    span = int(max(ready.max(initial=0), start.max(initial=0))) + 1
    order = np.argsort(code * span + ready, kind="stable")
    before = np.searchsorted((code * span + ready)[order], code * span + start, side="right") - 1
    last = order[np.maximum(before, 0)] if len(order) else order
    alive: NDArray[np.bool_] = (before >= 0) & (code[last] == code) & (start - start[last] <= lifetime)
    return alive


def moved(
    tokens: NDArray[np.int64], warm: NDArray[np.int64], shared: NDArray[np.int64], write_column: int, live: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return ``tokens`` (n, 6) with ``warm`` leading tokens read from the cache and the rest of ``shared`` written to it.

    What the log already read stays read; rows that already write, and rows that are not ``live``, stay as they are.
    """
    out = tokens.copy()
    free = live & (tokens[:, 2:4].sum(axis=1) == 0)
    read = np.where(free, np.clip(warm - tokens[:, 1], 0, tokens[:, 0]), 0)
    out[:, 0] -= read
    out[:, 1] += read
    written = np.where(free, np.clip(shared - out[:, 1], 0, out[:, 0]), 0)
    out[:, 0] -= written
    out[:, write_column] += written
    return out
