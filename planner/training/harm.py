"""What a loss of quality means in a month: about how many more wrong answers, and in which app.

In: the loss of each labelled row at one τ, its app and weight, and requests per month of each app. Out: an Estimate for each app
and in all, and a sentence. Knows nothing of routers.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.errors import InputError
from planner.stats.estimate import Estimate
from planner.stats.resample import BUCKETS, buckets, jackknife
from planner.traffic import Traffic
from planner.units import DAYS_PER_MONTH

__all__ = ["Harm", "harm", "requests_per_month"]

F64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Harm:
    """More wrong answers a month than with today's models; below 0 where there are fewer.

    Parameters
    ----------
    total: over all apps; an answer of quality 0.5 counts as half a wrong one.
    table: one row an app: ``requests_per_month, wrong, low, high``, the largest first.
    requests_per_month: of all apps together. ``unlabelled``: apps without labels, taken to stay as they are: not in the total.
    """

    total: Estimate
    table: pd.DataFrame = field(repr=False)
    requests_per_month: float
    unlabelled: tuple[str, ...]

    @property
    def text(self) -> str:
        """The harm in words."""
        most = self.table.iloc[0 if self.total.value >= 0 else -1]
        more = "more" if self.total.value >= 0 else "fewer"
        sign = 1 if self.total.value >= 0 else -1
        ends = [] if self.total.low is None or self.total.high is None else sorted((sign * self.total.low, sign * self.total.high))
        span = f" [{ends[0]:,.0f}, {ends[1]:,.0f}]" if ends else " (too few units for an interval)"
        where = f", mostly in {most.name} ({sign * most['wrong']:,.0f})" if len(self.table) > 1 else ""
        left = f" No labels, taken to stay as they are: {', '.join(self.unlabelled)}." if self.unlabelled else ""
        return (
            f"About {sign * self.total.value:,.0f}{span} {more} wrong answers a month, of {self.requests_per_month:,.0f} requests{where} "
            f"({self.total.evidence}: labelled loss times requests a month).{left}"
        )

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.text)}</p>{self.table.round(1).to_html()}"


def harm(loss: F64, apps: NDArray[np.str_], weight: F64, unit: NDArray[np.str_], per_month: Mapping[str, float]) -> Harm:
    """Return how many more answers a month are wrong; 95 % jackknife by unit, all apps together.

    Parameters
    ----------
    loss: (n,) quality of the reference's answer less the router's, on rows that did not choose the router.
    apps, weight, unit: (n,).
    per_month: {app: requests per month}; rows of other apps are not counted.

    InputError when no row is of an app in ``per_month``.

    >>> loss = np.tile([1.0, 0.0, 0.0, 0.0], 50)
    >>> unit = np.arange(200).astype(str)
    >>> found = harm(loss, np.full(200, "chat"), np.ones(200), unit, {"chat": 1000.0, "mail": 50.0})
    >>> found.total.value, found.unlabelled
    (250.0, ('mail',))
    """
    names = [a for a in per_month if (apps == a).any()]
    if not names:
        raise InputError(
            f"rows of {', '.join(sorted(set(apps.tolist())))}", f"some of {', '.join(per_month)}", "name the apps as the labels do"
        )
    volume = np.array([per_month[a] for a in names])
    bucket = buckets(unit.tolist())
    sums = np.zeros((BUCKETS, len(names), 2))
    for place, app in enumerate(names):
        own = apps == app
        for side, values in enumerate((weight * loss, weight)):
            sums[:, place, side] = np.bincount(bucket[own], values[own], BUCKETS)
    found = jackknife(sums, lambda s: _wrong(s, volume), sums[:, :, 1].sum(1))
    table = pd.DataFrame(
        {"requests_per_month": volume, "wrong": found.value[:-1], "low": found.low[:-1], "high": found.high[:-1]}, index=names
    )
    low, high = (None if np.isnan(x[-1]) else float(x[-1]) for x in (found.low, found.high))
    total = Estimate(float(found.value[-1]), low, high, "estimated", n=len(loss), source="labelled loss times requests a month")
    left = tuple(a for a in per_month if a not in names)
    return Harm(total, table.sort_values("wrong", ascending=False), float(volume.sum()), left)


def _wrong(sums: F64, volume: F64) -> F64:
    """Return wrong answers a month of each app, then of all, (k, A + 1)."""
    each = volume * sums[..., 0] / np.where(sums[..., 1] > 0, sums[..., 1], 1.0)
    return np.concatenate([each, each.sum(-1, keepdims=True)], axis=-1)


def requests_per_month(traffic: Traffic) -> dict[str, float]:
    """Return {app: users' requests a month} at the rate of the whole log; a log of less than a day counts as one."""
    frame = traffic.frame("timestamp", "app", "purpose", "weight")
    frame = frame[frame["purpose"] == "user"]
    days = max((frame["timestamp"].max() - frame["timestamp"].min()) / pd.Timedelta(days=1), 1.0)
    counts = frame.groupby("app", sort=True)["weight"].sum() * (DAYS_PER_MONTH / days)
    return {str(app): float(n) for app, n in counts.items()}
