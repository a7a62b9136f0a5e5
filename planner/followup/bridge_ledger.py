"""From rows of requests to Ledgers: what was billed, and the list price at the own time and at the other period's.

In: two tables of requests and a price book. Out: two Ledgers that can be taken apart together, and how many rows have no cost. A moment of
one period stands for the same day and time of the other, counted from their first days. Knows nothing of where rows come from.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.errors import InputError, PriceError
from planner.followup.bridge_cells import Ledger
from planner.prices import PriceBook
from planner.prices.money import weighted
from planner.schema import TOKEN_BUCKETS

__all__ = ["DEFAULTS", "NEEDED", "Priced", "days_of", "ledgers"]

#: Columns of the tables; those with a default may be left out. ``cost_pusd`` is what was billed, NaN for the list price.
NEEDED = ("app", "provider", "model", "timestamp", "status", *TOKEN_BUCKETS)
DEFAULTS: dict[str, Any] = {"service_tier": "standard", "cache_hit": False, "weight": 1.0, "calls": 1, "cost_pusd": np.nan}


@dataclass(frozen=True, eq=False)
class Priced:
    """A Ledger, and of its rows which have a cost (n,), the others being billed nothing, and how many state one of their own.

    ``assumed``: whether any of it rests on an assumed rate.
    """

    ledger: Ledger
    costed: NDArray[np.bool_]
    stated: int
    assumed: bool

    @property
    def uncosted(self) -> int:
        """How many rows have no cost at all."""
        return int((~self.costed).sum())


def days_of(timestamp: pd.Series[pd.Timestamp]) -> int:
    """Return how many UTC days lie between the first and the last request, both counted."""
    return int((timestamp.max().normalize() - timestamp.min().normalize()).days) + 1


def ledgers(last: pd.DataFrame, this: pd.DataFrame, book: PriceBook) -> tuple[Priced, Priced]:
    """Price both tables at their own time and at the other's; InputError for an empty one or a missing column."""
    tables = [_complete(table) for table in (last, this)]
    times = [table["timestamp"].to_numpy("datetime64[us]") for table in tables]
    ends = [(t.min().astype("datetime64[D]"), t.max().astype("datetime64[D]")) for t in times]
    there = [_moved(t, own, other) for t, own, other in zip(times, ends, reversed(ends), strict=True)]
    first, second = (_priced(*each, book) for each in zip(tables, times, there, strict=True))
    return first, second


def _complete(table: pd.DataFrame) -> pd.DataFrame:
    missing = [name for name in NEEDED if name not in table]
    if missing or not len(table):
        raise InputError(f"a table of {len(table)} requests without {', '.join(missing) or 'any'}", f"rows with {', '.join(NEEDED)}")
    absent: dict[str, Any] = {name: value for name, value in DEFAULTS.items() if name not in table}
    full = table.assign(**absent)
    times = pd.to_datetime(full["timestamp"], utc=True).dt.tz_localize(None)
    return full.assign(timestamp=times, provider=full["provider"].fillna("")).reset_index(drop=True)


def _moved(times: NDArray[np.datetime64], own: tuple[np.datetime64, ...], other: tuple[np.datetime64, ...]) -> NDArray[np.datetime64]:
    """Return the same times in the other period; days that it does not have are its last."""
    day = times.astype("datetime64[D]")
    return np.asarray(np.minimum(day + (other[0] - own[0]), other[1]).astype("datetime64[us]") + (times - day.astype("datetime64[us]")))


def _priced(table: pd.DataFrame, own: NDArray[np.datetime64], other: NDArray[np.datetime64], book: PriceBook) -> Priced:
    tokens = table[list(TOKEN_BUCKETS)].to_numpy(np.int64)
    provider, model, tier = (table[name].astype(object).to_numpy() for name in ("provider", "model", "service_tier"))
    here, there = (book.price(provider, model, tier, tokens, at) for at in (own, other))
    weight, hit = table["weight"].to_numpy(float), table["cache_hit"].to_numpy(bool)
    listed, known = (here.reason == 0) & ~hit, there.reason == 0
    lists = [np.where(listed[:, None], price.parts_pusd * weight[:, None], 0.0) for price in (here, there)]
    lists[1] = np.where(known[:, None], lists[1], lists[0])
    stated = table["cost_pusd"].to_numpy(float)
    own_cost = np.isfinite(stated)
    cost = np.where(own_cost, stated, np.where(listed, here.cost_pusd, 0))
    silent = (table["status"] == "ok").to_numpy() & ~hit & ~own_cost & ~tokens.any(axis=1) & (here.cost_pusd == 0)
    uncosted = (~listed & ~hit & ~own_cost) | silent
    ledger = Ledger(
        app=table["app"].to_numpy(object),
        model=_models(table, book),
        failed=(table["status"] != "ok").to_numpy(bool),
        hit=hit,
        requests=weight,
        calls=weight * table["calls"].to_numpy(float),
        tokens=tokens * weight[:, None],
        own=lists[0],
        other=lists[1],
        bill=weighted(np.rint(cost).astype(np.int64), weight),
        listed=listed,
        days=float(days_of(table["timestamp"])),
    )
    return Priced(ledger, ~uncosted, int(own_cost.sum()), bool((here.evidence[listed] > 0).any()))


def _models(table: pd.DataFrame, book: PriceBook) -> NDArray[np.object_]:
    """Return provider, model and tier of every row in the price book's spelling, where it knows them."""
    codes, distinct = pd.factorize(pd.MultiIndex.from_frame(table[["provider", "model", "service_tier"]].astype(str)))
    return np.array([_model(book, *each) for each in distinct], object)[codes]


def _model(book: PriceBook, provider: str, model: str, tier: str) -> str:
    with suppress(PriceError):
        provider, model = book.resolve(model, provider or None)
    return " ".join(filter(None, (provider, model, "" if tier == "standard" else tier)))
