"""Cut: a log into parts that follow one another in time, so that each can be played with what is under way at its beginning.

In: a Traffic handle. Out: for each part the stored positions of the rows that begin in it, with the turns of their sittings, and when
the next one begins. Knows nothing of plans.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from planner.simulation.replay import SITTING_US
from planner.traffic import Traffic
from planner.traffic.rows import identities

__all__ = ["Cut", "cut"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Cut:
    """``K`` parts: ``positions`` of each, ascending; ``begins`` (K − 1,) when each but the first begins [µs since 1970].

    ``last`` is when the last row of all arrived.
    """

    positions: tuple[Ints, ...]
    begins: Ints
    last: np.datetime64

    def __len__(self) -> int:
        return len(self.positions)

    def until_us(self, k: int, start: np.datetime64) -> int | None:
        """Return when part ``k`` ends, counted from ``start`` [µs]; None for the last one."""
        return int(self.begins[k]) - int(start.astype("datetime64[us]").astype(np.int64)) if k < len(self.begins) else None


def cut(traffic: Traffic, rows: int) -> Cut:
    """Cut ``traffic`` into parts in which about ``rows`` rows begin; rows that arrive together stay together.

    A later turn of a sitting (``replay.SITTING_US``) belongs to the part in which the sitting begins: when it arrives depends on the
    turns before it. Memory: some 60 bytes a row of the log.
    """
    arrival, session = _columns(traffic)
    begin = begins(arrival, session)
    order = np.sort(begin)
    at = np.unique(order[rows::rows])
    at = at[at > order[0]]
    part = np.searchsorted(at, begin, "right")
    grouped = np.argsort(part, kind="stable").astype(np.int64)
    counts = np.bincount(part, minlength=len(at) + 1)
    return Cut(tuple(p for p in np.split(grouped, np.cumsum(counts)[:-1])), at, arrival.max().astype("datetime64[us]"))


def begins(arrival_us: Ints, session: Ints) -> Ints:
    """Return when each row's sitting began, (n,): the rows of a session that follow one another less than SITTING_US apart.

    >>> hour = 3_600_000_000
    >>> (begins(np.array([0, 5, hour - 1, 3 * hour]), np.array([7, -1, 7, 7])) / hour).round(3).tolist()
    [0.0, 0.0, 0.0, 3.0]
    """
    order = np.lexsort((arrival_us, session))
    when, of = arrival_us[order], session[order]
    first = np.ones(len(order), bool)
    first[1:] = (of[1:] != of[:-1]) | (of[1:] < 0) | (when[1:] - when[:-1] >= SITTING_US)
    out = np.empty(len(order), np.int64)
    out[order] = when[np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))]
    return out


def _columns(traffic: Traffic) -> tuple[Ints, Ints]:
    """Return every row's arrival [µs since 1970] and its session, −1 where no plan changes the row or it has none."""
    arrival, own = [np.zeros(0, np.int64)], [np.zeros(0, bool)]
    for batch in traffic.batches(("timestamp", "purpose", "cache_hit")):
        arrival.append(batch["timestamp"].cast(pa.timestamp("us")).cast(pa.int64()).to_numpy())
        own.append(pc.and_(pc.equal(batch["purpose"], "user"), pc.invert(batch["cache_hit"])).to_numpy(zero_copy_only=False))
    return np.concatenate(arrival), np.where(np.concatenate(own), identities(traffic)["session"], -1)
