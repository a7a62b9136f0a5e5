"""Contrast: what separates plans over one log, as a sum of simulations with a whole factor each.

In: simulations of the same requests at the same prices. Out: what the sum saves and does to quality, and how much slower one is than
another, as estimates. All of it is computed on the buckets that the simulations share, so that what they have in common cancels before
anything is rounded to an interval. Knows nothing of levers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError
from planner.simulation import Simulation, Summary
from planner.simulation.drawn import UNCHANGED, Drawn, unchanged
from planner.simulation.intervals import bucket_requests, quality_shift
from planner.simulation.summary import DAILY, LABELLED, MEASURES, PAIRED, TIMES
from planner.stats import LAGS, Estimate, Interval, jackknife, two_way

__all__ = ["Terms", "improves", "saves", "slows"]

#: Simulations, each with its factor: (1, plan), (−1, another) is what the plan adds to the other.
Terms: TypeAlias = Sequence[tuple[int, Simulation]]

_COLUMNS = len(PAIRED) + len(LABELLED)
#: What the quality of a plan follows from.
_QUALITY = [(*PAIRED, *LABELLED).index(n) for n in ("quality_weight_micro", "quality_nano", "quality_logged_nano", *LABELLED)]


def saves(terms: Terms, group: int | None = None) -> Estimate:
    """Return what the terms save together over the log's period [USD]; all buckets are integers until the interval.

    Costs of plans are linear in their buckets, so that the sum is read as the saving of one plan whose difference to the log it is.
    """
    comparable(terms)
    first = replace(terms[0][1].summary, header=replace(terms[0][1].summary.header, shared=_shared(terms)))
    at, daily = MEASURES.index("cost_difference_pusd"), DAILY.index("cost_difference_pusd")
    cost, daily_cost = MEASURES.index("cost_pusd"), DAILY.index("cost_pusd")
    sums, days = first.sums.copy(), first.daily.copy()
    for array, difference, whole in ((sums, at, cost), (days, daily, daily_cost)):
        array[..., whole] -= array[..., difference]
        array[..., difference] = 0
    for factor, simulation in terms:
        own = simulation.summary
        for array, part, difference, whole in ((sums, own.sums, at, cost), (days, own.daily, daily, daily_cost)):
            array[..., difference] += factor * part[..., difference]
            array[..., whole] += factor * part[..., difference]
    exposure: NDArray[np.int64] = sum(factor * s.summary.exposure for factor, s in terms)  # type: ignore[assignment]
    return Simulation("difference", replace(first, sums=sums, daily=days, exposure=exposure), _drawn(terms)).saving(group)


def improves(terms: Terms, group: int | None = None) -> Estimate:
    """Return what the terms do to quality together, each against the log and corrected on the same held-out labels.

    Plans whose predictions and corrections are the same to the integer cancel; where all do, nothing changes.
    """
    comparable(terms)
    left = _uncancelled(terms, group)
    requests = round(terms[0][1].requests(group))
    if not left:
        return unchanged(None, group, requests)
    factors = np.array([factor for factor, _ in left], float)
    sums = [_columns(s.summary, group) for _, s in left]
    labels = [int(s.summary.pair("label_rows", group).sum()) for _, s in left]

    def statistic(rows: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(quality_shift(rows.reshape(len(rows), len(left), _COLUMNS)) @ factors)

    whole = np.hstack(sums)
    value = float(statistic(whole.sum(axis=0, keepdims=True))[0])
    if not min(labels):
        return Estimate(value, evidence="assumed", source="predictions; no held-out label corrects them")
    weights = [s.summary.pair("label_weight_micro", group).astype(float) for _, s in left]
    found = jackknife(whole, statistic, np.column_stack([bucket_requests(left[0][1].summary, group), *weights]))
    if _shared(left):
        found = two_way(found, _by_day(left, group, sums, statistic))
    return _estimate(found, min(labels), f"predictions corrected on {min(labels)} held-out labels")


def slows(plan: Simulation, other: Simulation, q: float = 0.95, group: int | None = None) -> Estimate:
    """Return how much higher the ``q`` quantile of the time until the answer is there is under ``plan`` than under ``other`` [ms]."""
    comparable([(1, plan), (-1, other)])
    own, base = plan.summary, other.summary
    names = ("latency", "latency_buckets", "latency_daily")
    arrays: dict[str, Any] = {name: _beside(getattr(own, name), getattr(base, name)) for name in names}
    arrays["header"] = replace(own.header, shared=_shared([(1, plan), (-1, other)]))
    return Simulation("difference", replace(own, **arrays)).latency_difference(q, group)


def comparable(terms: Terms) -> None:
    """Raise InputError unless all terms are about the same requests at the same prices, and all kept by day where users share state."""
    if not terms:
        raise InputError("no simulations", "at least one")
    first, shared = terms[0][1], _shared(terms)
    for _, other in terms[1:]:
        reason = first.summary.header.comparable(other.summary.header)
        if not reason and shared and first.summary.daily.shape != other.summary.daily.shape:
            reason = "sums by day in one of them alone"
        if reason:
            raise InputError(
                f"{first.name!r} and {other.name!r} with different {reason}",
                "plans over the same log at the same prices",
                "simulate both again",
            )


def _shared(terms: Terms) -> bool:
    """Say whether users share state under any of the plans: then days carry their part of the chance, else users alone do."""
    return any(s.summary.header.shared for _, s in terms)


def _drawn(terms: Terms) -> Drawn | None:
    """Return what a sample tells of the sum of the terms."""
    found = terms[0][1].drawn
    for _, other in terms[1:]:
        found = found and found.beside(other.drawn)
    return found


def _columns(summary: Summary, group: int | None) -> NDArray[np.int64]:
    """Return the columns of PAIRED and LABELLED per bucket, (buckets, columns)."""
    sums = np.concatenate([summary.paired, summary.labelled], axis=-1)
    return np.asarray(sums.sum(axis=0) if group is None else sums[group])


def _uncancelled(terms: Terms, group: int | None) -> list[tuple[int, Simulation]]:
    """Return the terms that are left when equal ones are added up; one whose quality is the log's own is none."""
    totals: dict[bytes, tuple[int, Simulation]] = {}
    for factor, simulation in terms:
        if simulation.quality_difference(group).source != UNCHANGED:
            columns = _columns(simulation.summary, group)
            key = columns[:, _QUALITY].tobytes()
            totals[key] = (totals.get(key, (0, simulation))[0] + factor, simulation)
    return [term for term in totals.values() if term[0]]


def _by_day(left: Terms, group: int | None, sums: Sequence[NDArray[np.int64]], statistic: Any) -> Interval:
    """Return the interval over days; labels, which belong to users, leave their correction as it is."""
    days = [s.summary.daily.sum(axis=0) if group is None else s.summary.daily[group] for _, s in left]
    labelled = [total.sum(axis=0)[len(PAIRED) :] for total in sums]

    def corrected(rows: NDArray[Any]) -> NDArray[np.float64]:
        parts = rows.reshape(len(rows), len(left), len(PAIRED))
        kept = np.broadcast_to(np.stack(labelled), (len(rows), len(left), len(LABELLED)))
        return np.asarray(statistic(np.concatenate([parts, kept], axis=2).reshape(len(rows), -1)))

    return jackknife(np.hstack([d[:, -len(PAIRED) :] for d in days]), corrected, days[0][:, 0], lags=LAGS)


def _beside(own: NDArray[np.int64], base: NDArray[np.int64]) -> NDArray[np.int64]:
    """Put the planned histograms of ``base`` in the place of the logged ones of ``own``."""
    out = own.copy()
    for name in ("latency_ms", "perceived_ms"):
        at = TIMES.index(name)
        out[..., at + 1, :] = base[..., at, :]
    return out


def _estimate(found: Interval, n: int, source: str) -> Estimate:
    low, high = (None if np.isnan(x) else float(x) for x in (found.low, found.high))
    return Estimate(float(found.value), low, high, "estimated", n=n, source=source)
