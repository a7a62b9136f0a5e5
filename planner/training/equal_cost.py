"""Whether one way to route is better than another that spends the same.

In: labelled rows, and ways to route them as shares per candidate. Out: one line a comparison: the difference in quality at equal
cost with its one-sided bounds. What is compared with is brought to the same cost by a coin between two of its own points. Knows
nothing of why one asks.

The bound is Student's t over a standard error that is the larger of two: the jackknife over units, which sees clusters, weights
and the estimated coin; and a pooled one, in which rows that two methods answer differently vary as all rows do. Where few rows
are moved, none of them may happen to lose, and the jackknife alone then takes luck for certainty: at 250 binary rows, of which
25 are moved, its 2.5 % are up to 16 % true error; with both it is 2.5 % or less (``benchmarks/verdict.py`` measures it).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from planner.router import Router, Scores, lookup, steps
from planner.stats.resample import BUCKETS, jackknife
from planner.training.judge import Judged, onehot

__all__ = ["MATERIAL", "Mix", "coins", "compare", "curve_mix", "spend"]

F64 = NDArray[np.float64]
#: A difference in quality at equal cost that is worth more labels to look for.
MATERIAL = 0.005
#: Confidence of a one-sided bound, and its normal quantile plus that of the four draws in five that are to show a difference.
_LEVEL, _SHOWN = 0.975, 1.96 + 0.84


@dataclass(frozen=True, eq=False)
class Mix:
    """A coin between two ways to route, as shares (n, K), the cheaper first; one way twice is no coin."""

    name: str
    cheap: F64
    dear: F64


def spend(rows: Judged, share: F64) -> float:
    """Return what answers in these shares cost on average [USD a request]."""
    return float(np.average((share * rows.cost_usd).sum(1), weights=rows.weight))


def coins(constants: Mapping[str, F64], usd: float, rows: Judged) -> list[Mix]:
    """Return every coin between two of ``constants`` that costs ``usd``, and every single one that costs no more.

    What is cheaper than all of them is compared with the cheapest.
    """
    cost = {name: spend(rows, share) for name, share in constants.items()}
    cheapest = min(cost, key=cost.__getitem__)
    alone = [n for n in constants if cost[n] <= usd or n == cheapest]
    pairs = [(a, b) for a, b in permutations(constants, 2) if cost[a] <= usd < cost[b]]
    single = [Mix(f"always {n}", constants[n], constants[n]) for n in alone]
    return single + [Mix(f"coin between {a} and {b}", constants[a], constants[b]) for a, b in pairs]


def curve_mix(name: str, router: Router, scores: Scores, usd: float, rows: Judged, points: int = 101) -> Mix:
    """Return the coin between two points of ``router``'s own τ-curve that costs ``usd`` and, by its own scores, gains most.

    No label is looked at. A curve that cannot cost as much gives its best point, one that cannot be as cheap its cheapest.
    """
    thresholds, path = steps(scores.gains, scores.cost_usd, scores.feasible, scores.home)
    finite = np.unique(thresholds[np.isfinite(thresholds)])
    taus = np.quantile(finite, np.linspace(0, 1, points), method="lower") if len(finite) else np.zeros(0)
    gains = np.where(np.isfinite(scores.gains), scores.gains, 0.0)
    at, total = np.arange(len(scores)), rows.weight.sum()
    codes = [np.where(scores.abstain > 0, scores.home, lookup(thresholds, path, scores.home, t)) for t in (-np.inf, *taus.tolist())]
    cost = np.array([rows.weight @ rows.cost_usd[at, c] for c in codes]) / total
    gain = np.array([rows.weight @ gains[at, c] for c in codes]) / total
    cheap, dear = _best_pair(cost, gain, usd)
    k = len(router.candidates)
    return Mix(f"{name} at its cost", onehot(codes[cheap], k), onehot(codes[dear], k))


def _best_pair(cost: F64, gain: F64, usd: float) -> tuple[int, int]:
    """Return the two points, at most and at least as dear as ``usd``, between which the coin gains most.

    >>> _best_pair(np.array([3.0, 2.0, 1.0]), np.array([0.0, -0.5, -0.6]), 2.0)
    (2, 0)
    """
    below = np.flatnonzero(cost <= max(usd, cost.min()))
    above = np.flatnonzero(cost >= usd)
    alone = int(below[np.argmax(gain[below])])
    if not len(above):
        return alone, alone
    gap = cost[above] - cost[below, None]
    p = np.where(gap > 0, (usd - cost[below, None]) / np.where(gap > 0, gap, 1), 0)
    found = (1 - p) * gain[below, None] + p * gain[above]
    i, j = np.unravel_index(np.argmax(found), found.shape)
    pair = int(below[i]), int(above[j])
    return pair if found[i, j] > gain[alone] else (alone, alone)


def compare(method: str, own: F64, mixes: Sequence[Mix], rows: Judged) -> pd.DataFrame:
    """Return one line a mix: ``own`` (n, K) against it, the closest first.

    Columns: ``method, vs, diff, low, high, p_value, labels_needed``. ``low`` and ``high`` are one-sided 97.5 % bounds, infinite
    where fewer than ten units leave nothing to say; ``labels_needed`` is how many judging labels in all would show this
    difference, or MATERIAL if that is larger, in four draws of five.
    """
    lines = [{"method": method, "vs": mix.name, **_line(own, mix, rows)} for mix in mixes]
    return pd.DataFrame(lines).sort_values("low", kind="stable", ignore_index=True)


def _line(own: F64, mix: Mix, rows: Judged) -> dict[str, float]:
    parts = [(share * table).sum(1) for share in (own, mix.cheap, mix.dear) for table in (rows.quality, rows.cost_usd)]
    bucket = rows.bucket
    sums = np.column_stack([np.bincount(bucket, rows.weight * x, BUCKETS) for x in (np.ones(len(bucket)), *parts)])
    found = jackknife(sums, _difference, sums[:, 0], level=2 * _LEVEL - 1)
    p = float(_coin(sums.sum(0)))
    se = max(float(found.se), _pooled_se(own - (1 - p) * mix.cheap - p * mix.dear, rows))
    return _bounds(float(found.value), se, found.clusters - 1, len(bucket))


def _difference(sums: NDArray[np.float64]) -> F64:
    """Quality of one's own less that of the coin that costs the same; ``sums`` (…, 7): weight, then quality and cost of each."""
    p, weight = _coin(sums), sums[..., 0]
    found: F64 = (sums[..., 1] - (1 - p) * sums[..., 3] - p * sums[..., 5]) / weight
    return found


def _coin(sums: NDArray[np.float64]) -> F64:
    """Return how often the coin takes the dearer way."""
    gap = sums[..., 6] - sums[..., 4]
    return np.where(gap > 0, np.clip((sums[..., 2] - sums[..., 4]) / np.where(gap > 0, gap, 1), 0, 1), 0.0)


def _pooled_se(contrast: F64, rows: Judged) -> float:
    """Standard error of the mean of Σₖ contrast·quality when each row's quality varies as it does over all rows."""
    spread = np.atleast_2d(np.cov(rows.quality.T, aweights=rows.weight, ddof=0))
    variance = np.einsum("nk,kl,nl->n", contrast, spread, contrast)
    return float(np.sqrt(np.square(rows.weight) @ np.maximum(variance, 0)) / rows.weight.sum())


def _bounds(diff: float, se: float, freedom: float, n: int) -> dict[str, float]:
    if not se > 0:  # no difference on any row, or (NaN) too few units to say
        reach = 0.0 if se == 0 else np.inf
        return {"diff": diff, "low": diff - reach, "high": diff + reach, "p_value": 1.0, "labels_needed": np.inf}
    reach = float(stdtrit(freedom, _LEVEL)) * se
    needed = math.ceil(n * (_SHOWN * se / max(diff, MATERIAL)) ** 2 / 100) * 100
    return {"diff": diff, "low": diff - reach, "high": diff + reach, "p_value": float(stdtr(freedom, -diff / se)), "labels_needed": needed}
