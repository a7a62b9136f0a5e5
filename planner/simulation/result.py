"""Simulation: the reading of one Summary as estimates, a table and a sentence.

In: a Summary. Out: money, quality, failures and latency of the plan and against the log, each with evidence and interval.
All arithmetic is on bucket sums and their replicates. Knows nothing of rows, models or rates.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.schema import EVIDENCE, TOKEN_BUCKETS
from planner.simulation.summary import LABELLED, MICRO, NANO, PAIRED, Summary
from planner.stats import Estimate, Interval, jackknife
from planner.units import PUSD_PER_USD

__all__ = ["DAYS_PER_MONTH", "Simulation", "quality_level", "quality_shift"]

#: A month is a twelfth of 365.25 days.
DAYS_PER_MONTH = 365.25 / 12

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
    return (plug_in + correction) * (MICRO / NANO)


def quality_shift(s: NDArray[Any]) -> NDArray[np.float64]:
    """Quality under the plan minus as logged, both corrected on the same labelled rows."""
    return quality_level(s) - quality_level(s, "residual_logged_nano", "quality_logged_nano")


@dataclass(frozen=True, eq=False)
class Simulation:
    """What one plan would have done with the log.

    ``group`` restricts every figure to one group of the Summary (a position in ``summary.groups``).
    """

    name: str
    summary: Summary = field(repr=False)

    def requests(self, group: int | None = None) -> float:
        """Requests of the full log, weights counted."""
        return float(self.summary.measure("requests_micro", group).sum()) / MICRO

    def cost(self, group: int | None = None) -> Estimate:
        """Cost of the log's period [USD], with how much of it is measured, estimated and assumed."""
        parts = self.summary.measure("cost_pusd", group).sum(axis=0)
        shares = {name: int(p) / PUSD_PER_USD for name, p in zip(EVIDENCE, parts, strict=True)}
        worst = next((n for n in reversed(EVIDENCE) if shares[n]), EVIDENCE[0])
        return Estimate(int(parts.sum()) / PUSD_PER_USD, evidence=worst, shares=shares, n=round(self.requests(group)), source=self._prices)

    def saving(self, group: int | None = None) -> Estimate:
        """Logged minus planned cost of the period [USD], at the same prices."""
        return self._money(lambda s: -s[..., 0] / PUSD_PER_USD, group, extensive=True)

    def saving_share(self, group: int | None = None) -> Estimate:
        """Saving as a share of the logged cost."""

        def share(s: NDArray[Any]) -> NDArray[np.float64]:
            return -s[..., 0] / np.maximum(s[..., 1], 1)

        return self._money(share, group)

    def quality(self, group: int | None = None) -> Estimate:
        """Mean quality of the users' requests under the plan, corrected on held-out labels."""
        return self._quality(quality_level, group)

    def quality_difference(self, group: int | None = None) -> Estimate:
        """Quality under the plan minus as logged."""
        if self.changed(group) == 0:
            return Estimate(0.0, 0.0, 0.0, "measured", n=round(self.requests(group)), source="nothing changes")
        return self._quality(quality_shift, group)

    def changed(self, group: int | None = None) -> float:
        """Share of requests sent to another model than the logged one."""
        total = self.summary.measure("requests_micro", group).sum()
        return float(self.summary.pair("changed_micro", group).sum() / total) if total else 0.0

    def failures(self, group: int | None = None) -> float:
        """Share of requests that end in one of the four failure kinds or are cancelled."""
        total = self.summary.measure("requests_micro", group).sum()
        return float(self.summary.measure("failures_micro", group).sum() / total) if total else 0.0

    @property
    def per_month(self) -> float:
        """Factor from the log's period to a month."""
        return DAYS_PER_MONTH / self.summary.header.days

    @property
    def clusters(self) -> float:
        """Effective number of clusters behind every interval; below 50 they are wide of the mark, below 10 not given."""
        from planner.stats import effective_clusters

        return effective_clusters(self.summary.measure("requests_micro").sum(axis=1))

    @property
    def table(self) -> pd.DataFrame:
        """One row per group and one for all: money per month, quality, failures, latency."""
        groups = [*range(len(self.summary.groups)), None]
        return pd.DataFrame([self._row(g) for g in groups])

    @property
    def text(self) -> str:
        """The simulation in two sentences, evidence named."""
        cost, saving, quality = self.cost(), self.saving(), self.quality_difference()
        shares = ", ".join(f"${v * self.per_month:,.0f} {k}" for k, v in cost.shares.items() if v)
        lines = [f"{self.name}: ${cost.value * self.per_month:,.0f} a month at {self._prices} ({shares})."]
        if self.changed():
            per_month = Estimate(*(None if x is None else x * self.per_month for x in (saving.value, saving.low, saving.high)), saving.evidence)  # type: ignore[arg-type]
            worth = "unknown without labels" if np.isnan(quality.value) else quality.format("+.4f")
            lines.append(f"{self.changed():.0%} of requests change; saving {per_month.format(',.0f', '$')} a month, quality {worth}.")
        if self.clusters < 50:
            lines.append(f"Only {self.clusters:.0f} effective {self.summary.header.cluster_unit}s: {'no intervals' if self.clusters < 10 else 'read the intervals with care'}.")
        return " ".join(lines)

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.text)}</p>{self.table.to_html(index=False, float_format='{:,.4g}'.format)}"

    @property
    def _prices(self) -> str:
        return f"{self.summary.header.price_book} prices of {self.summary.header.price_date}"

    def _money(self, statistic: Callable[[NDArray[Any]], NDArray[np.float64]], group: int | None, extensive: bool = False) -> Estimate:
        difference = self.summary.pair("cost_difference_pusd", group)
        logged = self.summary.measure("cost_pusd", group).sum(axis=1) - difference
        found = jackknife(np.stack([difference, logged], axis=-1), statistic, self._weights(group), extensive=extensive)
        if not difference.any():
            return Estimate(0.0, 0.0, 0.0, "measured", source="nothing changes")
        evidence = self.cost(group).evidence
        return _estimate(found, evidence if evidence != "measured" else "estimated", round(self.requests(group)), self._prices)

    def _quality(self, statistic: Callable[[NDArray[Any]], NDArray[np.float64]], group: int | None) -> Estimate:
        sums = np.concatenate([self.summary.paired, self.summary.labelled], axis=-1)
        chosen = sums.sum(axis=0) if group is None else sums[group]
        labels = int(chosen[:, _PAIR["label_rows"]].sum())
        found = jackknife(chosen, statistic, self._weights(group))
        evidence = "estimated" if labels else "assumed"
        return _estimate(found, evidence, labels, f"predictions corrected on {labels} held-out labels")

    def _weights(self, group: int | None) -> NDArray[np.int64]:
        weights: NDArray[np.int64] = self.summary.measure("requests_micro", group).sum(axis=1)
        return weights

    def _row(self, group: int | None) -> dict[str, Any]:
        names = dict(zip(self.summary.header.group_by, ("all",) * 9 if group is None else self.summary.groups[group], strict=False))
        cost, saving, level, quality = self.cost(group), self.saving(group), self.quality(group), self.quality_difference(group)
        tokens = {f"{n}_per_request": float(self.summary.measure(n, group).sum()) / max(self.requests(group), 1e-9) for n in TOKEN_BUCKETS[:1]}
        return {
            **names,
            "requests_per_month": self.requests(group) * self.per_month,
            "usd_per_month": cost.value * self.per_month,
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
            **tokens,
            **{f"p{p}_ms": self.summary.latency_quantile(p / 100, group) for p in (50, 95, 99)},
        }


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _estimate(found: Interval, evidence: str, n: int, source: str) -> Estimate:
    low, high = (None if np.isnan(x) else float(x) for x in (found.low, found.high))
    return Estimate(float(found.value), low, high, evidence, n=n, source=source)
