"""Peers that read words: scikit-learn's TF-IDF before ridge, logistic regression and a linear SVM.

In: Data and a Task. Out: Fitted. Where a peer may see the domain, its one-hot columns stand beside the words, scaled by tuning.
The ridge is scikit-learn's, solved for all penalties and folds at once by ``planner.training.ridge`` (a test holds the two
equal). Knows nothing of metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from benchmarks.routing.data import Data
from benchmarks.routing.folds import Task
from benchmarks.routing.method import Fitted, Method
from planner.training.ridge import fit_ridge

__all__ = ["TEXT_PEERS", "onehot"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
#: Scales of the domain's columns beside rows of length 1.
SCALES = (0.5, 1.0, 2.0)


def vectorizer() -> Any:
    """Return scikit-learn's TF-IDF over words and pairs of words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, max_features=200_000, dtype=np.float64)


def words(data: Data, task: Task) -> tuple[Any, sparse.csr_matrix, sparse.csr_matrix]:
    """Return the fitted vectoriser, and the matrices of training and test rows; rows without a known word are empty."""
    found = vectorizer()
    texts = [data.text[i] for i in task.train]
    try:
        train = found.fit_transform(texts)
    except ValueError:  # no word occurs twice
        found = vectorizer().set_params(min_df=1, token_pattern=r"(?s).+", ngram_range=(1, 1))
        train = found.fit_transform([t or " " for t in texts])
    return found, sparse.csr_matrix(train), sparse.csr_matrix(found.transform([data.text[i] for i in task.test]))


def onehot(data: Data, rows: I64, scale: float) -> sparse.csr_matrix:
    """Return the domain of ``rows`` as columns of height ``scale``, (rows, domains)."""
    return sparse.csr_matrix((np.full(len(rows), scale), (np.arange(len(rows)), data.domain[rows])), shape=(len(rows), data.domains))


def beside(matrix: sparse.csr_matrix, data: Data, rows: I64, scale: float) -> sparse.csr_matrix:
    """Return ``matrix`` with the domain beside it; as it is where ``scale`` is 0."""
    return sparse.csr_matrix(sparse.hstack([matrix, onehot(data, rows, scale)])) if scale else matrix


def scales(inputs: str) -> tuple[float, ...]:
    """Return the scales of the domain's columns that tuning tries."""
    return SCALES if inputs == "all" else (0.0,)


def _ridge(inputs: str) -> Callable[[Data, Task], Fitted]:
    def fit(data: Data, task: Task) -> Fitted:
        found, train, test = words(data, task)
        gain, weight, unit = data.gain[task.train], data.weight[task.train], data.unit[task.train]
        tried = {}
        for scale in scales(inputs):
            tried[scale] = fit_ridge(beside(train, data, task.train, scale), gain, weight, unit, seed=task.seed)
        scale = min(tried, key=lambda s: min(tried[s].mse))
        best = tried[scale]

        def decide(row: int) -> object:
            return beside(found.transform([data.text[row]]), data, np.array([row]), scale) @ best.coef + best.intercept

        outside = beside(test, data, task.test, scale) @ best.coef + best.intercept
        return Fitted(best.oof, outside, {"alpha": best.alpha, "domain_scale": scale}, decide)

    return fit


def _methods(name: str, fit: Callable[[str], Callable[[Data, Task], Fitted]]) -> Sequence[Method]:
    return [Method(f"{name}_{inputs}", inputs, "peer", fit(inputs)) for inputs in ("text", "all")]


TEXT_PEERS = (*_methods("tfidf_ridge", _ridge),)
