"""The simple rules, fitted to the same rows as the learned scorer.

In: requests and gains of the rows to fit. Out: a per-app table and a prompt-length rule. Knows nothing of thresholds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.router import LengthRule, Requests, TableRule
from planner.training.ridge import fold_of

__all__ = ["cross_fit", "fit_length", "fit_table"]

F64 = NDArray[np.float64]
#: Rows of the overall mean that every app's mean is mixed with.
_PRIOR_ROWS = 10.0


def fit_table(requests: Requests, gain: F64, weight: F64) -> TableRule:
    """Return the mean gain of each app, drawn towards the overall mean where labels are few."""
    apps = tuple(sorted(set(requests.app)))
    code = np.searchsorted(np.array(apps), np.array(requests.app))
    known = np.where(np.isnan(gain), 0.0, weight[:, None])
    value = np.nan_to_num(gain)
    overall = (known * value).sum(0) / np.maximum(known.sum(0), 1e-300)
    sums, mass = np.zeros((len(apps), gain.shape[1])), np.zeros((len(apps), gain.shape[1]))
    np.add.at(sums, code, known * value)
    np.add.at(mass, code, known)
    prior = _PRIOR_ROWS * weight.mean()
    table = (sums + prior * overall) / (mass + prior)
    return TableRule(apps, table.astype(np.float32), overall.astype(np.float32))


def fit_length(requests: Requests, gain: F64, weight: F64) -> LengthRule:
    """Return each candidate's least-squares line of gain on ln(1 + input tokens)."""
    x = np.log1p(requests.input_tokens).astype(float)
    lines = np.array([_line(x, column, np.where(np.isnan(column), 0.0, weight)) for column in gain.T])
    return LengthRule(lines[:, 0].astype(np.float32), lines[:, 1].astype(np.float32))


def _line(x: F64, y: F64, w: F64) -> tuple[float, float]:
    total, value = max(float(w.sum()), 1e-300), np.nan_to_num(y)
    mx, my = (w * x).sum() / total, (w * value).sum() / total
    spread = (w * (x - mx) ** 2).sum()
    slope = (w * (x - mx) * (value - my)).sum() / spread if spread > 1e-12 * total else 0.0
    return float(my - slope * mx), float(slope)


def cross_fit(
    fit: Callable[[Requests, F64, F64], TableRule | LengthRule], requests: Requests, gain: F64, weight: F64, unit: NDArray[Any], seed: int
) -> F64:
    """Return gains for each row by a rule fitted without its unit's fold, (n, K)."""
    fold, out = fold_of(unit, 5, seed), np.zeros(gain.shape)
    for f in np.unique(fold):
        rest, own = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
        out[own] = fit(requests.take(rest), gain[rest], weight[rest]).gains(requests.take(own))
    return out
