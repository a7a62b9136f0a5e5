"""Slower and cheaper service tiers, for apps whose answers may wait.

In: a Context. Out: at most one change per app: batch or flex, whichever is dated, allowed by the app's patience, and
cheaper. Cache reads are priced as uncached input in a batch, where hits are not promised. Knows nothing of other changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from planner.comparison.change import Change, saved_pusd
from planner.comparison.context import Context, Rowset, State
from planner.prices.provider_rules import SLOW_TIERS, SlowTier
from planner.units import PUSD_PER_USD

__all__ = ["changes", "worth_asking"]


def changes(context: Context) -> list[Change]:
    """Return the tier changes, one per app that may wait and would pay less."""
    found = (_of_app(context, app) for app in context.names)
    return [c for c in found if c is not None]


def worth_asking(context: Context) -> list[tuple[str, float]]:
    """Return (app, USD a month) of the apps taken to be interactive by mere guess, of which no answer is streamed or part of a talk.

    The amount is what a day of patience would save: a reason to ask the owner, no saving.
    """
    found = []
    for app in context.names:
        terms = context.apps[app]
        if terms.interactive and "interactive" in terms.assumed and context.single[context.app_rows(app, context.open)].all():
            best = _best(context, app, SLOW_TIERS)
            found += [(app, best[1] / PUSD_PER_USD * context.per_month)] if best else []
    return sorted(found, key=lambda x: -x[1])


def _of_app(context: Context, app: str) -> Change | None:
    terms = context.apps[app]
    best = _best(context, app, [t for t in SLOW_TIERS if not terms.interactive and terms.may_wait_hours >= t.wait_hours])
    if best is None:
        return None
    rows, _, models, tier = best
    evidence = terms.evidence("interactive", "may_wait_hours")
    guess = "guessed from the log's shape" if evidence == "assumed" else "as its owner says"
    return Change(
        "slow tier",
        app,
        f"send {app} through the {tier.tier} tier of {', '.join(models)}: it may wait {terms.may_wait_hours:g} h ({guess})",
        rows,
        partial(_moved, tier),
        evidence,
        f"medium: {tier.setting}",
        "answers come later, and a batch may expire unanswered" if tier.tier == "batch" else "requests may be refused at busy times",
        f"the log's tokens at the dated {tier.tier} rates of {context.at}"
        + ("" if tier.keeps_cache else ", prompt-cache reads and writes charged as plain input"),
    )


def _best(context: Context, app: str, tiers: Sequence[SlowTier]) -> tuple[Rowset, int, list[str], SlowTier] | None:
    """Return the rows, saving, models and tier of the cheapest of ``tiers``, None when none is cheaper than today or can be told."""
    told = [t for t in tiers if t.tier not in context.untold.kinds]
    usual = ~np.isin(context.logged.tier, [t.tier for t in SLOW_TIERS])
    rows = context.app_rows(app, context.open & usual)
    options = [(*_worth(context, tier, rows), tier) for tier in told]
    best = max(options, key=lambda o: o[1], default=None)
    return best if best and best[1] > 0 else None


def _worth(context: Context, tier: SlowTier, rows: Rowset) -> tuple[Rowset, int, list[str]]:
    """Return the rows of those models that have a rate in ``tier`` and get cheaper there, their saving and the models."""
    kept, total, models = [], 0, []
    for _, model, group in context.groups(rows):
        saved = int(saved_pusd(context, group, partial(_moved, tier)).sum())
        if saved > 0:
            kept.append(group)
            total += saved
            models.append(model)
    return np.sort(np.concatenate(kept)) if kept else rows[:0], total, models


def _moved(tier: SlowTier, state: State, rows: Rowset) -> State:
    tokens = state.tokens[rows]
    if not tier.keeps_cache:
        tokens = tokens.copy()
        tokens[:, 0] = tokens[:, :4].sum(axis=1)
        tokens[:, 1:4] = 0
    return state.put(rows, tier=tier.tier, tokens=tokens)
