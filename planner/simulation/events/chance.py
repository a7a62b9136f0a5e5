"""Draws inside the loop: the same numbers as ``planner.stats.draws``, one at a time.

In: a request's key and a stream's two constants. Out: a uniform, a normal score, a residual factor. Knows nothing of
what is drawn.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from planner.simulation.events.compiled import hook
from planner.simulation.events.inputs import SCORES, Floats

__all__ = ["normal", "residual", "uniform"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_LEAST, _STEP, _LAST = float(SCORES[0]), float(SCORES[1] - SCORES[0]), len(SCORES) - 1


@hook
def uniform(stream: np.uint64, offset: np.uint64, key: np.uint64) -> float:
    """Return ``planner.stats.draws.uniform`` of the stream's two constants and ``key``."""
    high = _mix(_mix(key + stream) ^ offset) >> np.uint64(11)
    return min((np.float64(high) + 0.5) * 2.0**-53, 1 - 2.0**-53)


@hook
def normal(streams: NDArray[np.uint64], lane: int, nth: int, key: np.uint64) -> float:
    """Return a standard normal (Box–Muller, the cosine half) from the second and third stream of a lane's ``nth`` call."""
    radius = math.sqrt(-2.0 * math.log(uniform(streams[lane, nth, 1, 0], streams[lane, nth, 1, 1], key)))
    return radius * math.cos(2.0 * math.pi * uniform(streams[lane, nth, 2, 0], streams[lane, nth, 2, 1], key))


@hook
def residual(factors: Floats, lane: int, score: float) -> float:
    """Return ``np.interp(score, SCORES, factors[lane])``, the place found by the even spacing."""
    if score <= SCORES[0]:
        return factors[lane, 0]
    if score >= SCORES[_LAST]:
        return factors[lane, _LAST]
    at = int((score - _LEAST) / _STEP)
    if score < SCORES[at]:
        at -= 1
    elif score >= SCORES[at + 1]:
        at += 1
    slope = (factors[lane, at + 1] - factors[lane, at]) / (SCORES[at + 1] - SCORES[at])
    return slope * (score - SCORES[at]) + factors[lane, at]


@hook
def _mix(z: np.uint64) -> np.uint64:
    z = z + _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * _MIX1
    z = (z ^ (z >> np.uint64(27))) * _MIX2
    return z ^ (z >> np.uint64(31))
