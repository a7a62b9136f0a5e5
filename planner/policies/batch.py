"""Batch: requests that may wait go through a provider's cheaper, slower tier.

In: apps, the window in which requests are gathered, and the limits of a batch. Out: in the row phase the tier, and the
time at which each request's batch is sent. Knows nothing of rates or of how long a provider takes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planner.errors import InputError
from planner.policies.base import Block, Intents, Settings, in_apps, where

__all__ = ["BYTES_PER_TOKEN", "TIERS", "Batch", "schedule"]

TIERS = ("batch", "flex")
#: Assumed: a log keeps tokens, not bytes, and a token of English is about four.
BYTES_PER_TOKEN = 4
_US_PER_MINUTE = 60_000_000


@dataclass(frozen=True)
class Batch(Settings):
    """Send the requests of ``apps`` through a slow tier, gathered in windows per app and model.

    Parameters
    ----------
    apps: which.
    window_minutes: a batch is sent this long after its first request, or when it is full; 0 only for flex, which takes requests singly.
    tier: ``batch`` or ``flex``.
    deadline_hours: how long an answer may take from the request's arrival; later ones are counted as misses.
    max_requests, max_bytes: of one batch; the defaults suit every provider whose limits we know (``prices.call_rules``).

    Examples
    --------
    >>> Batch(("nightly",), window_minutes=60).words()
    'batch in nightly, sent every 60 minutes at the latest, answers due within 24 h'
    """

    apps: tuple[str, ...]
    window_minutes: float
    tier: str = "batch"
    deadline_hours: float = 24.0
    max_requests: int = 50_000
    max_bytes: int = 200_000_000

    key = "batch"
    phase = "row"
    writes = ("tier", "submit_ms")

    def __post_init__(self) -> None:
        self.some_apps(optional=False)
        self.text("tier", f"one of {', '.join(TIERS)}", TIERS)
        self.number("deadline_hours", "hours > 0", 1e-9)
        at_once = self.tier == "flex"
        self.number("window_minutes", "minutes ≥ 0" if at_once else "minutes > 0", 0.0 if at_once else 1e-9)
        if self.window_minutes > self.deadline_hours * 60:
            raise self.refuse("window_minutes", f"at most deadline_hours, {self.deadline_hours * 60:,g} minutes")
        for name in ("max_requests", "max_bytes"):
            self.number(name, "a whole number ≥ 1", 1, whole=True)

    def apply(self, block: Block, intents: Intents) -> Intents:
        """Set the tier of the apps' requests and when their batches are sent; models must have been chosen before."""
        mine = np.flatnonzero(in_apps(block.rows, self.apps))
        rows = block.rows.take(mine)
        arrival = (rows.timestamp - np.datetime64(0, "us")).astype("timedelta64[us]").astype(np.int64)
        group = _groups(rows.app.codes, _sent(rows.model.codes, rows.model.values, intents, mine))
        order = np.lexsort((rows.key, arrival, group))
        size = rows.tokens[:, :4].sum(axis=1) * BYTES_PER_TOKEN
        submit = np.empty_like(arrival)
        window = round(self.window_minutes * _US_PER_MINUTE)
        submit[order], _ = schedule(arrival[order], group[order], size[order], window, self.max_requests, self.max_bytes)
        tiers = (*intents.tiers, *(() if self.tier in intents.tiers else (self.tier,)))
        tier, submit_ms = intents.tier.copy(), intents.submit_ms.copy()
        tier[mine] = tiers.index(self.tier)
        submit_ms[mine] = (submit - arrival) / 1_000
        return replace(intents, tier=tier, tiers=tiers, submit_ms=submit_ms)

    def misses(self, arrival_us: ArrayLike, done_us: ArrayLike) -> NDArray[np.bool_]:
        """Say which answers came after the deadline, shape (n,); times in whole microseconds.

        >>> Batch(("nightly",), 60, deadline_hours=1).misses([0, 0], [3_600_000_000, 3_600_000_001])
        array([False,  True])
        """
        waited = np.asarray(done_us, np.int64) - np.asarray(arrival_us, np.int64)
        return np.asarray(waited > round(self.deadline_hours * 60 * _US_PER_MINUTE))

    def words(self) -> str:
        """Say what it does, for people."""
        window = f", sent every {self.window_minutes:,g} minutes at the latest" if self.window_minutes else ""
        return f"{self.tier} {where(self.apps)}{window}, answers due within {self.deadline_hours:,g} h"


def _sent(codes: NDArray[np.int32], values: tuple[str, ...], intents: Intents, mine: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a code of the model that each request is sent to, equal for equal names."""
    place = {name: i for i, name in enumerate(dict.fromkeys((*values, *intents.models)))}
    intended = np.array([place[m] for m in intents.models] or [0], np.int64)
    chosen = intents.model[mine]
    return np.where(chosen >= 0, intended[chosen], codes)


def _groups(app: NDArray[np.int32], model: NDArray[np.int64]) -> NDArray[np.int64]:
    return app.astype(np.int64) * (int(model.max(initial=0)) + 1) + model


def schedule(
    arrival_us: ArrayLike, group: ArrayLike, size_bytes: ArrayLike, window_us: int, max_requests: int, max_bytes: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return when each of n requests is sent [µs] and in which batch, both int64 of shape (n,); batches count from 0.

    In each group a batch opens with the first request that finds none open. It is sent ``window_us`` later (a request that
    arrives at that very moment opens the next one), at once when it holds ``max_requests`` or ``max_bytes``, and when a
    request arrives that no longer fits in, which then opens the next. A request larger than ``max_bytes`` goes alone.

    Parameters
    ----------
    arrival_us: (n,) rising within each group; equal times keep their order.
    group: (n,) integers: requests of different groups share no batch.
    size_bytes: (n,) of each request.

    Examples
    --------
    >>> schedule([0, 5, 10, 12], [0, 0, 0, 0], [1, 1, 1, 1], window_us=10, max_requests=100, max_bytes=100)
    (array([10, 10, 20, 20]), array([0, 0, 1, 1]))
    """
    arrival, size, of = (np.asarray(x, np.int64) for x in (arrival_us, size_bytes, group))
    order = np.argsort(of, kind="stable")
    submit, batch = np.empty_like(arrival), np.empty_like(arrival)
    count = 0
    for start, end in pairwise([0, *(np.flatnonzero(np.diff(of[order])) + 1).tolist(), len(of)] if len(of) else []):
        rows = order[start:end]
        if (np.diff(arrival[rows]) < 0).any():
            raise InputError("arrivals that go backwards in a batch group", "requests in order of arrival")
        sent, held = _batches(arrival[rows], np.cumsum(size[rows]), window_us, max_requests, max_bytes)
        submit[rows] = np.repeat(sent, held)
        batch[rows] = np.repeat(np.arange(count, count + len(held)), held)
        count += len(held)
    return submit, batch


def _batches(
    times: NDArray[np.int64], filled: NDArray[np.int64], window_us: int, max_requests: int, max_bytes: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return when each batch of one group is sent and how many requests it holds; ``filled`` is the running sum of bytes."""
    at, before = np.arange(len(times)), np.concatenate([[0], filled[:-1]])
    in_time = np.maximum(np.searchsorted(times, times + window_us, "left"), at + 1)
    fits = np.maximum(np.searchsorted(filled, before + max_bytes, "right"), at + 1)
    ends = np.minimum(np.minimum(in_time, fits), at + max_requests)  # of the batch that each request would open
    following, opened, i = ends.tolist(), [], 0
    while i < len(times):
        opened.append(i)
        i = following[i]
    first = np.array(opened, np.int64)
    end = ends[first]
    full = (end == first + max_requests) | (filled[end - 1] - before[first] >= max_bytes)
    refused = times[np.minimum(end, len(times) - 1)]  # who no longer fits in
    sent = np.where(full, times[end - 1], np.where(end < in_time[first], refused, times[first] + window_us))
    return sent, end - first
