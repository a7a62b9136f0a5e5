"""Flows along τ: what requests that switch models at their thresholds add up to at every level of a grid.

In: every request's thresholds and the choice from each on, and integer values under each choice. Out: sums at every level,
exactly what adding up one level after another would give: a request is touched once per switch. Knows nothing of what the
values mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.simulation.summary import add_up
from planner.stats import BUCKETS

__all__ = ["Switches", "tau_grid", "walk"]


@dataclass(frozen=True, eq=False)
class Switches:
    """``n`` requests on ``home`` (n,) that take candidate ``codes`` (n, s) from each of ``thresholds`` (n, s) on, along ``grid`` (t,)."""

    home: NDArray[np.int64]
    thresholds: NDArray[np.float64]
    codes: NDArray[np.int64]
    grid: NDArray[np.float64]

    def by_bucket(self, bucket: NDArray[np.int64], values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Sum ``values`` (n, K, m) per hash bucket at every level: (buckets, t, m)."""
        at = np.arange(len(self.home))
        return walk(bucket, values[at, self.home], self.thresholds, values[at[:, None], self.codes], self.grid)

    def by_cell(self, values: NDArray[np.int64], cell: NDArray[np.int64], cells: int) -> NDArray[np.int64]:
        """Sum ``values`` (n, K, m) into the ``cell`` (n, K) of each request's choice at every level: (t, cells, m); −1 is nowhere."""
        before = np.column_stack([self.home, self.codes[:, :-1]])
        row, switch = np.nonzero(self.thresholds <= self.grid[-1])
        level = np.searchsorted(self.grid, self.thresholds[row, switch], side="left")
        first = np.arange(len(self.home)), self.home, np.zeros(len(self.home), np.int64), 1
        out = np.zeros((len(self.grid), cells, values.shape[-1]), np.int64)
        for at, code, place, sign in (first, (row, self.codes[row, switch], level, 1), (row, before[row, switch], level, -1)):
            on = cell[at, code] >= 0
            out += sign * add_up(values[at[on], code[on]], (place[on], cell[at, code][on]), out.shape[:2])
        return np.cumsum(out, axis=0)


def tau_grid(thresholds: NDArray[np.float64], points: int = 101, also: float = np.inf) -> NDArray[np.float64]:
    """Return −∞, ``points`` − 1 quantiles of the different finite thresholds, and ``also`` if finite, ascending, without repeats.

    >>> tau_grid(np.array([0.3, 0.1, np.inf, 0.2, 0.1]), 4).tolist()
    [-inf, 0.1, 0.2, 0.3]
    """
    finite = np.unique(thresholds[np.isfinite(thresholds)])
    if not finite.size:
        return np.array([-np.inf])
    inner = np.unique(np.append(np.quantile(finite, np.linspace(0, 1, points - 1), method="higher"), also if np.isfinite(also) else []))
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
