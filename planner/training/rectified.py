"""A judge's grades put right by people's: what is lost on the mean, with an interval, and bets that certify it.

In: per row or unit, the loss by a judge, and by people on a random part of them. Out: the loss as people would grade it, an
Estimate; or one bounded value for each unit that people graded, with the same mean as if they had graded all. Knows nothing of
who the judge is or how it is biased.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from planner.errors import InputError, NeedsError
from planner.labels import Labels
from planner.stats.estimate import Estimate

__all__ = ["Corrected", "correct", "human_quality", "rectified"]

F64 = NDArray[np.float64]
#: Fewer units than this that people graded give no interval.
_FEWEST = 30


@dataclass(frozen=True)
class Corrected:
    """``loss`` as people would grade it; ``judged`` by the judge alone; ``bias`` = judged − loss, on the units both graded."""

    loss: Estimate
    judged: Estimate
    bias: Estimate
    human_units: int

    @property
    def text(self) -> str:
        """What people's grades change, in words."""
        said = [f"{e.value:+.4f} [{e.low:+.4f}, {e.high:+.4f}]" for e in (self.judged, self.loss, self.bias)]
        return (
            f"The judge sees a loss of {said[0]}; put right by {self.human_units:,} units that people graded too, it is {said[1]} "
            f"(estimated). On those units the judge overstates the loss by {said[2]}."
        )


def correct(judge: F64, human: F64, weight: F64, unit: NDArray[np.str_]) -> Corrected:
    """Return the mean loss put right by people's grades.

    The difference estimator: λ · mean(judge over the units without people) + mean(human − λ · judge over those with), at the λ
    in [0, 1] of least variance; prediction-powered inference (Angelopoulos et al., Science 382, 2023; λ: arXiv:2311.01453, §6).

    Parameters
    ----------
    judge, human: (n,) loss of each row; ``human`` is NaN where nobody looked. Which units people graded must be random.
    weight, unit: (n,).

    NeedsError below 30 units with people's grades, or without any other unit.

    >>> rng = np.random.default_rng(0)
    >>> truth = rng.choice([-1.0, 0, 0, 0, 1.0], 2000)
    >>> seen = np.where(np.arange(2000) < 300, truth, np.nan)
    >>> found = correct(truth - 0.2, seen, np.ones(2000), np.arange(2000).astype(str))
    >>> round(found.bias.value, 3), bool(found.loss.low < truth.mean() < found.loss.high)
    (-0.2, True)
    """
    code = np.unique(unit, return_inverse=True)[1]
    mass = np.bincount(code, weight).astype(float)
    known = np.bincount(code, np.isnan(human)) == 0
    m, n = int(known.sum()), int((~known).sum())
    if m < _FEWEST or n < 2:
        raise NeedsError(f"{m} of {m + n} units graded by people", f"at least {_FEWEST}, and some others", "let people grade more")
    scale = mass / mass.mean()
    by_judge, by_people = np.bincount(code, weight * judge) / mass, np.bincount(code, weight * np.nan_to_num(human)) / mass
    centre = np.average(by_judge, weights=mass)
    x, y = scale * (by_judge - centre), scale * (by_people - np.average(by_people[known], weights=mass[known]))
    tuned = float(np.clip(np.mean(x[known] * y[known]) / max(x.var(), 1e-300) * n / (n + m), 0, 1))
    part = [(by_judge[~known], mass[~known], tuned), ((by_people - tuned * by_judge)[known], mass[known], 1.0)]
    both = (by_judge - by_people)[known]
    return Corrected(
        _estimate(part, f"difference estimator, λ = {tuned:.2f}", "estimated"),
        _estimate([(by_judge, mass, 1.0)], "the judge alone", "measured"),
        _estimate([(both, mass[known], 1.0)], "units that both graded", "measured"),
        m,
    )


def _estimate(parts: list[tuple[F64, F64, float]], source: str, evidence: str) -> Estimate:
    """Return the sum of factor · weighted mean over independent samples, with Student's t on the smallest."""
    value = variance = 0.0
    for values, mass, factor in parts:
        mean = float(np.average(values, weights=mass))
        scale = mass / mass.mean()
        value += factor * mean
        variance += factor**2 * float(np.square(scale * (values - mean)).sum()) / (len(values) - 1) / len(values)
    smallest = min(len(v) for v, _, _ in parts)
    half = float(stdtrit(smallest - 1, 0.975)) * variance**0.5
    return Estimate(value, value - half, value + half, evidence, n=smallest, source=source)


def rectified(human: F64, judge: F64, known: NDArray[np.bool_]) -> tuple[F64, float]:
    """Return a value for each unit that people graded, (M, T), and the lowest it can have; each has the mean of ``human``.

    human − ½ (judge − the mean of the judge over a batch of the other units, dealt out in order): bounded, and independent of one
    another, so that bets on them are exact. Half the judge is fixed beforehand: it is never worse than no judge by more than a
    quarter of the judge's variance, and helps where the judge agrees with people.

    Parameters
    ----------
    human, judge: (U, T), each column within an interval of length 2 that starts at −1 or above; ``human`` is read only where
        ``known`` (U,).

    >>> values, lowest = rectified(np.zeros((4, 1)), np.array([[1.0], [0], [1], [1]]), np.array([True, False, True, False]))
    >>> values.ravel().tolist(), lowest
    ([-0.5, 0.0], 2.0)
    """
    m = int(known.sum())
    rest = judge[~known]
    if m == 0:
        raise InputError(
            "no unit that people graded whole", "some, drawn at random", "leave human= (--human) out to certify by the judge alone"
        )
    if len(rest) < m:
        return human[known], 1.0
    batch = np.arange(len(rest)) * m // len(rest)
    means = np.add.reduceat(rest, np.searchsorted(batch, np.arange(m)), axis=0) / np.bincount(batch, minlength=m)[:, None]
    return human[known] - 0.5 * (judge[known] - means), 2.0


def human_quality(human: Labels, request_ids: list[str], models: tuple[str, ...]) -> F64:
    """Return people's grades as (n, K) in the order of ``request_ids``, NaN where nobody graded.

    Two graders of one answer are two Labels: the judge's, and this one, of some of the same requests.
    """
    at = {name: row for row, name in enumerate(human.items["request_id"])}
    if unknown := set(at) - set(request_ids):
        raise InputError(f"human grades of request {min(unknown)!r}", "requests that the judge graded too")
    table = np.vstack([human.quality(models), np.full(len(models), np.nan)])
    found: F64 = table[[at.get(name, -1) for name in request_ids]]
    return found
