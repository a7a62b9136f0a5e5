"""How far two periods differ because no two days are alike.

In: a measure of two periods by day and group of users. Out: weights that give the first period the second one's weekdays, and the variance
that days add to the difference, with its degrees of freedom. What moves everybody on one day (news, a campaign, an outage) shows neither
in one user nor in another, but in the scatter of days. Knows nothing of tests.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from planner.followup.drift_tally import Pair, Tally

__all__ = ["PERSISTENCE", "day_variance", "over", "weekday_weights"]

F64 = NDArray[np.float64]
#: How much of what sets a day apart is still there on the next (assumed: half, so that seven days tell as much as three of their own).
PERSISTENCE = 0.5
#: Degrees of freedom that must be left for weekdays to be told apart from days.
_ENOUGH = 10


def over(part: F64, whole: F64) -> F64:
    """Return part / whole, 0 where there is nothing.

    >>> over(np.array([1.0, 0.0]), np.array([4.0, 0.0])).tolist()
    [0.25, 0.0]
    """
    part, whole = np.broadcast_arrays(part, whole)
    return np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)


def weekday_weights(pair: Pair) -> F64 | None:
    """Return a weight for each day of the first period, (D,), with which its weekdays have the second's shares.

    None where that cannot be: days are not known, or a weekday of the second period is not in the first.
    """
    if np.isnat(pair.before.days).any():
        return None
    before, now = (np.bincount(_weekday(t), _volume(t), 7).astype(float) for t in (pair.before, pair.now))
    if (before[now > 0] == 0).any():
        return None
    weight: F64 = over(now, before)[_weekday(pair.before)]
    return weight


def day_variance(pair: Pair, weights: F64 | None) -> tuple[F64, float]:
    """Return the variance that days add to each column's difference, (columns,), not below 0 by more than chance, and its freedom.

    Parameters
    ----------
    weights: of the first period's days, see ``weekday_weights``; they also say that weekdays are alike in both.

    Notes
    -----
    A day's share is that of its period (and weekday) plus an effect of the day plus what its users happen to ask. Effects are taken
    to follow a first-order autoregression with PERSISTENCE. Of the weighted squares of the days' residuals the expectation is known up to
    the variance of the effects, once the scatter of users within days is taken off: a moment estimate (Hedges & Olkin, *Statistical
    Methods for Meta-Analysis*, 1985, §9.B), with the degrees of freedom of a quadratic form (Satterthwaite, *Biometrics Bulletin* 2, 1946).
    Where no more than one day of either period is known nothing can be said: the freedom is 0.
    """
    sides = [(t, s) for t, s in ((pair.before, 0), (pair.now, 1)) if not np.isnat(t.days).any()]
    rate = np.concatenate([over(t.part.sum(1), t.whole.sum(1)) for t, _ in sides])
    noise = np.concatenate([_noise(t) for t, _ in sides])
    volume = np.concatenate([_volume(t) for t, _ in sides])
    days = np.concatenate([t.days for t, _ in sides])
    side = np.repeat([s for _, s in sides], [len(t.days) for t, _ in sides])
    fit = _fit(side, days, weights is not None)
    left = len(days) - np.linalg.matrix_rank(fit)
    if left < 1:
        return np.zeros(rate.shape[1]), 0.0
    mass = np.diag(volume)
    residual = np.eye(len(days)) - fit @ np.linalg.pinv(fit.T @ mass @ fit) @ fit.T @ mass
    squares = residual.T @ mass @ residual
    alike = PERSISTENCE ** np.abs((days[:, None] - days) / np.timedelta64(1, "D"))
    expected = squares @ alike
    trace = float(np.trace(expected))
    effect = (np.einsum("dj,de,ej->j", rate, squares, rate) - np.diag(squares) @ noise) / trace
    weight = np.concatenate([np.ones(len(t.days)) if s or weights is None else weights for t, s in sides]) * volume
    contrast = np.concatenate([(1 if s else -1) * weight[side == s] / weight[side == s].sum() for _, s in sides])
    freedom = trace**2 / float(np.trace(expected @ expected))
    return effect * (contrast @ alike @ contrast + _unknown(pair.before)), freedom


def _unknown(before: Tally) -> float:
    """Return what the mean of a period's effects varies by, in effects, where its days are not known but counted."""
    return (1 + PERSISTENCE) / (1 - PERSISTENCE) / before.covers if np.isnat(before.days).any() else 0.0


def _volume(tally: Tally) -> F64:
    return np.asarray(tally.whole.mean(2).sum(1))


def _weekday(tally: Tally) -> NDArray[np.int64]:
    return np.asarray(tally.days.astype("datetime64[D]").astype(np.int64) % 7)


def _fit(side: NDArray[np.int64], days: NDArray[np.datetime64], weekdays: bool) -> F64:
    """Return what days are explained by: their period, and their weekday where enough days are left to tell."""
    periods = np.stack([side == s for s in np.unique(side)], 1).astype(float)
    if not weekdays or len(days) - periods.shape[1] - 6 < _ENOUGH:
        return periods
    return np.hstack([periods, (days.astype(np.int64)[:, None] % 7 == np.arange(7)).astype(float)])


def _noise(tally: Tally) -> F64:
    """Return the variance of each day's share that its groups' own scatter makes, (D, columns).

    A group is set against its own mean and the day's, so that neither lasting differences between groups nor the day's effect counts.
    """
    part, whole = tally.part, tally.whole
    count = len(tally.days)
    own = over(part.sum(0), whole.sum(0))
    day = over(part.sum(1), whole.sum(1))[:, None]
    mean = over(part.sum((0, 1)), whole.sum((0, 1)))
    scatter = np.square(part - whole * (own + day - mean)).sum(1)
    total = whole.sum(1)
    lost = (1 - over(np.square(whole).sum(1), np.square(total))) * (1 - 1 / max(count, 2))
    return over(over(scatter, np.square(total)), lost)
