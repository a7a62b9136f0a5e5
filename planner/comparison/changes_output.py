"""Output: answers far longer than an app's others, and thinking that is billed but not shown.

In: a Context. Out: per app a change to the output limit and one to the reasoning effort. Both may change answers, so they
are ``assumed`` and stay out of the combined figure. Knows nothing of other changes.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from planner.comparison.change import Change, saved_pusd
from planner.comparison.context import Context, Rowset, State

__all__ = ["changes"]

#: A runaway answer is longer than so many times the app's 95th percentile; limits are multiples of so many tokens.
_FAR, _STEP = 2, 64
#: Fewer answers than this do not say what is usual.
_LEAST = 20
#: What part of reasoning tokens a lower effort may save: assumed, shown at three values.
_LESS = (0.25, 0.5, 0.75)


def changes(context: Context) -> list[Change]:
    """Return the output changes of every app."""
    found = (make(context, app) for app in context.names for make in (_runaway, _reasoning))
    return [c for c in found if c is not None]


def _runaway(context: Context, app: str) -> Change | None:
    rows = context.app_rows(app, context.open & context.ok)
    output = context.rows.tokens[rows, 4:].sum(axis=1)
    cut = context.finish[rows] == "length"
    if (~cut).sum() < _LEAST:
        return None
    usual = int(np.quantile(output[~cut], 0.95, method="higher"))
    limit = -(-max(_FAR * usual, 1) // _STEP) * _STEP
    far = rows[output > limit]
    edit = partial(_capped, limit)
    if not len(far) or saved_pusd(context, far, edit).sum() <= 0:
        return None
    ended = int(cut[output > limit].sum())
    return Change(
        "output limit",
        app,
        f"set max_tokens of {app} to {limit:,}: {len(far):,} answers are longer, its 95th percentile is {usual:,}",
        far,
        edit,
        "assumed",
        "low: one parameter",
        f"answers that need more than {limit:,} tokens are cut; {ended:,} of the {len(far):,} were cut already",
        f"output beyond {limit:,} tokens ({_FAR} times the 95th percentile of answers that ended by themselves) not paid",
    )


def _capped(limit: int, state: State, rows: Rowset) -> State:
    tokens = state.tokens[rows].copy()
    tokens[:, 4] = np.minimum(tokens[:, 4], np.maximum(limit - tokens[:, 5], 0))
    return state.put(rows, tokens=tokens)


def _reasoning(context: Context, app: str) -> Change | None:
    rows = context.app_rows(app, context.open & context.ok & (context.rows.tokens[:, 5] > 0))
    if not len(rows) or saved_pusd(context, rows, partial(_thinking, 0.5)).sum() <= 0:
        return None
    tokens = context.rows.tokens[rows, 4:].sum(axis=0)
    low, middle, high = ((f"{less:.0%} less", partial(_thinking, less)) for less in _LESS)
    return Change(
        "reasoning effort",
        app,
        f"test first: lower the reasoning effort of {app}; {tokens[1] / max(tokens.sum(), 1):.0%} of its output tokens there are reasoning",
        rows,
        middle[1],
        "assumed",
        "low: one parameter, and compare answers on a sample before",
        "harder requests may be answered worse",
        "reasoning tokens less by an assumed half; by a quarter and three quarters beside it",
        (low, high),
    )


def _thinking(less: float, state: State, rows: Rowset) -> State:
    tokens = state.tokens[rows].copy()
    tokens[:, 5] = np.rint(tokens[:, 5] * (1 - less)).astype(np.int64)
    return state.put(rows, tokens=tokens)
