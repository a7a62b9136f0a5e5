"""What another policy would have earned, from rows that each show the outcome of one logged action.

In: rewards, importance ratios, an outcome model's predictions, and the session of every row. Out: the value by inverse
propensity (IPS), self-normalised (SNIPS), by the model alone (DM) and doubly robust (DR), each with its 95 % interval and
beside what the logged policy earned on the same rows. Sessions are the independent unit. Knows nothing of logs or routers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from planner.stats import effective_clusters

__all__ = ["ESTIMATORS", "Weighed", "effective_sessions", "expected_sessions", "interval", "lacking", "table"]

F64 = NDArray[np.float64]
#: Columns of the sums per session.
_N, _LOGGED, _HIT, _RATIO, _DIRECT, _OWN, _SUPPORTED = range(7)
_NAN = float("nan")
#: What a line is without a point estimate.
_VALUELESS = dict.fromkeys(("value", "se", "diff", "diff_se"), _NAN)


@dataclass(frozen=True, eq=False)
class Weighed:
    """``n`` rows with a known reward, ready to be summed; every array has shape (n,).

    Parameters
    ----------
    reward: what was observed under the logged action.
    ratio: target probability of the logged action over its logged propensity; of the whole session where that decides.
    chance: probability under the logged policy of what a deterministic target would choose; 0 is no support.
    direct: Σₐ π(a) q̂(x, a) over the actions that the logged policy could take.
    own: q̂ of the logged action.
    session: codes from 0, each occurring.
    weight: requests that the row stands for.
    """

    reward: F64
    ratio: F64
    chance: F64
    direct: F64
    own: F64
    session: NDArray[np.int64]
    weight: F64

    def take(self, rows: NDArray[np.bool_]) -> Weighed:
        """Keep the rows where the mask is true."""
        kept = {name: value[rows] for name, value in vars(self).items()}
        return Weighed(**kept | {"session": np.unique(kept["session"], return_inverse=True)[1]})

    def sums(self) -> F64:
        """Return the sums per session that every estimator is made of, (sessions, 7)."""
        w, hit = self.weight, self.weight * self.ratio
        columns = (w, w * self.reward, hit * self.reward, hit, w * self.direct, hit * self.own, w * (self.chance > 0))
        return np.column_stack([np.bincount(self.session, c) for c in columns])


def _dr(s: F64) -> F64:
    return (s[..., _DIRECT] + s[..., _HIT] - s[..., _OWN]) / s[..., _N]


def _snips(s: F64) -> F64:
    """Bring the self-normalised mean of what is supported to its share of all requests."""
    mass = np.where(s[..., _RATIO] > 0, s[..., _RATIO], np.nan)
    return s[..., _HIT] / mass * s[..., _SUPPORTED] / s[..., _N]


#: Estimator → its value from sums of shape (…, 7). Horvitz & Thompson 1952; Swaminathan & Joachims 2015 (self-normalised);
#: Dudík, Langford & Li 2011 (doubly robust).
ESTIMATORS: Mapping[str, Callable[[F64], F64]] = {
    "IPS": lambda s: s[..., _HIT] / s[..., _N],
    "SNIPS": _snips,
    "DM": lambda s: s[..., _DIRECT] / s[..., _N],
    "DR": _dr,
}


def effective_sessions(rows: Weighed) -> float:
    """Return (Σω)² / Σω² of the sessions' total importance weights ω (Kish).

    >>> one = np.ones(2)
    >>> effective_sessions(Weighed(one, np.array([2.0, 0.0]), one / 2, one, one, np.array([0, 1]), one))
    1.0
    """
    return effective_clusters(rows.sums()[:, _RATIO])


def expected_sessions(rows: Weighed, independent: bool) -> float:
    """Return the effective sessions that the propensities lead one to expect, (Σ E ω)² / Σ E ω², whatever was drawn.

    A log that by chance lacks its few heaviest sessions looks better than it is by its weights; not by their expectation.
    ``independent``: the turns of a session were drawn, and are decided, each for itself; else one draw decides them all.

    >>> one = np.ones(2)
    >>> expected_sessions(Weighed(one, one * 0, one / 4, one, one, np.array([0, 1]), one), False)
    0.5
    """
    w, inverse = rows.weight * (rows.chance > 0), 1 / np.where(rows.chance > 0, rows.chance, 1.0)
    mean = np.bincount(rows.session, w)
    square = np.bincount(rows.session, w * np.sqrt(inverse)) ** 2
    if independent:
        square = np.bincount(rows.session, w**2 * (inverse - 1)) + mean**2
    return float(mean.sum() ** 2 / square.sum()) if square.sum() > 0 else 0.0


def lacking(ess: float, expected: float) -> float:
    """Return by how much standard errors must grow for heavy sessions that the log by chance lacks, at least 1.

    The weights' squares should sum to what the propensities say; a sum below it makes a log look surer than it is.

    >>> lacking(400, 100), lacking(100, 400)
    (2.0, 1.0)
    """
    return float(np.sqrt(max(1.0, ess / expected))) if expected > 0 else 1.0


def table(rows: Weighed, top: float = 1.0, readable: bool = True, widen: float = 1.0) -> pd.DataFrame:
    """Return one line an estimator, the logged policy's own first: value, 95 % interval, standard error, difference to logged.

    The difference is paired session by session, and has its own interval. The interval of DM holds what the fit of q̂ adds, as
    if it weighed residuals like the ratios (where q̂ is right, DM and DR have one influence function); its bias it does not hold.
    Where part of the target's choices is not supported, there is no value, and the interval reaches from a reward of 0 on that
    part to one of ``top``. Where the weights are not ``readable`` (too few effective sessions), there is nothing, or with missing
    support the bounds that rest on no weight. ``widen`` multiplies the standard errors of all but the logged line.

    >>> one = np.ones(200)
    >>> rows = Weighed(np.tile([0.0, 1.0], 100), one, one, one, one, np.arange(200), one)
    >>> table(rows).loc[["logged", "SNIPS"], ["value", "diff"]].to_numpy().tolist()
    [[0.5, 0.0], [0.5, 0.0]]
    """
    sums = rows.sums()
    logged = _replicated(sums, lambda s: s[..., _LOGGED] / s[..., _N])
    missing = _replicated(sums, lambda s: 1 - s[..., _SUPPORTED] / s[..., _N])
    through_fit = len(sums) * (sums[:, _HIT] - sums[:, _OWN]) / sums[:, _N].sum()
    lines = {"logged": _line(*logged, *logged)}
    for name, statistic in ESTIMATORS.items():
        value, pseudo = _replicated(sums, statistic)
        pseudo = pseudo + (through_fit if name == "DM" else 0.0)
        lines[name] = _line(value, pseudo, *logged, widen)
        if missing[0] > 0:
            above = {"high": top, "diff_high": top}
            if np.isfinite(top):
                above = _line(value + top * missing[0], pseudo + top * missing[1], *logged, widen)
            lines[name] |= _VALUELESS | {k: above[k] for k in ("high", "diff_high")}
        if not readable:
            low, high = (0.0, top) if missing[0] > 0 else (_NAN, _NAN)
            lines[name] |= _VALUELESS | {"low": low, "high": high, "diff_low": low - logged[0], "diff_high": high - logged[0]}
    return pd.DataFrame(lines).T.rename_axis("estimator")


def _replicated(sums: F64, statistic: Callable[[F64], F64]) -> tuple[float, F64]:
    """Return the statistic and its pseudo-values, n θ − (n − 1) θ₍₋ₛ₎ for every session s left out (Tukey's jackknife)."""
    n, total = len(sums), sums.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = float(statistic(total))
        return value, n * value - (n - 1) * statistic(total - sums)


def _line(value: float, pseudo: F64, logged: float, home: F64, widen: float = 1.0) -> dict[str, float]:
    gap = 0.0 if np.isclose(value, logged, rtol=1e-12, atol=0) else value - logged  # equal but for the last bits
    low, high, se = interval(value, pseudo, widen)
    diff_low, diff_high, diff_se = interval(gap, pseudo - home, widen)
    line = {"value": value, "low": low, "high": high, "se": se}
    return line | {"diff": gap, "diff_low": diff_low, "diff_high": diff_high, "diff_se": diff_se}


def interval(value: float, pseudo: F64, widen: float = 1.0, level: float = 0.95) -> tuple[float, float, float]:
    """Return (low, high, standard error) of ``value`` from the pseudo-values of its independent units.

    Student's t, made for weights with a long tail: the statistic's skewness is transformed away (Hall, *On the removal of
    skewness by transformation*, JRSS B 54, 1992), and the degrees of freedom are what the kurtosis leaves of the standard
    error's own precision, 2n / (κ − 1). ``widen`` multiplies the standard error. NaN from fewer than two units.

    >>> low, high, se = interval(0.5, np.tile([0.0, 1.0], 200))
    >>> round(low, 3), round(high, 3), round(se, 3)
    (0.451, 0.549, 0.025)
    """
    n = len(pseudo)
    if n < 2 or not np.isfinite(pseudo).all():
        return _NAN, _NAN, _NAN
    centred = pseudo - pseudo.mean()
    variance = np.square(centred).mean()
    if variance <= (1e-12 * max(1.0, float(np.abs(pseudo).max()))) ** 2:
        return value, value, 0.0
    skew = float((centred**3).mean() / variance**1.5 / np.sqrt(n))
    kurtosis = float((centred**4).mean() / variance**2)
    freedom = np.clip(2 * n / max(kurtosis - 1, 1e-9), 1.0, n - 1.0)
    se = widen * float(np.sqrt(variance / (n - 1)))
    t = float(stdtrit(freedom, 0.5 + level / 2))
    return value - se * _unskewed(t, skew), value - se * _unskewed(-t, skew), se


def _unskewed(x: float, skew: float) -> float:
    """Invert Hall's T + (g/3) T² + (g²/27) T³ + g/6, where g is the skewness over √n."""
    if abs(skew) < 1e-6:
        return x
    return float(3 / skew * (np.cbrt(1 + skew * (x - skew / 6)) - 1))
