"""Intervals from sums over hash buckets of the cluster unit.

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

__all__ = ["BUCKETS", "REFUSE", "WARN", "Interval", "buckets", "effective_clusters", "jackknife"]

#: Buckets of every Summary. 256 keeps a delete-one jackknife cheap and a Summary small.
BUCKETS = 256
#: Below this many effective clusters an interval is not given; below WARN it is given with a warning.
REFUSE, WARN = 10.0, 50.0


@dataclass(frozen=True, slots=True)
class Interval:
    """A statistic with its standard error and interval, each an array of the statistic's own shape.

    ``low`` and ``high`` are NaN where fewer than ten effective clusters leave nothing to say.
    """

    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    se: NDArray[np.float64]
    clusters: float


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


def jackknife(
    sums: NDArray[Any],
    statistic: Callable[[NDArray[Any]], NDArray[np.float64]],
    weights: NDArray[Any],
    *,
    extensive: bool = False,
    level: float = 0.95,
) -> Interval:
    """Delete-one-bucket jackknife with Student's t at the effective number of clusters minus one.

    Parameters
    ----------
    sums: shape (buckets, …): additive sums per bucket.
    statistic: maps sums of shape (k, …) to values of shape (k, …'): applied to the total and to all replicates at once.
    weights: shape (buckets,), or (buckets, k) where the statistic rests on k samples, such as requests and labels: what
        each bucket holds of them. Buckets that hold nothing are left out; the smallest sample counts the clusters.
    extensive: the statistic is a total (it grows with the traffic), so a replicate is scaled by B / (B − 1).
    level: two-sided confidence.

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
    samples = np.asarray(weights, float).reshape(len(sums), -1)
    filled = (samples > 0).any(axis=1)
    kept = np.asarray(sums)[filled].astype(float)
    total = kept.sum(axis=0, keepdims=True)
    value = statistic(total)[0]
    clusters = min((effective_clusters(sample) for sample in samples.T), default=0.0)
    count = len(kept)
    if count < 2 or clusters < REFUSE:
        nothing = np.full(np.shape(value), np.nan)
        return Interval(np.asarray(value), nothing, nothing, nothing, clusters)
    replicates = statistic(total - kept) * (count / (count - 1) if extensive else 1.0)
    se = np.sqrt((count - 1) / count * np.square(replicates - replicates.mean(axis=0)).sum(axis=0))
    half = stdtrit(clusters - 1, 0.5 + level / 2) * se
    return Interval(np.asarray(value), value - half, value + half, se, clusters)
