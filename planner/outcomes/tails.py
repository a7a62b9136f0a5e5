"""The residual of latency: how much longer or shorter a call takes than its size, model and hour say, out to where few were seen.

In: residual factors in order of time, some of them only known to be exceeded. Out: a Residual, a table of factors over normal
scores. The body is Kaplan and Meier's (1958) estimate, so that calls that were cancelled count for as long as they lasted; beyond its
90 % quantile, or where few hundred are left, the law is chosen by the likelihood of later calls. Knows nothing of models, tokens or time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import ndtr
from scipy.stats import CensoredData, ecdf, genpareto, lognorm, weibull_min

from planner.outcomes.censored import fit_normal

__all__ = ["FAMILIES", "SCORES", "Residual", "Tail", "fit_residual"]

F64 = NDArray[np.float64]
#: Residuals stand at these normal scores, evenly spaced.
SCORES = np.linspace(-6.0, 6.0, 241)
#: Laws a tail is chosen from. "empirical" is a histogram of ten equally filled bins that ends exponentially; "lognormal" is the law
#: of all calls, and bends nothing for the tail.
FAMILIES = ("empirical", "lognormal", "generalised Pareto", "Weibull")
#: The tail begins where this share of the calls is over, or, of many, where so many are left; the last part, by time, chooses its law.
BEGINS, LEFT, LATER = 0.9, 400, 0.3
#: Fewer calls seen in the tail than this, in either part, or fewer than were cut short there, choose nothing: a lognormal is assumed.
MIN_FITTED, MIN_LATER = 50, 30
#: Nothing is taken to last longer than this many times the longest residual seen.
_MOST = 10.0
#: Points of every line of a figure.
_SHOWN = 200


@dataclass(frozen=True)
class Tail:
    """A law of the residuals above ``start``, one of FAMILIES.

    ``numbers`` are ln scale and ln sigma (lognormal), shape and ln scale (generalised Pareto), ln shape and ln scale (Weibull),
    or the edges of the bins and the mean excess over the last (empirical).
    """

    family: str
    start: float
    numbers: tuple[float, ...]

    def log_survival(self, factor: F64) -> F64:
        """Return ln P(residual > factor | residual > start)."""
        if self.family == "empirical":
            edges, mean = np.array(self.numbers[:-1]), self.numbers[-1]
            inside = np.log(np.interp(factor, edges, np.linspace(1.0, 1 / len(edges), len(edges))))
            return np.asarray(np.where(factor <= edges[-1], inside, np.log(1 / len(edges)) - (factor - edges[-1]) / mean))
        law, shape, start, scale = self._law()
        return np.asarray(law.logsf(factor, shape, start, scale) - law.logsf(self.start, shape, start, scale))

    def log_density(self, factor: F64) -> F64:
        """Return the log of the density at ``factor``, given that the residual is above ``start``."""
        if self.family == "empirical":
            edges, mean = np.array(self.numbers[:-1]), self.numbers[-1]
            place = np.clip(np.searchsorted(edges, factor, side="right") - 1, 0, len(edges) - 2)
            inside = -np.log(len(edges) * np.diff(edges)[place])
            return np.asarray(np.where(factor <= edges[-1], inside, -np.log(len(edges) * mean) - (factor - edges[-1]) / mean))
        law, shape, start, scale = self._law()
        return np.asarray(law.logpdf(factor, shape, start, scale) - law.logsf(self.start, shape, start, scale))

    def factor(self, survival: F64) -> F64:
        """Return the residual that is exceeded with probability ``survival``, given that it is above ``start``."""
        if self.family == "empirical":
            edges, mean = np.array(self.numbers[:-1]), self.numbers[-1]
            shares = np.linspace(1 / len(edges), 1.0, len(edges))
            beyond = edges[-1] - mean * np.log(np.minimum(survival * len(edges), 1.0))
            return np.asarray(np.where(survival >= shares[0], np.interp(survival, shares, edges[::-1]), beyond))
        law, shape, start, scale = self._law()
        return np.asarray(law.isf(survival * law.sf(self.start, shape, start, scale), shape, start, scale))

    def _law(self) -> tuple[Any, float, float, float]:
        """Return the law with its shape, where it begins, and its scale."""
        a, b = self.numbers
        if self.family == "lognormal":
            return lognorm, np.exp(b), 0.0, np.exp(a)
        if self.family == "generalised Pareto":
            return genpareto, a, self.start, np.exp(b)
        return weibull_min, np.exp(a), self.start, np.exp(b)


@dataclass(frozen=True, eq=False)
class Residual:
    """How much longer a call takes than expected.

    Parameters
    ----------
    factors: (len(SCORES),) at each normal score, non-decreasing. tail: the law that it follows above ``tail.start``.
    likelihood: family → mean log-likelihood of the later calls in the tail; empty where too few chose.
    n, censored: calls, and those of them that were only seen to last longer.
    table: for a figure: ``line`` (fitted, later, or a family), ``factor``, ``survival``.
    """

    factors: F64
    tail: Tail
    likelihood: dict[str, float]
    n: int
    censored: int
    table: pd.DataFrame = field(repr=False)

    @property
    def evidence(self) -> str:
        """``estimated`` where later calls chose the tail, else ``assumed``."""
        return "estimated" if self.likelihood else "assumed"

    @property
    def text(self) -> str:
        """Which tail was chosen and why, in one sentence."""
        said = f"{self.n:,} calls, {self.censored:,} of them only seen to last longer; above {self.tail.start:.2f}: {self.tail.family}"
        if not self.likelihood:
            return f"{said}, assumed, too few calls were seen there to choose."
        other = sorted(self.likelihood.items(), key=lambda item: -item[1])[1:]
        ahead = ", ".join(f"{name} {value - self.likelihood[self.tail.family]:+.3f}" for name, value in other)
        return f"{said}, by the mean log-likelihood of later calls ({ahead})."

    def at(self, score: F64) -> F64:
        """Return the factor at each normal score, clamped to the ends of SCORES."""
        return np.interp(score, SCORES, self.factors)

    def score(self, factor: F64) -> F64:
        """Return the normal score of each factor: the inverse of ``at``."""
        return np.interp(factor, self.factors, SCORES)


def fit_residual(factor: F64, censored: NDArray[np.bool_]) -> Residual:
    """Fit ``factor`` (n,), positive and in order of time; where ``censored`` the true one is larger. Needs one that is not.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = fit_residual(rng.lognormal(0, 0.3, 20_000), np.zeros(20_000, bool))
    >>> bool(abs(found.at(np.array([3.0]))[0] / np.exp(0.9) - 1) < 0.1)
    True
    """
    split = int(len(factor) * (1 - LATER))
    begins = max(BEGINS, 1 - LEFT / len(factor))
    likelihood = {}
    if (~censored[:split]).any():
        start = _start(factor[:split], censored[:split], begins)
        fitted, later = (factor[:split], censored[:split]), (factor[split:], censored[split:])
        (seen, exceeded), (check, _) = _above(start, *fitted), _above(start, *later)
        if len(seen) >= max(MIN_FITTED, len(exceeded)) and len(check) >= MIN_LATER:
            compared = [_fit(name, start, *fitted) for name in FAMILIES]
            count = int((later[0] > start).sum())
            likelihood = {law.family: _likelihood(law, *_above(start, *later)) / count for law in compared}
    family = max(likelihood, key=lambda name: likelihood[name]) if likelihood else "lognormal"
    start = _start(factor, censored, begins)
    laws = {name: _fit(name, start, factor, censored) for name in likelihood or (family,)}
    shown = {"fitted": (factor[:split], censored[:split]), "later": (factor[split:], censored[split:])} if likelihood else {}
    lines = [*(_seen_line(name, *part) for name, part in shown.items()), *_law_lines(factor, censored, laws if likelihood else {})]
    table = pd.concat(lines, ignore_index=True) if lines else pd.DataFrame(columns=["line", "factor", "survival"])
    return Residual(_factors(factor, censored, laws[family]), laws[family], likelihood, len(factor), int(censored.sum()), table)


def _above(start: float, factor: F64, censored: NDArray[np.bool_]) -> tuple[F64, F64]:
    """Return the factors in the tail that were seen, and those that were only exceeded."""
    return factor[(factor > start) & ~censored], factor[(factor > start) & censored]


def _survival(factor: F64, censored: NDArray[np.bool_]) -> tuple[F64, F64]:
    """Return Kaplan and Meier's estimate: where it steps, and the survival after each step."""
    found = ecdf(CensoredData(uncensored=factor[~censored], right=factor[censored])).sf
    steps = np.append(True, np.diff(found.probabilities) < 0) if len(found.probabilities) else np.zeros(0, bool)
    steps[:1] = found.probabilities[:1] < 1
    return found.quantiles[steps], found.probabilities[steps]


def _start(factor: F64, censored: NDArray[np.bool_], begins: float) -> float:
    """Return where no more than the share 1 − ``begins`` of the calls is left, seen or cut short.

    Further out too few are left for an estimate: after a limit that cuts all calls short at once, it falls to 0 with the last one seen.
    """
    places, _ = _survival(factor, censored)
    left = 1 - np.searchsorted(np.sort(factor), places, side="right") / len(factor)
    return float(places[min(int(np.searchsorted(-left, begins - 1, side="left")), len(places) - 1)])


def _fit(family: str, start: float, factor: F64, censored: NDArray[np.bool_]) -> Tail:
    """Return the law of most likelihood."""
    seen, exceeded = _above(start, factor, censored)
    if family == "lognormal":
        logs = np.log(factor)
        middle, spread = fit_normal(logs[~censored], logs[censored])
        return Tail(family, start, (middle, float(np.log(spread))))
    if family == "empirical":
        return Tail(family, start, _bins(start, seen, exceeded))
    excess = np.log((seen - start).mean())
    first = np.array([0.1 if family == "generalised Pareto" else 0.0, excess])

    def against(numbers: F64) -> float:
        return -_likelihood(Tail(family, start, tuple(numbers.tolist())), seen, exceeded)

    found = minimize(against, first, method="Nelder-Mead", tol=1e-4)
    return Tail(family, start, tuple(found.x.tolist()))


def _bins(start: float, seen: F64, exceeded: F64) -> tuple[float, ...]:
    """Return ten edges with a tenth of the tail between each two, the last tenth open, and the mean excess over the last edge."""
    both = np.append(seen, exceeded)
    places, survival = _survival(both, np.arange(len(both)) >= len(seen))
    edges = np.interp(np.linspace(0, 0.9, 10), np.append(0, 1 - survival), np.append(start, places))
    edges = np.maximum.accumulate(edges + np.arange(10) * 1e-9 * start)
    beyond, ends = both[both > edges[-1]] - edges[-1], (seen > edges[-1]).sum()
    return (*edges.tolist(), float(max(beyond.sum() / max(ends, 1), 1e-6 * start)))


def _likelihood(law: Tail, seen: F64, exceeded: F64) -> float:
    with np.errstate(all="ignore"):
        total = law.log_density(seen).sum() + law.log_survival(exceeded).sum()
    return float(total) if np.isfinite(total) else -1e12


def _factors(factor: F64, censored: NDArray[np.bool_], tail: Tail) -> F64:
    """Return the quantiles at SCORES: Kaplan and Meier's up to the tail, then the tail's."""
    places, survival = _survival(factor, censored)
    below = 1 - (np.append(1.0, survival[:-1]) + survival) / 2
    share = np.append(1.0, survival)[np.searchsorted(places, tail.start, side="right")]
    left = ndtr(-SCORES)
    body = np.exp(np.interp(1 - left, below, np.log(places)))
    with np.errstate(all="ignore"):
        beyond = tail.factor(np.minimum(left / max(share, 1e-12), 1.0))
    most = _MOST * factor.max()
    whole = np.where(left < share, np.clip(np.nan_to_num(beyond, nan=most, posinf=most), tail.start, most), np.minimum(body, tail.start))
    return np.maximum.accumulate(whole)


def _seen_line(name: str, factor: F64, censored: NDArray[np.bool_]) -> pd.DataFrame:
    """Return Kaplan and Meier's estimate at some of its steps, evenly down the logarithm of survival."""
    places, survival = _survival(factor, censored)
    places, survival = places[survival > 0], survival[survival > 0]
    kept = np.unique(np.searchsorted(-survival, -np.geomspace(survival[0], survival[-1], _SHOWN)))
    kept = kept[kept < len(places)]
    return pd.DataFrame({"line": name, "factor": places[kept], "survival": survival[kept]})


def _law_lines(factor: F64, censored: NDArray[np.bool_], laws: dict[str, Tail]) -> list[pd.DataFrame]:
    """Return every law that was compared, fitted to all calls, from where the tail begins to twice the longest seen."""
    places, survival = _survival(factor, censored)
    lines = []
    for name, law in laws.items():
        at = np.geomspace(law.start, 2 * factor.max(), _SHOWN)
        with np.errstate(all="ignore"):
            left = survival[np.searchsorted(places, law.start, side="right") - 1] * np.exp(law.log_survival(at))
        lines.append(pd.DataFrame({"line": name, "factor": at[left > 1e-9], "survival": left[left > 1e-9]}))
    return lines
