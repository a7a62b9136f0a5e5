"""What an hour of a provider does to all its calls: a factor on latency, drawn towards 1 where few calls show it.

In: log residuals of calls and the provider-hour each was made in. Out: one effect per provider-hour. The prior's spread is estimated
from all hours (empirical Bayes), so that hours which differ by chance alone have no effect.
Knows nothing of models or tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

__all__ = ["Hours", "between", "fit_hours", "hour_of"]

F64 = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Hours:
    """``values`` (providers, hours) of each of ``providers`` from the hour ``first`` (since 1970, UTC) on; ``neutral`` elsewhere."""

    providers: tuple[str, ...]
    first: int
    values: F64
    neutral: float = 0.0

    def of(self, provider: str, hour: Ints) -> F64:
        """Return the value of ``provider`` in each of ``hour`` (n,)."""
        if provider not in self.providers:
            return np.full(len(hour), self.neutral)
        row, place = self.values[self.providers.index(provider)], hour - self.first
        return np.where((place >= 0) & (place < len(row)), row[np.clip(place, 0, len(row) - 1)], self.neutral)


def hour_of(timestamp: NDArray[np.datetime64]) -> Ints:
    """Return the hour since 1970 of each time.

    >>> hour_of(np.array(["1970-01-02T03:59"], "datetime64[us]")).tolist()
    [27]
    """
    return timestamp.astype("datetime64[h]").astype(np.int64)


def between(effect: F64, variance: F64) -> float:
    """Return the variance of the true effects behind ``effect`` (k,), each observed with ``variance`` (k,); at least 0.

    Paule & Mandel, *Consensus values and weighting factors*, J. Res. NBS 87 (1982): with it, the weighted squares sum to k − 1.

    >>> between(np.array([1.0, 1.0, 1.0]), np.ones(3))
    0.0
    >>> round(between(np.array([-3.0, 0.0, 3.0]), np.full(3, 0.01)), 2)
    8.99
    """
    known = np.maximum(variance, 1e-12)

    def excess(spread: float) -> float:
        weight = 1 / (known + spread)
        return float(weight @ np.square(effect - weight @ effect / weight.sum())) - (len(effect) - 1)

    if len(effect) < 2 or excess(0.0) <= 0:
        return 0.0
    return float(brentq(excess, 0.0, float(np.square(np.ptp(effect))) * len(effect)))


def fit_hours(residual: F64, provider: Ints, hour: Ints, providers: tuple[str, ...]) -> Hours:
    """Return the effect of every provider-hour on log ``residual`` (n,); ``provider`` (n,) are codes of ``providers``.

    >>> found = fit_hours(np.tile([0.5, -0.5], 500), np.zeros(1000, int), np.tile([7, 8], 500), ("openai",))
    >>> found.of("openai", np.array([7, 8, 9])).round(2).tolist()
    [0.5, -0.5, 0.0]
    """
    first = int(hour.min()) if len(hour) else 0
    width = int(hour.max()) - first + 1 if len(hour) else 1
    cell = provider * width + hour - first
    count = np.bincount(cell, minlength=len(providers) * width).astype(float)
    mean = np.bincount(cell, residual, minlength=len(count)) / np.maximum(count, 1)
    inside = float(np.square(residual - mean[cell]).sum() / max(len(residual) - (count > 0).sum(), 1))
    full = count > 0
    spread = between(mean[full], inside / count[full])
    effect = mean * spread / np.maximum(spread + inside / np.maximum(count, 1), 1e-300) * full
    return Hours(providers, first, effect.reshape(len(providers), width))
