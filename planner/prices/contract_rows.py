"""What a contract makes of single calls: discounts, and the free calls of a deployment of a fixed capacity.

In: rows with their list price [pUSD] and names in the one spelling. Out: what each row costs under the contract, in integers, and which
rows any term touched. No row's cost depends on the order of rows. Knows nothing of fees, commitments and credits.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.errors import NeedsError
from planner.prices.contract import PPM, Capacity, Contract, Discount
from planner.schema import TOKEN_BUCKETS

__all__ = ["Rows", "under"]

_OUTPUT = [TOKEN_BUCKETS.index(name) for name in ("output_tokens", "reasoning_tokens")]
_CACHED = TOKEN_BUCKETS.index("cache_read_tokens")


@dataclass(frozen=True, eq=False)
class Rows:
    """n calls: names (object), ``times`` (datetime64[us], UTC), tokens (n, 6), weight, list price [pUSD] and an id to break ties."""

    provider: NDArray[np.object_]
    model: NDArray[np.object_]
    tier: NDArray[np.object_]
    times: NDArray[np.datetime64]
    tokens: NDArray[np.int64]
    weight: NDArray[np.float64]
    list_pusd: NDArray[np.int64]
    request_id: NDArray[np.object_]

    def within(self, provider: str, start: dt.date, end: dt.date, model: str = "", tier: str = "") -> NDArray[np.bool_]:
        """Return which rows a term is about."""
        days = self.times.astype("datetime64[D]")
        found = (self.provider == provider) & (days >= np.datetime64(start, "D")) & (days <= np.datetime64(end, "D"))
        if model:
            found &= self.model == model
        if tier:
            found &= self.tier == tier
        return np.asarray(found, bool)


def under(contract: Contract, rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return every row's cost under the contract [pUSD], and whether a term touched it.

    A contract without terms returns the list prices to the integer. Rows with a place in a deployment cost nothing; the rest of them,
    discounted, the share ``keep_ppm`` of list, rounded half up once a row. NeedsError for a deployment whose calls were sampled.
    """
    keep, touched = _keep(contract.discounts, rows)
    whole, rest = np.divmod(rows.list_pusd, PPM)
    cost = whole * keep + (rest * keep + PPM // 2) // PPM
    for deployment in contract.capacities:
        inside = rows.within(deployment.provider, deployment.start, deployment.end, deployment.model)
        _refuse_part(deployment, rows.weight[inside])
        free = inside & (cost > 0)
        free[free] = _fits(deployment, rows, np.flatnonzero(free))
        cost[free] = 0
        touched |= inside
    return cost, touched


def _refuse_part(deployment: Capacity, weight: NDArray[np.float64]) -> None:
    """Raise NeedsError where rows stand for others: what fills a window, and what then overflows, is known of all calls together only."""
    if (weight != 1).any():
        raise NeedsError(
            f"the fixed capacity of {deployment.name!r} on a sample, whose rows stand for up to {weight.max():,.4g} requests",
            "every request, since all of them fill it together",
            "give the whole log (its text alone may be sampled), or take the capacity out of the contracts file",
        )


def _keep(discounts: Sequence[Discount], rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the millionths of list that are paid: of all discounts in force the most specific, of two alike the later one."""
    keep, touched = np.full(len(rows.list_pusd), PPM, np.int64), np.zeros(len(rows.list_pusd), bool)
    for discount in sorted(discounts, key=lambda d: (bool(d.model), bool(d.tier), d.start)):
        chosen = rows.within(discount.provider, discount.start, discount.end, discount.model, discount.tier)
        keep[chosen] = discount.keep_ppm
        touched |= chosen
    return keep, touched


def _fits(deployment: Capacity, rows: Rows, at: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which of the rows ``at`` a deployment takes: as they arrive, while what came before has not filled the window."""
    tokens = rows.tokens[at].astype(float)
    tokens[:, _OUTPUT] *= deployment.output_counts
    tokens[:, _CACHED] *= deployment.cached_counts
    load = tokens.sum(axis=1)
    window = rows.times[at].astype("datetime64[s]").astype(np.int64) // deployment.seconds
    order = np.lexsort((rows.request_id[at].astype(str), rows.times[at]))
    running = np.cumsum(load[order]) - load[order]
    first = np.append(True, np.diff(window[order]) > 0)[: len(at)]
    before = running - running[first][np.cumsum(first) - 1]
    taken = np.zeros(len(at), bool)
    taken[order] = before < deployment.tokens
    return taken
