"""What a log cannot say about changes, in sentences with the share of spend concerned.

In: a Context. Out: sentences. Computes shares only. Knows nothing of any change's saving.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from planner.comparison.changes_cache import readable
from planner.comparison.changes_tier import worth_asking
from planner.comparison.context import Context
from planner.prices.money import usd_sum, weighted
from planner.prices.provider_rules import prompt_cache
from planner.schema import STATUSES
from planner.stats import BUCKETS, effective_clusters
from planner.traffic.sampling import counted

__all__ = ["notes", "period", "set_aside"]

_WEEK = 7.0


def notes(context: Context, drafted: bool) -> Iterator[str]:
    """Yield what is not known, most important first; ``drafted``: the apps are guesses from the log."""
    if context.thin:
        yield context.thin
    if context.untold.said:
        yield context.untold.said
    yield from _short(context)
    if context.aside:
        yield set_aside(context.aside)
    yield from _unpriced(context)
    yield from _patience(context)
    yield from _unreadable(context)
    yield from _no_rule(context)
    yield from _failures(context)
    clusters = effective_clusters(np.bincount(context.rows.bucket, weights=context.rows.weight, minlength=BUCKETS))
    if clusters < 50:
        care = "no intervals" if clusters < 10 else "read the intervals with care"
        yield f"Only {clusters:.0f} effective {context.rows.cluster_unit}s: {care}."
    if drafted:
        yield "What apps may do is guessed from the log: draft apps.yaml with Apps.draft(traffic).save(path), correct it, and pass it."


def set_aside(rows: int) -> str:
    """Say that so many rows of the source are not in the log.

    >>> set_aside(9)
    '9 rows of the source were set aside when it was read and are in no figure: planner read says why.'
    """
    return f"{rows:,} rows of the source were set aside when it was read and are in no figure: planner read says why."


def _short(context: Context) -> Iterator[str]:
    if context.rows.days < _WEEK:
        yield f"The log covers {period(context.rows.days)}; a month is assumed to be like it."


def period(days: float) -> str:
    """Return a length of time for people.

    >>> period(0.5), period(28)
    ('12.0 hours', '28.0 days')
    """
    return f"{days * 24:,.1f} hours" if days < 1 else f"{days:,.1f} days"


def _unpriced(context: Context) -> Iterator[str]:
    if context.unpriced:
        said, count = next(iter(context.unpriced)).rstrip("."), counted(np.concatenate([*context.unpriced.values()]))
        stated = "; if the log does not name its model, read it again with mapping={'model': '=NAME'}" if "'unknown'" in said else ""
        yield f"{count} of {counted(context.rows.weight)} requests have no price and are in no figure: {said}{stated}."


def _patience(context: Context) -> Iterator[str]:
    least = _month(context, context.open) / 1_000
    asked = [f"{app} ${usd:,.2f} a month" for app, usd in worth_asking(context) if usd >= least]
    if asked:
        yield f"Ask the owners: nobody is seen to wait for these answers, and a day of patience would save at most {', '.join(asked)}."


def _unreadable(context: Context) -> Iterator[str]:
    if "response cache" in context.untold.kinds:
        return
    share = _share(context, ~readable(context))
    if context.with_text:
        yield f"Prompts stayed in the log, so that no prompt cache and no router can be judged: {context.with_text}."
    elif not context.prefixes.size.any():
        yield "Prompt caches: this log has neither text nor prefix blocks, so nothing can be said for 100% of spend."
    elif share > 0:
        yield f"Prompt caches: {share:.0%} of spend has no whole prompt text or blocks, and nothing is claimed for it."
    unknown = _share(context, context.request_key == 0)
    if unknown > 0:
        yield f"Exact repeats: {unknown:.0%} of spend has no whole text, and nothing is claimed for it."


def _no_rule(context: Context) -> Iterator[str]:
    if "prompt cache" in context.untold.kinds:
        return
    without = np.zeros(len(context.rows), bool)
    names = []
    for provider, model, rows in context.groups(np.flatnonzero(context.open)):
        ids = context.resolve(provider, model)
        if ids and prompt_cache(*ids, context.date) is None:
            without[rows] = True
            names.append(f"{ids[1]} of {ids[0]}")
    if names:
        yield f"Prompt caches: no rule is known for {', '.join(dict.fromkeys(names))} ({_share(context, without):.0%} of spend)."


def _failures(context: Context) -> Iterator[str]:
    kinds = [(k, context.rows.billable & (context.rows.status == i)) for i, k in enumerate(STATUSES) if i]
    weight, billed = context.rows.weight, context.rows.billable
    said = [f"{k} {counted(weight[rows])} (${_month(context, rows):,.2f} billed a month)" for k, rows in kinds if rows.any()]
    retries = np.repeat(weight[billed], (context.rows.attempts[billed] - 1).clip(0))
    if said or len(retries):
        yield (
            f"Failures: {', '.join(said) or 'none'}; {counted(retries)} retries, whose tokens the log does not hold: if they were billed "
            "is not known, and no saving is claimed for them."
        )


def _month(context: Context, rows: NDArray[np.bool_]) -> float:
    return usd_sum(weighted(context.spend_pusd[rows], context.rows.weight[rows])) * context.per_month


def _share(context: Context, rows: NDArray[np.bool_]) -> float:
    total = _month(context, context.open)
    return _month(context, context.open & rows) / total if total else 0.0
