"""What a gateway was configured to do, as its log's first period shows it, as a Plan that can be simulated.

In: the rows of the first period, and what requests share. Out: a Plan of the levers that were in use: retries, a response cache,
providers' prompt caches. What a log does not show (pauses, limits, timeouts) is in no lever. Knows nothing of the last period.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.policies import ExactCache, Plan, PromptCache, Retry
from planner.schema import TOKEN_BUCKETS
from planner.traffic.rows import Rows

__all__ = ["configured", "hit_share"]

_RETRIED = ("transport", "rate_limit")
_READ, _SHORT, _LONG = (TOKEN_BUCKETS.index(n) for n in ("cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"))
_US_PER_S = 1_000_000


def configured(rows: Rows, question: NDArray[np.uint64], acts: NDArray[np.bool_]) -> Plan:
    """Return what ``rows`` show to have been configured.

    ``question`` (n,) are the keys of whole requests, 0 without text; ``acts`` (n,) which of them offer tools.

    An app retries as often as any of its requests was tried again. A pause between calls is part of how long a failed call takes, as
    the log tells only their sum. The response cache lives as long as the oldest answer that it served.
    """
    caches = [c for app in _apps(rows, rows.demand & ~rows.billable) if (c := _cache(rows, app, question, acts))]
    return Plan((*_retries(rows), *caches, *_prompt_cache(rows)), "as configured")


def _apps(rows: Rows, where: NDArray[np.bool_]) -> list[str]:
    return sorted(rows.app.values[c] for c in np.unique(rows.app.codes[where]))


def _retries(rows: Rows) -> list[Any]:
    most: dict[int, list[str]] = {}
    for app in _apps(rows, rows.steerable & (rows.attempts > 1)):
        own = rows.steerable & (rows.app.codes == rows.app.code(app))
        most.setdefault(int(rows.attempts[own].max()) - 1, []).append(app)
    return [Retry(dict.fromkeys(_RETRIED, k), 0.0, 1.0, 0.0, 0.0, retry_after=False, apps=tuple(apps)) for k, apps in sorted(most.items())]


def _prompt_cache(rows: Rows) -> list[Any]:
    used = rows.tokens[:, _READ : _LONG + 1].sum(axis=1) > 0
    apps = _apps(rows, rows.steerable & used)
    long = rows.tokens[:, _LONG].sum() > rows.tokens[:, _SHORT].sum()
    return [PromptCache(tuple(apps), "1h" if long else "5m")] if apps else []


def _cache(rows: Rows, app: str, question: NDArray[np.uint64], acts: NDArray[np.bool_]) -> ExactCache | None:
    """Return the response cache of ``app``, None where the log lacks the texts that would tell which questions repeat."""
    own = np.flatnonzero(rows.demand & (rows.app.codes == rows.app.code(app)) & (question != 0) & ~acts & (rows.status == 0))
    order = own[np.lexsort((rows.timestamp[own], question[own]))]
    hit = ~rows.billable[order]
    filled = np.maximum.accumulate(np.where(hit, -1, np.arange(len(order)))) if len(order) else np.zeros(0, np.int64)
    known = hit & (filled >= 0)
    known[known] = question[order[filled[known]]] == question[order[known]]
    if not known.any():
        return None
    age = (rows.timestamp[order[known]] - rows.timestamp[order[filled[known]]]).astype(np.int64) / _US_PER_S
    took = rows.latency_ms[order[hit]]
    took = took[np.isfinite(took)]
    return ExactCache(max(float(np.ceil(age.max())), 1.0), hit_ms=float(np.median(took)) if len(took) else 0.0, apps=(app,))


def hit_share(rows: Rows) -> NDArray[np.float64]:
    """Return by app which share of its users' requests the gateway's own cache answered, (apps,)."""
    own = rows.demand
    seen = np.bincount(rows.app.codes[own], minlength=len(rows.app.values))
    hits = np.bincount(rows.app.codes[own & ~rows.billable], minlength=len(rows.app.values))
    return np.asarray(hits / np.maximum(seen, 1))
