"""The second stage: a fit of the text mixed with one of app and structure, then bent by levels and their products.

In: two ridge paths of quality levels, and the gains to predict. Out: how much of each goes into a candidate's gain, its
``Link``, and its out-of-fold gains. Knows nothing of text or features.

A linear fit of levels gives gains as their difference. Gains are not linear: where both models fail, or both succeed, there is
none. Few labels lean on the app and many on the text. Both are decided by a regression on few columns, drawn to zero unless
cross-validation says otherwise (stacked regressions: Breiman, *Machine Learning* 24, 1996).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from planner.router.link import Link, products
from planner.training.ridge import F64, RidgePath, blended, ridge_path, squared

__all__ = ["Bend", "fit_bend", "targets"]

#: Shares of the text's fit tried against the table's.
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
#: Penalties tried, for columns of standard deviation 1: the first takes 300 rows to half a coefficient, the last leaves none.
_PENALTIES = (300.0, 1e3, 3e3, 1e4, 1e9)
#: What spreads less than this part of the gains counts for less: such predictions are mostly the noise of their folds.
_LEAST = 0.1


@dataclass(frozen=True, eq=False)
class Bend:
    """How two paths become gains.

    Parameters
    ----------
    text_at, table_at: (A, K) share of each penalty in either path's levels, whose differences are gains.
    level_at: (A, K + 1) the same for the levels that bend, and disagreement.
    share: (K, 5): what goes into a gain of the text's gain, the table's, the own level, the reference's, and disagreement.
    intercept: (K,). link: the products of levels.
    oof: (n, K) gains; each row's without its unit, up to the blend of settings and the first stage of other folds.
    trials: squared out-of-fold error of the table, of the text, of their mix and of the bent one.
    """

    text_at: F64
    table_at: F64
    level_at: F64
    share: F64
    intercept: F64
    link: Link
    oof: F64
    trials: dict[str, float]


def targets(level: F64, gain: F64) -> F64:
    """Return what the text's path is fitted to: the levels, and by how much the candidates disagree with the reference, (n, K + 1).

    >>> targets(np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([[0.0, -1.0], [0.0, 0.0]])).tolist()
    [[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
    """
    known = ~np.isnan(gain)
    others = np.maximum(known.sum(1) - 1, 1)  # the reference's own gain is known wherever another's is, and 0
    apart = np.where(known.sum(1) > 1, np.square(np.nan_to_num(gain)).sum(1) / others, np.nan)
    return np.column_stack([level, apart])


def fit_bend(text: RidgePath, table: RidgePath, level: F64, gain: F64, weight: F64, unit: NDArray[Any], reference: int, seed: int) -> Bend:
    """Fit on rows with known ``gain`` (n, K).

    ``text`` is fitted to ``targets(level, gain)`` and ``table`` to ``level`` (n, K), both with the same units and seed.
    """
    k = gain.shape[1]
    text_at, by_text = _gains(text, gain, weight, reference)
    table_at, by_table = _gains(table, gain, weight, reference)
    mixed = np.array([s * by_text + (1 - s) * by_table for s in _SHARES])
    mix = blended(squared(mixed, gain, weight).sum(1, keepdims=True), text.groups)[:, 0]
    oof, much = np.tensordot(mix, mixed, 1), mix @ _SHARES
    level_at = blended(text.errors(targets(level, gain), weight), text.groups)
    raw = np.hstack([by_text, by_table, text.blend(level_at)])
    centre, inside = np.average(raw, axis=0, weights=weight), _within_folds(raw, weight, text.fold)
    trials = {"table": by_table, "text": by_text, "mixed": oof.copy(), "bent": oof}
    left = _within_folds(gain - oof, weight, text.fold)
    size = np.maximum(inside.std(0), _LEAST * np.nanstd(left))
    inside /= size
    share, bent, intercept = np.tile([much, 1 - much, 0, 0, 0], (k, 1)), np.zeros((k, 3)), np.zeros(k)
    for j in (j for j in range(k) if j != reference):
        at = [j, k + j, 2 * k + j, 2 * k + reference, 3 * k]
        columns = np.hstack([inside[:, at], products(inside[:, 2 * k + j], inside[:, 2 * k + reference])])
        coef, found = _remainder(columns, left[:, j], weight, unit, seed)
        own, home = size[[2 * k + j, 2 * k + reference]]
        share[j] += coef[:5] / size[at]
        bent[j], intercept[j] = coef[5:] / (own * own, home * home, own * home), -coef[:5] / size[at] @ centre[at]
        oof[:, j] += found
    errors = {name: float(squared(found[None], gain, weight).sum()) for name, found in trials.items()}
    link = Link(np.arange(k), reference, centre[2 * k : 3 * k].astype(np.float32), bent.astype(np.float32))
    return Bend(text_at, table_at, level_at, share, intercept, link, oof, errors)


def _gains(path: RidgePath, gain: F64, weight: F64, reference: int) -> tuple[F64, F64]:
    """Return the share of each penalty (A, K), the same for every level, with which differences of levels predict gains (n, K) best."""
    levels = path.oof[:, :, : gain.shape[1]]
    found = levels - levels[:, :, [reference]]
    share = blended(squared(found, gain, weight).sum(1, keepdims=True), path.groups)
    return np.repeat(share, gain.shape[1], 1), np.tensordot(share[:, 0], found, 1)


def _within_folds(values: F64, weight: F64, fold: NDArray[np.int64]) -> F64:
    """Take each fold's mean away: it is the mean of the other folds' labels, and tells of the fold's own by being their opposite."""
    mass = np.where(np.isnan(values), 0.0, weight[:, None]).T
    total = np.array([np.bincount(fold, m) for m in mass])
    sums = np.array([np.bincount(fold, m * v) for m, v in zip(mass, np.nan_to_num(values).T, strict=True)])
    centred: F64 = values - (sums / np.maximum(total, 1e-300)).T[fold]
    return centred


def _remainder(columns: F64, target: F64, weight: F64, unit: NDArray[Any], seed: int) -> tuple[F64, F64]:
    """Regress ``target``, whose mean is 0, on ``columns``; return coefficients, and the cross-fitted fit."""
    path = ridge_path(sparse.csr_matrix(columns - columns.mean(0)), target[:, None], weight, unit, _PENALTIES, seed)
    share = blended(path.errors(target[:, None], weight), path.groups)
    return path.fit(share)[0][:, 0], path.blend(share)[:, 0]
