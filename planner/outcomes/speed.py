"""How long one call takes at a residual of 1, from its tokens: time to the first token, then so much for every token of the answer.

In: calls with their tokens and times, some of which only lasted longer than was seen. Out: five numbers a model [ms]. Fitted on a log
scale, since a call is late by a factor, not by an amount; calls that were cut short enter with what they would still have lasted
(expectation and maximisation, as in Tobit regression: Amemiya, *Advanced Econometrics*, 1985, §10.4). Knows nothing of models or hours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares, nnls

from planner.outcomes.censored import still

__all__ = ["TERMS", "Seen", "fit_terms", "mixed", "sizes", "whole_and_first"]

F64 = NDArray[np.float64]
#: What the numbers of a model [ms] stand for: once a call, per input token (not from the prompt cache, from it), per reasoning token
#: and per token of the visible answer. All but the last are over when the first token comes.
TERMS = ("call_ms", "input_token_ms", "cached_token_ms", "reasoning_token_ms", "output_token_ms")
#: Log residuals beyond this count linearly, not squared.
_BEND = 0.7
#: A count that varies by less than this part of its mean cannot be told from the time of the call.
_VARIES = 0.1
#: Rounds of filling in what was cut short; none is needed where nothing was.
_ROUNDS = 6


@dataclass(frozen=True, eq=False)
class Seen:
    """``n`` calls in order of time.

    ``sizes`` (n, 5) as TERMS; ``whole_ms``, ``first_ms`` (n,), the latter NaN where not streamed; ``censored``: it would have lasted
    longer than ``whole_ms``.
    """

    sizes: F64
    whole_ms: F64
    first_ms: F64
    censored: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.whole_ms)

    def take(self, rows: NDArray[np.intp]) -> Seen:
        """Return the calls at ``rows``."""
        return Seen(**{name: value[rows] for name, value in vars(self).items()})

    def few(self, most: int) -> Seen:
        """Return at most so many of the calls, evenly over time."""
        return self if len(self) <= most else self.take(np.linspace(0, len(self) - 1, most).astype(np.intp))

    def without(self, log_effect: F64) -> Seen:
        """Return the calls as they would have been without the effect of their hour, exp(``log_effect``) (n,)."""
        factor = np.exp(-log_effect)
        return replace(self, whole_ms=self.whole_ms * factor, first_ms=self.first_ms * factor)


def mixed(parts: list[Seen]) -> Seen:
    """Mix the calls of several models, each spread evenly, so that every stretch holds all of them."""
    place = np.concatenate([(np.arange(len(p)) + 0.5) / max(len(p), 1) for p in parts])
    joined = Seen(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("sizes", "whole_ms", "first_ms", "censored")))
    return joined.take(np.argsort(place, kind="stable"))


def sizes(tokens: NDArray[np.integer]) -> F64:
    """Return what TERMS multiply, (n, 5), of token buckets (n, 6).

    >>> sizes(np.array([[10, 20, 5, 0, 7, 3]])).tolist()
    [[1.0, 15.0, 20.0, 3.0, 7.0]]
    """
    t = np.asarray(tokens, float)
    return np.column_stack([np.ones(len(t)), t[:, 0] + t[:, 2] + t[:, 3], t[:, 1], t[:, 5], t[:, 4]])


def whole_and_first(tokens: NDArray[np.integer], terms: F64) -> tuple[F64, F64]:
    """Return the time to the end and to the first token [ms] of ``tokens`` (n, 6) at a residual of 1: ``sizes(tokens) @ terms``.

    >>> whole_and_first(np.array([[100, 0, 0, 0, 50, 0]]), np.array([300.0, 1.0, 0, 0, 10.0]))
    (array([900.]), array([400.]))
    """
    call, fresh, cached, reasoning, visible = terms.tolist()
    whole = tokens @ np.array([fresh, cached, fresh, fresh, visible, reasoning]) + call
    return whole, whole - tokens[:, 4] * visible


def fit_terms(seen: Seen) -> F64:
    """Return the numbers of TERMS [ms], none below zero; what never occurs, or hardly varies, has none of its own.

    >>> rng = np.random.default_rng(0)
    >>> tokens = rng.integers(1, 900, (4000, 6)) * [5, 0, 0, 0, 1, 0]
    >>> whole = whole_and_first(tokens, np.array([400, 0.05, 0, 0, 9.0]))[0] * rng.lognormal(0, 0.3, 4000)
    >>> found = fit_terms(Seen(sizes(tokens), whole, np.full(4000, np.nan), np.zeros(4000, bool)))
    >>> bool(np.allclose(found, [400, 0.05, 0, 0, 9.0], rtol=0.15))
    True
    """
    used = np.ptp(seen.sizes, axis=0) > _VARIES * seen.sizes.mean(axis=0)
    used[0] = True
    x, y = seen.sizes[:, used], np.log(seen.whole_ms)
    streamed = np.isfinite(seen.first_ms) & ~seen.censored
    start = x[streamed] * (np.flatnonzero(used) < len(TERMS) - 1)
    both, target = np.vstack([x, start]), np.append(y, np.log(seen.first_ms[streamed]))
    kept = ~np.append(seen.censored, np.zeros(len(start), bool))
    terms = nnls(both[kept] / np.exp(target[kept])[:, None], np.ones(int(kept.sum())))[0]
    terms = np.maximum(terms, 1e-6 * np.exp(np.median(target)) / np.maximum(both.mean(axis=0), 1e-9))
    for _ in range(_ROUNDS if seen.censored.any() else 1):
        if seen.censored.any():
            ahead = np.log(x @ terms)
            spread = float(np.sqrt(np.mean(np.square((target[: len(y)] - ahead)[~seen.censored]))))
            cut = seen.censored
            target[: len(y)][cut] = ahead[cut] + still(y[cut] - ahead[cut], spread)
        terms = _least(both, target, terms)
    out = np.zeros(len(TERMS))
    out[used] = terms
    return out


def _least(x: F64, target: F64, first: F64) -> F64:
    """Return the terms that bring ln(x · terms) nearest to ``target``."""

    def off(terms: F64) -> F64:
        return np.asarray(np.log(x @ terms) - target)

    def slope(terms: F64) -> F64:
        return np.asarray(x / (x @ terms)[:, None])

    bounds = (1e-12, np.inf)
    found = least_squares(off, first, jac=slope, bounds=bounds, x_scale=first, loss="soft_l1", f_scale=_BEND, max_nfev=50)
    return np.asarray(found.x)
