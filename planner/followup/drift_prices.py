"""Which prices moved since a bundle was exported, and what that is worth on the requests of now.

In: the rates in a manifest, today's price book, and the tokens that each model took now. Out: one row a rate that moved. A price is known
from the book, not from a sample: there is nothing to test. Knows nothing of plans.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from planner.errors import PriceError
from planner.prices import PriceBook
from planner.prices.book import Rates
from planner.schema import TOKEN_BUCKETS
from planner.traffic.rows import Rows

__all__ = ["moved"]

_COLUMNS = ("model", "rate", "was", "now", "change", "usd")
#: Relative difference that is rounding.
_SAME = 1e-9


def moved(rates: Mapping[str, Mapping[str, Any]], book: PriceBook, day: dt.date, rows: Rows) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the rates that moved, and the models of which the book knows no rate any more.

    Parameters
    ----------
    rates: model → ``provider``, ``usd_per_mtok``, ``usd_per_request`` and ``above``, as ``bundle.prediction`` writes them.
    day: whose prices are compared. rows: the requests of now, whose tokens say what a change of a base rate costs.

    Columns: ``model``; ``rate``, its bucket in words; ``was``, ``now`` [USD per million tokens, or per request], NaN where there is none;
    ``change``, relative; ``usd`` on these rows [USD, estimated], NaN for rates of long prompts.
    """
    found, gone = [], []
    for model, was in rates.items():
        try:
            quoted = book.quote(model, was.get("provider"), at=day)
        except PriceError:
            gone.append(model)
            continue
        old, new = _flat(was), _flat(_payload(quoted))
        amounts = _amounts(rows, model)
        for rate in dict.fromkeys([*old, *new]):
            a, b = old.get(rate, math.nan), new.get(rate, math.nan)
            if not (a == b or abs(a - b) <= _SAME * max(abs(a), abs(b))):
                found.append((model, rate, a, b, b / a - 1 if a else math.nan, (b - a) * amounts.get(rate, math.nan)))
    return pd.DataFrame(found, columns=list(_COLUMNS)), tuple(gone)


def _payload(rates: Rates) -> dict[str, Any]:
    return {"usd_per_mtok": rates.usd_per_mtok, "usd_per_request": rates.usd_per_request, "above": rates.above}


def _flat(rates: Mapping[str, Any]) -> dict[str, float]:
    """Return every rate by its words.

    >>> _flat({"usd_per_mtok": {"input_tokens": 2.0}, "usd_per_request": 0.0, "above": [[200000, {"input_tokens": 4.0}]]})
    {'input': 2.0, 'input above 200,000 input tokens': 4.0, 'request': 0.0}
    """
    found = {_words(bucket): float(usd) for bucket, usd in rates["usd_per_mtok"].items()}
    for tokens, own in rates["above"]:
        found |= {f"{_words(bucket)} above {tokens:,} input tokens": float(usd) for bucket, usd in own.items()}
    return found | {"request": float(rates["usd_per_request"])}


def _words(bucket: str) -> str:
    return bucket.removesuffix("_tokens").replace("_", " ")


def _amounts(rows: Rows, model: str) -> dict[str, float]:
    """Return what of each base rate a model used: millions of tokens by bucket, and requests."""
    mine = rows.model.codes == rows.model.code(model)
    weight = rows.weight[mine]
    tokens = weight @ rows.tokens[mine] / 1e6
    return {_words(b): float(t) for b, t in zip(TOKEN_BUCKETS, np.atleast_1d(tokens), strict=True)} | {"request": float(weight.sum())}
