"""Predicted quality q̂ of every request on every labelled model, by a ridge on the router's own features.

In: a labelled problem, the rows of it that may be fitted, and requests in pieces. Out: a predictor, and q̂ as an array.
Where a request has no readable text the prediction is the model's mean in its app. The mean of these predictions is never
reported as it stands: held-out labels correct it. Knows nothing of prices or plans.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from planner.router import LinearScorer, Requests, TableRule, features
from planner.training.learn import design
from planner.training.problem import Problem
from planner.training.ridge import fit_ridge

__all__ = ["QualityModel", "fit_quality"]


@dataclass(frozen=True, eq=False)
class QualityModel:
    """Levels, not gains: ``scorer`` reads text, ``means`` knows the app alone; both have one column per model."""

    models: tuple[str, ...]
    scorer: LinearScorer
    means: TableRule

    def predict(self, requests: Requests) -> NDArray[np.float32]:
        """Return q̂ in [0, 1], float32 (n, K)."""
        read = requests.text_state == 0
        out = self.means.gains(requests)
        if read.any():
            out[read] = self.scorer.gains(requests.take(read))
        return np.clip(out, 0, 1).astype(np.float32)

    def predict_all(self, pieces: Iterable[Requests]) -> NDArray[np.float32]:
        """Return q̂ of consecutive pieces, stacked."""
        return np.concatenate([self.predict(p) for p in pieces] or [np.zeros((0, len(self.models)), np.float32)])

    @cached_property
    def version(self) -> str:
        """Sixteen hexadecimal digits over the weights: the name under which predictions are kept."""
        digest = hashlib.sha256(repr(self.models).encode())
        for array in (self.scorer.weights, self.scorer.structure_weights, self.scorer.intercept, self.means.table, self.means.default):
            digest.update(array.tobytes())
        return digest.hexdigest()[:16]


def fit_quality(problem: Problem, like: LinearScorer, rows: NDArray[np.bool_], seed: int = 0) -> QualityModel:
    """Fit levels on ``rows`` of ``problem`` with the features and weighting of ``like``.

    Rows held out from ``rows`` stay untouched, so that they can correct what comes out.
    """
    part = problem.requests.take(rows)
    quality, weight = problem.quality[rows], problem.weight[rows]
    fit = fit_ridge(design(features(part, like.spec), like.weighting), quality, weight, problem.unit[rows], seed=seed)
    coef, dim = fit.coef.astype(np.float32), like.spec.dim
    scorer = LinearScorer(like.spec, like.weighting, coef[:dim], coef[dim:], fit.intercept.astype(np.float32))
    return QualityModel(problem.models, scorer, _means(part.app, quality, weight))


def _means(app: tuple[str, ...], quality: NDArray[np.float64], weight: NDArray[np.float64]) -> TableRule:
    """Weighted mean quality by app, shrunk towards the overall mean as if by twenty requests of it."""
    known = np.where(np.isfinite(quality), weight[:, None], 0.0)
    filled = np.nan_to_num(quality)
    overall = (known * filled).sum(axis=0) / np.maximum(known.sum(axis=0), 1e-300)
    apps, code = np.unique(np.array(app, object).astype(str), return_inverse=True)
    sums, counts = np.zeros((len(apps), quality.shape[1])), np.zeros((len(apps), quality.shape[1]))
    np.add.at(sums, code, known * filled)
    np.add.at(counts, code, known)
    table = (sums + 20 * overall) / (counts + 20)
    return TableRule(tuple(map(str, apps)), table.astype(np.float32), overall.astype(np.float32))
