"""What the labels' own sampling does to money: token ratios, resampled with their labels.

In: the dollars of moved requests that rest on each pair of models' ratios, and the sums behind those ratios per hash
bucket. Out: columns for the jackknife, and by how much a replicate's ratios move the cost. To first order: a moved
request's cost is linear in the ratio of its input, its answer and its reasoning. Knows nothing of rows or prices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PARTS", "clusters", "columns", "shift"]

#: What a moved request's cost is split into; each has its own ratio.
PARTS = ("input", "output", "reasoning")
#: Numerator and denominator of each part's ratio, as positions in ``outcomes.ratios.SAMPLED``.
_TOP, _BOTTOM = [0, 2, 4], [1, 3, 3]


def columns(samples: NDArray[np.int64]) -> NDArray[np.int64]:
    """Lay the sums of all pairs (P, buckets, 5) side by side, (buckets, 5 P), for ``jackknife``."""
    return samples.transpose(1, 0, 2).reshape(samples.shape[1], -1)


def clusters(requests: NDArray[Any], samples: NDArray[np.int64], exposure: NDArray[Any]) -> NDArray[np.float64]:
    """Return what each bucket holds of requests and, where money rests on ratios, of labels: the weights for ``jackknife``."""
    columns = [np.asarray(requests, float)]
    if np.any(exposure):
        columns.append(samples[:, :, _BOTTOM].sum(axis=(0, 2)).astype(float))
    return np.column_stack(columns)


def shift(samples: NDArray[np.int64], exposure: NDArray[Any]) -> Callable[[NDArray[Any]], NDArray[np.float64]]:
    """Return a function from replicate sums (k, 5 P) to the change of cost [pUSD] that their ratios bring, (k, …).

    ``exposure`` (…, P, PARTS) [pUSD] is the cost of moved requests by pair of models and part.

    >>> samples = np.array([[[100, 100, 50, 50, 0], [120, 100, 50, 50, 0]]])
    >>> left_out = shift(samples, np.array([[220.0, 10.0, 0.0]]))(columns(samples)[1:])
    >>> left_out.round(6).tolist()
    [20.0]
    """
    pairs = samples.shape[0]
    whole = _ratios(samples.sum(axis=1)[None].astype(float))
    weight = np.asarray(exposure, float).reshape(*np.shape(exposure)[:-2], pairs * len(PARTS))

    def moved(sums: NDArray[Any]) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore", divide="ignore"):
            relative = np.nan_to_num(_ratios(sums.reshape(len(sums), pairs, samples.shape[2])) / whole - 1.0, posinf=0.0, neginf=0.0)
        return np.asarray(np.tensordot(relative.reshape(len(sums), pairs * len(PARTS)), weight, axes=([1], [-1])))

    return moved


def _ratios(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ratio of each part, (k, P, PARTS)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[..., _TOP] / sums[..., _BOTTOM]
