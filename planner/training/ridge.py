"""Ridge regression on a sparse matrix for many targets, cross-fitted, for every penalty at once.

In: a sparse design, targets with NaN where unlabelled, row weights and groups. Out: coefficients at the penalty that predicts
left-out groups best, and those predictions. Knows nothing of text or models.

Solved in the dual by conjugate gradients: (W½XXᵀW½ + αI) c = W½(y − ȳ), β = XᵀW½c. All penalties share one Krylov space, so
the whole path costs one solve (Jegerlehner, *Krylov space solvers for shifted linear systems*, hep-lat/9612014, §2); all folds
and targets run as columns of one block, since a left-out row is a row of weight zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.model_selection import GroupKFold

__all__ = ["ALPHAS", "RidgeFit", "RidgePath", "blended", "fit_ridge", "fold_of", "ridge_path", "squared"]

F64 = NDArray[np.float64]
#: Penalties tried, for rows of length about one to two.
ALPHAS = (1.0, 1.8, 3.0, 5.5, 10.0, 18.0, 30.0, 55.0, 100.0, 300.0, 1000.0)
_TOLERANCE, _STEPS = 1e-4, 80


@dataclass(frozen=True, eq=False)
class RidgeFit:
    """A fitted ridge.

    Parameters
    ----------
    coef: (dim, K). intercept: (K,). alpha: the penalty chosen.
    oof: (n, K) predictions for each row by a fit without its group; also for unlabelled rows.
    mse: mean squared out-of-fold error at each penalty tried, in their order.
    """

    coef: F64
    intercept: F64
    alpha: float
    oof: F64
    mse: tuple[float, ...]


def fold_of(groups: NDArray[Any], folds: int, seed: int) -> NDArray[np.int64]:
    """Deal whole groups into ``folds`` at random; fewer groups than folds give a fold each.

    >>> fold_of(np.array([7, 7, 8, 9]), 2, 0).tolist()[:2] in ([0, 0], [1, 1])
    True
    """
    count = min(folds, len(np.unique(groups)))
    fold = np.zeros(len(groups), np.int64)
    if count > 1:
        for f, (_, left_out) in enumerate(GroupKFold(count, shuffle=True, random_state=seed).split(groups, groups=groups)):
            fold[left_out] = f
    return fold


def fit_ridge(
    X: sparse.csr_matrix,  # noqa: N803 - the literature's name
    Y: F64,  # noqa: N803
    weights: F64 | None = None,
    groups: NDArray[Any] | None = None,
    alphas: tuple[float, ...] = ALPHAS,
    seed: int = 0,
    folds: int = 5,
) -> RidgeFit:
    """Fit ``Y`` (n, K; NaN = unlabelled) on ``X`` (n, dim) with row ``weights`` (n,), which are brought to a mean of 1.

    The intercept is the weighted mean plus the coefficient of a constant column, which the penalty hardly touches. A column
    without variation or labels gets zero coefficients.
    """
    path = ridge_path(X, Y, weights, groups, alphas, seed, folds)
    mse = path.errors(Y, weights).sum(1)
    best = int(np.argmin(mse))
    coef, intercept = path.fit(np.repeat(np.eye(len(alphas))[:, [best]], Y.shape[1], 1))
    return RidgeFit(coef, intercept, float(alphas[best]), path.oof[best], tuple(mse.tolist()))


@dataclass(frozen=True, eq=False)
class RidgePath:
    """Ridge fits at A penalties.

    Parameters
    ----------
    oof: (A, n, K) predictions for each row by a fit without its group. fold: (n,). alphas: (A,) the penalties.
    groups: how many groups were dealt into folds.
    """

    oof: F64
    fold: NDArray[np.int64]
    alphas: tuple[float, ...]
    groups: int
    _design: sparse.csr_matrix
    _duals: F64
    _means: F64
    _used: NDArray[np.int64]
    _dim: int

    def errors(self, wanted: F64, weights: F64 | None = None) -> F64:
        """Return each column's share of the mean squared out-of-fold error against ``wanted`` (n, K; NaN = unknown), (A, K)."""
        return squared(self.oof, wanted, weights)

    def blend(self, share: F64) -> F64:
        """Return out-of-fold predictions (n, L) of the first L columns, ``share`` (A, L) of each penalty."""
        blend: F64 = np.einsum("al,anl->nl", share, self.oof[:, :, : share.shape[1]])
        return blend

    def fit(self, share: F64) -> tuple[F64, F64]:
        """Return coefficients (dim, L) and intercepts (L,) of the same blend of the fits on all rows."""
        found = self._design.T @ np.einsum("al,anl->nl", share, self._duals[:, :, : share.shape[1]])
        coef = np.zeros((self._dim, share.shape[1]))
        coef[self._used] = found[:-1]
        return coef, self._means[: share.shape[1]] + found[-1]


def squared(predicted: F64, wanted: F64, weights: F64 | None = None) -> F64:
    """Return each column's share of the weighted mean squared error of ``predicted`` (A, n, K), (A, K)."""
    known = np.where(np.isnan(wanted), 0.0, (np.ones(len(wanted)) if weights is None else weights / weights.mean())[:, None])
    filled = np.nan_to_num(wanted)
    errors: F64 = np.array([(known * np.square(p - filled)).sum(0) for p in predicted]) / max(known.sum(), 1e-300)
    return errors


def blended(errors: F64, rows: float) -> F64:
    """Return shares (A, L) of fits with mean squared ``errors`` (A, L) on ``rows``: exponential weights, sharp where rows are many.

    >>> blended(np.array([[1.0], [1.0], [2.0]]), 1e6)[:, 0].tolist()
    [0.5, 0.5, 0.0]
    """
    least = errors.min(0)
    share = np.exp(-rows / 2 * (errors - least) / np.maximum(least, 1e-12))
    total: F64 = share / share.sum(0)
    return total


def ridge_path(
    X: sparse.csr_matrix,  # noqa: N803
    Y: F64,  # noqa: N803
    weights: F64 | None = None,
    groups: NDArray[Any] | None = None,
    alphas: tuple[float, ...] = ALPHAS,
    seed: int = 0,
    folds: int = 5,
) -> RidgePath:
    """Fit at every penalty, cross-fitted; as ``fit_ridge``, which then picks one."""
    n, k = Y.shape
    fold = fold_of(np.arange(n) if groups is None else groups, folds, seed)
    base = np.where(np.isnan(Y), 0.0, (np.ones(n) if weights is None else weights / weights.mean())[:, None])
    left_in = (fold[:, None] != np.arange(folds)).astype(float)
    row_weights = np.concatenate([base[:, None, :] * left_in[:, :, None], base[:, None, :]], axis=1)  # (n, folds + 1, K)
    target = np.tile(np.nan_to_num(Y), (1, folds + 1))
    used = np.unique(X.indices[X.data != 0])
    design = sparse.csr_matrix(sparse.hstack([X[:, used], sparse.csr_matrix(np.ones((n, 1)))]))
    duals, means = _dual(design, target, row_weights.reshape(n, -1), np.asarray(alphas))
    oof = np.empty((len(alphas), n, k))
    for a, dual in enumerate(duals):
        predicted = (design @ (design.T @ dual) + means).reshape(n, folds + 1, k)
        oof[a] = predicted[np.arange(n), fold]
    count = n if groups is None else len(np.unique(groups))
    return RidgePath(oof, fold, alphas, count, design, duals[:, :, -k:].copy(), means[-k:], used, X.shape[1])


def _dual(design: Any, target: F64, weights: F64, alphas: F64) -> tuple[F64, F64]:
    """Return W½c for every penalty, (A, n, columns), and the weighted means of the columns."""
    total = weights.sum(0)
    means = np.where(total > 0, (weights * target).sum(0) / np.maximum(total, 1e-300), 0.0)
    right = np.sqrt(weights) * (target - means)
    active = np.flatnonzero(right.any(0))  # a constant target, such as the reference's gain, is its mean
    root, across = np.sqrt(weights[:, active]), design.T.tocsr()

    def kernel(c: F64) -> F64:
        product: F64 = root * (design @ (across @ (root * c)))
        return product

    duals = np.zeros((len(alphas), *target.shape))
    duals[:, :, active] = root * _shifted_cg(kernel, right[:, active], alphas)
    return duals, means


def _shifted_cg(kernel: Any, b: F64, alphas: F64) -> F64:
    """Solve (K + αI) c = b for every α and every column of ``b``; the smallest α sets the pace."""
    smallest = alphas.min()
    shift = (alphas - smallest)[:, None]
    c, directions = np.zeros((len(alphas), *b.shape)), np.repeat(b[None], len(alphas), 0)
    r, p = b.copy(), b.copy()
    zeta_old = zeta = np.ones((len(alphas), b.shape[1]))
    step_old, turn = np.ones(b.shape[1]), np.zeros(b.shape[1])
    rr = start = np.square(b).sum(0)
    for _ in range(_STEPS):
        live = rr > _TOLERANCE**2 * np.maximum(start, 1e-300)
        if not live.any():
            break
        q = kernel(p) + smallest * p
        step = _ratio(rr, (p * q).sum(0), live)
        grown = step * turn * (zeta_old - zeta) + zeta_old * step_old * (1 + shift * step)
        zeta_new = np.where(live, _ratio(zeta * zeta_old * step_old, grown, live), zeta)
        ratio = _ratio(zeta_new, zeta, live)
        c += (step * ratio)[:, None] * directions
        r = r - step * q
        rr, before = np.square(r).sum(0), rr
        turn_new = _ratio(rr, before, live)
        directions = np.where(live, zeta_new[:, None] * r + (turn_new * ratio**2)[:, None] * directions, directions)
        p = np.where(live, r + turn_new * p, p)
        zeta_old, zeta, step_old, turn = zeta, zeta_new, np.where(live, step, 1.0), turn_new
    return c


def _ratio(a: F64, b: F64, live: NDArray[np.bool_]) -> F64:
    return np.where(live & (np.abs(b) > 0), a / np.where(np.abs(b) > 0, b, 1.0), 0.0)
