"""A linear scorer as one table: what a decision needs of each hash bucket, looked up once per occurrence.

In: features' settings, weighting and weights. Out: float64 sums (n, K) of Requests. Buckets without weight are dropped before
anything is counted, and what a template or an app contributes is computed once. The same sums as ``weigh`` and a product with
the weights, in another order. Knows nothing of training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from planner.router.features import TURN, FeatureSpec, Occurrences, app_column, clipped, occurrences, template
from planner.router.hashing import I64, Rows, counted
from planner.router.requests import Requests
from planner.router.structure import scaled, structure

__all__ = ["Table"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
#: Mean and scale of the columns of structure, their weights (columns, K), and the intercept (K,).
Dense: TypeAlias = tuple[F32, F32, F32, F32]


class Table:
    """Gains of a linear scorer, block by block: Σ v·w / √Σ v², v = (1 + ln count) · idf.

    ``rows`` (kept, 1 + K) holds idf² and idf · w of each bucket with weight; ``place`` (dim,) its row, 0 where it has none.
    """

    def __init__(self, spec: FeatureSpec, block: tuple[float, ...], idf: F32, weights: F32, dense: Dense) -> None:
        kept = idf.nonzero()[0]
        exact = idf[kept].astype(np.float64)
        self.spec, self.block, self.k = spec, np.array(block, float), weights.shape[1]
        self.mean, self.scale, self.slope, self.intercept = (np.asarray(a, np.float64) for a in dense)
        self.place = np.zeros(spec.dim, np.int32)
        self.place[kept] = np.arange(1, len(kept) + 1)
        self.rows = np.zeros((len(kept) + 1, 1 + self.k))
        self.rows[1:, 0] = exact * exact
        self.rows[1:, 1:] = exact[:, None] * weights[kept]
        ends = (1 + kept.searchsorted(spec.offsets[1 : TURN + 1])).tolist()
        used = [b for b in range(TURN) if spec.offsets[b] < spec.offsets[b + 1]] or [0]
        #: The rows between which the blocks of a turn lie, and what these weigh.
        self.cuts, self.turn = np.array([0, *(ends[b] for b in used)]), np.array([block[b] for b in used])

    def sums(self, requests: Requests) -> F64:
        """Return intercept + what structure, words and n-grams, template and app contribute, (n, K)."""
        parts = [(self._turns(found), found.amounts) for found in occurrences(requests, self.spec)]
        turns, amounts = parts[0] if len(parts) == 1 else [np.concatenate(p) for p in zip(*parts, strict=True)]
        shape = scaled(structure(requests, amounts), self.mean, self.scale)
        total: F64 = self.intercept + (shape[:, :, None] * self.slope).sum(1) + turns
        total += _each(requests.system, self._template)
        total += _each(requests.app, self._app)
        return total

    def _turns(self, found: Occurrences) -> F64:
        place = self.place.take(found.column)
        kept = place.nonzero()[0]
        doc = None if found.doc is None else found.doc.take(kept)
        counts = counted(place.take(kept), doc, found.n, self.cuts)
        return self._gain(counts, self.turn)

    def _gain(self, counts: Rows, block: F64) -> F64:
        """Return the gains of rows whose segments are the blocks."""
        values = counts.values.astype(np.float64)
        terms = self.rows.take(counts.indices, 0) * values[:, None]
        terms[:, 0] *= values
        sums = _summed(terms, counts.indptr).reshape(-1, len(block), 1 + self.k)
        length = np.sqrt(sums[:, :, 0])
        parts: F64 = sums[:, :, 1:] * (block / np.where(length > 0, length, 1))[:, :, None]
        total: F64 = parts[:, 0]
        for b in range(1, len(block)):
            total = total + parts[:, b]
        return total

    @cached_property
    def _template(self) -> Callable[[str], F64]:
        """What a template contributes, (K,); the few that a service uses are reckoned once."""
        read = lru_cache(256)(self._template_gain)
        return lambda text: read(clipped(text))

    @cached_property
    def _app(self) -> Callable[[str], F64]:
        return lru_cache(4096)(self._app_gain)

    def _template_gain(self, text: str) -> F64:
        counts = template(text, self.spec)
        gain: F64 = self._gain(Rows(counts.indptr, self.place.take(counts.indices), counts.values), self.block[TURN : TURN + 1])[0]
        return gain

    def _app_gain(self, app: str) -> F64:
        if not self.spec.app_bits:
            return np.zeros(self.k)
        column = np.array([app_column(app, self.spec)])
        gain: F64 = self._gain(Rows(np.arange(2), self.place.take(column), np.ones(1, np.float32)), self.block[TURN + 1 :])[0]
        return gain


def _each(keys: Sequence[str], gain: Callable[[str], F64]) -> F64:
    """Return the gain of every key, (n, K); each different one is asked for once."""
    if len(keys) == 1:
        return gain(keys[0])[None]
    place = {k: i for i, k in enumerate(dict.fromkeys(keys or ("",)))}
    return np.array([gain(k) for k in place]).take([place[k] for k in keys], 0)


def _summed(terms: F64, indptr: I64) -> F64:
    """Sum the rows of each segment, in an order that depends on the segment alone; an empty one sums to 0."""
    live = (indptr[1:] > indptr[:-1]).nonzero()[0]
    if len(live) == len(indptr) - 1:
        return np.add.reduceat(terms, indptr[:-1], 0)
    sums = np.zeros((len(indptr) - 1, terms.shape[1]))
    if len(live):
        sums[live] = np.add.reduceat(terms, indptr.take(live), 0)
    return sums
