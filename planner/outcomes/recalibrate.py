"""From scores that rank to probabilities that hold: logistic recalibration of one model's score among all models' scores.

In: scores of rows that did not train them, and grades. Out: a Recalibration, a handful of numbers a model. Knows nothing of text.

In two steps (after Platt 1999, and Lucena, *Spline-based probability calibration*, arXiv:1809.07751): a logistic index of all K
scores, since what a router chooses by is their differences, and a prediction must hold given that (of more than two models, the two
highest scores once more: what is best of many is overrated, the more so the less it leads); then a logistic curve of that
index with a kink at each of eight knots, for scores that a line does not fit. Both are penalised, so few grades give a flat curve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

__all__ = ["Recalibration", "logistic", "recalibrate"]

F64 = NDArray[np.float64]
#: Penalty on a standardised column, in rows: of the model's own score, the reference's, the two
#: highest and the curve; and of every other model's score.
_OWN, _OTHER = 3.0, 30.0
_KNOTS, _STEPS = 8, 50


@dataclass(frozen=True, eq=False)
class Recalibration:
    """How K scores become K probabilities; every array has one row a model.

    Parameters
    ----------
    intercept: (K,), index: (K, K, or K + 2 for more than two): index = intercept + index · (scores, the two highest), held between
        ``low`` and ``high`` (K,), as seen in fitting.
    curve: (K, 2): intercept and slope of the log-odds over the index; kinks: (K, 8): its change of slope at ``knots`` (K, 8).
    """

    intercept: F64
    index: F64
    low: F64
    high: F64
    curve: F64
    knots: F64
    kinks: F64

    def apply(self, scores: NDArray[np.floating]) -> F64:
        """Return probabilities, (n, K), of ``scores`` (n, K)."""
        at = np.clip(_columns(scores) @ self.index.T + self.intercept, self.low, self.high)
        odds = self.curve[:, 0] + self.curve[:, 1] * at
        for knot, kink in zip(self.knots.T, self.kinks.T, strict=True):
            odds += kink * np.maximum(at - knot, 0)
        found: F64 = expit(odds)
        return found


def recalibrate(scores: F64, quality: F64, weight: F64, reference: int) -> Recalibration:
    """Fit on ``scores`` (n, K) and ``quality`` (n, K) in [0, 1], NaN where ungraded, with row ``weight`` (n,).

    >>> rng = np.random.default_rng(0)
    >>> score = rng.random((4000, 1))
    >>> found = recalibrate(score, (rng.random((4000, 1)) < score**2).astype(float), np.ones(4000), 0)
    >>> bool(np.abs(found.apply(score) - score**2).mean() < 0.02)
    True
    """
    columns, models = _columns(scores), scores.shape[1]
    penalty = np.where(np.arange(columns.shape[1]) < models, _OTHER, _OWN)
    penalty[reference] = _OWN
    fitted = [_one(columns, quality[:, k], weight, np.where(np.arange(len(penalty)) == k, _OWN, penalty)) for k in range(models)]
    return Recalibration(*(np.array(column) for column in zip(*fitted, strict=True)))


def _columns(scores: NDArray[np.floating]) -> F64:
    """Return the scores and, of more than two, the two highest."""
    exact: F64 = scores.astype(float)
    if exact.shape[1] < 3:
        return exact
    return np.hstack([exact, np.partition(exact, -2, axis=1)[:, -2:]])


def _one(columns: F64, y: F64, weight: F64, penalty: F64) -> tuple[float, F64, float, float, F64, F64, F64]:
    """Return the fields of Recalibration for one model."""
    known = ~np.isnan(y)
    w = weight[known] / weight[known].mean()
    intercept, index = logistic(columns[known], y[known], w, penalty)
    at = intercept + columns[known] @ index
    first, last = np.quantile(at, [0.02, 0.98]).tolist()
    knots = np.linspace(first, last, _KNOTS + 2)[1:-1]
    bends = np.column_stack([at, np.maximum(at[:, None] - knots, 0)])
    start, slopes = logistic(bends, y[known], w, np.full(_KNOTS + 1, _OWN))
    return intercept, index, float(at.min()), float(at.max()), np.array([start, slopes[0]]), knots, slopes[1:]


def logistic(x: F64, y: F64, w: F64, penalty: F64) -> tuple[float, F64]:
    """Return intercept and slopes of a penalised logistic regression, by Newton's method; ``y`` may lie between 0 and 1."""
    mean, spread = np.average(x, axis=0, weights=w), x.std(0)
    scale = np.where(spread > 1e-9, 1 / np.where(spread > 1e-9, spread, 1), 0)
    z = np.column_stack([np.ones(len(x)), (x - mean) * scale])
    ridge = np.concatenate([[1e-6], penalty])
    beta = np.zeros(z.shape[1])
    beta[0] = logit((w @ y + 0.5) / (w.sum() + 1))
    for _ in range(_STEPS):
        p = expit(z @ beta)
        curvature = (z.T * (w * np.maximum(p * (1 - p), 1e-4))) @ z + np.diag(ridge)
        step = np.linalg.solve(curvature, z.T @ (w * (y - p)) - np.where(np.arange(len(beta)) > 0, ridge * beta, 0))
        beta += step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-8:
            break
    slopes = beta[1:] * scale
    return float(beta[0] - slopes @ mean), slopes
