"""Peers that read words: scikit-learn's TF-IDF before ridge, logistic regression and a linear SVM.

In: Data and a Task. Out: Fitted. Where a peer may see the domain, its one-hot columns stand beside the words, scaled by tuning.
The ridge is scikit-learn's, solved for all penalties and folds at once by ``planner.training.ridge`` (a test holds the two
equal). Knows nothing of metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from benchmarks.routing.data import Data
from benchmarks.routing.folds import Task
from benchmarks.routing.method import Fitted, Method, tuned
from benchmarks.routing.separate import separated
from planner.training.ridge import fit_ridge

__all__ = ["TEXT_PEERS", "onehot"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
#: Scales of the domain's columns beside rows of length 1.
SCALES = (0.5, 1.0)


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


def _scored(train: Callable[..., Callable[[Any], F64]], settings: Sequence[float], inputs: str) -> Callable[[Data, Task], Fitted]:
    """Fit a peer that gives scores; ``train`` takes a matrix, Data, rows and a setting to a function from matrices to scores."""

    def fit(data: Data, task: Task) -> Fitted:
        found, train_matrix, test_matrix = words(data, task)
        place = np.zeros(len(data), np.int64)
        place[task.train], place[task.test] = np.arange(len(task.train)), len(task.train) + np.arange(len(task.test))
        both = sparse.csr_matrix(sparse.vstack([train_matrix, test_matrix]))
        last: list[Any] = []

        def run(rows: I64, out: I64, grid: Sequence[Any]) -> list[F64]:
            scored = []
            for setting, scale in grid:
                last[:] = [train(beside(both[place[rows]], data, rows, scale), data, rows, setting)]
                scored.append(last[0](beside(both[place[out]], data, out, scale)))
            return scored

        inside, outside, (setting, scale) = tuned(data, task, run, list(product(settings, scales(inputs))), scores=True)
        chosen = {"C": setting, "domain_scale": scale}
        return Fitted(inside, outside, chosen, lambda row: last[0](beside(found.transform([data.text[row]]), data, np.array([row]), scale)))

    return fit


def difficulty(x: Any, data: Data, rows: I64, penalty: float) -> Callable[[Any], F64]:
    """Logistic regression on "the weak model fails": the naive design, whose score knows nothing of what the strong one adds."""
    from sklearn.linear_model import LogisticRegression

    right, weight = data.quality[rows, weak(data)], data.weight[rows]
    at = np.concatenate([np.flatnonzero(right < 1), np.flatnonzero(right > 0)])  # a grade between 0 and 1 is a bit of both
    fails = np.arange(len(at)) < (right < 1).sum()
    mass = weight[at] * np.where(fails, 1 - right[at], right[at])
    if len(set(fails.tolist())) < 2:
        return lambda matrix: np.zeros((matrix.shape[0], 1))
    model = LogisticRegression(C=penalty, solver="liblinear", max_iter=200).fit(x[at], fails, sample_weight=mass / mass.mean())
    return lambda matrix: np.asarray(model.predict_proba(matrix)[:, 1:], float)


def weak(data: Data) -> int:
    """Return the model whose failures make a request difficult: the other of two, else the cheapest beside the reference."""
    return int(np.where(np.arange(data.k) == data.reference, np.inf, data.rates).argmin())


def svm(x: Any, data: Data, rows: I64, penalty: float) -> Callable[[Any], F64]:
    """A linear support vector machine on the sign of each gain, weighted by its size."""
    return separated(x, data.gain[rows], data.weight[rows], penalty, lambda matrix: matrix)


def _methods(name: str, fit: Callable[[str], Callable[[Data, Task], Fitted]]) -> Sequence[Method]:
    return [Method(f"{name}_{inputs}", inputs, "peer", fit(inputs)) for inputs in ("text", "all")]


TEXT_PEERS = (
    *_methods("tfidf_ridge", _ridge),
    *_methods("tfidf_difficulty", partial(_scored, difficulty, (0.3, 1.0, 3.0, 10.0))),
    *_methods("tfidf_svm", partial(_scored, svm, (0.01, 0.03, 0.1, 0.3))),
)
