"""Exact bounds on a mean difference of grades, at any sample size and for any grades.

In: a difference in [−1, 1] of each item, its weight and the unit it belongs to. Out: bounds that the true mean is beyond with a chance
of at most ``level`` each, and how many units would decide. Knows nothing of labels or models.

Grades are few and coarse: of a hundred answers perhaps three differ, and any interval that reads their spread off them is too narrow. The
bounds bet (``stats.betting``) on units, one a session or duplicate group, and assume no distribution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from planner.stats.betting import growth, p_values
from planner.stats.draws import key, uniform

__all__ = ["LEVEL", "Units", "bounds", "grouped", "lower", "needed"]

F64 = NDArray[np.float64]
#: Of each bound: one-sided 97.5 %.
LEVEL = 0.025
#: A unit counts for at most this many mean ones, or for as many as leave the margin within reach: units · margin / _REACH.
_HEAVY, _REACH = 2.0, 5.0
#: Means that are tried first, and on either side of 0; between two of them, so many steps, none finer than _FINE.
_COARSE = np.array([0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 0.98])
_STEPS, _FINE = 20, 0.0005
_POWER = 0.8


@dataclass(frozen=True, eq=False)
class Units:
    """``sums`` (U,) of weight · difference and ``mass`` (U,) of weight, in an order that no grade decides.

    Heavier units than ``top`` are scaled down to it: ``trimmed`` is the share of the weight that leaves uncounted.
    """

    sums: F64
    mass: F64
    top: float

    def __len__(self) -> int:
        return len(self.mass)

    @property
    def trimmed(self) -> float:
        """The share of all weight that is not counted."""
        return float(1 - np.minimum(self.mass, self.top).sum() / self.mass.sum())

    def bets(self, means: F64) -> F64:
        """Return what each unit says against each of ``means`` (T,), at least −1: (U, T)."""
        scale = np.minimum(1.0, self.top / self.mass) / self.top
        bets: F64 = (self.sums[:, None] - self.mass[:, None] * means) * scale[:, None] / (1 + means)
        return bets


def grouped(difference: F64, weight: F64, unit: NDArray[np.str_], margin: float, seed: int = 0) -> Units:
    """Sum up items of any weight by unit; the largest weight counted follows from weights and ``margin``, never from grades."""
    counts = weight > 0
    names, code = np.unique(unit[counts], return_inverse=True)
    difference, weight = difference[counts], weight[counts]
    mass = np.bincount(code, weight).astype(float)
    order = np.argsort(uniform(seed, key(names), "gate"), kind="stable")
    top = min(float(mass.max()), float(mass.mean()) * max(_HEAVY, len(mass) * margin / _REACH))
    return Units(np.bincount(code, weight * difference).astype(float)[order], mass[order], top)


def bounds(units: Units, margin: float, level: float = LEVEL) -> tuple[float, float]:
    """Return the lower and the upper bound of the mean, each wrong with a chance of at most ``level``.

    Means are tried from the lowest on, ``−margin`` among them, and the bound is the last that is rejected before one is not: a false
    one needs the first true one to be rejected (Maurer, Hothorn & Lehmacher, 1995).

    >>> same = grouped(np.zeros(200), np.ones(200), np.arange(200).astype(str), 0.02)
    >>> low, high = bounds(same, 0.02)
    >>> bool(-0.02 <= low < 0 < high <= 0.02)
    True
    """
    mirrored = Units(-units.sums, units.mass, units.top)
    return lower(units, -margin, level), -lower(mirrored, margin, level)


def lower(units: Units, among: float, level: float = LEVEL) -> float:
    """Return the lower bound alone; ``among`` is one of the means that are tried."""
    coarse = np.unique([*-_COARSE, 0.0, among, *_COARSE])
    passed = _rejected(units, coarse, level)
    if not passed:
        return -1.0
    start = coarse[passed - 1]
    end = coarse[passed] if passed < len(coarse) else 1.0
    fine = np.arange(start, end, max((end - start) / _STEPS, _FINE))
    return float(fine[max(_rejected(units, fine, level), 1) - 1])


def _rejected(units: Units, means: F64, level: float) -> int:
    """Return how many of ``means``, from the first on, are shown to be below the true one."""
    shown = p_values(units.bets(means), 1.0, level) <= level
    return len(shown) if shown.all() else int(shown.argmin())


def needed(units: Units, margin: float, level: float = LEVEL) -> float:
    """Return how many units like these show a mean above ``−margin`` with 80 % power; NaN where they do not seem to have one.

    From how fast the best constant bet grows: ln(1/level) / growth on average, here in the form of a z-test's size.
    """
    rate = float(growth(units.bets(np.array([-margin])), 1.0)[0])
    size = float((ndtri(1 - level) + ndtri(_POWER)) ** 2 / 2)
    return math.ceil(max(size, math.log(1 / level)) / rate) if rate > 1e-9 else math.nan
