"""The ridge: equal to scikit-learn's at every penalty, and honest about what it was not fitted on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import Ridge

from planner.training import fit_ridge
from planner.training.ridge import fold_of


def data(n=240, dim=60, k=3, seed=0):
    """Return a sparse design, targets of which some are unlabelled, weights and groups."""
    rng = np.random.default_rng(seed)
    design = sparse.random(n, dim, 0.2, random_state=seed, format="csr")
    target = design @ rng.normal(size=(dim, k)) + rng.normal(size=(n, k)) + 0.3
    target[rng.random((n, k)) < 0.2] = np.nan
    return design, target, rng.uniform(0.5, 2, n), rng.integers(0, 50, n)


def peer(design, y, weight, alpha, mean_weight=None):
    """Solve one target with scikit-learn, the intercept as ``fit_ridge`` documents it; return coefficients and intercept."""
    known = ~np.isnan(y)
    full = np.hstack([design.toarray(), np.ones((design.shape[0], 1))])
    w, mean = weight[known] / (mean_weight or weight.mean()), np.average(y[known], weights=weight[known])
    beta = Ridge(alpha, fit_intercept=False, solver="cholesky").fit(full[known], y[known] - mean, sample_weight=w).coef_
    return beta[:-1], mean + beta[-1]


@pytest.mark.parametrize("alpha", [0.3, 1.0, 10.0, 300.0])
def test_equal_to_scikit_learn(alpha):
    """Conjugate gradients on the dual give the coefficients of scikit-learn's Ridge, for weighted and partly unlabelled targets."""
    design, target, weight, groups = data()
    fit = fit_ridge(design, target, weight, groups, alphas=(alpha,))
    for k in range(3):
        coef, intercept = peer(design, target[:, k], weight, alpha)
        assert np.allclose(fit.coef[:, k], coef, atol=2e-3 * np.abs(coef).max())
        assert fit.intercept[k] == pytest.approx(intercept, abs=2e-3)


def test_the_whole_path_at_once():
    """Trying many penalties in one solve changes none of their errors."""
    design, target, weight, groups = data()
    path = fit_ridge(design, target, weight, groups, alphas=(0.3, 3.0, 30.0))
    single = [fit_ridge(design, target, weight, groups, alphas=(a,)).mse[0] for a in (0.3, 3.0, 30.0)]
    assert np.allclose(path.mse, single, rtol=1e-3)
    assert path.alpha == (0.3, 3.0, 30.0)[int(np.argmin(single))]


def test_out_of_fold_is_a_fit_without_the_group():
    """Each row's out-of-fold prediction is that of a fit on the other folds alone."""
    design, target, weight, groups = data()
    fit = fit_ridge(design, target, weight, groups, alphas=(3.0,), seed=5)
    fold = fold_of(groups, 5, 5)
    for f in range(5):
        coef, intercept = peer(design[fold != f], target[fold != f, 0], weight[fold != f], 3.0, weight.mean())
        assert np.allclose(fit.oof[fold == f, 0], design[fold == f] @ coef + intercept, atol=5e-3)


def test_nothing_to_learn_from_noise():
    """On pure noise the out-of-fold error is not below the noise: no row has helped to predict itself."""
    rng = np.random.default_rng(1)
    design = sparse.random(300, 500, 0.05, random_state=1, format="csr")
    noise = rng.normal(size=(300, 1))
    assert min(fit_ridge(design, noise).mse) > 0.95 * noise.var()


def test_constant_and_unlabelled_targets():
    """A constant target is its mean; one without labels predicts 0; neither disturbs its neighbours."""
    design, target, weight, groups = data(k=1)
    wide = np.column_stack([target, np.full(len(target), 0.5), np.full(len(target), np.nan)])
    fit, alone = fit_ridge(design, wide, weight, groups, alphas=(3.0,)), fit_ridge(design, target, weight, groups, alphas=(3.0,))
    assert np.allclose(fit.coef[:, 0], alone.coef[:, 0], atol=1e-3)
    assert np.allclose(fit.coef[:, 1:], 0)
    assert np.allclose(fit.intercept[1:], [0.5, 0])


def test_only_relative_weights_count():
    """A row of weight two is that row twice in the same group, the penalty growing with the rows; a common factor is nothing."""
    design, target, _, groups = data(k=1)
    twice = np.r_[np.arange(len(target)), np.arange(40)]
    weight = np.ones(len(target))
    weight[:40] = 2
    left = fit_ridge(design, target, weight, groups, alphas=(3.0,))
    right = fit_ridge(design[twice], target[twice], None, groups[twice], alphas=(3.0 * weight.mean(),))
    assert np.allclose(left.coef, fit_ridge(design, target, 10 * weight, groups, alphas=(3.0,)).coef)
    assert np.allclose(left.coef, right.coef, atol=2e-3)


def test_folds_hold_groups_together():
    """No group is in two folds, folds hold equally many groups, and the seed decides which is where."""
    groups = np.random.default_rng(0).integers(0, 40, 400)
    fold = fold_of(groups, 5, 0)
    assert all(len(set(fold[groups == g])) == 1 for g in set(groups))
    assert np.ptp([len(set(groups[fold == f])) for f in range(5)]) <= 1
    assert np.array_equal(fold, fold_of(groups, 5, 0))
    assert not np.array_equal(fold, fold_of(groups, 5, 1))
