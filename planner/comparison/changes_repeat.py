"""Requests that were sent again: the same question answered before, and the same failure paid for twice.

In: a Context with keys of whole requests. Out: per app one change for a response cache, one for failures that an identical
earlier failure foretold. A repeat that arrives while the first is still under way is not a hit. Knows nothing of other
changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush
from math import inf

import numpy as np
from numpy.typing import NDArray

from planner.comparison.change import Change, saved_pusd
from planner.comparison.context import Context, Rowset, State
from planner.schema import STATUSES

__all__ = ["LIFETIME_HOURS", "changes", "repeats"]

#: How long an answer is kept [h].
LIFETIME_HOURS = 24
_LIFETIME_MS = LIFETIME_HOURS * 3_600_000
#: Failures that the same request meets again; the others pass.
_LASTING = tuple(STATUSES.index(k) for k in ("content", "validation"))


def changes(context: Context) -> list[Change]:
    """Return the changes for repeated requests of every app."""
    if not context.request_key.any():
        return []
    found = (make(context, app) for app in context.names for make in (_cached, _failed_again))
    return [c for c in found if c is not None]


def _cached(context: Context, app: str) -> Change | None:
    terms = context.apps[app]
    rows = context.app_rows(app, context.open & (context.request_key != 0) & ~context.tools)
    if terms.side_effects or not len(rows):
        return None
    hits = rows[repeats(context.request_key[rows], context.start_ms[rows], context.ready_ms[rows], context.ok[rows])]
    if not len(hits) or saved_pusd(context, hits, _not_called).sum() <= 0:
        return None
    cached = len(context.app_rows(app, ~context.rows.billable)) > 0
    return Change(
        "response cache",
        app,
        f"answer {app}'s exact repeats from a response cache ({LIFETIME_HOURS} h)",
        hits,
        _not_called,
        "estimated" if context.timed else "assumed",
        f"low: {'let the gateway keep its answers longer' if cached else 'switch on an exact cache in the gateway for this app'}",
        "an answer may be a day old and is the same for every user; planner does not read temperatures",
        f"same app, model, messages and logged parameters, first answer complete and at most {LIFETIME_HOURS} h old",
    )


def repeats(key: NDArray[np.uint64], start_ms: NDArray[np.int64], ready_ms: NDArray[np.int64], ok: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Say which requests a response cache would have answered; equal ``key`` means an identical request.

    A successful answer is stored when it is complete and kept for LIFETIME_HOURS; a hit does not prolong it. Of the answers
    complete at an arrival the newest decides, since the others expire before it.

    >>> t = np.array([0, 500, 2_000, 90_000_000])
    >>> repeats(np.array([7, 7, 7, 7], np.uint64), t, t + 1_000, np.ones(4, bool)).tolist()
    [False, False, True, False]
    """
    hit = np.zeros(len(key), bool)
    for group in _same(key, start_ms):
        newest, under_way = -inf, list[int]()
        for i, arrived in zip(group, start_ms[group].tolist(), strict=True):
            while under_way and under_way[0] <= arrived:
                newest = max(newest, heappop(under_way))
            if arrived - newest <= _LIFETIME_MS:
                hit[i] = True
            elif ok[i]:
                heappush(under_way, int(ready_ms[i]))
    return hit


def _same(key: NDArray[np.uint64], start_ms: NDArray[np.int64]) -> Iterable[list[int]]:
    """Return positions of equal keys that occur more than once, each in order of time."""
    _, code, counts = np.unique(key, return_inverse=True, return_counts=True)
    often = np.flatnonzero(counts[code] > 1)
    order = often[np.lexsort((start_ms[often], code[often]))]
    cuts = np.flatnonzero(np.diff(code[order])) + 1
    return (part.tolist() for part in np.split(order, cuts) if len(part))


def _failed_again(context: Context, app: str) -> Change | None:
    rows = context.app_rows(app, context.open & (context.request_key != 0))
    again = rows[_foretold(context.request_key[rows], context.start_ms[rows], context.ready_ms[rows], context.rows.status[rows])]
    if not len(again) or saved_pusd(context, again, _not_called).sum() <= 0:
        return None
    return Change(
        "failed again",
        app,
        f"do not send {app}'s requests again that have just failed in the same way",
        again,
        _not_called,
        "estimated",
        "low: remember refused and invalid requests for a day; check input before sending",
        "a request that would succeed the next time is held back for a day; none in this log did",
        "billed tokens of failures (content, validation) within a day of an identical one, where no identical request ever succeeded",
    )


def _foretold(
    key: NDArray[np.uint64], start_ms: NDArray[np.int64], ready_ms: NDArray[np.int64], status: NDArray[np.int8]
) -> NDArray[np.bool_]:
    again = np.zeros(len(key), bool)
    for group in _same(key, start_ms):
        if (status[group] == 0).any():
            continue
        known: dict[int, int] = {}
        for i in group:
            kind, arrived = int(status[i]), int(start_ms[i])
            if kind in known and known[kind] <= arrived <= known[kind] + _LIFETIME_MS:
                again[i] = True
            elif kind in _LASTING:
                known[kind] = int(ready_ms[i])
    return again


def _not_called(state: State, rows: Rowset) -> State:
    return state.put(rows, called=False)
