"""From a Summary's sums to intervals of money and quality.

In: a Summary, and a statistic of its sums. Out: the statistic with its interval: by buckets of users, which carry the sampling of
requests and of labels, and where users share state also by days. Knows nothing of evidence or of words, nor of shocks that last
longer than ``LAGS`` days, or of what recurs more rarely than the log is long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from planner.simulation import noise
from planner.simulation.summary import DAILY, LABELLED, MEASURES, MICRO, NANO, PAIRED, Summary
from planner.stats import LAGS, Interval, jackknife, two_way, weekdays

__all__ = ["Statistic", "bucket_requests", "money", "quality", "quality_level", "quality_shift", "total", "touched"]

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

    The clusters that count are the users of the groups in which the plan changes anything: those of other groups say nothing of a change
    that never reaches them. So a plan that changes one group has there the interval that it has in all.
    """
    groups = [group] if group is not None else touched(summary)
    whole = groups if extensive or group is not None else [*range(len(summary.groups))]
    sums = summary.sums[whole].astype(object).sum(axis=(0, 2))
    difference, cost = (sums[:, MEASURES.index(n)] for n in ("cost_difference_pusd", "cost_pusd"))
    exposure = summary.exposure[whole].astype(object).sum(axis=0)
    counted = noise.clusters(_concerned(summary, groups), summary.samples, exposure)
    both = np.column_stack([difference, cost - difference]).astype(float)
    days = summary.daily[whole].astype(float).sum(axis=0) if summary.header.shared else None
    return total(both, counted, days, statistic, extensive, noise.columns(summary.samples), noise.shift(summary.samples, exposure))


def touched(summary: Summary) -> list[int]:
    """Return the groups in which the plan costs anything else than was logged; all of them where it does so in none."""
    at = MEASURES.index("cost_difference_pusd")
    changed = summary.sums[..., at].any(axis=(1, 2)) | summary.exposure.any(axis=(1, 2))
    return np.flatnonzero(changed).tolist() or [*range(len(summary.groups))]


def _concerned(summary: Summary, groups: list[int]) -> NDArray[np.float64]:
    """Return the users' requests of every bucket, of all groups and of these: (buckets, 2)."""
    asked = summary.sums[..., MEASURES.index("requests_micro")].astype(float).sum(axis=2)
    return np.column_stack([asked.sum(axis=0), asked[groups].sum(axis=0)])


def total(
    both: NDArray[np.float64],
    counted: NDArray[np.float64],
    days: NDArray[np.float64] | None,
    statistic: Statistic,
    extensive: bool,
    labels: NDArray[np.int64] | None = None,
    shift: Statistic | None = None,
) -> Interval:
    """Return a statistic of (cost difference, logged cost), ``both`` (buckets, 2) [pUSD].

    ``counted`` (buckets, k) are what counts as clusters, and ``days`` (blocks, DAILY) where users share state, else None. Then one of
    them moves more than what is saved on the own requests (``together``), and days add what everybody asks at once: of a total with
    their volume, but for what the day of the week explains; of a share at the log's volume. ``shift`` says what a resample of ``labels``
    adds to the difference.
    """
    gone, cost = both.sum(axis=0)
    factor = 1.0 if days is None else together(-gone / max(cost, 1.0))
    moved: Statistic = shift or (lambda s: np.zeros(len(s)))

    def resampled(s: NDArray[Any]) -> NDArray[np.float64]:
        return statistic(np.column_stack([gone + factor * (s[:, 0] - gone) + moved(s[:, 2:]), s[:, 1]]))

    sums = both if labels is None else np.hstack([both, labels])
    users = jackknife(sums, resampled, counted, extensive=extensive)
    if days is None:
        return users
    requests, gone_on, left = (days[:, DAILY.index(n)] for n in ("requests_micro", "cost_difference_pusd", "cost_pusd"))
    per_day = np.column_stack([gone_on, left - gone_on])
    if extensive:
        return two_way(users, jackknife(any_weekday(per_day, requests > 0), statistic, requests, extensive=True, lags=LAGS))
    return two_way(users, jackknife(per_day, lambda s: statistic(s * (cost / np.maximum(s[:, 1:], 1.0))), requests, lags=LAGS))


def together(saved: float) -> float:
    """Return how many times the own saving a user brings to a log that saves the share ``saved`` by what users share; at most twice.

    A hit takes two: who asks, and who had the answer made. A question asked at the rate λ, whose answer lives for T, is a hit in the
    share h = λT / (1 + λT) of its requests (a renewal process: Cox, *Renewal Theory*, 1962), and λh grows with λ by h + h (1 − h):
    2 − h times the own hits. Over all questions, by what they cost, that is at most 2 − ``saved``, and savings that nobody else is
    needed for only lower it; with ``saved`` below 0 it is twice. Not allowed for: a rate limit, where a refusal takes more users than two,
    and writes to a prompt cache that cost as much as its hits save.

    >>> [together(saved) for saved in (0.0, 0.25, 1.0, -0.5)]
    [2.0, 1.75, 1.0, 2.0]
    """
    return 2.0 - min(max(saved, 0.0), 1.0)


def any_weekday(per_day: NDArray[np.float64], filled: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return sums of every day, (blocks, [difference, logged cost]), of which the first is as if its weekday cost as much as any other.

    A day's difference is lowered by what the other days of its weekday cost above all days, at the log's own share; that of a weekday
    that the log has once is left, so that in a log of less than two weeks the week itself counts as chance.
    """
    gone, cost = np.where(filled[:, None], per_day, 0.0).T
    day = weekdays(filled)
    total, count = np.bincount(day, cost, 7)[day], np.bincount(day, filled, 7)[day]
    every = max(float(filled.sum()), 1.0)
    others = np.where(count > 1, (total - cost) / np.maximum(count - 1, 1), cost.sum() / every)
    above = np.where(filled, others - others @ filled / every, 0.0)
    return np.column_stack([gone - gone.sum() / max(cost.sum(), 1.0) * above, cost])


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
