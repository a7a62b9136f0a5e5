"""From predicted gains to a frontier: operating points chosen on training rows, applied to rows that chose nothing.

In: cross-fitted gains of the training rows and gains of the test rows, costs, qualities. Out: for each budget between the
cheapest and the dearest single model, the expected quality and cost of every test row. Knows nothing of how gains were made.

Two families of decisions: at τ the planner's own (the cheapest candidate whose gain is at least −τ, else the reference), and at
λ the one of RouterBench and Avengers-Pro (the largest gain less λ · cost). The corners of the hull over all of a method's
decisions on training rows are its operating points; between two corners requests are mixed at random.
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
#: Values of τ and of λ that are looked at.
_TAUS, _LAMBDAS = 401, 80


@dataclass(frozen=True)
class Point:
    """One decision rule, ``family`` at ``value``, with its mean cost and quality on the training rows."""

    family: str
    value: float
    cost: float
    quality: float


def decide(point: Point, gains: NDArray[Any], rates: F64, reference: int) -> NDArray[np.int64]:
    """Return the chosen model of each row, (n,); ``rates`` (K,) is what an answer of each model is expected to cost."""
    if point.family == "tau":
        return choose(gains, np.broadcast_to(rates, gains.shape), np.ones(gains.shape, bool), reference, point.value)
    utility = np.asarray(gains, float) - point.value * rates
    best: NDArray[np.int64] = utility.argmax(1)
    return best


def corners(
    gains: F64, rates: F64, cost: F64, quality: F64, weight: F64, reference: int, families: tuple[str, ...] = ("tau", "lambda")
) -> list[Point]:
    """Return the operating points: the corners of the hull over all decisions on these rows, in order of cost."""
    share = weight / weight.sum()
    points = [_point("tau", np.inf, gains, rates, cost, quality, share, reference)]
    if "tau" in families:
        points += _swept(gains, rates, cost, quality, share, reference)
    if "lambda" in families:
        points += [_point("lambda", v, gains, rates, cost, quality, share, reference) for v in _lambdas(rates)]
    costs, values = np.array([p.cost for p in points]), np.array([p.quality for p in points])
    return [points[i] for i in hull(costs, values)]


def _point(family: str, value: float, gains: F64, rates: F64, cost: F64, quality: F64, share: F64, reference: int) -> Point:
    codes = decide(Point(family, value, 0, 0), gains, rates, reference)
    rows = np.arange(len(codes))
    return Point(family, value, float(share @ cost[rows, codes]), float(share @ quality[rows, codes]))


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
    start = Point("tau", -np.inf, float(share @ cost[:, reference]), float(share @ quality[:, reference]))
    return [start, *(Point("tau", float(tau[i]), float(means[0][i]), float(means[1][i])) for i in last)]


def _lambdas(rates: F64) -> list[float]:
    spread = float(np.ptp(rates))
    if spread <= 0:
        return [0.0]
    return [0.0, *(np.geomspace(1e-3, 3.0, _LAMBDAS) / spread).tolist()]


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
