"""Days that a log lacks: told apart from days on which a provider was simply not called.

In: the days of a provider's logged calls, and from when to when the log is. Out: whether the log lacks all of a period. Knows nothing of
money: only charges for a period are ever asked about, so a quiet day that nobody bills is never in question.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

__all__ = ["absent"]

#: A run of days without a call is taken for a gap in the log where the chance that it is quiet is below this.
_CHANCE = 0.001


def absent(days: NDArray[np.datetime64], first: dt.date, last: dt.date) -> Callable[[dt.date, dt.date], bool]:
    """Return a function (start, end) → whether the log, from ``first`` to ``last``, lacks every UTC day from ``start`` to before ``end``.

    ``days`` (n,) are those of the provider's logged calls, in any order. Lacking are days outside of the log, and runs of days without a
    call that are too long to be chance.

    Notes
    -----
    Calls come in bunches (a batch a week, office hours). Where bunches come independently, about mean² / variance of the daily counts
    of them come a day, and a run of L days has none with the chance exp(−L · mean² / variance). The silent days count in both moments,
    so that a provider who is called seldom, or a thousand times every Monday, has long quiet runs, and one who is called fifty times
    every day has none. A charge for a quiet day is compared within its month instead: it may be of a call logged the day before.

    Examples
    --------
    >>> first, last = dt.date(2026, 11, 1), dt.date(2026, 11, 30)
    >>> every = np.arange("2026-11-01", "2026-12-01", dtype="datetime64[D]")
    >>> lacks = absent(np.repeat(np.delete(every, [9, 10, 11]), 50), first, last)
    >>> lacks(dt.date(2026, 11, 10), dt.date(2026, 11, 11)), lacks(dt.date(2026, 11, 12), dt.date(2026, 11, 14))
    (True, False)
    >>> absent(np.repeat(every[::7], 1000), first, last)(dt.date(2026, 11, 10), dt.date(2026, 11, 11))
    False
    """
    whole = np.arange(np.datetime64(first, "D"), np.datetime64(last, "D") + 1)
    counts = np.bincount((days - whole[0]).astype(int), minlength=len(whole)) if len(days) else np.zeros(len(whole), int)
    spread = float(counts.var())
    bunches = float(counts.mean()) ** 2 / spread if spread else 0.0
    lacking: set[dt.date] = set()
    for silent, run in groupby(zip(whole.tolist(), counts.tolist(), strict=True), lambda day: day[1] == 0):
        held = [day for day, _ in run]
        if silent and len(held) * bunches > -math.log(_CHANCE):
            lacking |= set(held)

    def lacks(start: dt.date, end: dt.date) -> bool:
        inside = (start + dt.timedelta(days=i) for i in range((end - start).days))
        return all(day < first or day > last or day in lacking for day in inside)

    return lacks
