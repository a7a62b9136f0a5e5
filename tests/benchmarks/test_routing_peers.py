"""The peers are what they are called, and as strong as they should be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor
from support.labels import HARD, made_labels

from benchmarks.routing import embedding_peers as peers
from benchmarks.routing import text_peers
from benchmarks.routing.data import Data, pose
from benchmarks.routing.ensemble import Kept, ensembles, keep
from benchmarks.routing.folds import tasks
from benchmarks.routing.metrics import apgr, rank
from benchmarks.routing.roster import ALL


def embedded(n: int = 160, models: tuple[str, ...] = ("large", "small"), missing: float = 0.0) -> Data:
    """Return made labels with an embedding in which the hard rows lie apart."""
    data = pose(made_labels(n, models), "made", reference="large")
    rng = np.random.default_rng(0)
    hard = np.array([any(w in t.split() for w in HARD) for t in data.text])
    x = rng.normal(0, 0.3, (n, 8)) + np.outer(hard, np.eye(8)[0] * 2)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    quality = data.quality.copy()
    quality[:, 1:][rng.random((n, data.k - 1)) < missing] = np.nan
    return replace(data, embedding=x.astype(np.float32), quality=quality)


def test_the_ridge_is_scikit_learns() -> None:
    """TF-IDF ridge predicts what scikit-learn's Ridge predicts at the same penalty."""
    data = embedded()
    task = tasks(data.unit, 1)[0][0]
    method = next(m for m in text_peers.TEXT_PEERS if m.name == "tfidf_ridge_text")
    found = method.fit(data, task)
    _, train, test = text_peers.words(data, task)
    ridge = Ridge(alpha=found.chosen["alpha"]).fit(train, data.gain[task.train, 1])
    assert found.outside[:, 1] == pytest.approx(ridge.predict(test), abs=2e-3)


def test_neighbours_are_scikit_learns_at_every_k() -> None:
    """One pass for all k equals a k-nearest-neighbour regression each; an unlabelled neighbour does not vote."""
    data = embedded()
    assert data.embedding is not None
    x, rest = data.embedding[:100], data.embedding[100:]
    for k, found in zip((5, 20), peers.knn(x, data.gain[:100], np.ones(100), (5, 20), 0)(rest), strict=True):
        slow = KNeighborsRegressor(k, algorithm="brute").fit(x, data.gain[:100]).predict(rest)
        assert found == pytest.approx(slow, abs=1e-6)
    gain = data.gain[:100].copy()
    gain[50:, 1] = np.nan
    some = peers.knn(x, gain, np.ones(100), (100,), 0)(rest)[0]
    assert some[:, 1] == pytest.approx(np.nanmean(gain[:, 1]))


@pytest.mark.parametrize("name", sorted({m.name for m in ALL if m.role == "peer" and m.name.endswith("_text")}))
@pytest.mark.parametrize("models", [("large", "small"), ("large", "middle", "small")])
def test_every_peer_learns_a_plain_signal_also_from_gaps(name: str, models: tuple[str, ...]) -> None:
    """On rows whose difficulty shows in words and embedding each peer orders test rows better than chance, gaps or not."""
    data = embedded(160, models, missing=0.1 if len(models) > 2 else 0.0)
    task = tasks(data.unit, 1)[0][0]
    found = next(m for m in ALL if m.name == name).fit(data, task)
    assert found.inside.shape == (len(task.train), data.k)
    assert np.isfinite(found.inside).all()
    assert np.isfinite(found.outside).all()
    known = np.flatnonzero(~np.isnan(data.gain[task.train, -1]))
    lost = -data.gain[task.train[known], -1]
    assert apgr(rank(found.inside[known, -1]), lost, np.ones((1, len(known))))[0] > 0.6


def test_an_ensemble_is_a_mix_of_its_parts() -> None:
    """Its weights are at least 0, and its gains their sum."""
    data = embedded()
    task = tasks(data.unit, 1)[0][0]
    kept: Kept = {}
    parts = [m for m in ALL if m.name in ("tfidf_ridge_text", "knn_minilm_text")]
    fitted = {m.name: m.fit(data, task) for m in parts}
    for method in parts:
        keep(kept, method, task, fitted[method.name])
    (method,) = ensembles(kept)
    found = method.fit(data, task)
    assert min(found.chosen.values()) >= 0
    expected = sum(share * fitted[n].outside for n, share in found.chosen.items())
    assert found.outside == pytest.approx(expected, abs=1e-3)
