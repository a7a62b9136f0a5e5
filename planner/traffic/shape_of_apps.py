"""What a log lets one guess about its applications.

In: a Traffic handle. Out: per app the fields of :class:`planner.traffic.apps.App` as plain values, all guesses, all
marked. Knows nothing of files or prices.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pandas as pd
from numpy.typing import NDArray

from planner.traffic.handle import Traffic

__all__ = ["guesses"]

#: A burst: this share of an app's requests within so many hours of the day, on at least so many days.
_BURST_SHARE, _BURST_HOURS, _BURST_DAYS = 0.9, 4, 3
_WAIT_HOURS = 24.0
_COLUMNS = ("timestamp", "app", "session_id", "stream", "has_tools", "purpose", "cache_hit", "provider", "model", "tags")


def guesses(traffic: Traffic) -> dict[str, dict[str, Any]]:
    """Return {app: fields} for every app of users' own requests, in order of name."""
    log = traffic.frame(*_COLUMNS)
    log = log[log["purpose"] == "user"]
    answered = log[~log["cache_hit"].astype(bool)]
    shared = {
        "allowed_providers": tuple(sorted(answered["provider"].dropna().unique())),
        "candidates": tuple(sorted(m for m in answered["model"].dropna().unique() if m != "unknown")),
    }
    return {str(name): _guess(part) | shared | {"assumed": _ASSUMED} for name, part in log.groupby("app", sort=True)}


_ASSUMED = ("owner", "interactive", "may_wait_hours", "side_effects", "allowed_providers", "candidates")


def _guess(log: pd.DataFrame) -> dict[str, Any]:
    waits = _may_wait(log)
    return {
        "owner": _owner(log["tags"]),
        "interactive": not waits,
        "may_wait_hours": _WAIT_HOURS if waits else 0.0,
        "side_effects": bool(log["has_tools"].any()),
    }


def _may_wait(log: pd.DataFrame) -> bool:
    sessions = log["session_id"].dropna()
    return (
        not bool(log["stream"].any())
        and not bool(sessions.duplicated().any())
        and _is_burst(log["timestamp"].dt.tz_localize(None).to_numpy())
    )


def _is_burst(time: NDArray[Any]) -> bool:
    """Say whether the requests come at the same few hours of several days.

    >>> nights = np.array(["2026-11-01T02:10", "2026-11-02T02:20", "2026-11-03T01:50"], "datetime64[us]")
    >>> _is_burst(nights), _is_burst(nights[:2])
    (True, False)
    """
    moments = time.astype("datetime64[h]").astype(np.int64)
    counts = np.bincount(moments % 24, minlength=24)
    inside = np.convolve(np.concatenate([counts, counts[: _BURST_HOURS - 1]]), np.ones(_BURST_HOURS, np.int64), "valid")
    return len(np.unique(moments // 24)) >= _BURST_DAYS and bool(inside.max() >= _BURST_SHARE * counts.sum())


def _owner(tags: pd.Series[Any]) -> str:
    """Return the commonest ``team:`` or ``owner:`` tag, or nothing."""
    distinct = tags.dropna().value_counts()
    votes: dict[str, int] = {}
    for raw, count in distinct.items():
        for tag in orjson.loads(str(raw)):
            kind, _, name = str(tag).partition(":")
            if kind in ("team", "owner") and name:
                votes[name] = votes.get(name, 0) + int(count)
    return max(votes, key=lambda n: (votes[n], n)) if votes else ""
