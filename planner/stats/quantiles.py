"""Quantiles of histograms, and how sure they are when few users make most of the requests.

In: counts per bin, and counts per hash bucket and coarse bin. Out: the quantile, the two quantiles between which it lies (Woodruff,
*JASA* 47, 1952), and how far each bucket moves it. Works in bins: knows nothing of what is counted or of its unit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, stdtrit

from planner.stats.resample import Influence, influence

__all__ = ["Tail", "limits", "position", "tail"]

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tail:
    """What is known of the share of observations above a quantile, 1 − ``q``.

    ``low`` and ``high`` are the levels between which the quantile lies, NaN where nothing can be said; ``share`` is what each
    bucket brings to the share above.
    """

    q: float
    low: float
    high: float
    share: Influence


def position(counts: NDArray[np.integer[Any]], q: float) -> int:
    """Return the bin that holds the ``q`` quantile of ``counts`` (bins,); −1 when there is nothing.

    >>> position(np.array([5, 0, 4, 1]), 0.5), position(np.array([5, 0, 4, 1]), 0.95), position(np.zeros(3, int), 0.5)
    (0, 3, -1)
    """
    total = np.cumsum(counts)
    if not len(total) or total[-1] <= 0:
        return -1
    return int(np.searchsorted(total, min(q, 1.0) * total[-1] * (1 - 1e-12)))


def tail(counts: NDArray[Any], q: float, *, level: float = 0.95, lags: int = 0) -> Tail:
    """Return the ``Tail`` of the ``q`` quantile of ``counts`` (buckets, bins); ``lags`` as for ``influence``.

    The share above is read off at the edge of bins whose own share is nearest 1 − q, and its variance brought to q by that of a
    share, p (1 − p): what clustering does to it changes little over the width of a bin. Where no bucket differs from another, as
    when all lies in one bin, each cluster counts as one observation.
    """
    sums = np.asarray(counts, float)
    weight = sums.sum(axis=1)
    above = sums[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]
    share = above.sum(axis=0) / max(weight.sum(), 1.0)
    odds = np.log(np.clip(share, 1e-12, 1) / np.clip(1 - share, 1e-12, 1))
    edge = int(np.abs(odds - np.log((1 - q) / q)).argmin())
    found = influence(np.column_stack([above[:, edge], weight]), _share, weight, lags=lags)
    if not found.enough:
        return Tail(q, np.nan, np.nan, found)
    seen, wanted = share[edge] * (1 - share[edge]), q * (1 - q)
    if not float(found.variance):
        return Tail(q, *limits(q, wanted / found.clusters, found.clusters - 1, level), found)
    own = replace(found, value=np.asarray(1 - q), brings=found.brings * np.sqrt(wanted / seen))
    return Tail(q, *limits(q, float(own.variance), float(own.freedom), level), own)


def _share(sums: F64) -> F64:
    return np.asarray(sums[:, 0] / np.maximum(sums[:, 1], 1e-300))


def limits(q: float, variance: float, freedom: float, level: float = 0.95) -> tuple[float, float]:
    """Return the levels between which the ``q`` quantile lies, given variance and degrees of freedom of the share above it.

    The wider of two on either side: Clopper and Pearson's at the number of independent observations that have this variance, fewer
    for few degrees of freedom (Korn & Graubard, *Survey Methodology* 24, 1998); and q ± t · SE where that stays inside 0 and 1, since
    a log that lacks its slowest users shows both a low share and a low variance. NaN where all so many observations
    could lie on one side of the quantile by chance.

    >>> low, high = limits(0.95, 0.95 * 0.05 / 400, 1e9)
    >>> round(low, 4), round(high, 4)
    (0.9238, 0.9714)
    >>> limits(0.99, 0.99 * 0.01 / 200, 1e9)
    (nan, nan)
    """
    tail = (1 - level) / 2
    t, z = stdtrit(freedom, 1 - tail), stdtrit(np.inf, 1 - tail)
    half, seen = float(t * np.sqrt(variance)), float(q * (1 - q) / variance)
    if max(q, 1 - q) ** seen > tail:
        return np.nan, np.nan
    n = seen * float((z / t) ** 2)
    above = n * (1 - q)
    low, high = float(1 - betaincinv(above + 1, n - above, 1 - tail)), float(1 - betaincinv(above, n - above + 1, tail))
    return min(low, q - half) if half < q else low, max(high, q + half) if half < 1 - q else high
