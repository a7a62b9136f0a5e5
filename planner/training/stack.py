"""The second stage: from cross-fitted predictions of a text fit and a table fit to one gain.

In: out-of-fold quality levels by two ridge paths on the same folds, and the gains to predict. Out: how much of each goes into
a candidate's gain, the products of levels that bend it, and its own out-of-fold gains. Knows nothing of text or features.

Few labels lean on the table and many on the text; how far is decided by cross-validated error (stacked regressions: Breiman,
*Machine Learning* 24, 1996). What a mix leaves over is regressed on levels and their products, drawn towards zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from planner.router.link import products
from planner.training.ridge import F64, RidgePath, ridge_path, squared

__all__ = ["Stack", "fit_stack"]

#: Shares of the text fit tried against the table fit.
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
#: Penalties tried on what is left over, for columns of standard deviation 1; the last one leaves it alone.
_PENALTIES = (10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 1e9)


@dataclass(frozen=True, eq=False)
class Stack:
    """How stage-one predictions become gains.

    Parameters
    ----------
    text_at, table_at: position of the penalty of either gain. level_at: (K,) of each level.
    share: (K, 4): what goes into a gain of the text gain, the table gain, the own level and the reference's.
    bend: (K, 3): coefficients of ``products`` of the levels less ``centre`` (K,). intercept: (K,).
    oof: (n, K) gains; each row's without its unit, up to the choice among the few settings above.
    trials: squared out-of-fold error of the table alone, the text alone, their mix, and the whole.
    """

    text_at: int
    table_at: int
    level_at: NDArray[np.int64]
    share: F64
    bend: F64
    intercept: F64
    centre: F64
    oof: F64
    trials: dict[str, float]


def fit_stack(
    text: RidgePath, table: RidgePath, level: F64, gain: F64, weight: F64, unit: NDArray[Any], reference: int, seed: int
) -> Stack:
    """Fit on rows with known ``gain`` (n, K); ``level`` (n, K) is what both paths were fitted to."""
    text_at, text_gain = _best(text, gain, weight, reference)
    table_at, table_gain = _best(table, gain, weight, reference)
    tried = np.array([s * text_gain + (1 - s) * table_gain for s in _SHARES])
    errors = squared(tried, gain, weight).sum(1)
    best = int(np.argmin(errors))
    level_at = text.errors(level, weight).argmin(0)
    own = text.oof[level_at, :, np.arange(len(level_at))].T
    centre = np.average(own, axis=0, weights=weight)
    k = gain.shape[1]
    share, bend, intercept, oof = np.zeros((k, 4)), np.zeros((k, 3)), np.zeros(k), np.zeros_like(gain)
    for j in np.flatnonzero(np.arange(k) != reference):
        level_pair = own[:, j] - centre[j], own[:, reference] - centre[reference]
        columns = np.column_stack([text_gain[:, j], table_gain[:, j], *level_pair, products(*level_pair)])
        coef, intercept[j], left = _left_over(columns, gain[:, j] - tried[best][:, j], weight, unit, seed)
        share[j], bend[j] = coef[:4] + np.array([_SHARES[best], 1 - _SHARES[best], 0, 0]), coef[4:]
        intercept[j] -= coef[2] * centre[j] + coef[3] * centre[reference]
        oof[:, j] = tried[best][:, j] + left
    whole = float(squared(oof[None], gain, weight).sum())
    trials = {"table": errors[0], "text": errors[-1], "mixed": errors[best], "bent": whole}
    return Stack(text_at, table_at, level_at, share, bend, intercept, centre, oof, {n: float(e) for n, e in trials.items()})


def _best(path: RidgePath, gain: F64, weight: F64, reference: int) -> tuple[int, F64]:
    """Return the penalty at which differences of levels predict gains best, and those differences."""
    found = path.oof - path.oof[:, :, [reference]]
    best = int(squared(found, gain, weight).sum(1).argmin())
    return best, found[best]


def _left_over(columns: F64, target: F64, weight: F64, unit: NDArray[Any], seed: int) -> tuple[F64, float, F64]:
    """Regress ``target`` on standardised ``columns``; return coefficients on their own scale, intercept, and the cross-fitted fit."""
    middle, spread = columns.mean(0), columns.std(0)
    scale = np.where(spread > 1e-9, 1 / np.where(spread > 1e-9, spread, 1), 0)
    scaled = sparse.csr_matrix((columns - middle) * scale)
    path = ridge_path(scaled, target[:, None], weight, unit, _PENALTIES, seed)
    best = path.errors(target[:, None], weight).sum(1).argmin()
    coef, intercept = path.fit(np.array([best]))
    own = coef[:, 0] * scale
    return own, float(intercept[0] - own @ middle), path.oof[best][:, 0]
