"""Frontier: what every level τ of a router's family costs and is worth, in one pass.

In: for every request the switches of its choice along τ, and integer values under each choice. Out: integer sums per
hash bucket at every τ of a grid, exactly what one simulation at that τ would sum. A request changes its model at most
once per candidate, so sorting the switches once replaces a simulation per point. Knows nothing of prices or text.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from planner.simulation.summary import add_up
from planner.stats import BUCKETS

__all__ = ["tau_grid", "walk"]


def tau_grid(thresholds: NDArray[np.float64], points: int = 101) -> NDArray[np.float64]:
    """Return −∞ and ``points`` − 1 quantiles of the finite switch thresholds, ascending, without repeats.

    >>> tau_grid(np.array([0.3, 0.1, np.inf, 0.2]), 4).tolist()
    [-inf, 0.1, 0.2, 0.3]
    """
    finite = thresholds[np.isfinite(thresholds)]
    if not finite.size:
        return np.array([-np.inf])
    inner = np.unique(np.quantile(finite, np.linspace(0, 1, points - 1), method="higher"))
    return np.concatenate([[-np.inf], inner])


def walk(
    bucket: NDArray[np.int64],
    start: NDArray[np.int64],
    thresholds: NDArray[np.float64],
    path: NDArray[np.int64],
    grid: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Sum values per bucket at every τ of ``grid`` when requests switch along their path.

    Parameters
    ----------
    bucket: (n,) hash bucket of each request.
    start: (n, m) values under the choice at τ = −∞.
    thresholds: (n, s) ascending; switch j is made for every τ ≥ its threshold; +∞ is never.
    path: (n, s, m) values after switch j.
    grid: (t,) ascending, the first −∞.

    Returns
    -------
    int64 of shape (buckets, t, m).

    Examples
    --------
    One request that gets cheaper at τ = 0.1:

    >>> sums = walk(np.array([0]), np.array([[10]]), np.array([[0.1, np.inf]]), np.array([[[4], [0]]]), np.array([-np.inf, 0.1, 0.2]))
    >>> sums[0, :, 0].tolist()
    [10, 4, 4]
    """
    first = add_up(start, (bucket, np.zeros_like(bucket)), (BUCKETS, len(grid)))
    before = np.concatenate([start[:, None, :], path[:, :-1, :]], axis=1)
    made = thresholds <= grid[-1]
    row, switch = np.nonzero(made)
    cells = (bucket[row], np.searchsorted(grid, thresholds[row, switch], side="left"))
    changes = add_up((path - before)[row, switch], cells, (BUCKETS, len(grid)))
    return np.cumsum(first + changes, axis=1)
