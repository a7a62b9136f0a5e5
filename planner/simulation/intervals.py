"""From a Summary's sums to intervals of money and quality.

In: a Summary, and a statistic of its sums. Out: the statistic with its interval: by buckets of users, which carry the sampling of
requests and of labels, and where users share state also by days. Knows nothing of evidence or of words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from planner.simulation import noise
from planner.simulation.summary import DAILY, LABELLED, MICRO, NANO, PAIRED, Summary
from planner.stats import LAGS, Interval, jackknife, two_way

__all__ = ["Statistic", "bucket_requests", "money", "quality", "quality_level", "quality_shift"]

#: A pure function from sums (k, …) to values (k, …').
Statistic: TypeAlias = Callable[[NDArray[Any]], NDArray[np.float64]]

_PAIR = {name: i for i, name in enumerate((*PAIRED, *LABELLED))}


def quality_level(s: NDArray[Any], residual: str = "residual_nano", predicted: str = "quality_nano") -> NDArray[np.float64]:
    """V̂ = Σw q̂ / Σw + Σ_L w (y − q̂) / Σ_L w over sums (…, PAIRED + LABELLED); NaN without predictions.

    The plug-in mean is corrected on labelled rows that neither trained nor calibrated the router (the difference
    estimator; Angelopoulos et al., *Prediction-powered inference*, Science 2023).
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        plug_in = s[..., _PAIR[predicted]] / s[..., _PAIR["quality_weight_micro"]]
        labelled = s[..., _PAIR["label_weight_micro"]]
        correction = np.where(labelled > 0, s[..., _PAIR[residual]] / np.where(labelled > 0, labelled, 1), 0.0)
    level: NDArray[np.float64] = (plug_in + correction) * (MICRO / NANO)
    return level


def quality_shift(s: NDArray[Any]) -> NDArray[np.float64]:
    """Quality under the plan minus as logged, both corrected on the same labelled rows."""
    return quality_level(s) - quality_level(s, "residual_logged_nano", "quality_logged_nano")


def money(summary: Summary, statistic: Statistic, group: int | None, extensive: bool) -> Interval:
    """Return a statistic of (cost difference, logged cost) [pUSD], token ratios resampled with their labels.

    Days tell it at the log's volume: how much is asked on a day is carried by its users.
    """
    difference = summary.measure("cost_difference_pusd", group).sum(axis=1)
    logged = summary.measure("cost_pusd", group).sum(axis=1) - difference
    both = np.column_stack([difference, logged]).astype(float)
    exposure = summary.exposure.astype(object).sum(axis=0) if group is None else summary.exposure[group]
    moved = noise.shift(summary.samples, exposure)

    def resampled(s: NDArray[Any]) -> NDArray[np.float64]:
        return statistic(np.column_stack([s[:, 0] + moved(s[:, 2:]), s[:, 1]]))

    sums = np.hstack([both, noise.columns(summary.samples)])
    weights = noise.clusters(bucket_requests(summary, group), summary.samples, exposure)
    users = jackknife(sums, resampled, weights, extensive=extensive)
    if not summary.header.shared:
        return users
    days = _daily(summary, group)
    gone, cost = (days[:, DAILY.index(n)] for n in ("cost_difference_pusd", "cost_pusd"))
    per_day, whole = np.column_stack([gone, cost - gone]), max(float(logged.sum()), 1.0)
    return two_way(users, jackknife(per_day, lambda s: statistic(s * (whole / np.maximum(s[:, 1:], 1.0))), days[:, 0], lags=LAGS))


def quality(summary: Summary, statistic: Statistic, group: int | None) -> Interval:
    """Return a statistic of the columns of PAIRED and LABELLED; without labels it has no interval.

    Days leave its correction as all labels have it: their sampling is carried by users.
    """
    sums = np.concatenate([summary.paired, summary.labelled], axis=-1)
    chosen = sums.sum(axis=0) if group is None else sums[group]
    if not chosen[:, _PAIR["label_rows"]].any():
        return Interval.refused(statistic(chosen.sum(axis=0)), 0.0)
    weights = np.column_stack([bucket_requests(summary, group), chosen[:, _PAIR["label_weight_micro"]].astype(float)])
    users = jackknife(chosen, statistic, weights)
    if not summary.header.shared:
        return users
    days, labelled = _daily(summary, group), chosen.sum(axis=0)[len(PAIRED) :]

    def corrected(s: NDArray[Any]) -> NDArray[np.float64]:
        return statistic(np.hstack([s, np.broadcast_to(labelled, (len(s), len(labelled)))]))

    return two_way(users, jackknife(days[:, -len(PAIRED) :], corrected, days[:, 0], lags=LAGS))


def bucket_requests(summary: Summary, group: int | None) -> NDArray[np.float64]:
    """Return the users' requests of every bucket [10⁻⁶], of one group or of all: what counts as clusters."""
    weights: NDArray[np.float64] = summary.measure("requests_micro", group).sum(axis=1).astype(float)
    return weights


def _daily(summary: Summary, group: int | None) -> NDArray[np.float64]:
    """Return the sums of every day, (blocks, DAILY)."""
    sums = summary.daily.astype(float)
    return np.asarray(sums.sum(axis=0) if group is None else sums[group])
