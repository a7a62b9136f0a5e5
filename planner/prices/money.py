"""Money sums: integer pico-USD added without overflow and without depending on order.

In: int64 arrays [pUSD]. Out: weighted integers, and sums in USD, written with their limits. Knows nothing of rates.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.units import PUSD_PER_USD

__all__ = ["pusd_sum", "spanned", "usd_by", "usd_sum", "weighted"]

_SPLIT = 1_000_000


def weighted(pusd: NDArray[np.int64], weight: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return every row's cost times the requests it stands for, rounded once [pUSD]."""
    return np.rint(pusd * weight).astype(np.int64)


def pusd_sum(pusd: NDArray[np.int64]) -> int:
    """Add up exactly [pUSD]; int64 alone would overflow beyond nine million USD.

    >>> pusd_sum(np.array([2**62, 2**62, 2**62])) == 3 * 2**62
    True
    """
    return int((pusd // _SPLIT).sum()) * _SPLIT + int((pusd % _SPLIT).sum())


def usd_sum(pusd: NDArray[np.int64]) -> float:
    """Add up [pUSD] exactly and return [USD]."""
    return pusd_sum(pusd) / PUSD_PER_USD


def usd_by(pusd: NDArray[np.int64], keys: pd.DataFrame) -> pd.Series[float]:
    """Add up [pUSD] within the groups of ``keys`` (nulls are a group) and return [USD]."""
    split = pd.DataFrame({"high": pusd // _SPLIT, "low": pusd % _SPLIT})
    sums = split.groupby([keys[c] for c in keys], dropna=False, observed=True, sort=False).sum()
    return sums["high"] / (PUSD_PER_USD // _SPLIT) + sums["low"] / PUSD_PER_USD


def spanned(usd: float, low: float | None, high: float | None, write: Callable[[float], str]) -> str:
    """Write an amount [USD] with its limits, where it has some that differ.

    >>> spanned(2.0, 1.5, 3.0, "${:.2f}".format), spanned(2.0, None, None, "${:.2f}".format), spanned(2.0, 2.0, 2.0, "${:.2f}".format)
    ('$2.00 [$1.50, $3.00]', '$2.00', '$2.00')
    """
    if low is None or high is None or math.isnan(low) or low == high:
        return write(usd)
    return f"{write(usd)} [{write(low)}, {write(high)}]"
