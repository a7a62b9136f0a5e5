"""From a problem to a scorer: the gain ridge on hashed n-grams, structure and app.

In: requests, gains (NaN where unlabelled), weights and units of the rows to fit. Out: a LinearScorer with its out-of-fold
gains. Which n-grams and which penalty is decided by cross-validation inside these rows. Knows nothing of costs or thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from planner.router import Features, FeatureSpec, LinearScorer, Requests, Weighting, features, weigh
from planner.training.ridge import RidgeFit, fit_ridge

__all__ = ["SPECS", "Learned", "design", "learn", "weighting"]

#: Tried in this order; a later one must predict clearly better.
SPECS = (FeatureSpec(char_bits=0, char_n=()), FeatureSpec(char_n=(4,)))
#: Share of the squared error by which a larger feature set must be better.
_BETTER = 0.005
#: Rows on which feature sets are compared.
_TRIAL = 2_500
#: Length that structure columns have after scaling, beside 1 for each block of n-grams.
_STRUCTURE = 0.1


@dataclass(frozen=True, eq=False)
class Learned:
    """A scorer, its cross-fitted gains on the rows it was fitted on (n, K), the penalty, and error by feature set."""

    scorer: LinearScorer
    oof: NDArray[np.float64]
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
    gain: NDArray[np.float64],
    weight: NDArray[np.float64],
    unit: NDArray[Any],
    reference: int,
    seed: int = 0,
    specs: tuple[FeatureSpec, ...] = SPECS,
) -> Learned:
    """Fit gains over the reference (whose column stays exactly 0)."""
    apps = len(set(requests.app)) > 1
    tried = [replace(s, app_bits=s.app_bits if apps else 0) for s in specs]
    trials = _trials(tried, requests, gain, weight, unit, seed)
    spec = tried[0]
    for other in tried[1:]:
        if trials[_name(other)] < (1 - _BETTER) * trials[_name(spec)]:
            spec = other
    found = features(requests, spec)
    by = weighting(found, unit)
    fit = fit_ridge(design(found, by), gain, weight, unit, seed=seed)
    return Learned(_scorer(spec, by, fit, reference), _zeroed(fit.oof, reference), fit.alpha, trials)


def _trials(
    specs: list[FeatureSpec], requests: Requests, gain: NDArray[np.float64], weight: NDArray[np.float64], unit: NDArray[Any], seed: int
) -> dict[str, float]:
    """Return the cross-validated squared error of each feature set on at most _TRIAL rows of whole units."""
    if len(specs) == 1:
        return {_name(specs[0]): float("nan")}
    _, code = np.unique(unit, return_inverse=True)
    place = np.random.default_rng(seed).permutation(code.max() + 1)[code]
    rows = np.sort(np.argsort(place, kind="stable")[:_TRIAL])
    part = requests.take(rows)
    errors = {}
    for spec in specs:
        found = features(part, spec)
        by = weighting(found, unit[rows])
        errors[_name(spec)] = min(fit_ridge(design(found, by), gain[rows], weight[rows], unit[rows], seed=seed).mse)
    return errors


def _name(spec: FeatureSpec) -> str:
    return "words" + "".join(f" + {n}-grams" for n in spec.char_n)


def _scorer(spec: FeatureSpec, by: Weighting, fit: RidgeFit, reference: int) -> LinearScorer:
    coef = _zeroed(fit.coef, reference).astype(np.float32)
    intercept = _zeroed(fit.intercept[None], reference)[0].astype(np.float32)
    return LinearScorer(spec, by, coef[: spec.dim], coef[spec.dim :], intercept)


def _zeroed(values: NDArray[np.float64], column: int) -> NDArray[np.float64]:
    out = values.copy()
    out[:, column] = 0
    return out
