"""From a problem to a scorer: quality ridges on hashed n-grams, structure and app, stacked into gains.

In: requests, qualities and gains (NaN where unlabelled), weights and units of the rows to fit. Out: a LinearScorer with its
out-of-fold gains. Penalties, and how far text is trusted beside a table of apps, are decided by cross-validation inside these
rows. Knows nothing of costs or thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from planner.router import Features, FeatureSpec, LinearScorer, Requests, Weighting, features, weigh
from planner.router.link import Link
from planner.training.ridge import RidgePath, fit_ridge, ridge_path
from planner.training.stack import Stack, fit_stack

__all__ = ["SPECS", "Learned", "design", "learn", "refit", "weighting"]

F64 = NDArray[np.float64]
#: What is read of a request: token 1- and 2-grams, the template, the app, and structure.
SPECS = (FeatureSpec(token_bits=18, word_bits=0, char_bits=0, char_n=()),)
#: Length that structure columns have after scaling, beside 1 for each block of n-grams; and beside apps alone.
_STRUCTURE, _BESIDE_APPS = 0.03, 0.3


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
    whole = design(found, by)
    text = ridge_path(whole, level, weight, unit, seed=seed)
    table = ridge_path(_apps_and_structure(whole, spec), level, weight, unit, seed=seed)
    stack = fit_stack(text, table, level, gain, weight, unit, reference, seed)
    scorer = _scorer(spec, by, stack, _folded(text, table, stack, spec, reference), reference)
    return Learned(scorer, stack.oof, text.alphas[stack.text_at], stack.trials)


def refit(like: LinearScorer, requests: Requests, target: F64, weight: F64, unit: NDArray[Any], seed: int = 0) -> tuple[LinearScorer, F64]:
    """Fit any targets (n, K; NaN = unlabelled) on the features of ``like``; return a scorer without link and its cross-fitted fit."""
    fit = fit_ridge(design(features(requests, like.spec), like.weighting), target, weight, unit, seed=seed)
    coef, dim = fit.coef.astype(np.float32), like.spec.dim
    return LinearScorer(like.spec, like.weighting, coef[:dim], coef[dim:], fit.intercept.astype(np.float32)), fit.oof


def _apps_and_structure(whole: sparse.csr_matrix, spec: FeatureSpec) -> sparse.csr_matrix:
    """Return the columns that few labels can teach, structure in the measure that suits them."""
    coarse = whole[:, spec.offsets[-2] :]
    size = coarse.shape[1]
    measure = np.where(np.arange(size) < spec.dim - spec.offsets[-2], 1.0, _BESIDE_APPS / _STRUCTURE)
    return sparse.csr_matrix(coarse @ sparse.diags(measure))


def _folded(text: RidgePath, table: RidgePath, stack: Stack, spec: FeatureSpec, reference: int) -> tuple[F64, F64]:
    """Return weights (dim + structure, 2K) and intercepts (2K,): every linear share in one direct column, then the levels."""
    k = len(stack.intercept)
    level, level_base = text.fit(stack.level_at)
    gain, gain_base = text.fit(np.full(k, stack.text_at))
    coarse, coarse_base = table.fit(np.full(k, stack.table_at))
    measure = np.where(np.arange(len(coarse)) < spec.dim - spec.offsets[-2], 1.0, _BESIDE_APPS / _STRUCTURE)
    wide = np.zeros_like(level)
    wide[spec.offsets[-2] :] = coarse * measure[:, None]
    parts = [
        (gain - gain[:, [reference]], gain_base - gain_base[reference]),
        (wide - wide[:, [reference]], coarse_base - coarse_base[reference]),
        (level, level_base),
        (np.repeat(level[:, [reference]], k, 1), np.repeat(level_base[reference], k)),
    ]
    direct = sum((part * stack.share[:, i] for i, (part, _) in enumerate(parts)), np.zeros_like(level))
    base = sum((own * stack.share[:, i] for i, (_, own) in enumerate(parts)), stack.intercept)
    return np.hstack([direct, level]), np.concatenate([base, level_base])


def _scorer(spec: FeatureSpec, by: Weighting, stack: Stack, fitted: tuple[F64, F64], reference: int) -> LinearScorer:
    coef, intercept = (a.astype(np.float32) for a in fitted)
    link = Link(np.arange(len(stack.centre)), reference, stack.centre.astype(np.float32), stack.bend.astype(np.float32))
    return LinearScorer(spec, by, coef[: spec.dim], coef[spec.dim :], intercept, link)
