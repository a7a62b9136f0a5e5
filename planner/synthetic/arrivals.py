"""Who asks when: sessions with their app, user, start and number of turns.

In: how many requests, and a seed. Out: one row per session, and one per request. Arrivals are a Cox process: an hourly
shape per app (peak hour, weekends, slow growth, log-normal noise per hour), uniform within the hour; users follow Zipf;
turns are geometric. Knows nothing of texts, models or outcomes.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.stats import draws
from planner.synthetic.world import APPS, DAYS, App

__all__ = ["Requests", "Sessions", "requests_of", "sessions"]

_HOUR_US = 3_600_000_000


@dataclass(frozen=True, eq=False)
class Sessions:
    """``n`` sessions: position of the app in APPS, name, user, start [µs after the log's start], and turns."""

    app: NDArray[np.int64]
    name: NDArray[np.object_]
    user: NDArray[np.object_]
    start_us: NDArray[np.int64]
    turns: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Requests:
    """One row per request, session by session: the session's position, the turn from 0, the id and its 64-bit key."""

    session: NDArray[np.int64]
    turn: NDArray[np.int64]
    request_id: NDArray[np.object_]
    key: NDArray[np.uint64]


def sessions(requests: int, seed: int) -> Sessions:
    """Return the sessions of exactly ``requests`` requests, each app's share rounded (the first app takes the rest)."""
    counts = [round(a.share * requests) for a in APPS]
    counts[0] += requests - sum(counts)
    parts = [_of_app(i, a, n, seed) for i, (a, n) in enumerate(zip(APPS, counts, strict=True))]
    return Sessions(*(np.concatenate([vars(p)[f] for p in parts]) for f in ("app", "name", "user", "start_us", "turns")))


def _of_app(position: int, app: App, n: int, seed: int) -> Sessions:
    most = n if app.turns == 1 else int(n / app.turns * 1.5) + 30
    names = np.array([f"{app.name}-{i}" for i in range(most)], object)
    keys = draws.key(f"{seed}/{x}" for x in names)
    turns = _turns(app, keys, seed)
    ends = np.cumsum(turns)
    used = int(np.searchsorted(ends, n)) + 1
    turns = turns[:used].copy()
    turns[-1] -= ends[used - 1] - n
    keys, names = keys[:used], names[:used]
    return Sessions(np.full(used, position), names, _users(app, keys, seed), _starts(app, keys, seed), turns)


def _turns(app: App, keys: NDArray[np.uint64], seed: int) -> NDArray[np.int64]:
    if app.turns == 1:
        return np.ones(len(keys), np.int64)
    extra = np.log(draws.uniform(seed, keys, "turns")) / np.log(1 - 1 / app.turns)
    turns: NDArray[np.int64] = 1 + np.minimum(extra.astype(np.int64), 14)
    return turns


def _users(app: App, keys: NDArray[np.uint64], seed: int) -> NDArray[np.object_]:
    weights = 1.0 / (np.arange(app.users) + 3.0) ** 1.05
    rank = np.searchsorted(np.cumsum(weights) / weights.sum(), draws.uniform(seed, keys, "user"))
    return np.array([f"{app.team}-u{r}" for r in rank], object)


def _starts(app: App, keys: NDArray[np.uint64], seed: int) -> NDArray[np.int64]:
    shape = _hourly(app, seed)
    edges = np.concatenate([[0.0], np.cumsum(shape) / shape.sum()])
    u = draws.uniform(seed, keys, "start")
    hours = np.interp(u, edges, np.arange(len(edges)))
    return (hours * _HOUR_US).astype(np.int64)


def _hourly(app: App, seed: int) -> NDArray[np.float64]:
    """Return the relative arrival rate of each hour of the log."""
    hour = np.arange(24 * DAYS)
    distance = np.abs((hour % 24 - app.peak + 12) % 24 - 12)
    day = hour // 24
    base = 0.0 if app.text == "cut" else 0.08
    rate = base + np.exp(-0.5 * (distance / app.width) ** 2)
    rate *= np.where(day % 7 >= 5, app.weekend, 1.0) * (1 + 0.006 * day)
    noise = draws.normal(seed, draws.key(f"{app.name}/{h}" for h in hour), "rate")
    return np.asarray(rate * np.exp(0.22 * noise), float)


def requests_of(table: Sessions, seed: int) -> Requests:
    """Return one row per turn of every session."""
    session = np.repeat(np.arange(len(table.turns)), table.turns)
    first = np.cumsum(table.turns) - table.turns
    turn = np.arange(len(session)) - first[session]
    ids = np.array([_id(f"{seed}/{table.name[s]}/{t}") for s, t in zip(session, turn, strict=True)], object)
    return Requests(session, turn, ids, draws.key(ids))


def _id(name: Any) -> str:
    return f"chatcmpl-{blake2b(name.encode(), digest_size=6).hexdigest()}"
