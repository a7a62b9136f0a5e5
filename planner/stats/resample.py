"""Intervals from sums over hash buckets of the cluster unit, or over blocks of time.

In: sums of shape (buckets, …) where every cluster (a user, else a session, else a request) lies in one bucket, and a
pure function from total sums to a statistic. Out: the statistic with its delete-one-bucket jackknife interval. The same
buckets hold traffic and labelled rows, so leaving one out leaves out both: sampling of requests and of labels is carried
by one replicate. Knows nothing of what is summed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from planner.stats.draws import key, uniform
from planner.stats.totals import reach

__all__ = ["BUCKETS", "REFUSE", "WARN", "Influence", "Interval", "buckets", "effective_clusters", "influence", "jackknife"]

F64 = NDArray[np.float64]
#: Buckets of every Summary. 256 keeps a delete-one jackknife cheap and a Summary small.
BUCKETS = 256
#: Below this many effective clusters an interval is not given; below WARN it is given with a warning.
REFUSE, WARN = 10.0, 50.0


@dataclass(frozen=True, slots=True)
class Interval:
    """A statistic with its standard error and interval, each an array of the statistic's own shape.

    ``low`` and ``high`` are NaN where fewer than ten effective clusters leave nothing to say.
    """

    value: F64
    low: F64
    high: F64
    se: F64
    clusters: float

    @classmethod
    def refused(cls, value: F64, clusters: float) -> Interval:
        """Return a value about whose error there is nothing to say."""
        nothing = np.full(np.shape(value), np.nan)
        return cls(np.asarray(value), nothing, nothing, nothing, clusters)


@dataclass(frozen=True, slots=True)
class Influence:
    """What each bucket brings to a statistic: its value less what it is without the bucket.

    Parameters
    ----------
    value: the statistic. brings: (buckets, …), 0 where a bucket holds nothing, and everywhere if there are too few to tell.
    filled: (buckets,) which hold something. clusters: effective number of clusters.
    lags: buckets are blocks of time, and so many that follow one another may move together.
    """

    value: F64
    brings: F64
    filled: NDArray[np.bool_]
    clusters: float
    lags: int = 0

    @property
    def count(self) -> int:
        """Buckets that hold something."""
        return int(self.filled.sum())

    @property
    def enough(self) -> bool:
        """Whether there are clusters enough for an interval."""
        return self.count > 1 and self.clusters >= REFUSE

    @property
    def moves(self) -> F64:
        """How far each bucket moves the statistic, (buckets, …): the squares add up to its variance."""
        out, inside, count = np.zeros_like(self.brings), self.brings[self.filled], self.count
        if count > 1:
            out[self.filled] = (inside - inside.mean(axis=0)) * np.sqrt((count - 1) / count)
        return out

    @property
    def variance(self) -> F64:
        """The variance of the statistic; of blocks of time never less than that of blocks apart.

        Blocks that move together add their products, less the further apart (Newey & West, *Econometrica* 55, 1987). Squares about the
        mean of the same n blocks lack one n-th of the variance, which ``moves`` make up for, and products about it one each.
        """
        moves, kernel, left = self.moves, self._kernel(), self.count - 1
        apart: F64 = np.square(moves).sum(axis=0)
        together = sum(2 * w * (moves * np.roll(moves, lag, axis=0)).sum(axis=0) for lag, w in kernel)
        made_up = left / max(left - 2 * sum(w for _, w in kernel), 1.0)
        return np.asarray(np.maximum(apart, (apart + together) * made_up))

    @property
    def freedom(self) -> F64:
        """Degrees of freedom of that variance, at most ``clusters`` − 1: a sum that rests on few large terms is itself unsure.

        2 V² / Var(V), with Var(V) from the terms' own squares (Satterthwaite, *Biometrics Bulletin* 2, 1946). The products of blocks that
        move together add 4 Σ w² V² / n, however heavy the tails are (Bartlett's formula; Priestley, *Spectral Analysis and Time
        Series*, 1981, §5.3.3 and §6.2).
        """
        terms = np.square(self.moves)
        square = np.square(terms.sum(axis=0))
        products = 4 * sum(w * w for _, w in self._kernel())
        unsure = np.square(terms).sum(axis=0) + square * ((products - 1) / self.count)
        found = 2 * np.divide(square, unsure, out=np.full(np.shape(square), np.inf), where=unsure > 0)
        return np.asarray(np.minimum(found, self.clusters - 1))

    def _kernel(self) -> list[tuple[int, float]]:
        return [(lag, 1 - lag / (self.lags + 1)) for lag in range(1, self.lags + 1)]


def buckets(units: Iterable[str]) -> NDArray[np.int64]:
    """Return the bucket of every unit, from 0 to below BUCKETS: a hash of its name, so that equal names share one wherever they occur.

    >>> found = buckets(["ada", "bob", "ada"])
    >>> bool(found[0] == found[2] != found[1]), bool((found < BUCKETS).all())
    (True, True)
    """
    return (uniform(0, key(units), "bucket") * BUCKETS).astype(np.int64)


def effective_clusters(weights: NDArray[Any]) -> float:
    """Kish's effective number of clusters (Σw)² / Σw² of the bucket weights.

    >>> effective_clusters(np.array([1, 1, 1, 1]))
    4.0
    >>> effective_clusters(np.array([97, 1, 1, 1])) < 1.1
    True
    """
    w = np.asarray(weights, float)
    total = np.square(w).sum()
    return float(w.sum() ** 2 / total) if total > 0 else 0.0


def influence(sums: NDArray[Any], statistic: Callable[[NDArray[Any]], F64], weights: NDArray[Any], *, lags: int = 0) -> Influence:
    """Return what each bucket brings to ``statistic``; the parameters are those of :func:`jackknife`."""
    samples = np.asarray(weights, float).reshape(len(sums), -1)
    filled: NDArray[np.bool_] = np.any(samples > 0, axis=1)
    kept = np.asarray(sums)[filled].astype(float)
    total = kept.sum(axis=0, keepdims=True)
    value = np.asarray(statistic(total)[0])
    clusters = min((effective_clusters(sample) for sample in samples.T), default=0.0)
    found = Influence(value, np.zeros((len(filled), *np.shape(value))), filled, clusters, lags)
    if found.enough:
        found.brings[filled] = value - statistic(total - kept)
    return found


def jackknife(
    sums: NDArray[Any],
    statistic: Callable[[NDArray[Any]], F64],
    weights: NDArray[Any],
    *,
    extensive: bool = False,
    level: float = 0.95,
    lags: int = 0,
) -> Interval:
    """Delete-one-bucket jackknife with Student's t at the degrees of freedom of its variance.

    Parameters
    ----------
    sums: shape (buckets, …): additive sums per bucket.
    statistic: maps sums of shape (k, …) to values of shape (k, …'): applied to the total and to all replicates at once.
    weights: shape (buckets,), or (buckets, k) where the statistic rests on k samples, such as requests and labels: what
        each bucket holds of them. Buckets that hold nothing are left out; the smallest sample counts the clusters.
    extensive: the statistic is a total (it grows with the traffic): its interval is that of :func:`reach`, for blocks of time at a
        variance as much larger as Student's t is wider than the normal.
    level: two-sided confidence.
    lags: the buckets are blocks of time in order, and so many that follow one another may move together.

    Notes
    -----
    Shao & Tu, *The Jackknife and Bootstrap*, Springer 1995, §1.1: Var = (B − 1)/B Σ (θ₍₋ᵦ₎ − θ̄)².

    Examples
    --------
    The mean of equally filled buckets has the textbook standard error.

    >>> x = np.arange(20.0).reshape(20, 1)
    >>> r = jackknife(np.hstack([x, np.ones((20, 1))]), lambda s: s[:, 0] / s[:, 1], np.ones(20))
    >>> float(r.value), round(float(r.se), 12) == round(float(np.std(x, ddof=1) / np.sqrt(20)), 12)
    (9.5, True)
    """
    found = influence(sums, statistic, weights, lags=lags)
    if not found.enough:
        return Interval.refused(found.value, found.clusters)
    if not extensive:
        se = np.sqrt(found.variance)
        half = stdtrit(found.freedom, 0.5 + level / 2) * se
        return Interval(found.value, found.value - half, found.value + half, se, found.clusters)
    variance = found.variance * (found.count / (found.count - 1)) ** 2
    wider = stdtrit(found.freedom, 0.5 + level / 2) / stdtrit(np.inf, 0.5 + level / 2) if lags else 1.0
    below, above = reach(found.brings[found.filled], variance * wider**2, level)
    return Interval(found.value, found.value - below, found.value + above, np.sqrt(variance), found.clusters)
