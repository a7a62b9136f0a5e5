"""The learned scorer: predicted quality gain of every candidate over the reference, from sums linear in the features.

In: Requests. Out: float32 gains (n, K); the reference's column is exactly 0. Training weighs its design matrix with the same
``weigh``. Knows nothing of costs, thresholds or how the weights came about.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.router.features import Features, FeatureSpec
from planner.router.hashing import I64
from planner.router.link import Link
from planner.router.requests import Requests
from planner.router.structure import scaled
from planner.router.table import Table

__all__ = ["LinearScorer", "Weighting", "weigh"]

F32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Weighting:
    """How counts become a row of the design matrix.

    Parameters
    ----------
    idf: float32 (dim,): inverse document frequency of each hash bucket; 0 drops the bucket.
    mean, scale: float32 (len(STRUCTURE),): structure columns become (x − mean) · scale.
    block: weight of the token, template and app blocks; within a block a row has length 1.
    """

    idf: F32
    mean: F32
    scale: F32
    block: tuple[float, ...] = (1.0, 1.0, 1.0)


def weigh(found: Features, by: Weighting) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weighted values of the sparse part (nnz,) and of the structure (n, len(STRUCTURE))."""
    values = found.values * by.idf[found.indices].astype(np.float64)
    offsets = found.spec.offsets
    n, blocks = len(found), len(offsets) - 1
    segment = np.searchsorted(np.asarray(offsets[1:]), found.indices, side="right")
    if n > 1:
        segment += np.repeat(np.arange(n) * blocks, np.diff(found.indptr))
    norms = np.sqrt(np.bincount(segment, values * values, n * blocks))
    factor = np.tile(np.asarray(by.block), n) / np.where(norms > 0, norms, 1)
    return values * factor[segment], scaled(found.structure, by.mean, by.scale)


@dataclass(frozen=True, eq=False)
class LinearScorer:
    """Gains = intercept + weighted n-grams · weights + weighted structure · structure_weights.

    Parameters
    ----------
    spec, weighting: how features are made and weighed.
    weights: float32 (dim, K). structure_weights: float32 (len(STRUCTURE), K). intercept: float32 (K,).
    link: with one, the weights have K + L columns, direct gains and levels of quality, and ``link`` makes gains of them.
    """

    spec: FeatureSpec
    weighting: Weighting
    weights: F32
    structure_weights: F32
    intercept: F32
    link: Link | None = None

    def gains(self, requests: Requests) -> F32:
        """Return predicted gains over the reference, float32 (n, K)."""
        raw = self._table.sums(requests)
        gains: F32 = (raw if self.link is None else self.link.gains(raw)).astype(np.float32)
        return gains

    def levels(self, requests: Requests) -> F32 | None:
        """Return predicted quality of every candidate, float32 (n, K), unbounded; None where only gains were learned."""
        if self.link is None:
            return None
        levels: F32 = self._table.sums(requests)[:, len(self.link.own) + self.link.own].astype(np.float32)
        return levels

    @cached_property
    def _table(self) -> Table:
        by = self.weighting
        return Table(self.spec, by.block, by.idf, self.weights, (by.mean, by.scale, self.structure_weights, self.intercept))

    def take(self, columns: I64) -> LinearScorer:
        """Keep the candidates at ``columns``."""
        link, columns = (None, columns) if self.link is None else self.link.take(columns)
        w, s, b = (np.ascontiguousarray(a[..., columns]) for a in (self.weights, self.structure_weights, self.intercept))
        return LinearScorer(self.spec, self.weighting, w, s, b, link)

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return settings and arrays; only buckets that carry weight are stored."""
        used = np.flatnonzero((self.weights != 0).any(1) | (self.weighting.idf != 0))
        arrays = {
            "buckets": used.astype(np.int32),
            "idf": self.weighting.idf[used],
            "weights": self.weights[used],
            "structure_mean": self.weighting.mean,
            "structure_scale": self.weighting.scale,
            "structure_weights": self.structure_weights,
            "intercept": self.intercept,
        }
        settings = {"features": self.spec.state(), "block": list(self.weighting.block)}
        if self.link is None:
            return settings, arrays
        link, more = self.link.state()
        return {**settings, "link": link}, {**arrays, **more}

    @classmethod
    def of(cls, state: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> LinearScorer:
        """Build from ``state()``."""
        spec = FeatureSpec.of(state["features"])
        idf, weights = np.zeros(spec.dim, np.float32), np.zeros((spec.dim, arrays["weights"].shape[1]), np.float32)
        idf[arrays["buckets"]], weights[arrays["buckets"]] = arrays["idf"], arrays["weights"]
        weighting = Weighting(idf, arrays["structure_mean"], arrays["structure_scale"], tuple(state["block"]))
        link = Link.of(state["link"], arrays) if "link" in state else None
        return cls(spec, weighting, weights, arrays["structure_weights"], arrays["intercept"], link)
