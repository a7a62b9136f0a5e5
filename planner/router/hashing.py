"""Hashed n-grams of many texts at once, without a loop over tokens.

In: ids of the texts' tokens. Out: the hash buckets of tokens and of pairs of neighbours, and counted buckets as compressed rows.
One text goes the same way as many. Knows nothing of requests or weights.

Bucket of (x, y): the leading bits of A·x + B·y modulo 2⁶⁴, with odd A and B (Dietzfelbinger, *Universal hashing and k-wise
independent random variables via integer arithmetic without primes*, STACS 1996; Weinberger et al., *Feature Hashing for Large
Scale Multitask Learning*, ICML 2009).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_BITS", "MOST_COUNT", "MOST_ROWS", "Rows", "counted", "grams", "stack", "summed"]

_A, _B = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
#: log₂ of the largest block of buckets, and rows that are counted at once: a row and a bucket share 32 bits.
MOST_BITS, MOST_ROWS = 20, 1 << 11
_FIRST = np.zeros(1, np.int64)
#: 1 + ln of every count, beginning at 0, which never occurs; more than MOST_COUNT of one bucket a row are not given.
MOST_COUNT = 1 << 13
_LN = (1 + np.log(np.maximum(np.arange(MOST_COUNT + 1), 1))).astype(np.float32)

I64 = NDArray[np.int64]
U32 = NDArray[np.uint32]


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """Compressed sparse rows."""

    indptr: I64
    indices: NDArray[Any]
    values: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def take(self, at: I64) -> Rows:
        """Return the rows at ``at``, repeated as asked."""
        count = np.diff(self.indptr)[at]
        indptr = np.concatenate([[0], np.cumsum(count)])
        source = np.arange(indptr[-1]) + np.repeat(self.indptr[at] - indptr[:-1], count)
        return Rows(indptr, self.indices[source], self.values[source])


def grams(ids: U32, bounds: I64, bits: int) -> tuple[I64, U32 | None]:
    """Return the bucket of every token and of every pair of neighbours in a text, and the text; None where there is one text.

    >>> columns, text = grams(np.array([7, 8, 7, 8], np.uint32), np.array([0, 2, 4]), 10)
    >>> bool((columns[:2] == columns[2:4]).all()), bool(columns[4] == columns[5]), text.tolist()
    (True, True, [0, 0, 1, 1, 0, 1])
    """
    exact, shift = ids.astype(np.uint64), np.uint64(64 - bits)
    single = exact * _A
    double = single[:-1] + exact[1:] * _B
    if len(bounds) == 2:
        return (np.concatenate([single, double]) >> shift).view(np.int64), None
    size = np.diff(bounds)
    inside = np.ones(len(ids), bool)
    inside[bounds[1:][size > 0] - 1] = False
    text = np.arange(len(size), dtype=np.uint32)
    columns = (np.concatenate([single, double[inside[:-1]]]) >> shift).view(np.int64)
    return columns, np.concatenate([text.repeat(size), text.repeat(np.maximum(size - 1, 0))])


def counted(column: NDArray[Any], row: U32 | None, n: int, bits: int) -> Rows:
    """Count columns below 2^bits into ``n`` rows of ascending columns; the value is 1 + ln count. ``row`` is None for one row."""
    keys = column.astype(np.uint32)
    if row is None:
        unique, values = _tallied(keys)
        return Rows(np.array([0, len(unique)]), unique, values)
    keys |= row << np.uint32(bits)
    unique, values = _tallied(keys)
    starts = unique.searchsorted(np.arange(n, dtype=np.uint32) << np.uint32(bits))
    return Rows(np.append(starts, len(unique)), unique & np.uint32((1 << bits) - 1), values)


def _tallied(keys: U32) -> tuple[U32, NDArray[np.float32]]:
    """Sort ``keys`` in place; return the different ones in ascending order, and 1 + ln of how often each stands there."""
    keys.sort()
    starts = np.concatenate([_FIRST[: len(keys)], (keys[1:] != keys[:-1]).nonzero()[0] + 1])
    count = np.concatenate([starts[1:], [len(keys)]]) - starts
    return keys.take(starts), _LN.take(count)


def stack(parts: Sequence[Rows]) -> Rows:
    """Put rows under each other."""
    if len(parts) == 1:
        return parts[0]
    counts = [np.zeros(1, np.int64), *(np.diff(p.indptr) for p in parts)]
    return Rows(
        np.cumsum(np.concatenate(counts)),
        np.concatenate([np.zeros(0, np.int64), *(p.indices for p in parts)]),
        np.concatenate([np.zeros(0, np.float32), *(p.values for p in parts)]),
    )


def summed(terms: NDArray[Any], indptr: I64) -> NDArray[Any]:
    """Sum the columns of each segment, (K, segments), in an order that depends on the segment alone; an empty one sums to 0."""
    live = (indptr[1:] > indptr[:-1]).nonzero()[0]
    if len(live) == len(indptr) - 1:
        return np.add.reduceat(terms, indptr[:-1], 1)
    sums = np.zeros((len(terms), len(indptr) - 1), terms.dtype)
    if len(live):
        sums[:, live] = np.add.reduceat(terms, indptr.take(live), 1)
    return sums
