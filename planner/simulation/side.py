"""Side: what happens to every request on one side of a comparison, the log's or a plan's: the reduction of its calls.

In: calls, their prices, and the quality of each answer. Out: one row a request. Knows nothing of levers, groups or estimates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.outcomes import Calls
from planner.prices import Priced
from planner.traffic.rows import Coded, Rows

__all__ = ["Side", "settled"]


@dataclass(frozen=True, eq=False)
class Side:
    """``n`` requests.

    Parameters
    ----------
    model: whose answer the user got. calls: calls made. tokens: (n, 6) of all of them. outcome: how the request ended.
    latency_ms, first_ms: until the whole answer and its first token were there, NaN where unknown.
    cost_pusd, parts_pusd: cost of all calls [pUSD], and (n, noise.PARTS) its split into input, answer and reasoning.
    priced: whether the request is in any figure of money. evidence: the weakest of its calls and prices.
    quality: q̂ of the answer, NaN where no label tells. unmeasured: the user gets an answer to a changed prompt or to another
        question, and no label says what that is worth.
    """

    model: Coded
    calls: NDArray[np.int64]
    tokens: NDArray[np.int64]
    outcome: NDArray[np.int8]
    latency_ms: NDArray[np.float64]
    first_ms: NDArray[np.float64]
    cost_pusd: NDArray[np.int64]
    parts_pusd: NDArray[np.int64]
    priced: NDArray[np.bool_]
    evidence: NDArray[np.int8]
    quality: NDArray[np.float64]
    unmeasured: NDArray[np.bool_]


def settled(calls: Calls, priced: Priced, rows: Rows, known: NDArray[np.bool_], quality: NDArray[np.float64]) -> Side:
    """Reduce one call a request, as the row phase makes them; ``known`` says which requests have a price as logged."""
    paid = rows.billable & known
    return Side(
        model=calls.model,
        calls=np.where(rows.billable, rows.attempts, 0),
        tokens=np.where(rows.billable[:, None], calls.tokens, 0),
        outcome=calls.outcome,
        latency_ms=calls.end_ms,
        first_ms=rows.ttft_ms,
        cost_pusd=np.where(paid, priced.cost_pusd, 0),
        parts_pusd=np.where(paid[:, None], split(priced), 0),
        priced=known,
        evidence=np.maximum(calls.evidence, priced.evidence.astype(np.int8)),
        quality=quality,
        unmeasured=np.zeros(len(rows), bool),
    )


def split(priced: Priced) -> NDArray[np.int64]:
    """Return the cost of every call by noise.PARTS [pUSD]."""
    parts: NDArray[np.int64] = np.add.reduceat(priced.parts_pusd, [0, 4, 5], axis=1)
    return parts
