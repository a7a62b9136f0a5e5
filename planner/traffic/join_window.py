"""Windows: rows of equal keys whose times lie between two bounds, found by sorting, for any number of rows at once.

In: a key and a time per row. Out: for any key and any two times, which rows those are, as a range of the sorted order. No loop over rows,
and no bound on keys or times. Knows nothing of logs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Windows"]


@dataclass(frozen=True, eq=False)
class Windows:
    """``n`` rows in the order of (key, time): ``order[low:high]`` are those of one key between two times."""

    order: NDArray[np.int64]
    _keys: NDArray[Any]
    _times: NDArray[Any]
    _place: NDArray[np.int64]

    @classmethod
    def of(cls, key: NDArray[Any], time: NDArray[Any]) -> Windows:
        """Sort rows with ``key`` (n,) and ``time`` (n,), both of any type that has an order."""
        order = np.lexsort((time, key))
        keys, code = np.unique(key, return_inverse=True)
        times, rank = np.unique(time, return_inverse=True)
        return cls(order, keys, times, code[order] * (len(times) + 1) + rank[order])

    def between(self, key: NDArray[Any], low: NDArray[Any], high: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the ranges of ``order`` with ``key`` (m,) and ``low`` ≤ time ≤ ``high``: first and one after the last, each (m,).

        >>> w = Windows.of(np.array([7, 7, 9]), np.array([30, 10, 20]))
        >>> first, end = w.between(np.array([7, 7, 8]), np.array([0, 20, 0]), np.array([99, 29, 99]))
        >>> (end - first).tolist(), w.order[first[0]:end[0]].tolist()
        ([2, 0, 0], [1, 0])
        """
        if not len(self._keys):
            return np.zeros(len(key), np.int64), np.zeros(len(key), np.int64)
        code = np.minimum(np.searchsorted(self._keys, key), len(self._keys) - 1)
        base = code * (len(self._times) + 1)
        first = np.searchsorted(self._place, base + np.searchsorted(self._times, low, "left"))
        end = np.searchsorted(self._place, base + np.searchsorted(self._times, high, "right"))
        return first, np.where(self._keys[code] == key, np.maximum(end, first), first)
