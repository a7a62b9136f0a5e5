"""How far a total may be from what was seen, when a few heavy clusters make most of it.

In: what each bucket contributes, and the variance of the total. Out: how far the interval reaches below and above. A log
that happens to lack its heaviest users has both a low total and a low variance, so a symmetric interval misses on one side;
this one leans the other way. Knows nothing of what is summed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

__all__ = ["reach"]

F64 = NDArray[np.float64]


def reach(parts: F64, variance: F64, level: float = 0.95) -> tuple[F64, F64]:
    """Return how far the interval of the total of ``parts`` (buckets, …) reaches below and above it, both of shape (…).

    ``variance`` (…) is that of the total.

    Notes
    -----
    Clusters that come and go on their own make a compound Poisson total, whose limits are close to a gamma's with the same
    mean and variance; the upper one allows for one more cluster as heavy as any (Fay & Feuer, *Statistics in Medicine* 16,
    1997). How heavy that is, the heaviest quarter of buckets says by Pareto's law (Hill, *Annals of Statistics* 3, 1975): the
    heaviest seen may be there by luck, or be missing. What buckets add and what they take away have limits of their own,
    which are combined as squares (Zou & Donner, *Statistics in Medicine* 27, 2008).

    Examples
    --------
    Many even parts have nearly the normal interval; where few make most of the total it leans upwards:

    >>> parts = np.tile([9.0, 11.0], 128)
    >>> below, above = reach(parts, np.array(256.0))
    >>> round(float(below) / 16, 2), round(float(above) / 16, 2)
    (1.95, 2.03)
    >>> below, above = reach(100 / np.arange(1.0, 257.0), np.array(100.0**2))
    >>> bool(above > 1.5 * below)
    True
    """
    up, down = np.maximum(parts, 0.0), np.maximum(-parts, 0.0)
    squares = np.square(parts).sum(axis=0)
    share = np.divide(np.square(up).sum(axis=0), squares, out=np.ones_like(squares), where=squares > 0)
    (gain_less, gain_more), (loss_less, loss_more) = (
        _limits(x, v, (1 - level) / 2) for x, v in ((up, variance * share), (down, variance * (1 - share)))
    )
    return np.hypot(gain_less, loss_more), np.hypot(gain_more, loss_less)


def _limits(parts: F64, variance: F64, tail: float) -> tuple[F64, F64]:
    """Return how far the limits of a total of non-negative parts are below and above it."""
    total = parts.sum(axis=0)
    heaviest = np.maximum(_heaviest(parts) - parts.mean(axis=0), 0.0)
    below = total - _gamma(total, variance, tail)
    above = _gamma(total + heaviest, variance + np.square(heaviest), 1 - tail) - total
    return below, above


def _heaviest(parts: F64) -> F64:
    """Return how heavy the heaviest bucket is expected to be, given the heaviest quarter; the heaviest itself if fewer hold anything.

    The exponent is at most 1, Zipf's: beyond it no total is to be expected.
    """
    k = min(max(len(parts) // 4, 2), len(parts))
    top = np.sort(parts, axis=0)[-k:]
    least = np.where(top[0] > 0, top[0], 1.0)
    exponent = np.minimum(np.log(np.maximum(top / least, 1.0)).sum(axis=0) / (k - 1), 1.0)
    return np.asarray(np.where(top[0] > 0, np.maximum(least * k**exponent, top[-2]), top[-1]))


def _gamma(mean: F64, variance: F64, p: float) -> F64:
    """Return the quantile ``p`` of the gamma distribution with this mean and variance; the mean itself without variance."""
    sure = (variance <= 0) | (mean <= 0)
    m, v = np.where(sure, 1.0, mean), np.where(sure, 1.0, variance)
    return np.where(sure, mean, gammaincinv(np.square(m) / v, p) * v / m)
