"""From requests to units: a session is its first turn, and near duplicates are one.

In: which requests may be labelled, sessions, times, near-duplicate groups. Out: the unit that every request belongs to and the request
that is asked for it. Knows nothing of money, text or budgets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Units", "units_of"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Units:
    """``m`` units of ``n`` requests.

    Parameters
    ----------
    row: int64 (m,) position of the request that is asked.
    unit: int64 (n,) the unit of each request, −1 where it may not be labelled.
    turn: bool (n,) follows an earlier request of its session. duplicate: bool (n,) stands behind another one that is asked.
    reason: int8 (n,) the reason of every request that has no unit; later turns have that of their session's first.
    """

    row: Ints
    unit: Ints
    turn: NDArray[np.bool_]
    duplicate: NDArray[np.bool_]
    reason: NDArray[np.int8]

    def total(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum ``values`` (n,) over the requests of every unit, shape (m,)."""
        inside = self.unit >= 0
        return np.asarray(np.bincount(self.unit[inside], weights=values[inside], minlength=len(self.row)), np.float64)

    def keep(self, kept: NDArray[np.bool_], code: int) -> Units:
        """Return the units ``kept`` (m,); the requests of the others have the reason ``code``."""
        place = np.append(np.where(kept, np.cumsum(kept) - 1, -1), -1)
        unit = place[self.unit]
        lost = (self.unit >= 0) & (unit < 0)
        reason = np.where(lost, code, self.reason).astype(np.int8)
        return Units(self.row[kept], unit, self.turn & ~lost, self.duplicate & ~lost, reason)


def units_of(
    reason: NDArray[np.int8],
    outside: NDArray[np.bool_],
    session: pd.Series[str] | None,
    time: NDArray[np.datetime64],
    alike: NDArray[np.uint64],
    weight: NDArray[np.float64],
    draw: NDArray[np.float64],
) -> Units:
    """Form units.

    Parameters
    ----------
    reason: (n,) why a request may not be labelled, 0 where it may. outside: (n,) no part of any session: failed, overhead, cached.
    session: (n,) ids or null; None: every request decides for itself. time: (n,) arrivals.
    alike: (n,) key of what near duplicates share. weight: (n,) requests that a row stands for.
    draw: (n,) uniform, belonging to the request: of near duplicates one is taken with probability ∝ its weight (the least of
        −ln u / w: Efraimidis and Spirakis, Information Processing Letters 97, 2006), so that totals stay unbiased.
    """
    n = len(reason)
    first = _first(session, outside, time)
    turn = first != np.arange(n)
    reason = np.where(turn, reason[first], reason).astype(np.int8)
    heads = np.flatnonzero((reason == 0) & ~turn)
    mass = np.bincount(first, weights=weight, minlength=n)[heads]
    _, group = np.unique(alike[heads], return_inverse=True)
    order = np.lexsort((-np.log(draw[heads]) / np.maximum(mass, 1e-300), group))
    taken = order[np.flatnonzero(np.diff(group[order], prepend=-1))]
    unit = np.full(n, -1, np.int64)
    unit[heads] = group
    unit = np.where(reason == 0, unit[first], -1)
    row = heads[taken]
    duplicate = (unit >= 0) & ~turn
    duplicate[row] = False
    return Units(row, unit, turn & (unit >= 0), duplicate, reason)


def _first(session: pd.Series[str] | None, outside: NDArray[np.bool_], time: NDArray[np.datetime64]) -> Ints:
    """Return the position of the first request of each request's session, itself where it has none."""
    itself = np.arange(len(outside))
    if session is None:
        return itself
    codes = pd.factorize(session.where(~outside))[0]
    order = np.lexsort((itself, time, codes))
    starts = np.flatnonzero(np.diff(codes[order], prepend=-2))
    head = np.repeat(order[starts], np.diff(starts, append=len(order)))
    first = itself.copy()
    first[order] = head
    return np.where(codes < 0, itself, first)
