"""A normal law seen in part: of some draws only that they are larger than a number.

In: draws, and the numbers that others exceeded. Out: mean and standard deviation of most likelihood (Tobit: Amemiya, *Advanced
Econometrics*, 1985, §10), and what is to be expected beyond a number. Lengths and times are so seen on a log scale. Knows nothing else.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_ndtr
from scipy.stats import norm

__all__ = ["fit_normal", "still"]

F64 = NDArray[np.float64]
#: A spread below this is none.
_LEAST = 1e-6


def fit_normal(seen: F64, exceeded: F64) -> tuple[float, float]:
    """Return mean and standard deviation; needs a draw that was seen.

    >>> draws = np.random.default_rng(0).normal(3.0, 2.0, 20_000)
    >>> mean, spread = fit_normal(draws[draws < 4], np.full(int((draws >= 4).sum()), 4.0))
    >>> bool(abs(mean - 3) < 0.05), bool(abs(spread - 2) < 0.05)
    (True, True)
    """
    mean, spread = float(seen.mean()), max(float(seen.std()), _LEAST)
    if not len(exceeded) or spread == _LEAST:
        return mean, spread

    def against(numbers: F64) -> float:
        middle, log_spread = numbers.tolist()
        z, beyond = (seen - middle) / np.exp(log_spread), (exceeded - middle) / np.exp(log_spread)
        return float(np.square(z).sum() / 2 + len(seen) * log_spread - log_ndtr(-beyond).sum())

    found = minimize(against, np.array([mean, np.log(spread)]), method="Nelder-Mead", tol=1e-6)
    return float(found.x[0]), float(np.exp(found.x[1]))


def still(reached: F64, spread: float) -> F64:
    """Return the mean of a normal around 0 with standard deviation ``spread``, given that it is above ``reached``.

    >>> still(np.array([0.0, -50.0]), 1.0).round(6).tolist()
    [0.797885, 0.0]
    """
    if spread <= _LEAST:
        return np.maximum(reached, 0.0)
    z = reached / spread
    return np.asarray(spread * np.exp(norm.logpdf(z) - norm.logsf(z)))
