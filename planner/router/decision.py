"""The family of decisions: at τ the cheapest feasible candidate whose predicted gain is at least −τ, else the reference.

In: arrays of gains, costs and feasible sets. Out: candidate codes for one τ, or for every request the thresholds at which its
decision changes. τ = −∞ is always-reference. Knows nothing of requests or of how τ is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["choose", "choose_one", "lookup", "steps"]


def choose(
    gains: NDArray[np.floating[Any]],
    cost: NDArray[np.floating[Any]],
    feasible: NDArray[np.bool_],
    reference: int | NDArray[np.int64],
    tau: float,
) -> NDArray[np.int64]:
    """Return the chosen candidate's code for each request, shape (n,).

    Parameters
    ----------
    gains: (n, K) predicted quality gain over the reference, whose column is 0; NaN is infeasible.
    cost: (n, K) [USD]; of equal costs the larger gain wins, then the lower code.
    feasible: (n, K).
    reference: the reference's code, one for all or one each; it answers whatever no candidate qualifies for, feasible or not.
    tau: the quality one is willing to lose, in units of quality.

    >>> choose(np.array([[0.0, -0.02, -0.3]]), np.array([[3.0, 2.0, 1.0]]), np.ones((1, 3), bool), 0, 0.05)
    array([1])
    """
    exact = gains.astype(np.float64)
    qualifies = feasible & (exact >= -tau)
    price = np.where(qualifies, cost, np.inf)
    cheapest = qualifies & (price == price.min(1, keepdims=True))
    best = np.where(cheapest, exact, -np.inf).max(1, keepdims=True)
    return np.where(qualifies.any(1), (cheapest & (exact == best)).argmax(1), reference)


def choose_one(gains: Sequence[float], cost: Sequence[float], feasible: Sequence[bool], reference: int, tau: float) -> int:
    """Return what ``choose`` returns for one request.

    >>> choose_one([0.0, -0.02, -0.3], [3.0, 2.0, 1.0], [True] * 3, 0, 0.05)
    1
    """
    best = -1
    for code, can in enumerate(feasible):
        if can and gains[code] >= -tau and (best < 0 or (cost[code], -gains[code]) < (cost[best], -gains[best])):
            best = code
    return best if best >= 0 else reference


def steps(
    gains: NDArray[np.floating[Any]], cost: NDArray[np.floating[Any]], feasible: NDArray[np.bool_], reference: int | NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return, per request, the ascending thresholds on τ and the code chosen from each on, both (n, K).

    ``lookup(*steps(...), reference, tau)`` equals ``choose(..., tau)`` at every τ. Infeasible candidates stand at +∞ with the
    code before them.
    """
    k = gains.shape[1]
    exact = gains.astype(np.float64)
    able = feasible & ~np.isnan(exact)
    rank = _ranks(exact, cost)
    code_of = np.argsort(rank, axis=1)
    thresholds = np.where(able, -exact, np.inf)
    order = np.argsort(thresholds, axis=1, kind="stable")
    cheapest = np.minimum.accumulate(np.take_along_axis(np.where(able, rank, k), order, 1), axis=1)
    codes = np.take_along_axis(np.column_stack([code_of, np.broadcast_to(reference, len(gains))]), cheapest, 1)
    return np.take_along_axis(thresholds, order, 1), codes


def lookup(thresholds: NDArray[np.float64], codes: NDArray[np.int64], reference: int | NDArray[np.int64], tau: float) -> NDArray[np.int64]:
    """Return the codes that ``steps`` stored for ``tau``, shape (n,)."""
    passed = (thresholds <= tau).sum(1)
    return np.where(passed > 0, codes[np.arange(len(codes)), np.maximum(passed - 1, 0)], reference)


def _ranks(gains: NDArray[np.float64], cost: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Return each candidate's place in its row by (cost, −gain, code)."""
    order = np.lexsort((-gains, cost), axis=1)
    ranks = np.empty(order.shape, np.int64)
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(order.shape[1]), order.shape), 1)
    return ranks
