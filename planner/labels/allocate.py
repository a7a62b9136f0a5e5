"""How many requests of which kind to label for a budget: the arithmetic of the draw.

In: strata (app, and kind within the app) with how many units each has, the money at stake on them and what labelling one costs.
Out: how many of each to draw on average, and whole numbers drawn with exactly that mean. Knows nothing of texts, models or logs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError
from planner.labels.quotes import dollars

__all__ = ["Strata", "targets", "whole"]

Floats = NDArray[np.float64]
#: Within an app no kind of request is drawn more than this many times as densely, or as sparsely, as the app on average.
_SPREAD = 2.0


@dataclass(frozen=True, eq=False)
class Strata:
    """``h`` strata, sorted by app: ``app`` codes from 0, ``units`` in each, ``stake`` and ``price`` per unit [USD].

    The prices include the grading.
    """

    app: NDArray[np.int64]
    units: Floats
    stake: Floats
    price: Floats

    @property
    def apps(self) -> int:
        """How many apps there are."""
        return int(self.app.max()) + 1 if len(self.app) else 0

    def total(self, values: Floats) -> Floats:
        """Sum ``values`` (h,) per app."""
        return np.asarray(np.bincount(self.app, weights=values, minlength=self.apps), np.float64)


def targets(strata: Strata, budget_usd: float, least: int) -> Floats:
    """Return how many units of every stratum to draw, shape (h,): real numbers, 0 for an app that the budget does not reach.

    Apps get n_a ∝ √(S_a / c_a), S the money at stake and c the price of a unit: what minimises Σ S_a · Var(mean quality of a)
    at a given cost (Neyman 1934 with costs, as in Cochran, Sampling Techniques, 3rd ed., §5.5). An app that gets any gets
    ``least`` units, or all it has; where the budget is too small for that, apps with the least at stake get none. Within an app
    the same rule, never more than twice as dense or sparse as the app. Raises InputError when the budget buys not one unit.
    """
    stake = strata.total(strata.units * strata.stake)
    units = strata.total(strata.units)
    price = strata.total(strata.units * strata.price) / units
    density = _density(strata, stake / units)
    reached = stake > 0
    while True:
        floor = np.where(reached, np.minimum(least, units), 0.0)
        if _cost(strata, density, floor) <= budget_usd or reached.sum() <= 1:
            break
        reached[np.argmin(np.where(reached, stake, np.inf))] = False
    merit = np.where(reached, np.sqrt(stake / np.maximum(price, 1e-12)), 0.0)
    floor = floor if _cost(strata, density, floor) <= budget_usd else np.zeros_like(floor)
    found = _within(strata, density, _solve(strata, density, merit, floor, units, budget_usd))
    if found.sum() < 1:
        raise InputError(
            f"a budget of {dollars(budget_usd)}",
            f"at least {dollars(price[reached].min())}, the price of one request",
            "raise it, or name fewer models",
        )
    return found


def _density(strata: Strata, mean_stake: Floats) -> Floats:
    """Return how densely a stratum is drawn beside the mean of its app, before scaling."""
    merit = np.sqrt((strata.stake + 0.1 * mean_stake[strata.app]) / np.maximum(strata.price, 1e-12))
    mean = strata.total(strata.units * merit) / strata.total(strata.units)
    return np.clip(merit / np.maximum(mean[strata.app], 1e-300), 1 / _SPREAD, _SPREAD)


def _solve(strata: Strata, density: Floats, merit: Floats, floor: Floats, units: Floats, budget_usd: float) -> Floats:
    """Return units per app: the largest λ·merit, within [floor, units], that costs no more than the budget."""
    low, high = 0.0, float((units / np.maximum(merit, 1e-300))[merit > 0].max())
    whole_log = np.where(merit > 0, units, 0.0)
    if _cost(strata, density, whole_log) <= budget_usd:
        return whole_log
    for _ in range(80):
        middle = (low + high) / 2
        fits = _cost(strata, density, np.clip(middle * merit, floor, units)) <= budget_usd
        low, high = (middle, high) if fits else (low, middle)
    return np.clip(low * merit, floor, units)


def _cost(strata: Strata, density: Floats, per_app: Floats) -> float:
    return float((_within(strata, density, per_app) * strata.price).sum())


def _within(strata: Strata, density: Floats, per_app: Floats) -> Floats:
    """Share ``per_app`` units among an app's strata by size × density, none above its size."""
    found = np.zeros(len(strata.units))
    room = strata.units.copy()
    for _ in range(60):
        left = per_app - strata.total(found)
        share = np.where(room - found > 1e-9, strata.units * density, 0.0)
        sums = strata.total(share)
        step = share * (left / np.maximum(sums, 1e-300))[strata.app]
        found = np.minimum(found + step, room)
        if np.abs(per_app - strata.total(found)).max(initial=0.0) < 1e-9 or not share.any():
            break
    return np.where(room - found < 1e-6, room, found)


def whole(target: Floats, app: NDArray[np.int64], start: Floats) -> NDArray[np.int64]:
    """Round ``target`` (h,) to whole numbers whose mean over ``start`` ~ U(0, 1), one per app, is exactly the target.

    Along the strata of an app in their order, every run of neighbours gets its sum to within one (systematic rounding: Cochran,
    §8.1), so that many small strata are spread evenly.

    >>> whole(np.array([0.5, 0.5, 1.0]), np.array([0, 0, 0]), np.array([0.3])).tolist()
    [0, 1, 1]
    """
    before = np.concatenate([[0.0], np.cumsum(target)])
    first = np.searchsorted(app, app)
    low = before[:-1] - before[first] + start[app]
    high = before[1:] - before[first] + start[app]
    return np.asarray(np.floor(high + 1e-9) - np.floor(low + 1e-9), np.int64)
