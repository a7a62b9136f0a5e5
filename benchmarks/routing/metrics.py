"""What a ranking and a frontier are worth, exactly and under bootstrap weights.

In: scores with the quality lost, or points of cost and quality. Out: the curve of the recovered performance gap and its
integral (APGR), the share at which a part of the gap is recovered (CPT), concave hulls, their area (AIQ), the cost at which a
quality is reached. Every function takes one weighting or a stack of them. Knows nothing of methods or folds.

PGR(s) = (Q(s) − Q_other) / (Q_reference − Q_other), Q(s) being the quality when the share s of the requests, those with the
smallest gain of the other model, goes to the reference (RouteLLM, arXiv:2406.18665, §4). The curve has one linear piece a
block of equal scores: within a tie the order is chance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ranking", "aiq", "apgr", "cost_at", "cpt", "hull", "pgr", "quality_at", "quality_under", "rank", "replicates"]

F64 = NDArray[np.float64]
#: Replicates drawn at a time.
_CHUNK = 50


@dataclass(frozen=True, eq=False)
class Ranking:
    """Rows ordered by the other model's gain, smallest first, and where each block of equal gains begins."""

    order: NDArray[np.int64]
    start: NDArray[np.int64]


def rank(gain: NDArray[np.floating[Any]]) -> Ranking:
    """Order rows by ``gain`` (n,)."""
    order = np.argsort(gain, kind="stable")
    ordered = gain[order]
    return Ranking(order, np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])))


def pgr(by: Ranking, lost: F64, weight: F64) -> tuple[F64, F64]:
    """Return the corners of the curve: share that the reference answers, and PGR, each (blocks + 1,).

    ``lost`` is quality of the reference less that of the other (n,).
    """
    share, won = (np.concatenate([[0.0], np.cumsum(np.add.reduceat(x[by.order], by.start))]) for x in (weight, weight * lost))
    return share / share[-1], np.asarray(won / won[-1]) if won[-1] != 0 else np.full(len(won), np.nan)


def apgr(by: Ranking, lost: F64, weights: F64) -> F64:
    """Return ∫₀¹ PGR(s) ds for each row of ``weights`` (R, n); NaN where both models are equally good.

    A block adds its part of the gap times the share that is still to come, counted from the block's middle.

    >>> apgr(rank(np.array([-1.0, 0.0])), np.array([1.0, 0.0]), np.ones((1, 2))).tolist()
    [0.75]
    """
    mass = weights[:, by.order]
    won = mass * lost[by.order]
    if len(by.start) < mass.shape[1]:
        mass, won = (np.add.reduceat(x, by.start, axis=1) for x in (mass, won))
    after = mass.sum(1, keepdims=True) - np.cumsum(mass, axis=1) + mass / 2
    gap = won.sum(1)
    area = np.einsum("rb,rb->r", won, after) / mass.sum(1)
    found: F64 = np.divide(area, gap, out=np.full(len(gap), np.nan), where=gap != 0)
    return found


def cpt(curve: tuple[F64, F64], part: float) -> float:
    """Return the smallest share s with PGR(s) ≥ ``part``; NaN when there is none.

    >>> cpt((np.array([0.0, 0.5, 1.0]), np.array([0.0, 1.0, 1.0])), 0.8)
    0.4
    """
    share, value = curve
    reached = np.flatnonzero(value >= part)
    if not len(reached):
        return float("nan")
    at = int(reached[0])
    if at == 0:
        return float(share[0])
    rise = (part - value[at - 1]) / (value[at] - value[at - 1])
    return float(share[at - 1] + rise * (share[at] - share[at - 1]))


def hull(cost: F64, quality: F64) -> NDArray[np.int64]:
    """Return the positions of the corners of the upper concave non-decreasing hull, in order of cost.

    Mixing two corners at random reaches everything between them (RouterBench, arXiv:2403.12031, §3).

    >>> hull(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.1, 0.5, 0.6, 0.4])).tolist()
    [0, 1, 2]
    """
    corners: list[int] = []
    for i in np.lexsort((-quality, cost)).tolist():
        if corners and (quality[i] <= quality[corners[-1]]):
            continue
        while len(corners) > 1 and _above(corners[-2], corners[-1], i, cost, quality):
            corners.pop()
        corners.append(i)
    return np.array(corners, np.int64)


def _above(a: int, b: int, c: int, cost: F64, quality: F64) -> bool:
    """Say whether the line from a to c passes at b or above it."""
    return bool((quality[b] - quality[a]) * (cost[c] - cost[a]) <= (quality[c] - quality[a]) * (cost[b] - cost[a]))


def aiq(cost: F64, quality: F64, cheapest: float, dearest: float) -> float:
    """Return the mean quality along cost between the cheapest and the dearest single model; NaN when they cost the same.

    ``cost`` (T,) ascends; beyond either end the quality stays what it is there.

    >>> aiq(np.array([1.0, 2.0]), np.array([0.0, 1.0]), 1.0, 3.0)
    0.75
    """
    if not dearest > cheapest:
        return float("nan")
    inside = cost[(cost > cheapest) & (cost < dearest)]
    at = np.concatenate([[cheapest], inside, [dearest]])
    return float(np.trapezoid(np.interp(at, cost, quality), at) / (dearest - cheapest))


def quality_at(cost: F64, quality: F64, share: float, cheapest: float, dearest: float) -> float:
    """Return the quality at ``share`` of the way from the cheapest to the dearest single model's cost."""
    return float(np.interp(cheapest + share * (dearest - cheapest), cost, quality))


def quality_under(cost: F64, quality: F64, most: float) -> float:
    """Return the quality at the cost ``most``; NaN where the curve begins above it.

    >>> quality_under(np.array([1.0, 3.0]), np.array([0.5, 0.7]), 2.0)
    0.6
    """
    return round(float(np.interp(most, cost, quality)), 12) if most >= cost[0] else float("nan")


def cost_at(cost: F64, quality: F64, wanted: float) -> float:
    """Return the smallest cost on the curve whose quality is at least ``wanted``; NaN when there is none.

    >>> cost_at(np.array([1.0, 3.0]), np.array([0.5, 0.7]), 0.6)
    2.0
    """
    value = cpt((cost, quality), wanted)
    return round(value, 12)


def replicates(groups: int, count: int, seed: int = 0) -> Iterator[F64]:
    """Yield bootstrap weights of groups, (≤ 50, groups) at a time, ``count`` in all; the same for every caller.

    A replicate draws as many groups as there are, with replacement.
    """
    rng = np.random.default_rng([seed, groups])
    for at in range(0, count, _CHUNK):
        size = min(_CHUNK, count - at)
        drawn = rng.integers(groups, size=(size, groups)) + np.arange(size)[:, None] * groups
        yield np.bincount(drawn.ravel(), minlength=size * groups).reshape(size, groups).astype(float)
