"""The most that routing could save, and how many labels would tell whether it may.

In: a Context. Out: per app an upper bound, never a saving: every request on its cheapest feasible candidate, answers taken
to be as long; and the size and price of a paired sample that would decide. Knows nothing of answers' quality.
"""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from planner.comparison.change import money
from planner.comparison.changes_model import family
from planner.comparison.context import Context, Rowset, State
from planner.errors import PriceError
from planner.prices.money import usd_sum, weighted

__all__ = ["DISCORDANCE", "MARGIN", "ceiling", "labels_needed"]

#: A loss of quality that may not be overlooked, and the share of requests that exactly one of two models gets right (assumed).
MARGIN, DISCORDANCE = 0.02, 0.15


def labels_needed(margin: float = MARGIN, discordance: float = DISCORDANCE) -> int:
    """Return how many paired labels show that a model is at most ``margin`` worse when it is truly as good.

    n = (z_level + z_power)² · discordance / margin², one-sided at 97.5 % with a power of 80 %: Connor, "Sample size for testing
    differences in proportions for the paired-sample design", Biometrics 43 (1987) 207-211, in its normal approximation with
    equal true qualities.

    >>> labels_needed()
    2944
    """
    return math.ceil((ndtri(0.975) + ndtri(0.8)) ** 2 * discordance / margin**2)


def ceiling(context: Context) -> pd.DataFrame:
    """Return one row per app with a candidate that is cheaper somewhere.

    Where the log and apps.yaml know one candidate only, the other sizes of its make and version stand in.

    Columns: ``app``, ``candidates`` (feasible ones), ``at_most_usd_per_month`` with ``low`` and ``high`` and ``evidence``, ``labels``
    and ``labels_usd``: answers of every candidate but the one logged most, graded exactly at no price; ``with_text``: requests of
    this log that could be labelled.
    """
    rows = [row for app in context.names if (row := _of_app(context, app))]
    names = ["app", "candidates", "at_most_usd_per_month", "low", "high", "evidence", "labels", "labels_usd", "with_text", "meaning"]
    return pd.DataFrame(rows, columns=names).sort_values("at_most_usd_per_month", ascending=False, ignore_index=True)


def _of_app(context: Context, app: str) -> tuple[object, ...] | None:
    rows = context.app_rows(app, context.open & context.ok)
    options = _candidates(context, app)
    if not len(rows) or not options:
        return None
    costs = np.column_stack([_cost(context, rows, o) for o in options])
    saved = np.maximum(context.spend_pusd[rows] - costs.min(axis=1), 0.0).astype(np.int64)
    if not saved.any():
        return None
    bound = money(context, rows, weighted(saved, context.rows.weight[rows]), "assumed", "", rows)
    usual = context.rows.model.values[int(np.bincount(context.rows.model.codes[rows]).argmax())]
    labels = labels_needed()
    names = ", ".join(m for _, m in options)
    price = labels * _mean_usd(context, rows, [o for o in options if o[1] != usual])
    meaning = "upper bound, not a saving: every request on its cheapest feasible candidate"
    whole = int(context.rows.full_text[rows].sum())
    return (app, names, bound.value, bound.low, bound.high, "assumed", labels, price, whole, meaning)


def _candidates(context: Context, app: str) -> list[tuple[str, str]]:
    """Return (provider, model) of the app's candidates that its allowed providers serve."""
    terms = context.apps[app]
    logged = {model: provider for provider, model, _ in context.groups(np.flatnonzero(context.rows.billable))}
    found = []
    for model in terms.candidates:
        ids = context.resolve(logged.get(model, ""), model)
        if ids and (not terms.allowed_providers or ids[0] in terms.allowed_providers or logged.get(model) in terms.allowed_providers):
            found.append((ids[0], model))
    return found if len(found) > 1 else [*found, *(s for o in found for s in _siblings(context, *o))]


def _siblings(context: Context, provider: str, model: str) -> list[tuple[str, str]]:
    """Return the provider's other models of the same make and version: what an app with one known candidate could try first."""
    maker, version = family(model)
    rates = context.book.rates
    sold = rates[(rates["provider"] == provider) & (rates["tier"] == "standard")]["model"].unique()
    make = re.match(r"[a-z]+", maker)
    if not version or make is None:
        return []
    return [(provider, m) for m in sold if m != model and family(m)[1] == version and m.startswith(make.group())]


def _cost(context: Context, rows: Rowset, option: tuple[str, str]) -> NDArray[np.float64]:
    """Return what ``rows`` cost on a candidate [pUSD], infinite where they do not fit or have no price."""
    provider, model = option
    state = context.logged.put(rows, provider=provider, model=model).take(rows)
    cost, priced, _ = context.price(state, rows)
    room = context.book.context_window(model, provider) or 0
    return np.where(priced & (state.tokens.sum(axis=1) <= room), cost.astype(float), np.inf)


def _mean_usd(context: Context, rows: Rowset, options: list[tuple[str, str]]) -> float:
    """Return what one request of mean size costs on all ``options`` together [USD]."""
    mean = np.ceil(np.average(context.rows.tokens[rows], axis=0, weights=context.rows.weight[rows])).astype(np.int64)[None]
    costs = []
    for provider, model in options:
        try:
            context.book.quote(model, provider, at=context.date)
        except PriceError:
            continue
        names = [np.array([x], object) for x in (provider, model, "standard")]
        one = State(names[0], names[1], names[2], mean, np.ones(1, bool))
        costs.append(context.price(one, rows[:1])[0])
    return usd_sum(np.concatenate(costs)) if costs else 0.0
