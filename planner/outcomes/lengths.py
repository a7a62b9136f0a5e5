"""How long answers would have been without their limit: lengths that max_tokens cut are only known to be exceeded.

In: visible lengths, which of them were cut, and who answered for whom. Out: a lognormal per model and app, fitted with the cut ones as
censored, and with it the mean length beyond a cut, and the mean length under a
limit. Knows nothing of prices or plans.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr

from planner.outcomes.censored import fit_normal
from planner.traffic.rows import Coded

__all__ = ["Lengths", "fit_lengths", "limited", "unlimited", "was_cut"]

F64 = NDArray[np.float64]
#: (model, app) → mean and standard deviation of the log length.
Lengths = Mapping[tuple[str, str], tuple[float, float]]
#: Fewer whole answers than this, or less than this share of all, do not show how long the others would have been.
MIN_WHOLE, MIN_SHARE = 20, 0.5


def was_cut(visible: F64, reasoning: F64, max_tokens: F64) -> NDArray[np.bool_]:
    """Say which answers reached their limit, which counts reasoning too; without one (NaN) none did.

    >>> was_cut(np.array([100.0, 99, 5]), np.array([0.0, 0, 95]), np.array([100.0, 100, 100])).tolist()
    [True, False, True]
    """
    return np.asarray((visible > 0) & (visible + reasoning >= np.nan_to_num(max_tokens, nan=np.inf)))


def fit_lengths(visible: F64, cut: NDArray[np.bool_], model: Coded, app: Coded) -> Lengths:
    """Return the law of every model and app of which an answer was cut; those where the cut ones hide too much are absent."""
    width = len(app.values)
    cell = model.codes.astype(np.int64) * width + app.codes
    found = {}
    for code in np.unique(cell[cut]).tolist():
        own = (cell == code) & (visible > 0)
        whole, ended = np.log(visible[own & ~cut]), np.log(visible[own & cut])
        if len(whole) >= max(MIN_WHOLE, MIN_SHARE * own.sum()):
            found[model.values[code // width], app.values[code % width]] = fit_normal(whole, ended)
    return found


def unlimited(visible: F64, law: tuple[float, float]) -> F64:
    """Return the mean length of answers that were cut at ``visible``: E[L | L > visible] of a lognormal.

    >>> unlimited(np.array([1.0]), (0.0, 1.0)).round(4).tolist()
    [2.7743]
    """
    middle, spread = law
    z = (np.log(np.maximum(visible, 1.0)) - middle) / max(spread, 1e-6)
    return np.asarray(np.exp(middle + spread**2 / 2 + log_ndtr(spread - z) - log_ndtr(-z)))


def limited(mean: F64, most: F64, spread: float) -> F64:
    """Return the mean of min(L, most) for lengths L around ``mean`` with log spread ``spread``; ``most`` may be infinite.

    >>> limited(np.array([300.0, 300.0]), np.array([150.0, np.inf]), 0.0).tolist()
    [150.0, 300.0]
    >>> limited(np.array([100.0]), np.array([100.0]), 0.5).round(1).tolist()
    [80.3]
    """
    if spread <= 0:
        return np.minimum(mean, most)
    with np.errstate(divide="ignore"):
        z = (np.log(most) - np.log(mean) + spread**2 / 2) / spread
    over = np.where(np.isinf(most), 0.0, most) * ndtr(-z)
    return np.asarray(np.where(mean > 0, mean * ndtr(z - spread) + over, 0.0))
