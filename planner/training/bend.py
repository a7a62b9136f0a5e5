"""The second stage: what is left of the gains after a straight fit, regressed on predicted levels and their products.

In: a ridge path of quality levels, and the gains to predict. Out: how levels go into a candidate's gain, its ``Link``, and its
out-of-fold gains. Knows nothing of text or features.

A linear fit of levels gives gains as their difference. Gains are not linear: where both models fail, or both succeed, there is
none. The remainder is a regression on few columns, drawn to zero unless cross-validation says otherwise (stacked regressions:
Breiman, *Machine Learning* 24, 1996).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from planner.router.link import Link, products
from planner.training.ridge import F64, RidgePath, ridge_path, squared

__all__ = ["Bend", "fit_bend"]

#: Penalties tried, for columns of standard deviation 1: the first takes 100 rows to half a coefficient, the last leaves none.
_PENALTIES = (100.0, 300.0, 1e3, 3e3, 1e4, 1e9)


@dataclass(frozen=True, eq=False)
class Bend:
    """How a path of levels becomes gains.

    Parameters
    ----------
    gain_at: position of the penalty of the straight gains. level_at: (K,) of each level.
    share: (K, 2): what is added to a straight gain of the own level and of the reference's. intercept: (K,).
    link: the products of levels.
    oof: (n, K) gains; each row's without its unit, up to the choice among few settings and the first stage of other folds.
    trials: squared out-of-fold error of the straight fit and of the bent one.
    """

    gain_at: int
    level_at: NDArray[np.int64]
    share: F64
    intercept: F64
    link: Link
    oof: F64
    trials: dict[str, float]


def fit_bend(path: RidgePath, level: F64, gain: F64, weight: F64, unit: NDArray[Any], reference: int, seed: int) -> Bend:
    """Fit on rows with known ``gain`` (n, K); ``level`` (n, K) is what ``path`` was fitted to, with the same units and seed."""
    k = gain.shape[1]
    straight = path.oof - path.oof[:, :, [reference]]
    errors = squared(straight, gain, weight).sum(1)
    best = int(errors.argmin())
    level_at = path.errors(level, weight).argmin(0)
    found = path.oof[level_at, :, np.arange(k)].T
    centre, own = np.average(found, axis=0, weights=weight), _within_folds(found, weight, path.fold)
    share, bent, intercept, oof = np.zeros((k, 2)), np.zeros((k, 3)), np.zeros(k), straight[best].copy()
    for j in (j for j in range(k) if j != reference):
        columns = np.column_stack([own[:, j], own[:, reference], products(own[:, j], own[:, reference])])
        coef, base, left = _remainder(columns, gain[:, j] - straight[best][:, j], weight, unit, seed)
        share[j], bent[j] = coef[:2], coef[2:]
        intercept[j] = base - coef[:2] @ centre[[j, reference]]
        oof[:, j] += left
    trials = {"straight": float(errors[best]), "bent": float(squared(oof[None], gain, weight).sum())}
    link = Link(np.arange(k), reference, centre.astype(np.float32), bent.astype(np.float32))
    return Bend(best, level_at, share, intercept, link, oof, trials)


def _within_folds(values: F64, weight: F64, fold: NDArray[np.int64]) -> F64:
    """Take each fold's mean away: it is the mean of the other folds' labels, and tells of the fold's own by being their opposite."""
    total = np.bincount(fold, weight)
    means = np.column_stack([np.bincount(fold, weight * v) for v in values.T]) / np.maximum(total, 1e-300)[:, None]
    centred: F64 = values - means[fold]
    return centred


def _remainder(columns: F64, target: F64, weight: F64, unit: NDArray[Any], seed: int) -> tuple[F64, float, F64]:
    """Regress ``target`` on standardised ``columns``; return coefficients on their own scale, intercept, and the cross-fitted fit."""
    middle, spread = columns.mean(0), columns.std(0)
    scale = np.where(spread > 1e-9, 1 / np.where(spread > 1e-9, spread, 1), 0)
    path = ridge_path(sparse.csr_matrix((columns - middle) * scale), target[:, None], weight, unit, _PENALTIES, seed)
    best = path.errors(target[:, None], weight).sum(1).argmin()
    coef, intercept = path.fit(np.array([best]))
    own = coef[:, 0] * scale
    return own, float(intercept[0] - own @ middle), path.oof[best][:, 0]
