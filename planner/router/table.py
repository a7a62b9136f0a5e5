"""A linear scorer as one table: what a decision needs of each hash bucket, looked up once per occurrence.

In: features' settings, weighting and weights. Out: float64 sums (n, K) of Requests. Buckets without weight share one empty row,
and what a lone template or an app contributes is computed once. The same sums as ``weigh`` and a product with the weights, in
another order. Knows nothing of training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from planner.router.features import TEMPLATE, TURN, FeatureSpec, Part, app_column, parts
from planner.router.hashing import Rows, counted, summed
from planner.router.requests import Requests
from planner.router.structure import amounts, scaled, structure

__all__ = ["Table"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
#: Mean and scale of the columns of structure, their weights (columns, K), and the intercept (K,).
Dense: TypeAlias = tuple[F32, F32, F32, F32]
#: [characters] of the longest template, and of the longest name of an app, whose gain is remembered.
_REMEMBERED, _REMEMBERED_APP = 16_384, 256


class Table:
    """Gains of a linear scorer, block by block: Σ v·w / √Σ v², v = (1 + ln count) · idf.

    ``rows`` (kept, 1 + K) holds idf² and idf · w of each bucket with weight; ``place`` (dim,) its row, 0 where it has none.
    """

    def __init__(self, spec: FeatureSpec, block: tuple[float, ...], idf: F32, weights: F32, dense: Dense) -> None:
        kept = idf.nonzero()[0]
        self.spec, self.block, self.k = spec, block, weights.shape[1]
        self.mean, self.scale, slope, self.intercept = (np.asarray(a, np.float64) for a in dense)
        self.slope = np.ascontiguousarray(slope.T)
        self.place = np.zeros(spec.dim, np.min_scalar_type(len(kept)))
        self.place[kept] = np.arange(1, len(kept) + 1)
        self.bits = len(kept).bit_length()
        self.rows = np.zeros((len(kept) + 1, 1 + self.k), np.float32)
        self.rows[1:, 0] = idf[kept] * idf[kept]
        self.rows[1:, 1:] = idf[kept, None] * weights[kept]

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is remembered; a copy finds it again."""
        return {k: v for k, v in self.__dict__.items() if not k.startswith("_")}

    def sums(self, requests: Requests) -> F64:
        """Return intercept + what structure, turn, template and app contribute, (n, K)."""
        read = list(parts(requests.user, TURN))
        sizes = _under([amounts(p.ids, p.bounds) for p in read])
        shape = scaled(structure(requests, sizes), self.mean, self.scale)
        total: F64 = self.intercept + (shape[:, None] * self.slope).sum(2) + _under([self._gains(p, 0) for p in read])
        total += _each(requests.system, self._templates)
        total += _each(requests.app, self._apps)
        return total

    def _templates(self, texts: Sequence[str]) -> F64:
        """Return what each template contributes; a lone one is remembered, as a service uses few."""
        if len(texts) == 1 and len(texts[0]) <= _REMEMBERED:
            return self._one_template(texts[0])
        return _under([self._gains(p, 1) for p in parts(texts, TEMPLATE)])

    @cached_property
    def _one_template(self) -> Callable[[str], F64]:
        return lru_cache(256)(lambda text: self._gains(next(parts((text,), TEMPLATE)), 1))

    def _apps(self, apps: Sequence[str]) -> F64:
        return _under([(self._one_app if len(a) <= _REMEMBERED_APP else self._app)(a) for a in apps])

    @cached_property
    def _one_app(self) -> Callable[[str], F64]:
        return lru_cache(4096)(self._app)

    def _app(self, app: str) -> F64:
        if not self.spec.app_bits:
            return np.zeros((1, self.k))
        column = np.array([app_column(app, self.spec)])
        return self._gain(Rows(np.arange(2), self.place.take(column), np.ones(1, np.float32)), self.block[2])

    def _gains(self, part: Part, block: int) -> F64:
        """Return what the turns (block 0) or templates (1) of a part contribute, (n, K)."""
        n, bits = len(part), self._bits[block]
        if not bits:
            return np.zeros((n, self.k))
        column, text = part.grams(bits)
        start, stop = self.spec.offsets[block : block + 2]
        return self._gain(counted(self.place[start:stop].take(column), text, n, self.bits), self.block[block])

    @property
    def _bits(self) -> tuple[int, int]:
        return self.spec.token_bits, self.spec.template_bits

    def _gain(self, counts: Rows, block: float) -> F64:
        """Return the gains of rows of one block; summed column by column, since numpy adds contiguous numbers fastest."""
        terms = np.ascontiguousarray(self.rows.take(counts.indices, 0).T)
        terms *= counts.values
        terms[0] *= counts.values
        sums = summed(terms, counts.indptr).T.astype(np.float64)
        length = np.sqrt(sums[:, :1])
        gain: F64 = sums[:, 1:] * (block / np.where(length > 0, length, 1))
        return gain


def _each(keys: Sequence[str], gains: Callable[[Sequence[str]], F64]) -> F64:
    """Return the gain of every key, (n, K); the different ones are asked for once."""
    if len(keys) == 1:
        return gains(keys)
    place = {k: i for i, k in enumerate(dict.fromkeys(keys or ("",)))}
    return gains(tuple(place)).take([place[k] for k in keys], 0)


def _under(parts: Sequence[F64]) -> F64:
    """Put matrices under each other."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
