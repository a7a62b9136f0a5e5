"""Token ratios of two models that a logged policy dealt requests to by chance: what tells where no labels pair them.

In: rows and the logged propensities. Out: ratios and samples as ``outcomes.ratios``, per app. Different requests stand on the two sides,
each weighted by the inverse of its probability and both sides brought to one weight (Hájek 1971), so that both sums stand for the same
requests. Of a session the first turn alone: what a model answered is in the later ones. Knows nothing of labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations

import numpy as np
import orjson
import pandas as pd
from numpy.typing import NDArray

from planner.outcomes.ratios import MIN_PAIRS, SAMPLED, Key, Ratio
from planner.stats import BUCKETS
from planner.traffic.rows import Rows

__all__ = ["dealt", "ratios_by_chance"]

F64 = NDArray[np.float64]


def dealt(propensities: pd.Series, model: NDArray[np.object_]) -> F64:
    """Return with which probability each request's own ``model`` was drawn, where at least two could be; else NaN.

    >>> said = pd.Series(['{"a": 0.9, "b": 0.1}', '{"a": 1.0}', None, "no JSON"])
    >>> dealt(said, np.array(["b", "a", "a", "a"], object)).tolist()
    [0.1, nan, nan, nan]
    """
    codes, texts = pd.factorize(propensities)
    if not len(texts):
        return np.full(len(model), np.nan)
    read = [*map(_chances, texts), {}]
    return np.array([read[c].get(m, np.nan) for c, m in zip(codes, model, strict=True)], float)


def _chances(text: str) -> dict[str, float]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    some = {m: float(p) for m, p in found.items() if isinstance(p, (int, float)) and p > 0} if isinstance(found, dict) else {}
    return some if len(some) > 1 else {}


def ratios_by_chance(rows: Rows, chance: F64) -> tuple[Mapping[Key, Ratio], Mapping[Key, NDArray[np.int64]]]:
    """Return the ratios by (logged model, other model, app), and the sums behind them per hash bucket.

    ``chance`` (n,) as ``dealt``. Of answered first turns; both models need 30 of an app.
    """
    own = np.flatnonzero(np.isfinite(chance) & rows.steerable & ~rows.later & (rows.status == 0))
    part, width = rows.take(own), len(rows.app.values)
    weight = 1 / chance[own]
    parts = np.column_stack([part.tokens[:, :4].sum(axis=1), part.tokens[:, 4], part.tokens[:, 5]]) * weight[:, None]
    cell = part.model.codes.astype(np.int64) * width + part.app.codes
    counts = np.bincount(cell, minlength=len(rows.model.values) * width)
    weights = np.bincount(cell, weight, minlength=len(counts))
    sums = {c: np.column_stack([np.bincount(part.bucket[cell == c], p[cell == c], BUCKETS) for p in parts.T]) for c in _enough(counts)}
    ratios: dict[Key, Ratio] = {}
    samples: dict[Key, NDArray[np.int64]] = {}
    for a, b in permutations(sums, 2):
        if a % width == b % width:
            of_b, of_a = sums[b] * weights[a] / weights[b], sums[a]
            columns = (of_b[:, 0], of_a[:, 0], of_b[:, 1], of_a[:, 1], of_b[:, 2])
            above_input, below_input, above, below, reasoning = (float(c.sum()) for c in columns)
            if min(above_input, below_input, above, below) > 0:
                key = (rows.model.values[a // width], rows.model.values[b // width], rows.app.values[a % width])
                pairs = int(min(counts[a], counts[b]))
                ratios[key] = Ratio(above_input / below_input, above / below, reasoning / below, None, pairs)
                samples[key] = np.rint(np.column_stack(columns)).astype(np.int64).reshape(BUCKETS, len(SAMPLED))
    return ratios, samples


def _enough(counts: NDArray[np.int64]) -> list[int]:
    found: list[int] = np.flatnonzero(counts >= MIN_PAIRS).tolist()
    return found
