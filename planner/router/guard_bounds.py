"""Evidence that one rate is above another by more than a margin, which holds at every moment at once, however often somebody looks.

In: counts of two arms, a margin, what the other's rate was held to be. Out: the logarithm of an e-process, and the lower bound that it
gives. For each arm, the likelihood of all that was seen, averaged over rates by any Beta, divided by its likelihood at the true rate is a
martingale of mean 1, and so is the product of two arms'. By Ville's inequality it exceeds 1/α at any time ever with probability α at most:
Robbins, Annals of Mathematical Statistics 41 (1970); the beta-binomial mixture of Howard, Ramdas, McAuliffe and Sekhon, Annals of
Statistics 49 (2021). The truth is not known: what counts is the least of the product over all pairs of rates that would be no reason for
an alarm. Of each arm two averages are taken, half and half: one that expects nothing, and one that is quick where it matters. It supposes
answers that are independent given their arm, with one rate each. Knows nothing of what is counted.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, inf, lgamma, log, log1p
from typing import NamedTuple

__all__ = ["Count", "evidence", "evidence_above", "excess", "log_mixture"]

#: Answers that a rate held before counts as; answers around which a rate close to the tested one is told from it best. Neither can make
#: the bounds wrong: together they bring an alarm after a sixth to a third fewer answers than Jeffreys' average alone.
_HELD, _CLOSE = 100.0, 1_000.0
#: Steps that narrow an interval to 3e-8 by the golden ratio and to a millionth by halves; the least rate that is tried.
_GOLDEN, _HALVES, _TINY = 36, 20, 1e-12
_RATIO = (5**0.5 - 1) / 2


class Count(NamedTuple):
    """``hits`` among ``n``; what is expected need not be whole."""

    n: float = 0
    hits: float = 0

    @property
    def rate(self) -> float:
        """Hits a one; 0 where there is none."""
        return self.hits / self.n if self.n else 0.0

    def plus(self, other: Count) -> Count:
        """Return both together."""
        return Count(self.n + other.n, self.hits + other.hits)

    def over(self, effect: float) -> Count:
        """Return the count with the same rate and an ``effect``-th of the answers: what answers that fail together tell."""
        return Count(self.n / effect, self.hits / effect)


def log_mixture(count: Count, a: float = 0.5, b: float = 0.5) -> float:
    """Return the log-likelihood of one order of the hits, averaged over rates by Beta(a, b): log(B(hits + a, misses + b) / B(a, b)).

    >>> round(log_mixture(Count(1, 1)), 6), round(log_mixture(Count(2, 1)), 6)  # of 1/2 and of 1/8
    (-0.693147, -2.079442)
    """
    return _log_beta(count.hits + a, count.n - count.hits + b) - _log_beta(a, b)


def evidence_above(count: Count, rate: float) -> float:
    """Return log e that the true rate is above ``rate``; 0 where what was seen is not. It reaches log(1/α) with probability α at most.

    >>> round(evidence_above(Count(1_000, 60), 0.03), 2)
    7.79
    """
    return _against(count, max(rate, _TINY), log_mixture(count)) if count.rate > rate else 0.0


def evidence(worse: Count, better: Count, margin: float, held: float | None = None, between: tuple[float, float] = (0.0, 1.0)) -> float:
    """Return log e that the rate of ``worse`` is more than ``margin`` above that of ``better``; 0 where what was seen is not.

    Parameters
    ----------
    held: what the rate of ``better`` was before; None where nobody knows. However wrong, it only costs answers.
    between: the rates of ``better`` that are to be ruled out; where none is possible, ∞.

    The least over all pairs of rates ``margin`` apart. Either arm's term is convex in its rate (of Beta(νq, ν(1 − q)) against q it is a
    sum of log(ν + i/q) and log(ν + j/(1 − q))), a mean of exponentials of such is too, and so is the sum: golden section finds the least.
    A closer pair, where these have any evidence, has no less than one of them at which ``better``'s rate is no higher: each arm's term
    falls to its own least, at what was seen of it, and these lie further apart. So a range that begins at 0 rules out its closer pairs as
    well. One that begins above does not, alone, however much it finds: only with the ranges below it, as ``guard_rule`` asks.

    >>> round(evidence(Count(2_000, 120), Count(2_000, 20), 0.02, held=0.01), 2)
    9.4
    >>> evidence(Count(2_000, 120), Count(0, 0), 0.02), round(evidence(Count(2_000, 120), Count(0, 0), 0.02, between=(0, 0.01)), 2)
    (0.0, 19.42)
    """
    low, high = max(between[0], _TINY), min(between[1], 1 - margin - _TINY)
    if worse.rate - better.rate <= margin:
        return 0.0
    if low > high:
        return inf
    own, other = log_mixture(worse), log_mixture(better)
    if held is not None:
        other = _mean(other, log_mixture(better, _HELD * held + 0.5, _HELD * (1 - held) + 0.5))
    return max(_least(lambda rate: _against(worse, rate + margin, own) + other - _likelihood(better, rate), low, high), 0.0)


def excess(seen: float, sure: Callable[[float], bool]) -> float:
    """Return the greatest margin below the ``seen`` one that is still ``sure``; 0 where none is.

    >>> round(excess(0.05, lambda margin: evidence(Count(2_000, 120), Count(2_000, 20), margin) >= 7), 4)
    0.0205
    """
    low, high = 0.0, seen
    if seen <= 0 or not sure(low):
        return 0.0
    for _ in range(_HALVES):
        middle = (low + high) / 2
        low, high = (middle, high) if sure(middle) else (low, middle)
    return low


def _against(count: Count, rate: float, any_rate: float) -> float:
    """Return log e against ``rate``: the averages over ``any_rate`` and over those close to this one, over the likelihood here."""
    return _mean(any_rate, log_mixture(count, _CLOSE * rate, _CLOSE * (1 - rate))) - _likelihood(count, rate)


def _mean(a: float, b: float) -> float:
    """Return the logarithm of the mean of two exponentials."""
    return max(a, b) + log1p(exp(-abs(a - b))) - log(2)


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def _likelihood(count: Count, rate: float) -> float:
    """Return the log-likelihood at a rate between 0 and 1."""
    return count.hits * log(rate) + (count.n - count.hits) * log1p(-rate)


def _least(value: Callable[[float], float], low: float, high: float) -> float:
    """Return the least of a convex function between two places (golden section: Kiefer, Proceedings of the AMS 4, 1953)."""
    ends = min(value(low), value(high))
    a, b = high - _RATIO * (high - low), low + _RATIO * (high - low)
    at_a, at_b = value(a), value(b)
    for _ in range(_GOLDEN):
        if at_a < at_b:
            high, b, at_b = b, a, at_a
            a = high - _RATIO * (high - low)
            at_a = value(a)
        else:
            low, a, at_a = a, b, at_b
            b = low + _RATIO * (high - low)
            at_b = value(b)
    return min(ends, at_a, at_b)
