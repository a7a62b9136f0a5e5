"""Simulation: the reading of one Summary as estimates, a table and a sentence.

In: a Summary. Out: money, quality, failures and latency of the plan and against the log, each with evidence and interval.
All arithmetic is on bucket sums and their replicates (``intervals``, ``latency``). Knows nothing of rows, models or rates.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.schema import EVIDENCE, TOKEN_BUCKETS
from planner.simulation.amounts import between_usd, parts
from planner.simulation.drawn import Drawn, unchanged
from planner.simulation.intervals import Statistic, bucket_requests, money, quality, quality_level, quality_shift
from planner.simulation.latency import latency, latency_difference
from planner.simulation.summary import MICRO, TIMES, Summary
from planner.stats import REFUSE, WARN, Estimate, Interval, effective_clusters
from planner.units import DAYS_PER_MONTH, PUSD_PER_USD

__all__ = ["WEEK", "Simulation"]

#: What the assumed part of a saving takes for granted, in words.
ASSUMED = (
    "Assumed is that a moved request keeps its prompt-cache hits, that later turns of a moved session stay as they were, and "
    "equal token counts where no label tells."
)
#: A log shorter than this [days] has not seen every weekday.
WEEK = 6.5

_SAME_QUALITY, _SAME_RESIDUAL = ("quality_nano", "quality_logged_nano"), ("residual_nano", "residual_logged_nano")


@dataclass(frozen=True, eq=False)
class Simulation:
    """What one plan would have done with the log.

    ``group`` restricts every figure to one group of the Summary (a position in ``summary.groups``). ``drawn`` is what a sample tells of
    the cost; None where every row stands for itself.
    """

    name: str
    summary: Summary = field(repr=False)
    drawn: Drawn | None = field(default=None, repr=False)

    def requests(self, group: int | None = None) -> float:
        """Requests of the full log, weights counted."""
        return float(self.summary.measure("requests_micro", group).sum()) / MICRO

    def cost(self, group: int | None = None) -> Estimate:
        """Cost of the log's period [USD], with how much of it is measured, estimated and assumed; of a sample with an interval."""
        pusd = self.summary.measure("cost_pusd", group).sum(axis=0)
        shares = {name: int(p) / PUSD_PER_USD for name, p in zip(EVIDENCE, pusd, strict=True)}
        saved = self.summary.measure("cost_difference_pusd", group).astype(bool).sum(axis=0)
        known = {name: shares[name] or float(x) for name, x in zip(EVIDENCE, saved, strict=True)}
        low, high = (None, None) if self.drawn is None else self.drawn.limits.get(group, (None, None))
        return Estimate(int(pusd.sum()) / PUSD_PER_USD, low, high, _worst(known), shares, round(self.requests(group)), self._prices)

    def saving(self, group: int | None = None) -> Estimate:
        """Logged minus planned cost of the period [USD], at the same prices."""
        return self._money(lambda s: -s[..., 0] / PUSD_PER_USD, group, extensive=True)

    def saving_share(self, group: int | None = None) -> Estimate:
        """Saving as a share of the logged cost."""

        def share(s: NDArray[Any]) -> NDArray[np.float64]:
            return np.asarray(-s[..., 0] / np.maximum(s[..., 1], 1), float)

        return self._money(share, group)

    def quality(self, group: int | None = None) -> Estimate:
        """Mean quality of the users' requests under the plan, corrected on held-out labels."""
        return self._quality(quality_level, group)

    def quality_difference(self, group: int | None = None) -> Estimate:
        """Quality under the plan minus as logged."""
        if self.unmeasured(group):
            share = f"{self.unmeasured(group):.0%} of requests get another answer whose quality no label tells"
            return Estimate(float("nan"), evidence="assumed", source=share)
        moved = [self.summary.pair(a, group) != self.summary.pair(b, group) for a, b in (_SAME_QUALITY, _SAME_RESIDUAL)]
        if self.changed(group) == 0 and not np.any(moved):
            return unchanged(None, group, round(self.requests(group)))
        return self._quality(quality_shift, group)

    def latency(self, q: float = 0.95, group: int | None = None, *, perceived: bool = False) -> Estimate:
        """The ``q`` quantile of the time until the answer is there, or as ``perceived``: until its first token where it is streamed [ms].

        Of the users' answered requests whose time is known; no interval where too few users' lie beyond it.
        """
        name = "perceived_ms" if perceived else "latency_ms"
        return self._timed(latency(self.summary, q, group, name), name, group)

    def latency_difference(self, q: float = 0.95, group: int | None = None, *, perceived: bool = False) -> Estimate:
        """The ``q`` quantile of that time under the plan minus as logged [ms]."""
        name = "perceived_ms" if perceived else "latency_ms"
        if self._as_logged(name, group):
            return unchanged(None, group, round(self.requests(group)))
        return self._timed(latency_difference(self.summary, q, group, name), name, group)

    def unmeasured(self, group: int | None = None) -> float:
        """Share of requests that get an answer to a changed prompt or to another question, whose quality no label tells."""
        return self._share(self.summary.pair("unmeasured_micro", group), group)

    def changed(self, group: int | None = None) -> float:
        """Share of requests sent to another model than the logged one."""
        return self._share(self.summary.pair("changed_micro", group), group)

    def failures(self, group: int | None = None) -> float:
        """Share of requests that end in one of the four failure kinds or are cancelled."""
        return self._share(self.summary.measure("failures_micro", group), group)

    def hits(self, group: int | None = None) -> float:
        """Share of requests that a cache in front of the providers answers, the log's own hits among them."""
        return self._share(self.summary.measure("hits_micro", group), group)

    def unpriced(self, group: int | None = None) -> float:
        """Rows of the log without a price: they are in no figure of money, on neither side."""
        return float(self.summary.measure("unpriced_micro", group).sum()) / MICRO

    def _share(self, micro: NDArray[Any], group: int | None) -> float:
        total = self.summary.measure("requests_micro", group).sum()
        return float(micro.sum() / total) if total else 0.0

    @property
    def per_month(self) -> float:
        """Factor from the log's period to a month."""
        return DAYS_PER_MONTH / self.summary.header.days

    @property
    def clusters(self) -> float:
        """Effective number of clusters behind every interval; below 50 they are wide of the mark, below 10 not given."""
        return effective_clusters(bucket_requests(self.summary, None))

    @property
    def table(self) -> pd.DataFrame:
        """One row per group and one for all: money per month, quality, failures, latency."""
        groups = [*(g for g in range(len(self.summary.groups)) if self.requests(g)), None]
        return pd.DataFrame([self._row(g) for g in groups])

    @property
    def text(self) -> str:
        """The simulation in a few sentences, evidence named."""
        cost, quality = self.cost(), self.quality_difference()
        days = self.summary.header.days
        lines = [f"{self.name}: {between_usd(cost, self.per_month)} a month at {self._prices} ({parts(cost, self.per_month)})."]
        saving = self.saving()
        if self.changed():
            lines.append(f"It sends {self.changed():.0%} of requests to another model.")
        if self.changed() or saving.value or saving.low is None or self.unmeasured():
            worth = f"unknown: {quality.source or 'no labels'}" if np.isnan(quality.value) else quality.format("+.4f")
            lines.append(f"Saving {self._saved(saving)} a month ({parts(saving, self.per_month)}); quality {worth}.")
        if self.changed() and saving.shares.get("assumed"):
            lines.append(ASSUMED)
        if self.hits():
            lines.append(f"{self.hits():.1%} of requests are answered from a cache of answers.")
        if self._streams and not self._as_logged("perceived_ms", None):
            lines.append(self._wait)
        lines += [said for said in (self.untold, self.thin, self.rough) if said]
        if days < WEEK:
            lines.append(f"The log covers {days:.1f} days; a month is assumed to be like it.")
        if self.clusters < WARN:
            care = "too few for intervals" if self.clusters < REFUSE else "read the intervals with care"
            lines.append(f"Only {self.clusters:.0f} effective {self.summary.header.cluster_unit}s: {care}.")
        return " ".join(lines)

    def _repr_html_(self) -> str:
        return f"<p class='mathjax_ignore'>{html.escape(self.text)}</p>{self.table.to_html(index=False, float_format='{:,.4g}'.format)}"

    @property
    def untold(self) -> str:
        """Which rows of the log are in no figure of money, in one sentence; empty where all have a price."""
        if not self.unpriced():
            return ""
        rows = f"{self.unpriced():,.0f} rows of the log have no price"
        return f"{rows}: they count as requests and are in no figure of money; planner.audit says why."

    @property
    def thin(self) -> str:
        """Why the cost of a sample has no interval, in one sentence; empty where totals may have one."""
        return "" if self.drawn is None else self.drawn.thin(self.summary.by_group("cost_pusd"))

    @property
    def rough(self) -> str:
        """Why the interval of a sample's cost is to be read with care, in one sentence; else empty."""
        return "" if self.drawn is None else self.drawn.rough(self.summary.by_group("cost_pusd"))

    def _saved(self, saving: Estimate) -> str:
        """Write what is saved a month with its interval, or why there is none."""
        few = "too few users in what changes" if self.drawn is None else "too few were drawn of those who hold what changes"
        few = few if saving.value else "nothing that was drawn changes"
        return between_usd(saving, self.per_month) + (f" (no interval: {few})" if saving.low is None else "")

    @property
    def _streams(self) -> bool:
        """Whether any answer begins to show before it is complete."""
        return bool((self.summary.histogram("perceived_ms") != self.summary.histogram("latency_ms")).any())

    @property
    def _wait(self) -> str:
        """How long people wait for something to read, under the plan and in the log."""
        wait, before = self.latency(perceived=True), self.summary.latency_quantile(0.95, name="perceived_logged_ms")
        return (
            f"p95 of the perceived latency [ms], to the first token where answers are streamed: {wait.format(',.0f')}; "
            f"as logged {before:,.0f}."
        )

    @property
    def _prices(self) -> str:
        return f"{self.summary.header.price_book} prices of {self.summary.header.price_date}"

    def _money(self, statistic: Statistic, group: int | None, extensive: bool = False) -> Estimate:
        """Read a statistic of (cost difference, logged cost); its shares are those of the difference."""
        pusd = self.summary.measure("cost_difference_pusd", group)
        if not pusd.any():
            return unchanged(self.drawn, group, round(self.requests(group)))
        found = money(self.summary, statistic, group, extensive)
        moved, left = (self.summary.by_group(name) for name in ("cost_difference_pusd", "cost_pusd"))
        rests_on = (moved,) if extensive else (moved, left - moved)
        if self.drawn is not None and any(self.drawn.thin(amount, group) for amount in rests_on):
            found = Interval.refused(found.value, found.clusters)
        logged = self.summary.measure("cost_pusd", group).sum() - pusd.sum()
        shares = {n: float(statistic(np.array([part, logged], float))) for n, part in zip(EVIDENCE, pusd.sum(axis=0), strict=True) if part}
        return _estimate(found, _worst(shares), round(self.requests(group)), self._prices, shares)

    def _quality(self, statistic: Statistic, group: int | None) -> Estimate:
        labels = int(self.summary.pair("label_rows", group).sum())
        found = quality(self.summary, statistic, group)
        if not labels:
            return Estimate(float(found.value), evidence="assumed", source="predictions; no held-out label corrects them")
        return _estimate(found, "estimated", labels, f"predictions corrected on {labels} held-out labels")

    def _timed(self, found: Interval, name: str, group: int | None) -> Estimate:
        """Say of a latency how it is known: as the weakest of the requests behind it, and measured only where it is the log's."""
        requests = dict(zip(EVIDENCE, self.summary.measure("requests_micro", group).sum(axis=0), strict=True))
        evidence = _worst({**requests, "estimated": requests["estimated"] or not self._as_logged(name, group)})
        n = round(int(self.summary.histogram(name, group).sum()) / MICRO)
        if not n:
            return Estimate(float("nan"), evidence=evidence, source="no request has a known time")
        return _estimate(found, evidence, n, f"answered requests with a known time, by {self.summary.header.cluster_unit}")

    def _as_logged(self, name: str, group: int | None) -> bool:
        """Say whether one of ``summary.TIMES`` is spread under the plan as it is in the log."""
        logged = TIMES[TIMES.index(name) + 1]
        return bool((self.summary.histogram(name, group) == self.summary.histogram(logged, group)).all())

    def _row(self, group: int | None) -> dict[str, Any]:
        names = dict(zip(self.summary.header.group_by, ("all",) * 9 if group is None else self.summary.groups[group], strict=False))
        cost, saving, level, quality = self.cost(group), self.saving(group), self.quality(group), self.quality_difference(group)
        slow = self.latency(0.95, group)
        tokens = {
            f"{n}_per_request": float(self.summary.measure(n, group).sum()) / max(self.requests(group), 1e-9) for n in TOKEN_BUCKETS[:1]
        }
        return {
            **names,
            "requests_per_month": self.requests(group) * self.per_month,
            "usd_per_month": cost.value * self.per_month,
            **self._limits(cost),
            **{f"usd_{k}": v * self.per_month for k, v in cost.shares.items()},
            "saving_usd_per_month": saving.value * self.per_month,
            "saving_low": _times(saving.low, self.per_month),
            "saving_high": _times(saving.high, self.per_month),
            "changed_share": self.changed(group),
            "quality": level.value,
            "quality_difference": quality.value,
            "quality_low": quality.low,
            "quality_high": quality.high,
            "quality_labels": level.n,
            "failure_share": self.failures(group),
            "hit_share": self.hits(group),
            **tokens,
            **{f"p{p}_ms": self.summary.latency_quantile(p / 100, group) for p in (50, 95, 99)},
            "perceived_p95_ms": self.summary.latency_quantile(0.95, group, "perceived_ms"),
            "p95_low": slow.low,
            "p95_high": slow.high,
        }

    def _limits(self, cost: Estimate) -> dict[str, float | None]:
        low, high = (_times(x, self.per_month) for x in (cost.low, cost.high))
        return {} if self.drawn is None else {"usd_low": low, "usd_high": high}


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _worst(shares: Mapping[str, float]) -> str:
    """Return the weakest evidence that holds any of a sum."""
    return next((n for n in reversed(EVIDENCE) if shares.get(n)), EVIDENCE[0])


def _estimate(found: Interval, evidence: str, n: int, source: str, shares: Mapping[str, float] | None = None) -> Estimate:
    low, high = (None if np.isnan(x) else float(x) for x in (found.low, found.high))
    return Estimate(float(found.value), low, high, evidence, dict(shares or {}), n, source)
