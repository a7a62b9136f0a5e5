"""From predicted gains to a frontier: operating points chosen on training rows, applied to rows that chose nothing.

In: cross-fitted gains of the training rows and gains of the test rows, costs, qualities. Out: for each budget between the
cheapest and the dearest single model, the expected quality and cost of every test row. Knows nothing of how gains were made.

Everyone decides as the planner does, which from τ = 0 on is the rule of RouterBench and Avengers-Pro: the largest gain less τ · cost.
The corners of the hull over all of a method's decisions on training rows are its operating points; between two corners requests are
mixed at random.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.routing.metrics import hull
from planner.router.decision import choose, steps

__all__ = ["BUDGETS", "Point", "at_quality", "corners", "decide", "shares", "walk"]

F64 = NDArray[np.float64]
#: Budgets at which a frontier is evaluated, evenly between the cheapest and the dearest single model.
BUDGETS = 101
#: Values of τ that are looked at.
_TAUS = 401


@dataclass(frozen=True)
class Point:
    """Decisions at ``tau``, with their mean cost and quality on the training rows."""

    tau: float
    cost: float
    quality: float


def decide(point: Point, gains: NDArray[Any], rates: F64, reference: int) -> NDArray[np.int64]:
    """Return the chosen model of each row, (n,); ``rates`` (K,) is what an answer of each model is expected to cost."""
    return choose(gains, np.broadcast_to(rates, gains.shape), np.ones(gains.shape, bool), reference, point.tau)


def corners(gains: F64, rates: F64, cost: F64, quality: F64, weight: F64, reference: int) -> list[Point]:
    """Return the operating points: the corners of the hull over all decisions on these rows, in order of cost."""
    points = _swept(gains, rates, cost, quality, weight / weight.sum(), reference)
    costs, values = np.array([p.cost for p in points]), np.array([p.quality for p in points])
    return [points[i] for i in hull(costs, values)]


def _swept(gains: F64, rates: F64, cost: F64, quality: F64, share: F64, reference: int) -> list[Point]:
    """Return cost and quality at every τ in one sweep, thinned to at most _TAUS."""
    thresholds, codes = steps(gains, np.broadcast_to(rates, gains.shape), np.ones(gains.shape, bool), reference)
    before = np.column_stack([np.full(len(codes), reference), codes[:, :-1]])
    rows = np.arange(len(codes))[:, None]
    order = np.argsort(thresholds.ravel(), kind="stable")
    tau = thresholds.ravel()[order]
    means = []
    for values in (cost, quality):
        change = share[:, None] * (values[rows, codes] - values[rows, before])
        means.append(share @ values[:, reference] + np.cumsum(change.ravel()[order]))
    last = np.flatnonzero(np.concatenate([tau[1:] != tau[:-1], [True]]))
    last = last[np.unique(np.linspace(0, len(last) - 1, _TAUS).astype(int))]
    start = Point(-np.inf, float(share @ cost[:, reference]), float(share @ quality[:, reference]))
    return [start, *(Point(float(tau[i]), float(means[0][i]), float(means[1][i])) for i in last)]


def walk(points: list[Point], gains: NDArray[Any], rates: F64, cost: F64, quality: F64, reference: int, budgets: F64) -> tuple[F64, F64]:
    """Return cost and quality expected of every row at every budget, each (n, len(budgets)).

    A budget between two operating points mixes them so that the training rows would have cost just that; one beyond the last
    stays there.
    """
    paid, got = _each(points, gains, rates, cost, quality, reference)
    place = np.interp(budgets, [p.cost for p in points], np.arange(len(points)))
    low = np.floor(place).astype(int)
    high, part = np.minimum(low + 1, len(points) - 1), place - low
    return paid[:, low] * (1 - part) + paid[:, high] * part, got[:, low] * (1 - part) + got[:, high] * part


def at_quality(
    points: list[Point], gains: NDArray[Any], rates: F64, cost: F64, quality: F64, reference: int, wanted: float
) -> tuple[F64, F64]:
    """Return cost and quality of every row, each (n,), where the training rows first reach ``wanted``; else at the best point."""
    paid, got = _each(points, gains, rates, cost, quality, reference)
    place = float(np.interp(wanted, [p.quality for p in points], np.arange(len(points))))
    low = int(place)
    high, part = min(low + 1, len(points) - 1), place - low
    return paid[:, low] * (1 - part) + paid[:, high] * part, got[:, low] * (1 - part) + got[:, high] * part


def shares(points: list[Point], gains: NDArray[Any], rates: F64, reference: int, budgets: F64) -> F64:
    """Return each model's share of the rows at every budget, (len(budgets), K)."""
    k = gains.shape[1]
    used = np.stack([np.bincount(decide(p, gains, rates, reference), minlength=k) / len(gains) for p in points])
    place = np.interp(budgets, [p.cost for p in points], np.arange(len(points)))
    low = np.floor(place).astype(int)
    high, part = np.minimum(low + 1, len(points) - 1), (place - low)[:, None]
    found: F64 = used[low] * (1 - part) + used[high] * part
    return found


def _each(points: list[Point], gains: NDArray[Any], rates: F64, cost: F64, quality: F64, reference: int) -> tuple[F64, F64]:
    codes = np.column_stack([decide(p, gains, rates, reference) for p in points])
    return np.take_along_axis(cost, codes, 1), np.take_along_axis(quality, codes, 1)
