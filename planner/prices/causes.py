"""Causes: why a source's own cost differs from ours, where one simple mistake explains it.

In: rows of an audit and the source's costs. Out: a phrase per row; empty where none of the known mistakes gives the source's
figure. What recurs counts by different usages, since the same call made again shows the same again; in a sample a cause is one that ten
drawn conversations show. Knows nothing of who is right: a contract may explain the same difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from planner.stats import REFUSE

if TYPE_CHECKING:
    from planner.prices.audit import Audit

__all__ = ["causes"]

_Tokens = NDArray[np.int64]
_WORDS = ("input", "cache reads", "five-minute cache writes", "one-hour cache writes", "output", "reasoning")
#: Factors and rates that hold for at least so many different usages are no coincidence, and factors only where they stand out among others
#: this near: they are so many times as frequent.
_RECURS, _NEAR, _STANDS_OUT = 10, 0.025, 10.0
#: Factors are told apart by so much.
_STEP = 1e-3


def causes(audit: Audit, rows: NDArray[np.int64], source_usd: NDArray[np.float64]) -> NDArray[np.object_]:
    """Return for each of ``rows`` the first mistake under which the source's cost would be right."""
    found = np.full(len(rows), "", object)
    found[source_usd == 0] = "the source charges nothing"
    for label, usd in _mistakes(audit, rows):
        agrees = np.abs(usd - source_usd) <= np.maximum(1e-3 * source_usd, 1e-9)
        found[agrees & (found == "")] = label
    _factors(found, source_usd, audit, rows)
    _own_rates(found, source_usd, audit, rows)
    if audit.sampled:
        _of_few(found, audit.units[rows])
    return found


def _of_few(found: NDArray[np.object_], units: NDArray[np.int64]) -> None:
    """Take back what fewer than ten of those who were drawn show: of the whole log it says nothing."""
    for cause in set(found):
        if len(np.unique(units[found == cause])) < REFUSE:
            found[found == cause] = ""


def _factors(found: NDArray[np.object_], source_usd: NDArray[np.float64], audit: Audit, rows: NDArray[np.int64]) -> None:
    """Name a factor between source and ours that recurs among the rows nothing else explains: a margin or a discount.

    Usages at other rates have all kinds of factors, of which some recur where there are many: one that is meant stands out.
    """
    ours_usd = audit.cost_pusd[rows] / 1e12
    open_ = np.flatnonzero((found == "") & (ours_usd > 0))
    step = np.rint(source_usd[open_] / ours_usd[open_] / _STEP).astype(np.int64)
    calls = np.column_stack([step, audit.tokens[rows[open_]], audit.cost_pusd[rows[open_]]])
    values, count = np.unique(np.unique(calls, axis=0)[:, 0], return_counts=True)
    wide = round(_NEAR / _STEP)
    running = np.concatenate([[0], np.cumsum(count)])

    def within(reach: int) -> NDArray[np.int64]:
        first, end = np.searchsorted(values, values - reach), np.searchsorted(values, values + reach, "right")
        return np.asarray(running[end] - running[first])

    near = (within(wide) - within(1)) / (2 * wide - 2)  # what a factor is rounded to may be one step beside it
    for value in values[(count >= _RECURS) & (count >= _STANDS_OUT * near)].tolist():
        found[open_[step == value]] = f"the source charges {value * _STEP:g} times our cost (a margin or a discount)"


def _own_rates(found: NDArray[np.object_], source_usd: NDArray[np.float64], audit: Audit, rows: NDArray[np.int64]) -> None:
    """Name the rates [USD per million tokens] that reproduce the source's figures for a model: a price list of its own."""
    open_ = np.flatnonzero(found == "")
    names = audit.traffic.frame("provider", "model", "service_tier").iloc[rows[open_]]
    for positions in names.reset_index(drop=True).groupby(list(names), dropna=False, observed=True).indices.values():
        chosen = open_[positions]
        tokens, usd = audit.tokens[rows[chosen]], source_usd[chosen]
        used = np.flatnonzero(tokens.any(0))
        if len(np.unique(tokens, axis=0)) < _RECURS or np.linalg.matrix_rank(tokens[:, used]) < len(used):
            continue
        rates = np.linalg.lstsq(tokens[:, used].astype(float), usd, rcond=None)[0]
        rates[np.abs(rates) < 1e-12] = 0.0
        if (rates >= 0).all() and np.allclose(tokens[:, used] @ rates, usd, rtol=1e-3, atol=1e-9):
            listed = ", ".join(f"{rate * 1e6:.4g} {_WORDS[b]}" for b, rate in zip(used, rates, strict=True))
            found[chosen] = f"the source has rates of its own (USD per million tokens: {listed})"


def _mistakes(audit: Audit, rows: NDArray[np.int64]) -> Iterator[tuple[str, NDArray[np.float64]]]:
    names = audit.traffic.frame("provider", "model", "service_tier", "timestamp").iloc[rows]
    tokens = audit.tokens[rows]

    def usd(tokens: _Tokens, tier: object = None, at: object = None) -> NDArray[np.float64]:
        tiers = names["service_tier"] if tier is None else tier
        priced = audit.book.price(names["provider"], names["model"], tiers, tokens, names["timestamp"] if at is None else at)
        return np.where(priced.reason == 0, priced.cost_pusd / 1e12, np.nan)

    if audit.hit[rows].any():
        yield "the source charges response-cache hits", np.where(audit.hit[rows], usd(tokens), np.nan)
    for label, moved in _MOVES:
        yield label, usd(moved(tokens.copy()))
    yield "the source charges the standard tier", usd(tokens, tier="standard")
    yield f"the source charges the prices of {audit.book.date}", usd(tokens, at=audit.book.date)


def _move(*buckets: int, to: int | None) -> Callable[[_Tokens], _Tokens]:
    def moved(tokens: _Tokens) -> _Tokens:
        if to is not None:
            tokens[:, to] += tokens[:, list(buckets)].sum(1)
        tokens[:, list(buckets)] = 0
        return tokens

    return moved


def _twice(bucket: int, also: int) -> Callable[[_Tokens], _Tokens]:
    def doubled(tokens: _Tokens) -> _Tokens:
        tokens[:, also] += tokens[:, bucket]
        return tokens

    return doubled


_MOVES = (
    ("the source charges cache reads as fresh input", _move(1, to=0)),
    ("the source charges cache writes as fresh input", _move(2, 3, to=0)),
    ("the source charges all cached input as fresh", _move(1, 2, 3, to=0)),
    ("the source charges one-hour cache writes as five-minute ones", _move(3, to=2)),
    ("the source leaves out cache reads", _move(1, to=None)),
    ("the source leaves out reasoning", _move(5, to=None)),
    ("the source counts reasoning twice", _twice(5, also=4)),
    ("the source counts cache reads twice", _twice(1, also=0)),
)
