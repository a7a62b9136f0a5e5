"""The family of decisions: at τ the feasible candidate whose predicted gain less τ times its cost is largest.

In: arrays of gains, costs and feasible sets. Out: candidate codes for one τ, or for every request the thresholds at which its
decision changes. From 0 on, τ is quality per USD: 1/τ is what a wrong answer is taken to cost; at 0 the best answer wins, at +∞ the
cheapest. Below 0 the best answer wins only where its predicted gain over the reference is at least −τ, so that −∞ is
always-reference. Whoever has to keep within a budget on average does best with one price for all requests (the Lagrangian of the
budget), which is why τ weighs cost and does not cap loss. Knows nothing of requests or of how τ is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["choose", "choose_one", "lookup", "steps"]

I64 = NDArray[np.int64]


def choose(
    gains: NDArray[np.floating[Any]],
    cost: NDArray[np.floating[Any]],
    feasible: NDArray[np.bool_],
    reference: int | I64,
    tau: float,
) -> I64:
    """Return the chosen candidate's code for each request, shape (n,).

    Parameters
    ----------
    gains: (n, K) predicted quality gain over the reference, whose column is 0; what is not finite is infeasible.
    cost: (n, K) [USD].
    feasible: (n, K).
    reference: the reference's code, one for all or one each; it answers what no candidate can.
    tau: [1/USD], below 0 [quality]. Of equal values the cheaper wins, then the larger gain, then the lower code.

    >>> gains, cost = np.array([[0.0, -0.02, -0.3]]), np.array([[3.0, 2.0, 1.0]])
    >>> [int(choose(gains, cost, np.ones((1, 3), bool), 0, tau)[0]) for tau in (0, 0.02, 0.28, 1)]
    [0, 1, 2, 2]
    """
    return lookup(*steps(gains, cost, feasible, reference), reference, tau)


def choose_one(gains: Sequence[float], cost: Sequence[float], feasible: Sequence[bool], reference: int, tau: float) -> int:
    """Return what ``choose`` returns for one request.

    >>> choose_one([0.0, -0.02, -0.3], [3.0, 2.0, 1.0], [True] * 3, 0, 0.05)
    1
    """
    able = [code for code, can in enumerate(feasible) if can and isfinite(gains[code])]
    if not able:
        return reference
    now = min(able, key=lambda k: (-gains[k], cost[k]))
    if tau < 0:
        return now if gains[now] >= -tau else reference
    while True:
        best, following = inf, -1
        for code in able:
            if cost[code] < cost[now]:
                price = (gains[now] - gains[code]) / (cost[now] - cost[code])
                if price < best or (price == best and (cost[code], -gains[code]) < (cost[following], -gains[following])):
                    best, following = price, code
        if following < 0 or best > tau:
            return now
        now = following


def steps(
    gains: NDArray[np.floating[Any]], cost: NDArray[np.floating[Any]], feasible: NDArray[np.bool_], reference: int | I64
) -> tuple[NDArray[np.float64], I64]:
    """Return, per request, the ascending thresholds on τ and the code chosen from each on, both (n, K).

    The upper envelope of the lines gain − τ · cost, from the best answer to the cheapest. What no candidate can answer has no
    threshold; after the last one stands +∞, with the code before it.
    """
    n, k = gains.shape
    exact, price = gains.astype(np.float64), np.asarray(cost, np.float64)
    able = feasible & np.isfinite(exact)
    exact = np.where(able, exact, 0.0)  # what cannot answer is never looked at
    rows, home = np.arange(n), np.broadcast_to(np.asarray(reference, np.int64), n)
    thresholds, codes = np.full((n, k), np.inf), np.empty((n, k), np.int64)
    now = np.where(able.any(1), _first(able, -exact, price), home)
    codes[:, 0] = now
    thresholds[:, 0] = np.where(able.any(1), np.minimum(-exact[rows, now], 0.0), np.inf)
    for step in range(1, k):
        saved = price[rows, now][:, None] - price
        open_ = able & (saved > 0) & np.isfinite(thresholds[:, :1])
        cross = np.where(open_, (exact[rows, now][:, None] - exact) / np.where(open_, saved, 1.0), np.inf)
        at = cross.min(1, initial=np.inf)
        moves = np.isfinite(at)
        now = np.where(moves, _first(cross == at[:, None], price, -exact), now)
        codes[:, step], thresholds[:, step] = now, np.where(moves, np.maximum(at, np.maximum(thresholds[:, step - 1], 0)), np.inf)
    return thresholds, codes


def lookup(thresholds: NDArray[np.float64], codes: I64, reference: int | I64, tau: float) -> I64:
    """Return the codes that ``steps`` stored for ``tau``, shape (n,)."""
    passed = (thresholds <= tau).sum(1)
    return np.where(passed > 0, codes[np.arange(len(codes)), np.maximum(passed - 1, 0)], reference)


def _first(among: NDArray[np.bool_], key: NDArray[np.float64], then: NDArray[np.float64]) -> I64:
    """Return, of those ``among`` each row, the code with the smallest key, then the smallest second one, then the lowest, (n,)."""
    left = np.where(among, key, np.inf)
    tied = among & (left == left.min(1, keepdims=True, initial=np.inf))
    last = np.where(tied, then, np.inf)
    first: I64 = (tied & (last == last.min(1, keepdims=True, initial=np.inf))).argmax(1)
    return first
