"""Linear support vector machines that separate where a model gains from where it loses.

In: a matrix of rows, gains, weights. Out: a function from rows to signed distances, (n, K). Knows nothing of text or embeddings.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["separated"]

F64 = NDArray[np.float64]


def separated(x: Any, gain: F64, weight: F64, penalty: float, lift: Callable[[Any], Any]) -> Callable[[Any], F64]:
    """Return a function to the signed distances of each model's linear separator, 0 where its gains do not vary.

    A row counts (1 + gain) / 2 as won and (1 − gain) / 2 as lost, so that ties pull towards 0; the squared hinge loss is least
    at the expected gain. ``lift`` brings rows to the columns of ``x``.
    """
    models = [_separator(x, y, weight, penalty) for y in gain.T]

    def predict(rows: Any) -> F64:
        lifted = lift(rows)
        return np.column_stack([np.zeros(lifted.shape[0]) if m is None else m.decision_function(lifted) for m in models])

    return predict


def _separator(x: Any, gain: F64, weight: F64, penalty: float) -> Any:
    from sklearn.svm import LinearSVC

    known = np.flatnonzero(~np.isnan(gain))
    if not len(known) or not np.ptp(gain[known]):
        return None
    rows, sign = np.concatenate([known, known]), np.repeat([1, -1], len(known))
    mass = weight[rows] * (1 + sign * gain[rows]) / 2
    told = mass > 0
    model = LinearSVC(C=penalty, dual=hasattr(x, "tocsr"), max_iter=300)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged: a distance all the same
        return model.fit(x[rows[told]], sign[told], sample_weight=mass[told] / mass.mean())
