"""Side: what happens to every request on one side of a comparison, the log's or a plan's: the reduction of its calls.

In: calls, their prices, and the quality of each answer. Out: one row a request. Knows nothing of levers, groups or estimates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.outcomes import Calls
from planner.outcomes.latency import Latency
from planner.outcomes.speed import whole_and_first
from planner.prices import Priced
from planner.schema import EVIDENCE
from planner.traffic.rows import Coded, Rows

__all__ = ["Side", "perceived", "settled", "unlike"]


@dataclass(frozen=True, eq=False)
class Side:
    """``n`` requests.

    Parameters
    ----------
    model: whose answer the user got. calls: calls made. tokens: (n, 6) of all of them. outcome: how the request ended.
    latency_ms: until the whole answer was there. perceived_ms: until it began to show, with the first token where it was streamed, else
        all at once. NaN where unknown.
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
    perceived_ms: NDArray[np.float64]
    cost_pusd: NDArray[np.int64]
    parts_pusd: NDArray[np.int64]
    priced: NDArray[np.bool_]
    evidence: NDArray[np.int8]
    quality: NDArray[np.float64]
    unmeasured: NDArray[np.bool_]

    def take(self, at: NDArray[np.int64]) -> Side:
        """Return the requests at these positions."""
        columns: dict[str, Any] = {name: values[at] for name, values in vars(self).items() if name != "model"}
        return replace(self, model=Coded(self.model.codes[at], self.model.values), **columns)


def unlike(side: Side, logged: Side) -> Side:
    """Return ``side`` with every request that costs something else than it did in the log at best estimated.

    The one rule for money of what did not happen, whatever made the difference: a price tier, an answer from a cache, another model. What
    is measured is the bill of requests that stay as they were logged; what is assumed stays assumed.
    """
    other = side.cost_pusd != logged.cost_pusd
    return replace(side, evidence=np.maximum(side.evidence, np.where(other, EVIDENCE.index("estimated"), 0)).astype(np.int8))


def settled(
    calls: Calls, priced: Priced, rows: Rows, known: NDArray[np.bool_], quality: NDArray[np.float64], latency: Latency | None
) -> Side:
    """Reduce one call a request, as the row phase makes them; ``known`` says which requests have a price as logged."""
    paid = rows.billable & known
    return Side(
        model=calls.model,
        calls=np.where(rows.billable, rows.attempts, 0),
        tokens=np.where(rows.billable[:, None], calls.tokens, 0),
        outcome=calls.outcome,
        latency_ms=calls.end_ms,
        perceived_ms=perceived(calls, rows, latency),
        cost_pusd=np.where(paid, priced.cost_pusd, 0),
        parts_pusd=np.where(paid[:, None], split(priced), 0),
        priced=known,
        evidence=np.maximum(calls.evidence, priced.evidence.astype(np.int8)),
        quality=quality,
        unmeasured=np.zeros(len(rows), bool),
    )


def perceived(calls: Calls, rows: Rows, latency: Latency | None) -> NDArray[np.float64]:
    """Return how long each user waits for something to read [ms], (n,), of one call a request.

    A logged first token stays where the answer is the logged one. Else it comes after the part of the call that ``latency`` expects of
    its model and tokens: hour and residual lengthen both alike. A logged request that was tried again had it in the last of calls that
    took equally long. Without fitted latencies it is the part that it had in the log.
    """
    moved = calls.model.differs(rows.model)
    known = ~moved & np.isfinite(rows.ttft_ms)
    out = np.where(rows.streamed & known, rows.ttft_ms, calls.end_ms)
    at = np.flatnonzero(rows.streamed & ~known)
    if latency is None:
        out[at] *= rows.ttft_ms[at] / np.maximum(rows.latency_ms[at], 1e-3)
        return out
    for code in np.unique(calls.model.codes[at]).tolist():
        own = at[calls.model.codes[at] == code]
        whole, first = whole_and_first(calls.tokens[own], latency.speed(calls.model.values[code]).terms)
        after = 1 - first / np.maximum(whole, 1e-3)
        out[own] *= 1 - after / np.where(moved[own], 1, np.maximum(rows.attempts[own], 1))
    return out


def split(priced: Priced) -> NDArray[np.int64]:
    """Return the cost of every call by noise.PARTS [pUSD]."""
    parts: NDArray[np.int64] = np.add.reduceat(priced.parts_pusd, [0, 4, 5], axis=1)
    return parts
