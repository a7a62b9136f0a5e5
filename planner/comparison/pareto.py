"""Pareto: which plans no other beats in cost, quality and latency at once.

In: three numbers a plan. Out: a mask. Knows nothing of how sure the numbers are: a plan may be off the set by chance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["pareto"]


def pareto(cost: ArrayLike, quality: ArrayLike, slow_ms: ArrayLike) -> NDArray[np.bool_]:
    """Say of each of n plans whether none is at least as cheap, as good and as quick, and better in one of them, (n,).

    ``slow_ms`` is a high quantile of latency; one that is unknown does not count against any plan. A plan of unknown quality is off
    the set, and puts none off it.

    >>> pareto([10, 8, 8, 5], [0, -0.01, -0.02, np.nan], [900, 900, 800, 700]).tolist()
    [True, True, True, False]
    >>> pareto([10, 8, 8], [0, -0.01, -0.02], [900, 900, 900]).tolist()
    [True, True, False]
    """
    costs = np.asarray(cost, float)
    worth, times = (np.asarray(x, float) for x in (quality, slow_ms))
    columns: NDArray[np.float64] = np.column_stack([costs, -worth, np.where(np.isnan(times).any(), 0.0, times)])
    least = (columns[None] <= columns[:, None]).all(axis=2)
    better = (columns[None] < columns[:, None]).any(axis=2)
    beaten = np.any(least & better, axis=1)
    return np.asarray(~beaten & np.isfinite(worth))
