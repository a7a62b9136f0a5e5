"""A total estimated from a sample: what the drawn rows stand for, and how far that may be from the whole.

In: what each row brings to a total, how many rows it stands for, and the unit that it was drawn with. Out: the total with its interval.
What was drawn is known; only what was not is uncertain, so that a sample of nearly everything has nearly no interval. Knows nothing of
what is summed, or of how units are named.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.stats.resample import REFUSE, Interval, effective_clusters
from planner.stats.totals import reach

__all__ = ["expanded"]


def expanded(brought: NDArray[Any], weight: NDArray[np.float64], unit: NDArray[np.int64], level: float = 0.95) -> Interval:
    """Return the total of ``brought`` (n,), each row's own amount times its ``weight`` (n,), with its interval.

    ``unit`` (n,) are codes from 0 of what was drawn whole, each on its own with the chance 1 / weight. A row of weight 1 or below is
    certain, and so is the total of such rows alone. No interval of none, or below ten effective units among the others, counted by what
    they stand for: a sample without its heavy units looks the surest by what they bring.

    Notes
    -----
    The total is Horvitz and Thompson's (JASA 47, 1952). In a Poisson sample its variance is the sum over units of (1 − 1/w) (w y)²
    (Särndal, Swensson & Wretman, *Model Assisted Survey Sampling*, Springer 1992, §3.5). What was not drawn is estimated as the sum of
    (w − 1) y; the limits are those of :func:`reach` about that part, so that no total is below what was seen.

    Examples
    --------
    Of units alike, a hundred drawn at 10 % stand for a thousand, give or take what a negative binomial does; at 99 % for hardly more.

    >>> found = expanded(np.full(100, 10.0), np.full(100, 10.0), np.arange(100))
    >>> float(found.value), round(float(found.low)), round(float(found.high))
    (1000.0, 824, 1195)
    >>> found = expanded(np.full(100, 1 / 0.99), np.full(100, 1 / 0.99), np.arange(100))
    >>> round(float(found.value), 2), round(float(found.low), 2), round(float(found.high), 2)
    (101.01, 100.03, 103.73)
    """
    amount = np.asarray(brought, float)
    value = np.asarray(amount.sum())
    missed = np.maximum(1 - 1 / weight, 0.0)
    drawn = missed > 0
    if len(drawn) and not drawn.any():
        return Interval(value, value, value, np.zeros_like(value), float(np.inf))
    own, codes = np.unique(unit[drawn], return_inverse=True)
    clusters = effective_clusters(np.bincount(codes, weight[drawn], len(own)))
    if clusters < REFUSE:
        return Interval.refused(value, clusters)
    whole, rest = (np.bincount(codes, part[drawn], len(own)).astype(float) for part in (amount, amount * missed))
    variance = np.asarray(whole @ rest)
    below, above = reach(rest, variance, level)
    return Interval(value, value - below, value + above, np.sqrt(variance), clusters)
