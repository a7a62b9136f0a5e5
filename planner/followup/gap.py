"""Gap: why a bill is not the one that was predicted, split into parts that add up to the integer.

In: two ledgers of the same period, predicted and observed. Out: a row an app, and one for all, with the gap and its parts. The arithmetic
is that of the bridge from one month to the next. Knows nothing of how anything was predicted.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from planner.followup.bridge_cells import cells
from planner.followup.bridge_ledger import ledgers
from planner.followup.bridge_shapley import split
from planner.prices import PriceBook

__all__ = ["PARTS", "split_gap"]

#: Part of a gap → the kinds of change that it holds.
PARTS = {
    "volume": ("days", "volume"),
    "mix": ("app mix", "model mix"),
    "tokens": ("input tokens", "output tokens"),
    "price": ("list price", "contract"),
    "cache": ("response cache", "prompt cache"),
    "failures": ("failures",),
}


def split_gap(predicted: pd.DataFrame, observed: pd.DataFrame, book: PriceBook | None = None) -> pd.DataFrame:
    """Split observed minus predicted bill into volume, mix, tokens, price, cache and failures.

    Parameters
    ----------
    predicted, observed: a row a request, with columns ``app, provider, model, timestamp`` (UTC) ``, status`` (``ok`` or a failure) and
        the token buckets of ``schema.TOKEN_BUCKETS``, summed over the request's calls; and, where they are not all alike, ``cost_pusd``
        (what was billed; NaN for the list price), ``service_tier, cache_hit`` (answered by no provider), ``weight, calls``.
    book: list prices, each request at its own time.

    Returns
    -------
    One row an app and a last one, ``all``: ``app, predicted_pusd, observed_pusd, gap_pusd`` and a column ``…_pusd`` for each of PARTS, all
    Python integers: the parts add up to the gap, and apps to all. ``volume`` is how many requests; ``mix`` of which app and to which model;
    ``tokens`` how long each call; ``price`` the rates, and what was billed over them; ``cache`` what was answered from the gateway's
    cache and what share of the input was read from the provider's; ``failures`` how many requests failed, and calls per request. An app
    that one side lacks is volume. InputError for an empty side or a missing column.

    >>> row = {"app": "chat", "provider": "openai", "model": "gpt-5-mini", "timestamp": "2026-11-01", "status": "ok"}
    >>> row |= dict.fromkeys(("cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "reasoning_tokens"), 0)
    >>> one = pd.DataFrame([row | {"input_tokens": 1_000, "output_tokens": 200}])
    >>> split_gap(one, pd.concat([one, one])).iloc[-1][["gap_pusd", "volume_pusd", "tokens_pusd"]].tolist()
    [650000000, 650000000, 0]
    """
    before, after = (priced.ledger for priced in ledgers(predicted, observed, book or PriceBook.load()))
    shared = set(before.app.tolist()) & set(after.app.tolist())
    rows: list[dict[str, Any]] = []
    for app in {*before.app.tolist(), *after.app.tolist()} - shared:
        was, now = (sum(side.bill[side.app == app].tolist()) for side in (before, after))
        rows.append(_row(app, was, now, {"volume": now - was}))
    if shared:
        taken = cells(*(side.take(pd.Series(side.app).isin(shared).to_numpy()) for side in (before, after)))
        for app, (was, now), parts in zip(taken.apps, taken.bills, split(taken), strict=True):
            rows.append(_row(app, was, now, {part: sum(parts[kind] for kind in kinds) for part, kinds in PARTS.items()}))
    rows.sort(key=lambda row: row["app"])
    whole = {name: sum(row[name] for row in rows) for name in rows[0] if name != "app"}
    return pd.DataFrame([*rows, {"app": "all", **whole}], dtype=object)


def _row(app: str, was: int, now: int, parts: dict[str, int]) -> dict[str, Any]:
    amounts = {f"{part}_pusd": parts.get(part, 0) for part in PARTS}
    return {"app": app, "predicted_pusd": was, "observed_pusd": now, "gap_pusd": now - was, **amounts}
