"""Shapley: what each kind of change adds to a bill, averaged over every order in which the changes could have come.

In: Cells. Out: integers [pUSD] by app and kind of change that add up to the difference of the bills exactly. No order is favoured, and
from this period to the last every part has the opposite sign. Knows nothing of logs.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from numpy.typing import NDArray

from planner.followup.bridge_cells import INPUT, OUTPUT, Cells

__all__ = ["FACTORS", "split"]

F64 = NDArray[np.float64]
#: Kinds of change, those of a whole app first.
_OUTER = ("days", "volume", "app mix", "response cache")
_INNER = ("failures", "model mix", "input tokens", "output tokens", "prompt cache", "list price", "contract")
FACTORS = (*_OUTER, *_INNER)


def split(cells: Cells) -> list[dict[str, int]]:
    """Return what every kind of change adds to each app's bill [pUSD], apps in the order of ``cells.apps``.

    Of 2^11 mixtures of the two periods each app is billed for, a part is the mean of what its change adds, over all orders (Shapley, 1953;
    for bills, Sun, *Energy* 23, 1998). What floating point leaves, less than a billionth of the bill, is added to the largest part.
    """
    bills = _bills(cells)
    return [_parts(bills[..., i], last, this) for i, (last, this) in enumerate(cells.bills)]


def _parts(bills: F64, last: int, this: int) -> dict[str, int]:
    """Return the Shapley value of every axis of ``bills`` (2, …, 2), made whole."""
    n = bills.ndim
    worth = np.array([math.factorial(k) * math.factorial(n - k - 1) / math.factorial(n) for k in range(n)])
    others = np.array(list(product((0, 1), repeat=n - 1))).sum(1)
    found = []
    for axis in range(n):
        before, after = (np.take(bills, x, axis).ravel() for x in (0, 1))
        found.append(round(math.fsum(worth[others] * (after - before))))
    largest = max(range(n), key=lambda i: abs(found[i]))
    found[largest] += this - last - sum(found)
    return dict(zip(FACTORS, found, strict=True))


def _bills(c: Cells) -> F64:
    """Return what each app would be billed [pUSD] for every mixture, an axis a kind of change: (2,) × 11 and (A,)."""
    apps = len(c.apps)
    inner = np.zeros((2,) * len(_INNER) + (apps,))
    for at in product((0, 1), repeat=len(_INNER)):
        failures, models, more_in, more_out, cached, price, contract = at
        rate_in, rate_out = c.rates[more_in, price, :, INPUT], c.rates[more_out, price, :, OUTPUT]
        call = c.input[more_in] * (c.input_parts[cached] * rate_in).sum(1) + c.output[more_out] * (c.output_parts[more_out] * rate_out).sum(
            1
        )
        each = c.calls[failures] * call * c.contract[contract] + c.flat[contract]
        groups = np.bincount(c.group, c.models[models] * each, 2 * apps)
        inner[at] = np.bincount(c.app, c.ends[failures] * groups, apps)
    bills = np.zeros((2,) * len(FACTORS) + (apps,))
    for at in product((0, 1), repeat=len(_OUTER)):
        days, volume, mix, hits = at
        requests = c.days[days] * c.volume[volume] * c.mix[mix]
        hit_cost = c.hit_cost.reshape((1,) * (len(_INNER) - 1) + (2, apps))
        bills[at] = requests * (c.hits[hits] * hit_cost + (1 - c.hits[hits]) * inner)
    return bills
