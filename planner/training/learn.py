"""From a problem to a scorer: quality ridges on hashed n-grams, structure and app, bent into gains.

In: requests, qualities and gains (NaN where unlabelled), weights and units of the rows to fit. Out: a LinearScorer with its
out-of-fold gains. Penalties are decided by cross-validation inside these rows. Knows nothing of costs or thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from planner.router import Features, FeatureSpec, LinearScorer, Requests, Weighting, features, weigh
from planner.training.bend import Bend, fit_bend, targets
from planner.training.ridge import RidgePath, fit_ridge, ridge_path

__all__ = ["SPECS", "Learned", "design", "learn", "refit", "weighting"]

F64 = NDArray[np.float64]
#: What is read of a request: tokens and pairs of the turn and of the template, the app, and structure.
SPECS = (FeatureSpec(),)
#: Length that structure columns have after scaling, beside 1 for each block of n-grams.
_STRUCTURE = 0.03


@dataclass(frozen=True, eq=False)
class Learned:
    """A scorer, its cross-fitted gains on the rows it was fitted on (n, K), the penalty of the text, and error by kind of fit."""

    scorer: LinearScorer
    oof: F64
    alpha: float
    trials: dict[str, float]


def weighting(found: Features, unit: NDArray[Any]) -> Weighting:
    """Learn document frequencies and the scale of structure from the rows to fit; labels are not looked at.

    A bucket that only one unit has seen is dropped: it cannot help another request, and might give away its own.
    """
    n = len(found)
    frequency = np.bincount(found.indices, minlength=found.spec.dim)
    idf = np.where(_units_seen(found, unit) > 1, np.log((1 + n) / (1 + frequency)) + 1, 0)
    spread = found.structure.std(0, dtype=float)
    scale = np.where(spread > 1e-6, _STRUCTURE / np.where(spread > 1e-6, spread, 1), 0)
    return Weighting(idf.astype(np.float32), found.structure.mean(0, dtype=float).astype(np.float32), scale.astype(np.float32))


def _units_seen(found: Features, unit: NDArray[Any]) -> NDArray[np.int64]:
    """Return how many units have each bucket, (dim,)."""
    _, code = np.unique(unit, return_inverse=True)
    owner = np.repeat(code, np.diff(found.indptr))
    pairs = np.sort(found.indices * (code.max(initial=0) + 1) + owner)
    first = np.concatenate([[True], pairs[1:] != pairs[:-1]])[: len(pairs)]
    return np.bincount(pairs[first] // (code.max(initial=0) + 1), minlength=found.spec.dim)


def design(found: Features, by: Weighting) -> sparse.csr_matrix:
    """Return the weighted design matrix: the sparse part, then structure."""
    values, shape = weigh(found, by)
    hashed = sparse.csr_matrix((values, found.indices, found.indptr), shape=(len(found), found.spec.dim))
    return sparse.csr_matrix(sparse.hstack([hashed, sparse.csr_matrix(shape)], format="csr"))


def learn(
    requests: Requests,
    gain: F64,
    weight: F64,
    unit: NDArray[Any],
    reference: int,
    seed: int = 0,
    spec: FeatureSpec = SPECS[0],
    *,
    quality: F64 | None = None,
) -> Learned:
    """Fit gains over the reference (whose column stays exactly 0).

    Parameters
    ----------
    gain, quality: (n, K), NaN where unlabelled. Without ``quality`` gains are learned alone, which knows less: where both
        models fail, or both succeed, there is little to gain.
    """
    level = gain if quality is None else quality
    if len(set(requests.app)) < 2:
        spec = replace(spec, app_bits=0)
    found = features(requests, spec)
    by = weighting(found, unit)
    rows = design(found, by)
    text = ridge_path(rows, targets(level, gain), weight, unit, seed=seed)
    table = ridge_path(rows[:, spec.offsets[-3] :], level, weight, unit, seed=seed)
    bend = fit_bend(text, table, level, gain, weight, unit, reference, seed)
    return Learned(_scorer(spec, by, text, table, bend, reference), bend.oof, text.alphas[int(bend.text_at[:, 0].argmax())], bend.trials)


def refit(like: LinearScorer, requests: Requests, target: F64, weight: F64, unit: NDArray[Any], seed: int = 0) -> tuple[LinearScorer, F64]:
    """Fit any targets (n, K; NaN = unlabelled) on the features of ``like``; return a scorer without link and its cross-fitted fit."""
    fit = fit_ridge(design(features(requests, like.spec), like.weighting), target, weight, unit, seed=seed)
    coef, dim = fit.coef.astype(np.float32), like.spec.dim
    return LinearScorer(like.spec, like.weighting, coef[:dim], coef[dim:], fit.intercept.astype(np.float32)), fit.oof


def _scorer(spec: FeatureSpec, by: Weighting, text: RidgePath, table: RidgePath, bend: Bend, reference: int) -> LinearScorer:
    """Fold all that is linear into one direct column a candidate; the levels stand beside."""
    k = len(bend.share)
    heads = _fitted(text, bend.level_at)
    level, apart = heads[:, :k], heads[:, k:]
    by_text, by_table = _fitted(text, bend.text_at), _fitted(table, bend.table_at, spec.offsets[-3])
    of_text, of_table, own, home, spread = bend.share.T
    direct = of_text * (by_text - by_text[:, [reference]]) + of_table * (by_table - by_table[:, [reference]])
    direct += own * level + home * level[:, [reference]] + spread * apart
    direct[-1] += bend.intercept
    both = np.hstack([direct, level]).astype(np.float32)
    return LinearScorer(spec, by, both[: spec.dim], both[spec.dim : -1], both[-1], bend.link)


def _fitted(path: RidgePath, at: F64, without: int = 0) -> F64:
    """Return coefficients of each column at its penalty, and the intercepts below; the first columns of features may be missing."""
    coef, intercept = path.fit(at)
    return np.vstack([np.zeros((without, at.shape[1])), coef, intercept])
