"""Windows: which requests of an app and model are gathered, and when each gathering is sent.

In: arrivals, groups and limits. Out: for each request the time at which it is sent and which batch it is in. What a batch of a slow
tier and a shared call have in common; knows nothing of either.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planner.errors import InputError
from planner.policies.base import Intents, in_apps
from planner.traffic.rows import Rows

__all__ = ["arrivals_us", "in_turn", "per_app_and_model", "schedule"]


def in_turn(rows: Rows, apps: tuple[str, ...] | None) -> NDArray[np.int64]:
    """Return the positions of the requests of ``apps`` that a plan may change, in order of arrival; ties go by their key."""
    mine = np.flatnonzero(in_apps(rows, apps))
    return mine[np.lexsort((rows.key[mine], rows.timestamp[mine]))]


def arrivals_us(rows: Rows) -> NDArray[np.int64]:
    """Return when each request arrived [µs since 1970], (n,)."""
    return (rows.timestamp - np.datetime64(0, "us")).astype("timedelta64[us]").astype(np.int64)


def per_app_and_model(rows: Rows, intents: Intents, at: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a number for each of the requests ``at``, equal where app and the model that each is to be sent to are."""
    place = {name: i for i, name in enumerate(dict.fromkeys((*rows.model.values, *intents.models)))}
    intended = np.array([place[m] for m in intents.models] or [0], np.int64)
    chosen = intents.model[at]
    model = np.where(chosen >= 0, intended[chosen], rows.model.codes[at])
    return rows.app.codes[at].astype(np.int64) * len(place) + model


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
    reached = np.searchsorted(filled, before + max_bytes, "left")
    fits = np.maximum(reached + (np.append(filled, -1)[reached] == before + max_bytes), at + 1)
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
