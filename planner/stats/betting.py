"""Is a bounded mean above zero? A test by betting that is exact at every sample size, for many hypotheses at once.

In: observations in a fixed order, each no lower than a known bound, one column a hypothesis. Out: p-values. No distribution,
variance or sample size is assumed: under the null a bettor's wealth is a supermartingale, so it reaches 1/p with a chance of at
most p (Ville's inequality; Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86, 2024,
theorem 1). Knows nothing of quality, thresholds or routers.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

__all__ = ["STAKE", "fixed_sequence", "growth", "p_values"]

F64 = NDArray[np.float64]
#: The bettor aims a little above the wealth that rejects: an option hedged in steps ends near its payoff, not on it.
_AIM = 1.05
#: Pseudo-observations, and their second moment in units of the bound where none is expected, before any is seen.
_PRIOR, _MOMENT = 10.0, 0.1
#: Share of the wealth that the worst observation can take.
STAKE = 0.99
#: Bets are set anew after each 1/_BETS of the observations still to come.
_BETS = 50
#: Hypotheses tested at once in a fixed sequence.
_CHUNK = 32


def p_values(gains: F64, lowest: float, level: float = 0.05, moment: F64 | None = None) -> F64:
    """Return, for each column, the p-value of "the mean is at most 0", shape (T,): 1 / the largest wealth on the way.

    Parameters
    ----------
    gains: (n, T), each at least ``-lowest``, in an order that does not depend on their values.
    lowest: what one observation can lose at most, known beforehand.
    level: the level the bets aim at; the p-value is valid at any.
    moment: expected second moment of each column, (T,), from other data; the bets start from it.

    Notes
    -----
    Each observation x multiplies the wealth W by 1 + λx, with λ fixed before it is seen. Of all bettors, the one who replicates
    a digital option is likeliest to reach 1/level by the n-th bet, whatever the mean (Browne, "Reaching goals by a deadline",
    Adv. Appl. Prob. 31, 1999): λ = φ(d) / (Φ(d) σ √(bets left)) with Φ(d) = level · W. Its power comes near to the z-test's. The
    variance σ² is that of the observations so far. Only the power rests on it. Who has reached the goal bets no more, so however clear
    the case, p is hardly smaller than the level aimed at.

    >>> x = np.random.default_rng(0).normal(0.1, 0.3, 2000).clip(-1, 1)
    >>> p = p_values(np.column_stack([x, x - 0.1, x - 0.2]), 1.2)
    >>> bool(p[0] <= 0.05), bool(p[1] > 0.05), bool(p[2] > 0.5)
    (True, True, True)
    """
    n, count = gains.shape
    log_wealth, highest = np.zeros(count), np.zeros(count)
    squares = _PRIOR * (np.full(count, _MOMENT * lowest**2) if moment is None else moment)
    done = 0
    while done < n:
        left = n - done
        bet = _bet(log_wealth, np.maximum(squares / (_PRIOR + done), 1e-300), left, level / _AIM)
        block = gains[done : done + max(left // _BETS, 1)]
        path = log_wealth + np.log1p(np.minimum(bet, STAKE / lowest) * block).cumsum(0)
        log_wealth, highest = path[-1], np.maximum(highest, path.max(0))
        squares += np.square(block).sum(0)
        done += len(block)
    return np.exp(-highest)


def _bet(log_wealth: F64, variance: F64, left: int, level: float) -> F64:
    """Return λ, shape (T,): the hedge of a digital option that pays 1/level, as a share of its price."""
    price = np.clip(level * np.exp(log_wealth), 1e-300, 1 - 1e-12)
    d = ndtri(price)
    hedge: F64 = np.exp(-d * d / 2) / (math.sqrt(2 * math.pi) * price * np.sqrt(variance * left))
    return hedge


def growth(gains: F64, lowest: float) -> F64:
    """Return how fast the best constant bet grows a log-wealth per observation, shape (T,): max over λ of the mean of ln(1 + λx).

    About mean² / (2 · variance), and less where the worst case forbids the bet that this takes. The observations to expect before
    the p-value is below ``level`` are about ln(1/level) / growth.

    >>> x = np.random.default_rng(0).normal(0.1, 0.3, (9999, 1)).clip(-1, 1)
    >>> bool(0.8 < growth(x, 1.0)[0] / (0.1**2 / (2 * 0.3**2)) < 1.1)
    True
    """
    bets = STAKE / lowest * np.geomspace(1e-3, 1, 20)
    rates = np.array([np.log1p(bet * gains).mean(0) for bet in bets])
    best: F64 = np.maximum(rates.max(0), 0.0)
    return best


def fixed_sequence(gains: F64, lowest: float, level: float = 0.05, moment: F64 | None = None) -> F64:
    """Test the columns in their order and stop at the first that fails; return p-values, NaN where untested, shape (T,).

    All rejections together hold at ``level``, without correction (Maurer, Hothorn & Lehmacher, 1995): a false one needs the
    first true null to be rejected.

    >>> x = np.full((500, 1), 0.1)
    >>> fixed_sequence(np.hstack([x, -x, x]), 1.0).round(2).tolist()
    [0.05, 1.0, nan]
    """
    found = np.full(gains.shape[1], np.nan)
    for start in range(0, len(found), _CHUNK):
        part = slice(start, start + _CHUNK)
        tried = p_values(gains[:, part], lowest, level, None if moment is None else moment[part])
        failed = np.flatnonzero(tried > level)
        stop = failed[0] + 1 if len(failed) else len(tried)
        found[start : start + stop] = tried[:stop]
        if len(failed):
            break
    return found
