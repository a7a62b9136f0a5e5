"""Latency: quantiles of how long answers take, under the plan and against the log, with intervals.

In: a Summary's histograms. Out: intervals [ms]. A quantile is read off the fine histogram; how sure it is, off the coarse ones per
bucket of users, and per day where users share state. Knows nothing of why anything took so long.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from planner.simulation.summary import TIMES, Summary, latency_ms
from planner.stats import LAGS, Interval, Tail, position, tail, two_way

__all__ = ["latency", "latency_difference"]


def latency(summary: Summary, q: float, group: int | None = None, name: str = "latency_ms") -> Interval:
    """Return the ``q`` quantile of one of ``summary.TIMES`` [ms] with its 95 % interval, NaN where there is none.

    The limits are those of Woodruff (*JASA* 47, 1952): the quantiles at the levels between which the share of slower requests may
    truly lie, taken to the outer edges of their bins.
    """
    found = [_read(summary, t, name, group) for t in _tails(summary, q, group, name)]
    return two_way(*found) if summary.header.shared else found[0]


def latency_difference(summary: Summary, q: float, group: int | None = None, name: str = "latency_ms") -> Interval:
    """Return the ``q`` quantile under the plan less that of the log [ms], with its 95 % interval.

    Paired: each bucket moves both at once. How much a quantile gives way when the share of slower requests moves is the slope between
    its own limits. Where times lie in two heaps, as with a batch beside people who wait, there is no one slope: so no limit is further
    than that of two quantiles apart, from the limits of each (Zou & Donner, *Statistics in Medicine* 27, 2008).
    """
    own, logged = (_tails(summary, q, group, n) for n in (name, TIMES[TIMES.index(name) + 1]))
    names = (name, TIMES[TIMES.index(name) + 1])
    found = [_paired(summary, pair, names, group) for pair in zip(own, logged, strict=True)]
    return two_way(*found) if summary.header.shared else found[0]


def _tails(summary: Summary, q: float, group: int | None, name: str) -> list[Tail]:
    """Return what users, and where they share state also days, tell of the share above the quantile."""
    arrays = [(summary.latency_buckets, 0), *([(summary.latency_daily, LAGS)] if summary.header.shared else [])]
    found = []
    for array, lags in arrays:
        counts = array[:, :, TIMES.index(name)]
        found.append(tail(counts.sum(axis=0) if group is None else counts[group], q, lags=lags))
    return found


def _read(summary: Summary, found: Tail, name: str, group: int | None) -> Interval:
    """Turn levels into milliseconds."""
    counts = summary.histogram(name, group)
    value, clusters = np.asarray(latency_ms(position(counts, found.q))), found.share.clusters
    if np.isnan(found.low):
        return Interval.refused(value, clusters)
    low, high = (np.asarray(latency_ms(position(counts, level), at)) for level, at in ((found.low, 0.0), (found.high, 1.0)))
    return Interval(value, low, high, (high - low) / (found.high - found.low) * np.sqrt(found.share.variance), clusters)


def _paired(summary: Summary, pair: tuple[Tail, Tail], names: tuple[str, str], group: int | None) -> Interval:
    read = [_read(summary, t, n, group) for t, n in zip(pair, names, strict=True)]
    value = read[0].value - read[1].value
    if any(np.isnan(r.low) or not t.share.variance for r, t in zip(read, pair, strict=True)):
        return Interval.refused(value, min(r.clusters for r in read))
    own, logged = (_brings(t, r) for t, r in zip(pair, read, strict=True))
    clusters = min(r.clusters for r in read)
    both = replace(pair[0].share, value=value, brings=own - logged, filled=pair[0].share.filled | pair[1].share.filled, clusters=clusters)
    se = np.sqrt(both.variance)
    half = stdtrit(both.freedom, 0.975) * se
    below = np.minimum(half, np.hypot(read[0].value - read[0].low, read[1].high - read[1].value))
    above = np.minimum(half, np.hypot(read[0].high - read[0].value, read[1].value - read[1].low))
    return Interval(value, value - below, value + above, se, clusters)


def _brings(found: Tail, read: Interval) -> NDArray[np.float64]:
    """Return what each bucket brings to the quantile [ms]: more slower requests, a higher one."""
    return np.asarray(found.share.brings * float(read.high - read.low) / (found.high - found.low))
