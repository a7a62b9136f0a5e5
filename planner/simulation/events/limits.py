"""Providers' rate limits: three token buckets a quota.

In: a quota's record, and what a call asks for. Out: admitted, or when to come back. Knows nothing of calls.
"""

from __future__ import annotations

import numpy as np

from planner.simulation.events.compiled import hook
from planner.simulation.events.inputs import Limits
from planner.simulation.events.records import Records, packed, record

__all__ = ["ADMITTED", "ask", "full"]

ADMITTED = -1
#: Levels count in 60-millionths, so that one µs at one a minute refills exactly 1 (``docs/events.md``).
_MINUTE = 60e6
_QUOTA = record({"per_minute": ("f8", (3,)), "level": ("f8", (3,)), "filled_us": "i8"})


def full(limits: Limits) -> Records:
    """Return a record for each quota, its buckets as they are before any call."""
    return packed(_QUOTA, {"per_minute": limits.per_minute, "level": limits.per_minute * _MINUTE})


@hook
def ask(quota: Records, now: int, input_tokens: int, output_tokens: int) -> int:
    """Take one request and its tokens from the buckets; return ADMITTED, or µs until there may be enough."""
    elapsed = now - quota.filled_us
    quota.filled_us = now
    refused = ADMITTED
    for b in range(3):
        limit = quota.per_minute[b]
        if limit < np.inf:
            quota.level[b] = min(limit * _MINUTE, quota.level[b] + limit * elapsed)
            need = _need(limit, b, input_tokens, output_tokens)
            if quota.level[b] < need:
                refused = max(refused, int(np.ceil((need - quota.level[b]) / limit)))
    if refused == ADMITTED:
        for b in range(3):
            limit = quota.per_minute[b]
            if limit < np.inf:
                quota.level[b] -= _need(limit, b, input_tokens, output_tokens)
    return refused


@hook
def _need(limit: float, bucket: int, input_tokens: int, output_tokens: int) -> float:
    amount = 1 if bucket == 0 else input_tokens if bucket == 1 else output_tokens
    return min(limit, float(amount)) * _MINUTE
