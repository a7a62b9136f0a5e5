"""Judging served answers: the mean disagreement of pairs less that of repeats of the very same question, with its interval.

In: pairs with their disagreement, and repeats with theirs. Out: the columns of a table about them. Pairs are not independent: one
user asks much, and one bad answer may be served often. So there are two jackknifes, over the users who ask and over the questions
whose answer is served, and the wider counts; and it never says less than no event at all among so many clusters leaves open. Knows
nothing of thresholds or periods.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from planner.outcomes.served import Asked, Pairs
from planner.stats import BUCKETS, Interval, effective_clusters, jackknife

__all__ = ["LEAST_REPEATS", "Baseline"]

F64: TypeAlias = NDArray[np.float64]
#: Fewer repeats of identical questions in an app say nothing about how far its answers differ by themselves.
LEAST_REPEATS = 30
LEVEL = 0.95


@dataclass(frozen=True, eq=False)
class Baseline:
    """Repeats of identical questions and how far their answers are apart: against them pairs are judged, each in its app."""

    log: Asked
    same: Pairs
    distance: F64

    def judge(self, pairs: Pairs, distance: F64, harm: F64, which: NDArray[np.bool_]) -> dict[str, object]:
        """Return the columns about those of ``pairs`` in ``which`` whose ``distance`` is known.

        ``open`` is the upper end at zero events among the effective clusters, 1 − 0.025^(1/clusters) (Clopper & Pearson 1934).
        """
        kept = which & ~np.isnan(distance)
        near, far = pairs.take(kept), distance[kept]
        cells = [self._cells(near, far, by) for by in (self.log.bucket, self.log.topic)]
        found = [_difference(sums, self.known) for sums in cells]
        low, high = float(np.min([f.low for f in found])), float(np.max([f.high for f in found]))
        total = cells[0].sum(0)
        baseline = float(_baseline(total[None], self.known)[0])
        clusters = min(_effective(self.log.unit[near.request]), _effective(self.log.questions.asks[near.source]))
        nothing = 1 - ((1 - LEVEL) / 2) ** (1 / clusters) if clusters else 1.0
        hurt = harm[kept & ~np.isnan(harm)]
        return {
            "judged": len(near),
            "disagreement": far.mean() if len(near) else np.nan,
            "baseline": baseline if len(near) else np.nan,
            "false_hits": float(found[0].value) if len(near) else np.nan,
            "low": low,
            "high": max(high, nothing - baseline) if not np.isnan(high) else np.nan,
            "open": nothing,
            "evidence": "assumed" if np.isnan(high) else "estimated",
            "harm": hurt.mean() if len(hurt) else np.nan,
            "references": len(hurt),
        }

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which apps have enough repeats for a baseline."""
        return np.bincount(self.log.app[self.same.request], minlength=len(self.log.apps)) >= LEAST_REPEATS

    def unknown(self, pairs: Pairs, distance: F64, which: NDArray[np.bool_]) -> float:
        """Return the share of judged pairs in apps without a baseline."""
        app = self.log.app[pairs.request[which & ~np.isnan(distance)]]
        return float((~self.known[app]).mean()) if len(app) else float(not self.known.any())

    def _cells(self, near: Pairs, far: F64, by: NDArray[np.int64]) -> F64:
        """Return (BUCKETS, apps, 4) sums: pairs, their disagreement, repeats, theirs; ``by`` puts requests into buckets."""
        cells = np.zeros((BUCKETS, len(self.log.apps), 4))
        by_question = by is self.log.topic
        for pairs, distance, k in ((near, far, 0), (self.same, self.distance, 2)):
            at = (by[pairs.source if by_question else pairs.request], self.log.app[pairs.request])
            np.add.at(cells[..., k], at, 1.0)
            np.add.at(cells[..., k + 1], at, distance)
        return cells


def _difference(cells: F64, known: NDArray[np.bool_]) -> Interval:
    """Return disagreement of pairs less the baseline, with its interval over buckets."""

    def statistic(sums: F64) -> F64:
        n = np.maximum(sums[..., 0].sum(-1), 1e-12)
        value: F64 = sums[..., 1].sum(-1) / n - _baseline(sums, known)
        return value

    samples = [cells[..., 0].sum(1)]
    if (known & (cells[..., 0].sum(0) > 0)).any():
        samples.append((cells[..., 2] * known).sum(1))
    return jackknife(cells, statistic, np.column_stack(samples), level=LEVEL)


def _baseline(sums: F64, known: NDArray[np.bool_]) -> F64:
    """Return the mean baseline of the pairs of ``sums`` (k, apps, 4): each app's own, 0 where it is unknown."""
    own = np.where(known, sums[..., 3] / np.maximum(sums[..., 2], 1e-12), 0.0)
    mean: F64 = (sums[..., 0] * own).sum(-1) / np.maximum(sums[..., 0].sum(-1), 1e-12)
    return mean


def _effective(codes: NDArray[np.int64]) -> float:
    return effective_clusters(np.unique(codes, return_counts=True)[1]) if len(codes) else 0.0
