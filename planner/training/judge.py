"""What routing rules are worth on labelled rows that did not train them.

In: per rule, which candidate gets which request (as shares, so that random mixes count too), with the quality and cost of every
answer. Out: quality, cost, and the difference to the reference with its interval; curves over τ; APGR. Knows nothing of how a
rule was fitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.router import Scores, lookup, steps
from planner.stats.resample import BUCKETS, buckets, jackknife

__all__ = ["Judged", "apgr", "curve", "judge", "mixed", "onehot", "oracle", "tau_for"]

F64 = NDArray[np.float64]
#: z of the one-sided 95 % bound with which a τ is chosen on the fit rows.
_Z = 1.645


@dataclass(frozen=True, eq=False)
class Judged:
    """Fully labelled rows: quality and cost_usd (n, K), weight (n,), unit names (n,), and the code of each row's reference (n,)."""

    quality: F64
    cost_usd: F64
    weight: F64
    unit: NDArray[np.str_]
    reference: NDArray[np.int64]

    def quality_of(self, codes: NDArray[np.int64]) -> F64:
        """Return the quality of the answers at ``codes``, (n,)."""
        return np.take_along_axis(self.quality, codes[:, None], axis=1)[:, 0]

    @property
    def bucket(self) -> NDArray[np.int64]:
        """The jackknife bucket of each row's unit."""
        names, code = np.unique(self.unit, return_inverse=True)
        found: NDArray[np.int64] = buckets(names)[code]
        return found


def onehot(codes: NDArray[np.int64], k: int) -> F64:
    """Return shares (n, k) that are 1 at each row's code."""
    return np.eye(k)[codes]


def judge(rows: Judged, methods: Mapping[str, F64], models: tuple[str, ...]) -> pd.DataFrame:
    """Return one line a method: quality, USD per 1,000 requests, difference to the reference with its 95 % interval, shares.

    The interval is a jackknife over buckets of units, paired row by row with the reference's answers.
    """
    bucket = rows.bucket
    lines = [_line(name, share, rows, bucket, models) for name, share in methods.items()]
    return pd.DataFrame(lines).set_index("method")


def _line(name: str, share: F64, rows: Judged, bucket: NDArray[np.int64], models: tuple[str, ...]) -> dict[str, Any]:
    quality, cost = (share * rows.quality).sum(1), (share * rows.cost_usd).sum(1)
    gain = quality - rows.quality_of(rows.reference)
    sums = np.column_stack([np.bincount(bucket, rows.weight * x, BUCKETS) for x in (gain, np.ones(len(gain)))])
    interval = jackknife(sums, lambda s: s[..., 0] / s[..., 1], sums[:, 1])
    line: dict[str, Any] = {
        "method": name,
        "quality": np.average(quality, weights=rows.weight),
        "usd_per_1k": 1000 * np.average(cost, weights=rows.weight),
        "quality_diff": float(interval.value),
        "diff_low": float(interval.low),
        "diff_high": float(interval.high),
    }
    mean_share = np.average(share, axis=0, weights=rows.weight)
    return line | {f"share {m}": s for m, s in zip(models, mean_share, strict=True)}


def oracle(rows: Judged) -> F64:
    """Return shares of the best answer of each row, the cheapest of equals: the ceiling that no rule reaches."""
    order = np.lexsort((rows.cost_usd, -rows.quality), axis=1)
    return onehot(order[:, 0], rows.quality.shape[1])


def mixed(rows: Judged, first: int, second: int, usd: float) -> F64:
    """Return shares of a coin between two models that costs ``usd`` a request on average, or is as near as it can be."""
    a, b = (float(np.average(rows.cost_usd[:, m], weights=rows.weight)) for m in (first, second))
    p = float(np.clip((usd - a) / (b - a), 0, 1)) if b != a else 0.0
    k = rows.quality.shape[1]
    return np.tile((1 - p) * np.eye(k)[first] + p * np.eye(k)[second], (len(rows.quality), 1))


def curve(rows: Judged, scores: Scores, points: int = 101) -> pd.DataFrame:
    """Return quality and cost at ``points`` values of τ spread over the request's own thresholds, always-reference first."""
    thresholds, codes = steps(scores.gains, scores.cost_usd, scores.feasible, rows.reference)
    finite = np.unique(thresholds[np.isfinite(thresholds)])
    taus = np.quantile(finite, np.linspace(0, 1, points), method="lower") if len(finite) else np.zeros(0)
    lines = []
    for tau in (-np.inf, *taus.tolist()):
        at = np.where(scores.abstain > 0, rows.reference, lookup(thresholds, codes, rows.reference, tau))
        lines.append((tau, *_means(rows, at), float(np.average(at == rows.reference, weights=rows.weight))))
    return pd.DataFrame(lines, columns=["tau", "quality", "usd_per_1k", "quality_diff", "reference_share"])


def _means(rows: Judged, codes: NDArray[np.int64]) -> tuple[float, float, float]:
    at = np.arange(len(codes))
    quality = np.average(rows.quality[at, codes], weights=rows.weight)
    home = np.average(rows.quality_of(rows.reference), weights=rows.weight)
    return float(quality), float(1000 * np.average(rows.cost_usd[at, codes], weights=rows.weight)), float(quality - home)


def tau_for(rows: Judged, scores: Scores, floor: float, points: int = 201) -> float:
    """Return the cheapest τ whose quality, at the one-sided 95 % bound, is at most ``floor`` below the reference's.

    Halfway between two requests' thresholds, so that the last bit of a sum cannot flip a decision; −∞ when no τ will do. It is
    a choice made on rows that trained the scorer (cross-fitted), not a guarantee.
    """
    thresholds, codes = steps(scores.gains, scores.cost_usd, scores.feasible, rows.reference)
    finite = np.unique(thresholds[np.isfinite(thresholds)])
    bucket, best, cheapest = rows.bucket, -np.inf, _means(rows, rows.reference)[1]
    for place in np.unique(np.linspace(0, len(finite) - 1, points).astype(int)) if len(finite) else ():
        after = finite[place + 1] if place + 1 < len(finite) else finite[place] + abs(finite[place])
        tau = float((finite[place] + after) / 2)
        at = np.where(scores.abstain > 0, rows.reference, lookup(thresholds, codes, rows.reference, tau))
        usd = _means(rows, at)[1]
        if usd < cheapest and _lower_bound(rows, at, bucket) >= -floor:
            best, cheapest = tau, usd
    return best


def _lower_bound(rows: Judged, codes: NDArray[np.int64], bucket: NDArray[np.int64]) -> float:
    gain = rows.quality_of(codes) - rows.quality_of(rows.reference)
    mean = np.average(gain, weights=rows.weight)
    clusters = np.bincount(bucket, rows.weight * (gain - mean), BUCKETS)
    return float(mean - _Z * np.sqrt(np.square(clusters).sum()) / rows.weight.sum())


def apgr(gain: NDArray[np.floating[Any]], quality: F64, reference: int, weight: F64) -> float:
    """Average performance gap recovered by sending requests to the reference in the order of the other model's gain.

    ∫₀¹ PGR(s) ds with PGR(s) = (Q(s) − Q_other) / (Q_reference − Q_other) over the share s of requests that the reference
    answers, linear within a request and within ties. RouteLLM (arXiv:2406.18665, §4) averages ten points of the same curve.

    >>> apgr(np.array([-1.0, 0.0]), np.array([[1.0, 0.0], [1.0, 1.0]]), 0, np.ones(2))
    0.75
    """
    _, block = np.unique(gain, return_inverse=True)
    lost = weight * (quality[:, reference] - quality[:, 1 - reference])
    share = np.concatenate([[0], np.cumsum(np.bincount(block, weight))]) / weight.sum()
    won = np.concatenate([[0], np.cumsum(np.bincount(block, lost))])
    return float(np.trapezoid(won / won[-1], share)) if won[-1] != 0 else float("nan")
