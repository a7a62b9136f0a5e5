"""Cells: a period's bill taken apart, down to model and tier, into numbers that another period's can stand in for one by one.

In: ledgers of two periods, priced at their own time and at the other's. Out: for either period and each app: requests, share answered from
the cache, share that failed, models, calls, tokens, cached share, rates, and what was billed over list price; what one period does not
have is as in the other. Knows nothing of differences.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.schema import TOKEN_BUCKETS

__all__ = ["INPUT", "OUTPUT", "Cells", "Ledger", "cells"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
#: Token buckets of the input and of the output.
INPUT, OUTPUT = slice(0, 4), slice(4, len(TOKEN_BUCKETS))


@dataclass(frozen=True, eq=False)
class Ledger:
    """``n`` requests of a period; arrays of length n.

    Parameters
    ----------
    app, model: names; the model with provider and tier, as it is priced.
    failed, hit: ended in failure; were answered from the response cache.
    requests: how many each stands for. calls: calls to providers, over all of these.
    tokens, own, other: (n, 6): tokens of all of these, and their list price [pUSD] at their own time and at the other period's.
    bill: int64 [pUSD] billed for all of these. listed: have a list price at both times.
    days: length of the period.
    """

    app: NDArray[np.object_]
    model: NDArray[np.object_]
    failed: NDArray[np.bool_]
    hit: NDArray[np.bool_]
    requests: F64
    calls: F64
    tokens: F64
    own: F64
    other: F64
    bill: I64
    listed: NDArray[np.bool_]
    days: float

    def take(self, rows: NDArray[np.bool_]) -> Ledger:
        """Keep the requests of the mask ``rows``."""
        taken: dict[str, Any] = {name: value[rows] for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        return replace(self, **taken)


@dataclass(frozen=True, eq=False)
class Cells:
    """Two periods over the same A apps, groups (app, failed or not) and C cells (group, model); the first axis is the period.

    Parameters
    ----------
    apps: their names. group, app: (C,) the group of a cell; (2A,) the app of a group.
    days: (2,). volume: (2,) requests a day. mix: (2, A) shares. hits: (2, A) shares from the cache. hit_cost: (2, A) [pUSD] of such ones.
    ends: (2, 2A) share of an app's other requests in each group. models: (2, C) share of a group's requests.
    calls: (2, C) per request. input, output: (2, C) tokens per call. input_parts: (2, C, 4), output_parts: (2, C, 2) shares of buckets.
    rates: (2, 2, C, 6) [pUSD per token], by whose requests and at whose time.
    contract: (2, C) billed over list price. flat: (2, C) [pUSD] per request billed without a list price.
    bills: A pairs of integers [pUSD].
    """

    apps: tuple[str, ...]
    group: I64
    app: I64
    days: F64
    volume: F64
    mix: F64
    hits: F64
    hit_cost: F64
    ends: F64
    models: F64
    calls: F64
    input: F64
    output: F64
    input_parts: F64
    output_parts: F64
    rates: F64
    contract: F64
    flat: F64
    bills: tuple[tuple[int, int], ...]


def cells(last: Ledger, this: Ledger) -> Cells:
    """Take both periods apart over the apps, models and endings that either has; both have the same apps."""
    sides = (last, this)
    names = [pd.DataFrame({"app": s.app, "failed": s.failed, "model": s.model})[~s.hit] for s in sides]
    index = pd.MultiIndex.from_frame(pd.concat(names).drop_duplicates().sort_values(["app", "failed", "model"]))
    apps = tuple(sorted({*last.app.tolist(), *this.app.tolist()}))
    place = {name: i for i, name in enumerate(apps)}
    of_cell = np.array([place[a] for a in index.get_level_values("app")], np.int64)
    group = 2 * of_cell + index.get_level_values("failed").to_numpy(bool).astype(np.int64)
    at = [index.get_indexer(pd.MultiIndex.from_frame(frame)) for frame in names]
    whose = [np.array([place[a] for a in s.app.tolist()], np.int64) for s in sides]
    a, c, g = len(apps), len(index), 2 * len(apps)

    def by_cell(name: str) -> F64:
        return np.stack([_sums(i, getattr(s, name)[~s.hit], c) for s, i in zip(sides, at, strict=True)])

    def by_app(value: str, rows: str = "") -> F64:
        masks = [getattr(s, rows) if rows else np.ones(len(s.app), bool) for s in sides]
        return np.stack([_sums(i[m], getattr(s, value)[m], a) for s, i, m in zip(sides, whose, masks, strict=True)])

    requests, hits = by_app("requests"), by_app("requests", "hit")
    days = np.array([s.days for s in sides])
    reached, calls, tokens = by_cell("requests"), by_cell("calls"), by_cell("tokens")
    in_group = np.stack([_sums(group, x, g) for x in reached])
    listed = [s.listed & ~s.hit for s in sides]
    billed, flat = (
        np.stack([_sums(i, np.where(m == want, s.bill, 0)[~s.hit], c) for s, i, m in zip(sides, at, listed, strict=True)])
        for want in (True, False)
    )
    sizes = np.stack([tokens[..., INPUT].sum(-1), tokens[..., OUTPUT].sum(-1)])
    per_call = [_filled(x, calls) for x in sizes]
    parts = [_filled(tokens[..., cut], size[..., None]) for cut, size in zip((INPUT, OUTPUT), sizes, strict=True)]
    rates = _rates(tokens, by_cell("own"), by_cell("other"))
    calls_each = _filled(calls, reached)
    own = np.stack([rates[x, x] for x in (0, 1)])
    price = calls_each * sum(n * (p * own[..., cut]).sum(-1) for n, p, cut in zip(per_call, parts, (INPUT, OUTPUT), strict=True))
    listing = reached * price
    contract = _filled(np.where(listing > 0, billed, 0), listing)
    flat = _filled(flat + np.where(listing > 0, 0, billed), reached)
    bills = [_exact(i, s.bill, a) for s, i in zip(sides, whose, strict=True)]
    of_group = np.arange(g) // 2
    return Cells(
        apps=apps,
        group=group,
        app=of_group,
        days=days,
        volume=requests.sum(1) / days,
        mix=requests / requests.sum(1, keepdims=True),
        hits=hits / requests,
        hit_cost=_filled(by_app("bill", "hit"), hits),
        ends=_filled(in_group, (requests - hits)[:, of_group]),
        models=_filled(reached, in_group[:, group]),
        calls=calls_each,
        input=per_call[0],
        output=per_call[1],
        input_parts=parts[0],
        output_parts=parts[1],
        rates=rates,
        contract=contract,
        flat=flat,
        bills=tuple(zip(*bills, strict=True)),
    )


def _sums(code: I64, values: NDArray[Any], count: int) -> F64:
    """Add up ``values`` (n,) or (n, k) by code: (count,) or (count, k)."""
    if values.ndim == 1:
        return np.bincount(code, values, count).astype(float)
    return np.stack([np.bincount(code, column, count) for column in values.T], axis=1).astype(float)


def _exact(code: I64, values: I64, count: int) -> list[int]:
    """Add up integers [pUSD] by code, exactly."""
    high, low = np.divmod(values, 1_000_000)
    sums = [np.zeros(count, np.int64), np.zeros(count, np.int64)]
    for total, part in zip(sums, (high, low), strict=True):
        np.add.at(total, code, part)
    return [int(h) * 1_000_000 + int(x) for h, x in zip(*sums, strict=True)]


def _filled(top: F64, bottom: F64) -> F64:
    """Return ``top`` / ``bottom``, both (2, …); where a period has nothing below, as in the other period, and 0 where neither has."""
    whole = np.broadcast_to(bottom, top.shape)
    ratio = np.divide(top, whole, out=np.zeros(top.shape), where=whole > 0)
    return np.asarray(np.where(whole > 0, ratio, ratio[::-1]), float)


def _rates(tokens: F64, own: F64, other: F64) -> F64:
    """Return (whose requests, at whose time, C, 6) [pUSD per token]; where a period has no such tokens, by the other's requests."""
    spent = np.stack([np.stack([own[0], other[0]]), np.stack([other[1], own[1]])])
    whole = np.stack([np.stack([tokens[x]] * 2) for x in (0, 1)])
    ratio = np.divide(spent, whole, out=np.zeros(spent.shape), where=whole > 0)
    return np.asarray(np.where(whole > 0, ratio, ratio[::-1]), float)
