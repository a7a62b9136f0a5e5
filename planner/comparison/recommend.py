"""Recommend: the changes that need no label, from a log alone.

In: Traffic, a price book, what may be assumed about its apps. Out: Recommendations. Trains nothing and reads no quality,
also where the log has some. Every amount is the book's price of counterfactual tokens, tiers or models. Knows nothing of
any particular change.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from planner.comparison import changes_cache, changes_model, changes_output, changes_repeat, changes_tier
from planner.comparison.ceiling import ceiling
from planner.comparison.change import ORDER, RETIRING, Change, money, priceable, saved_pusd
from planner.comparison.context import Context, Progress, context_of
from planner.comparison.recommendations import Ranked, Recommendations
from planner.comparison.silence import notes
from planner.prices import PriceBook
from planner.prices.money import usd_sum, weighted
from planner.simulation import price_date
from planner.stats import Estimate, weakest
from planner.traffic import Traffic
from planner.traffic.apps import Apps
from planner.traffic.sampling import limits, standing
from planner.units import PUSD_PER_USD

__all__ = ["FAMILIES", "recommend"]

#: What is looked for: each takes the context and returns its changes.
FAMILIES: Mapping[str, Callable[[Context], list[Change]]] = MappingProxyType(
    {
        "tier": changes_tier.changes,
        "cache": changes_cache.changes,
        "repeat": changes_repeat.changes,
        "model": changes_model.changes,
        "output": changes_output.changes,
    }
)


def recommend(
    traffic: Traffic,
    *,
    book: PriceBook | None = None,
    apps: Apps | None = None,
    at: dt.date | str | None = None,
    progress: Progress | None = None,
) -> Recommendations:
    """Return the ranked changes that need no quality label; of a sample without those that only a whole log shows, which a note names.

    Parameters
    ----------
    book: default: the bundled catalogue.
    apps: default: drafted from the log, and then everything that rests on a guess is ``assumed``.
    at: price date of log and change alike; default the catalogue's date; ``"as-logged"`` prices each request at its own time.
    progress: called with (done, in all), in requests.

    Raises InputError when ``apps`` lacks an app of the log.
    """
    book = book or PriceBook.load()
    n = max(len(traffic), 1)
    terms = apps or Apps.draft(traffic)
    context = context_of(traffic, book, terms, price_date(book, at), progress)
    terms.require(context.names)
    found: list[Change] = []
    for i, make in enumerate(FAMILIES.values(), 1):
        found += [c for c in (priceable(context, c) for c in make(context) if c.kind not in context.untold.kinds) if len(c.rows)]
        if progress:
            progress(n + n * i // (len(FAMILIES) + 1), 2 * n)
    ranked = sorted((_ranked(context, c) for c in found), key=lambda r: (not r.change.combines, -r.saving.value))
    ranked = [r for r in ranked if r.saving.value > 0 or r.change.kind == RETIRING]
    result = Recommendations(
        tuple(ranked),
        _combined(context, found),
        _spend(context),
        len(context.rows),
        context.rows.days,
        f"{book.name} prices of {book.said(context.at)}",
        ceiling(context),
        tuple(notes(context, drafted=apps is None)),
        standing(context.rows.weight),
    )
    if progress:
        progress(2 * n, 2 * n)
    return result


def _ranked(context: Context, change: Change) -> Ranked:
    pusd = saved_pusd(context, change.rows, change.edit)
    among = context.app_rows(change.app, context.rows.demand)
    saving = money(context, change.rows, pusd, change.evidence, change.source, among, change.shared)
    steps = tuple((name, usd_sum(saved_pusd(context, change.rows, edit)) * context.per_month) for name, edit in change.steps)
    return Ranked(change, context.apps[change.app].owner, saving, steps)


def _combined(context: Context, found: list[Change]) -> Estimate:
    """Apply the changes that alter no answer one after another, each to what those before it left; a step that loses is skipped."""
    state, total = context.logged, np.zeros(len(context.rows), np.int64)
    shares: dict[str, float] = {}
    shared = False
    for change in sorted((c for c in found if c.combines), key=lambda c: ORDER.index(c.kind)):
        saved = saved_pusd(context, change.rows, change.edit, state)
        if saved.sum() > 0:
            state = change.edit(state, change.rows)
            total[change.rows] += saved
            shared = shared or change.shared
            evidence = weakest(change.evidence, context.evidence)
            shares[evidence] = shares.get(evidence, 0.0) + usd_sum(saved) * context.per_month
    rows = np.flatnonzero(total)
    reached = np.flatnonzero(np.isin(context.rows.app.codes, np.unique(context.rows.app.codes[rows])) & context.rows.demand)
    order = f"in this order: {', '.join(ORDER)}"
    found_sum = money(context, rows, total[rows], weakest("estimated", *shares), order, reached, shared)
    return replace(found_sum, shares=shares)


def _spend(context: Context) -> Estimate:
    """Return what the log costs a month; of a sample with the limits that the audit gives its total, where any can be given."""
    rows = np.flatnonzero(context.priced)
    weight = context.rows.weight[rows]
    pusd = weighted(context.spend_pusd[rows], weight)
    found = money(context, rows, pusd, "estimated", context.book.name, rows)
    if context.units is None or found.low is None:
        return found
    low, high = limits(pusd * (context.per_month / PUSD_PER_USD), weight, context.units[rows], context.thin)
    return replace(found, low=low, high=high)
