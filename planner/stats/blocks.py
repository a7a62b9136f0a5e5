"""Blocks of time: what may be resampled where users share state.

In: times, and the intervals of one statistic over users and over blocks. Out: the block of each time, its place in the week, and the
interval that carries both. A cache that all users fill makes their requests depend on one another, and a question that everybody asks one
day shifts everybody's cost; leaving users out shows neither, leaving days out does. Knows nothing of caches.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from planner.stats.resample import Interval

__all__ = ["BLOCKS", "LAGS", "blocks", "two_way", "weekdays"]

#: Blocks of every Summary of a plan with shared state: UTC days, the first again after the last.
BLOCKS = 256
#: Days over which a shock to what everybody asks is followed, each counting for a fifth less than the one before: of a shock that lasts
#: three days that shows four fifths of the variance, of a shorter one more, and 28 days are enough to tell it.
LAGS = 4


def blocks(timestamp: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Return the block of every time, from 0 to below BLOCKS: its UTC day, whatever log it is part of.

    >>> blocks(np.array(["1970-01-03T10:00", "1970-01-03T23:59", "1970-09-15T00:00"], "datetime64[us]")).tolist()
    [2, 2, 1]
    """
    return np.asarray(timestamp.astype("datetime64[D]").astype(np.int64) % BLOCKS)


def weekdays(filled: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return which day of the week each block is, 0 being the log's first; ``filled`` (BLOCKS,) are those that the log has.

    A log begins after the longest stretch of blocks without anything. One of more days than there are blocks has no weekdays to tell.

    >>> log = np.isin(np.arange(BLOCKS), [254, 255, 0, 1, 2, 3, 4, 5])
    >>> weekdays(log)[[254, 255, 0, 4, 5]].tolist()
    [0, 1, 2, 6, 0]
    """
    held = np.flatnonzero(filled)
    if not len(held):
        return np.zeros(BLOCKS, np.int64)
    gaps = np.diff(held, append=held[0] + BLOCKS)
    first = held[(int(gaps.argmax()) + 1) % len(held)]
    return np.asarray((np.arange(BLOCKS) - first) % BLOCKS % 7)


def two_way(users: Interval, days: Interval) -> Interval:
    """Return the interval that carries the sampling of users and that of days, none where either has none.

    Variances add. What belongs to one user on one day is in both, and is counted twice: too wide where that is most of it, never
    too narrow (Davezies, D'Haultfœuille & Guyonvarch, *Annals of Statistics* 49, 2021, §3; Cameron, Gelbach & Miller,
    *JBES* 29, 2011, subtract it, which takes sums by user and day).

    >>> one = Interval(*(np.array(x) for x in (1.0, 0.7, 1.3, 0.15)), clusters=80.0)
    >>> other = Interval(*(np.array(x) for x in (1.0, 0.6, 1.4, 0.2)), clusters=28.0)
    >>> both = two_way(one, other)
    >>> round(float(both.low), 6), round(float(both.high), 6), both.clusters
    (0.5, 1.5, 28.0)
    """
    below, above = (np.hypot(users.value - getattr(users, n), days.value - getattr(days, n)) for n in ("low", "high"))
    value, clusters = users.value, min(users.clusters, days.clusters)
    return Interval(value, value - below, value + above, np.hypot(users.se, days.se), clusters)
