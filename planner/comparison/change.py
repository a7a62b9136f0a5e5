"""Change: one thing that could be done differently without asking whether answers stay as good.

In: the rows it touches and a pure edit of a State. Out: what it saves, row by row, priced by the book, and summed over
hash buckets into an Estimate. Knows nothing of any particular change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from planner.comparison.context import Context, Rowset, State
from planner.prices.money import weighted
from planner.simulation import WEEK
from planner.simulation.intervals import total
from planner.simulation.summary import DAILY
from planner.stats import BLOCKS, BUCKETS, Estimate, blocks, weakest
from planner.units import PUSD_PER_USD

__all__ = ["ORDER", "RETIRING", "Change", "Edit", "money", "priceable", "saved_pusd"]

#: (state of the whole log, rows to change) → the changed state.
Edit: TypeAlias = Callable[[State, Rowset], State]

#: Kinds of change in the order in which the combined figure applies them: what removes a call comes before what makes a
#: call cheaper, and the tier before the prompt cache, since hits inside a batch are not promised.
ORDER = ("response cache", "failed again", "unread cache writes", "slow tier", "prompt cache")
#: Kinds that rest on a cache which all users fill.
_SHARED = ("response cache", "unread cache writes", "prompt cache")
#: The kind that is listed although it claims no money.
RETIRING = "retiring model"


@dataclass(frozen=True, eq=False)
class Change:
    """One change to one app.

    Parameters
    ----------
    kind: one of ORDER, or another word: then it is listed, and left out of the combined figure.
    app: whose. what: the change in plain words.
    rows: positions of the requests it touches. edit: what it does to them.
    evidence: ``estimated`` where log and dated rates give the saving, ``assumed`` where a guess enters.
    effort: low, medium or high, with one phrase on what to do.
    risk: what may go wrong. source: how the saving is computed.
    steps: further strengths of the same change as (name, edit); shown, never summed.
    """

    kind: str
    app: str
    what: str
    rows: Rowset
    edit: Edit
    evidence: str
    effort: str
    risk: str
    source: str
    steps: tuple[tuple[str, Edit], ...] = ()

    @property
    def combines(self) -> bool:
        """Whether the combined figure holds it: it alters no answer."""
        return self.kind in ORDER

    @property
    def shared(self) -> bool:
        """Whether what one user asks changes what another one pays."""
        return self.kind in _SHARED


def saved_pusd(context: Context, rows: Rowset, edit: Edit, state: State | None = None) -> NDArray[np.int64]:
    """Return what ``edit`` saves on each of ``rows`` from ``state`` (as logged when None) [pUSD], weights counted; 0 without a price."""
    start = state or context.logged
    before, had, _ = context.price(start.take(rows), rows)
    after, has, _ = context.price(edit(start, rows).take(rows), rows)
    return weighted(np.where(had & has, before - after, 0), context.rows.weight[rows])


def priceable(context: Context, change: Change) -> Change:
    """Return ``change`` without the rows that would have no price after it, ``assumed`` where a rate of the price book is."""
    _, has, assumed = context.price(change.edit(context.logged, change.rows).take(change.rows), change.rows)
    evidence = "assumed" if assumed.any() else change.evidence
    return replace(change, rows=change.rows[has], evidence=evidence)


def money(
    context: Context, rows: Rowset, pusd: NDArray[np.int64], evidence: str, source: str, among: Rowset, shared: bool = False
) -> Estimate:
    """Sum [pUSD] of ``rows`` into [USD a month], with the interval that a simulation of the same change has.

    The users of ``among`` are the clusters that count; where they share state (``shared``), days count beside them. The period is scaled
    to a month; no growth or season is assumed. A log shorter than a week tells nothing about a month's ups and downs: it gives no interval,
    as do fewer than ten effective clusters, and makes the figure ``assumed``; a sample that is too thin gives none either.
    """
    factor, log = context.per_month / PUSD_PER_USD, context.rows
    near = np.zeros(len(log))
    near[among] = log.weight[among]
    asked = np.maximum(np.where(log.demand, log.weight, 0.0), near)
    inside = np.isin(log.app.codes, np.unique(log.app.codes[among]))
    gone = np.zeros(len(log))
    gone[rows] = -pusd.astype(float)
    cost = np.where(inside & context.priced, weighted(context.spend_pusd, log.weight), 0.0)

    def summed(code: NDArray[np.integer[Any]], size: int, *columns: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack([np.bincount(code, column, size) for column in columns])

    days = None
    if shared:
        days = np.zeros((BLOCKS, len(DAILY)))
        at = [DAILY.index(n) for n in ("requests_micro", "cost_difference_pusd", "cost_pusd")]
        days[:, at] = summed(blocks(log.timestamp), BLOCKS, np.where(inside, asked, 0.0), gone, cost + gone)
    both, counted = summed(log.bucket, BUCKETS, gone, cost), summed(log.bucket, BUCKETS, asked, near)
    found = total(both, counted, days, lambda s: np.asarray(-s[..., 0] * factor), extensive=True)
    told = log.days >= WEEK and not np.isnan(found.low) and not context.holding(rows, pusd)
    low, high = (float(x) if told else None for x in (found.low, found.high))
    return Estimate(float(found.value), low, high, weakest(evidence, context.evidence), n=len(rows), source=source)
