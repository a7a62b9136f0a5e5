"""Peers that read MiniLM embeddings: neighbours, a perceptron, an SVM, RouteLLM's factorisation, Avengers-Pro's clusters.

In: Data and a Task. Out: Fitted. Each peer is one function from rows, gains and a setting to a predictor; settings and the scale
of the domain's columns are tuned alike. Knows nothing of metrics.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import groupby, product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, softmax

from benchmarks.routing import minilm
from benchmarks.routing.data import Data
from benchmarks.routing.folds import Task
from benchmarks.routing.method import Fitted, Method, filled, tuned
from benchmarks.routing.rules import means
from benchmarks.routing.separate import separated

__all__ = ["EMBEDDING_PEERS"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
#: From rows (n, d), gains (n, K), weights (n,), a setting and a seed to a function from rows to gains; or from several settings
#: to a function to the gains of each.
One = Callable[[NDArray[Any], F64, F64, Any, int], Callable[[NDArray[Any]], F64]]
Path = Callable[[NDArray[Any], F64, F64, Sequence[Any], int], Callable[[NDArray[Any]], list[F64]]]
#: Height of the domain's columns beside embeddings of length 1.
_SCALES = (0.4, 1.0)
_RANK, _STEPS = 32, 60


def knn(x: NDArray[Any], gain: F64, weight: F64, ks: Sequence[int], seed: int) -> Callable[[NDArray[Any]], list[F64]]:
    """Mean gain of the ``k`` nearest rows by inner product (RouterBench's kNN, with the gain as target), for each k."""
    known = np.where(np.isnan(gain), 0.0, weight[:, None])
    value, ks = known * np.nan_to_num(gain), [min(k, len(x)) for k in ks]

    def predict(rows: NDArray[Any]) -> list[F64]:
        parts = [_nearest(rows[at : at + 512] @ x.T, value, known, ks) for at in range(0, len(rows), 512)]
        return [np.concatenate(p) for p in zip(*parts, strict=True)]

    return predict


def _nearest(like: NDArray[Any], value: F64, known: F64, ks: Sequence[int]) -> list[F64]:
    """Return the mean gain of each row's k most similar, for each k."""
    near = np.argpartition(-like, max(ks) - 1, axis=1)[:, : max(ks)]
    near = np.take_along_axis(near, np.argsort(-np.take_along_axis(like, near, 1), axis=1), 1)
    sums, mass = np.cumsum(value[near], axis=1), np.cumsum(known[near], axis=1)
    return [sums[:, k - 1] / np.maximum(mass[:, k - 1], 1e-300) for k in ks]


def mlp(x: NDArray[Any], gain: F64, weight: F64, alpha: float, seed: int) -> Callable[[NDArray[Any]], F64]:
    """A hidden layer of 100 (RouterBench's MLP), trained on gains with early stopping and the penalty ``alpha``."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    scale = np.sqrt(x.shape[1])
    stop = {"early_stopping": len(x) >= 100, "n_iter_no_change": 5, "max_iter": 40}
    model = MLPRegressor(hidden_layer_sizes=(100,), alpha=alpha, batch_size=min(256, max(1, int(0.8 * len(x)))), random_state=seed, **stop)
    target = filled(gain, weight)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x * scale, target, sample_weight=weight)
    return lambda rows: np.asarray(model.predict(rows * scale), float).reshape(len(rows), -1)


def svm(x: NDArray[Any], gain: F64, weight: F64, setting: tuple[float, float], seed: int) -> Callable[[NDArray[Any]], F64]:
    """A support vector machine with Gaussian kernel (300 landmarks, Nyström) on the sign of each gain, weighted by its size."""
    from sklearn.kernel_approximation import Nystroem

    gamma, penalty = setting
    kernel = Nystroem(gamma=gamma, n_components=min(300, len(x)), random_state=seed).fit(x)
    return separated(kernel.transform(x), gain, weight, penalty, kernel.transform)


def factorised(x: NDArray[Any], gain: F64, weight: F64, penalty: float, seed: int) -> Callable[[NDArray[Any]], F64]:
    """RouteLLM's matrix factorisation (arXiv:2406.18665, §4.2): P(k beats the reference) = σ((u_k − u_reference) · W x).

    Cross-entropy on (1 + gain) / 2, a tie being a half, with the squared lengths of u and W as penalty; gain = 2P − 1.
    """
    rows = np.column_stack([x, np.ones(len(x))]).astype(np.float32)
    k, d = gain.shape[1], rows.shape[1]
    mass = np.where(np.isnan(gain), 0.0, weight[:, None])
    mass[:, (np.nan_to_num(gain) == 0).all(0)] = 0.0  # the reference against itself
    mass /= max(mass.sum(), 1e-300)
    target = (1 + np.nan_to_num(gain)) / 2
    rank = min(_RANK, k)
    start = np.random.default_rng(seed).normal(0, 0.1, rank * (k + d))

    def loss(flat: F64) -> tuple[float, F64]:
        u, w = flat[: k * rank].reshape(k, rank), flat[k * rank :].reshape(rank, d)
        hidden = (rows @ w.T.astype(np.float32)).astype(float)
        score = hidden @ u.T
        slope = mass * (expit(score) - target)
        value = float((mass * (np.logaddexp(0, score) - target * score)).sum() + penalty / 2 * (flat @ flat))
        return value, np.concatenate([(slope.T @ hidden).ravel(), ((slope @ u).T.astype(np.float32) @ rows).ravel()]) + penalty * flat

    flat = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS}).x
    u, w = flat[: k * rank].reshape(k, rank), flat[k * rank :].reshape(rank, d)
    known = mass.any(0)

    def predict(at: NDArray[Any]) -> F64:
        found: F64 = np.where(known, 2 * expit((at @ w[:, :-1].T + w[:, -1]) @ u.T) - 1, 0.0)
        return found

    return predict


def clustered(x: NDArray[Any], gain: F64, weight: F64, setting: tuple[int, int], seed: int) -> Callable[[NDArray[Any]], F64]:
    """Mean gain per k-means cluster, of the nearest few clusters (Avengers-Pro, arXiv:2508.12631: 60 clusters)."""
    from sklearn.cluster import MiniBatchKMeans

    count, nearest = min(setting[0], len(x)), setting[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer different rows than clusters: some stay empty
        model = MiniBatchKMeans(count, batch_size=2048, n_init=1, random_state=seed).fit(x)
    table = means(model.labels_.astype(np.int64), gain, weight, count, 3.0)

    def predict(rows: NDArray[Any]) -> F64:
        far = model.transform(rows)
        near = np.argsort(far, axis=1)[:, : min(nearest, count)]
        share = softmax(-9.0 * np.take_along_axis(far, near, 1), axis=1)
        found: F64 = (share[:, :, None] * table[near]).sum(1)
        return found

    return predict


def one_by_one(train: One) -> Path:
    """Return ``train`` for several settings."""

    def fit(x: NDArray[Any], gain: F64, weight: F64, settings: Sequence[Any], seed: int) -> Callable[[NDArray[Any]], list[F64]]:
        found = [train(x, gain, weight, s, seed) for s in settings]
        return lambda rows: [predict(rows) for predict in found]

    return fit


def _fit(train: Path, settings: Sequence[Any], inputs: str, scores: bool) -> Callable[[Data, Task], Fitted]:
    scales = _SCALES if inputs == "all" else (0.0,)

    def fit(data: Data, task: Task) -> Fitted:
        last: list[Any] = []

        def run(rows: I64, out: I64, grid: Sequence[Any]) -> list[F64]:
            found: list[F64] = []
            for scale, same in groupby(grid, key=lambda g: g[0]):
                path = [setting for _, setting in same]
                last[:] = [train(_rows(data, rows, scale), data.gain[rows], data.weight[rows], path, task.seed)]
                found += last[0](_rows(data, out, scale))
            return found

        inside, outside, (scale, setting) = tuned(data, task, run, list(product(scales, settings)), scores)
        chosen = {"setting": setting, "domain_scale": scale}
        return Fitted(inside, outside, chosen, lambda row: last[0](_one(data, row, scale)))

    return fit


def _rows(data: Data, rows: I64, scale: float) -> NDArray[np.float32]:
    """Return the embeddings of ``rows``, and beside them the domain as columns of height ``scale``."""
    found = _embedding(data)[rows]
    return _beside(found, data.domain[rows], data.domains, scale)


def _one(data: Data, row: int, scale: float) -> NDArray[np.float32]:
    return _beside(minilm.encode([data.text[row]]), data.domain[[row]], data.domains, scale)


def _beside(found: NDArray[np.float32], domain: I64, domains: int, scale: float) -> NDArray[np.float32]:
    return np.hstack([found, np.float32(scale) * np.eye(domains, dtype=np.float32)[domain]]) if scale else found


def _embedding(data: Data) -> NDArray[np.float32]:
    if data.embedding is None:
        raise ValueError("no embeddings")
    return data.embedding


def _methods(name: str, train: Path, settings: Sequence[Any], scores: bool = False) -> list[Method]:
    return [Method(f"{name}_{i}", i, "peer", _fit(train, settings, i, scores), needs_embedding=True) for i in ("text", "all")]


EMBEDDING_PEERS = (
    *_methods("knn_minilm", knn, (25, 50, 100, 200, 400)),
    *_methods("mlp_minilm", one_by_one(mlp), (30.0, 100.0)),
    *_methods("svm_minilm", one_by_one(svm), tuple(product((1.0, 3.0), (0.01, 0.1))), scores=True),
    *_methods("mf_minilm", one_by_one(factorised), (1e-3, 3e-3, 1e-2)),
    *_methods("clusters_minilm", one_by_one(clustered), ((60, 1), (60, 4), (150, 4))),
)
