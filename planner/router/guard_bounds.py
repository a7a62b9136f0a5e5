"""Evidence that one rate is above another, or above a stated one, which holds at every moment at once, however often somebody looks.

In: counts of two arms, a margin. Out: the logarithm of an e-process, and the lower bounds that it gives. For each arm, the likelihood of
all that was seen, averaged over all rates by a Beta(½, ½), divided by its likelihood at the true rate is a martingale of mean 1, and so
is the product of two arms'. By Ville's inequality it exceeds 1/α at any time ever with probability α at most: Robbins, Annals of
Mathematical Statistics 41 (1970); the beta-binomial mixture of Howard, Ramdas, McAuliffe and Sekhon, Annals of Statistics 49 (2021).
The truth is not known: what counts is the least of the product over all pairs of rates that would be no reason for an alarm. It
supposes answers that are independent given their arm, with one rate each. Knows nothing of what is counted.
"""

from __future__ import annotations

from collections.abc import Callable
from math import lgamma, log, log1p, pi
from typing import NamedTuple

__all__ = ["Count", "evidence", "evidence_above", "excess", "log_mixture", "lower"]

#: Halvings of an interval in which a number is sought.
_STEPS = 50


class Count(NamedTuple):
    """``hits`` among ``n``."""

    n: int = 0
    hits: int = 0

    @property
    def rate(self) -> float:
        """Hits a one; 0 where there is none."""
        return self.hits / self.n if self.n else 0.0

    def plus(self, other: Count) -> Count:
        """Return both together."""
        return Count(self.n + other.n, self.hits + other.hits)


def log_mixture(count: Count) -> float:
    """Return the logarithm of the likelihood of one order of the hits, averaged over all rates: log(B(hits + ½, misses + ½) / B(½, ½)).

    >>> round(log_mixture(Count(1, 1)), 6), round(log_mixture(Count(2, 1)), 6)  # of 1/2 and of 1/8
    (-0.693147, -2.079442)
    """
    return lgamma(count.hits + 0.5) + lgamma(count.n - count.hits + 0.5) - lgamma(count.n + 1) - log(pi)


def evidence_above(count: Count, rate: float) -> float:
    """Return log e that the true rate is above ``rate``; 0 where what was seen is not. It reaches log(1/α) with probability α at most.

    >>> round(evidence_above(Count(1_000, 60), 0.03), 2)
    8.38
    """
    return log_mixture(count) - _likelihood(count, rate) if count.rate > rate else 0.0


def evidence(worse: Count, better: Count, margin: float) -> float:
    """Return log e that the rate of ``worse`` is more than ``margin`` above that of ``better``; 0 where what was seen is not.

    The least over all pairs of rates ``margin`` apart: their likelihood is concave in the rate, so the greatest is found by halving.

    >>> round(evidence(Count(2_000, 120), Count(2_000, 20), 0.02), 2)
    7.26
    >>> evidence(Count(2_000, 120), Count(0, 0), 0.02)
    0.0
    """
    if not better.n or worse.rate - better.rate <= margin:
        return 0.0
    low, high = better.rate, worse.rate - margin
    for _ in range(_STEPS):
        rate = (low + high) / 2
        if _slope(worse, rate + margin) + _slope(better, rate) > 0:
            low = rate
        else:
            high = rate
    rate = (low + high) / 2
    return log_mixture(worse) + log_mixture(better) - _likelihood(worse, rate + margin) - _likelihood(better, rate)


def lower(count: Count, alpha: float) -> float:
    """Return the lower bound of the rate: at no time ever is the true one below it, but with probability ``alpha``. Never rounded up.

    >>> [round(lower(Count(n, n // 10), 0.001), 3) for n in (10, 100, 1_000, 10_000)]
    [0.0, 0.018, 0.062, 0.086]
    """
    return _least(count.rate, lambda rate: evidence_above(count, rate) < -log(alpha))


def excess(worse: Count, better: Count, alpha: float) -> float:
    """Return the lower bound of how far the rate of ``worse`` is above that of ``better``, 0 or more; wrong ever with ``alpha`` at most.

    >>> round(excess(Count(2_000, 120), Count(2_000, 20), 0.001), 3)
    0.02
    """
    return _least(worse.rate - better.rate, lambda margin: evidence(worse, better, margin) < -log(alpha)) if better.n else 0.0


def _least(seen: float, weak: Callable[[float], bool]) -> float:
    """Return the greatest number below ``seen`` for which there is evidence; 0 where there is none for 0."""
    low, high = 0.0, seen
    if seen <= 0 or weak(low):
        return 0.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if weak(middle) else (middle, high)
    return low


def _likelihood(count: Count, rate: float) -> float:
    """Log-likelihood; of a rate at which what was seen cannot be, −∞."""
    misses = count.n - count.hits
    if (count.hits and rate <= 0) or (misses and rate >= 1):
        return float("-inf")
    return (count.hits * log(rate) if count.hits else 0.0) + (misses * log1p(-rate) if misses else 0.0)


def _slope(count: Count, rate: float) -> float:
    misses = count.n - count.hits
    return (count.hits / rate if count.hits else 0.0) - (misses / (1 - rate) if misses else 0.0)
