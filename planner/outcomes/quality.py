"""Predicted quality q̂ of every request on every labelled model: a ridge on the router's own features, recalibrated out of fold.

In: a labelled problem, the rows of it that may be fitted, and requests in pieces. Out: a predictor, its out-of-fold predictions of
the rows it was fitted on, and q̂ as an array. Where a request has no readable text the prediction is the model's mean in its app.
The mean of these predictions is never reported as it stands: held-out labels correct it. Knows nothing of prices or plans.

A ridge that chose among its own predictions would take its noise for quality: what is chosen is what was overrated. So a score
becomes a probability by what happened to rows that had not trained it, given the scores of all models, between which one chooses.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from planner.outcomes.recalibrate import Recalibration, recalibrate
from planner.router import LinearScorer, Requests, TableRule
from planner.training.learn import refit
from planner.training.problem import Problem
from planner.training.ridge import fold_of

__all__ = ["QualityModel", "fit_quality"]

F64 = NDArray[np.float64]
#: Requests of the overall mean that every app's mean is mixed with.
_PRIOR_ROWS = 20.0


@dataclass(frozen=True, eq=False)
class QualityModel:
    """Levels, not gains.

    Parameters
    ----------
    models: K names. scorer: reads text, a score per model. recalibration: from scores to probabilities.
    means: knows the app alone.
    oof: (fitted rows, K) predictions for each fitted row by a fit without its unit; also where it is ungraded.
    """

    models: tuple[str, ...]
    scorer: LinearScorer
    recalibration: Recalibration
    means: TableRule
    oof: NDArray[np.float32]

    def predict(self, requests: Requests) -> NDArray[np.float32]:
        """Return q̂ in [0, 1], float32 (n, K)."""
        read = requests.text_state == 0
        out = self.means.gains(requests)
        if read.any():
            out[read] = self.recalibration.apply(self.scorer.gains(requests.take(read)))
        return np.clip(out, 0, 1).astype(np.float32)

    @cached_property
    def version(self) -> str:
        """Sixteen hexadecimal digits over the weights: the name under which predictions are kept."""
        digest = hashlib.sha256(repr(self.models).encode())
        scorer = (self.scorer.weights, self.scorer.structure_weights, self.scorer.intercept)
        for array in (*scorer, *vars(self.recalibration).values(), self.means.table, self.means.default):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]


def fit_quality(problem: Problem, like: LinearScorer, rows: NDArray[np.bool_], seed: int = 0) -> QualityModel:
    """Fit levels on ``rows`` of ``problem`` with the features and weighting of ``like``.

    Rows held out from ``rows`` stay untouched, so that they can correct what comes out.
    """
    part = problem.requests.take(rows)
    quality, weight, unit = problem.quality[rows], problem.weight[rows], problem.unit[rows]
    scorer, scores = refit(like, part, quality, weight, unit, seed)
    read, fold = part.text_state == 0, fold_of(unit, 5, seed)
    train = read if read.any() else np.ones(len(read), bool)
    recalibration = recalibrate(scores[train], quality[train], weight[train], problem.reference_code)
    oof = np.zeros(quality.shape)
    for f in np.unique(fold):
        own, rest = fold == f, fold != f
        oof[own] = _means(part.take(rest).app, quality[rest], weight[rest]).gains(part.take(own))
        if (train & rest).any():
            at = train & rest
            without = recalibrate(scores[at], quality[at], weight[at], problem.reference_code)
            oof[own & read] = without.apply(scores[own & read])
    return QualityModel(problem.models, scorer, recalibration, _means(part.app, quality, weight), oof.astype(np.float32))


def _means(app: tuple[str, ...], quality: F64, weight: F64) -> TableRule:
    """Weighted mean quality by app, drawn towards the overall mean where labels are few."""
    known = np.where(np.isfinite(quality), weight[:, None], 0.0)
    filled = np.nan_to_num(quality)
    overall = (known * filled).sum(axis=0) / np.maximum(known.sum(axis=0), 1e-300)
    apps, code = np.unique(np.array(app, object).astype(str), return_inverse=True)
    sums, mass = np.zeros((len(apps), quality.shape[1])), np.zeros((len(apps), quality.shape[1]))
    np.add.at(sums, code, known * filled)
    np.add.at(mass, code, known)
    prior = _PRIOR_ROWS * weight.mean()
    table = (sums + prior * overall) / (mass + prior)
    return TableRule(tuple(map(str, apps)), table.astype(np.float32), overall.astype(np.float32))
