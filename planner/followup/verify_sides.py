"""Sides: what the routed and the kept requests are on average, like with like, at the mix of what was routed.

In: a value of each request, its unit, whether it was routed, whether its decision would move it, and what it must share with those it is
compared with. Out: both means over the moved requests, with what every unit moves them. A request whose decision is the model it asked for
is sent the same way in both arms and differs by nothing in expectation: it enters both means as it was, and brings no noise to their
difference. Knows nothing of money, arms or logs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.stats import REFUSE, Influence, effective_clusters

__all__ = ["LEAST_UNITS", "Sample", "Side", "Sides", "sides", "strata"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
B = NDArray[np.bool_]
#: Units to be expected in either arm without which requests are compared at the next coarser level; and at the last, not at all.
LEAST_UNITS, FEWEST_UNITS = 8, 3


@dataclass(frozen=True, eq=False)
class Sample:
    """``n`` requests: arrays of length n.

    Parameters
    ----------
    value, weight: what is compared, and how many requests each stands for.
    unit: codes of what the lot was drawn for.
    routed, moved: which were routed, and which their decision moves.
    levels: codes of what is compared with what, finest first; equal codes of the last have the same chance of being routed.
    """

    value: F64
    weight: F64
    unit: I64
    routed: B
    moved: B
    levels: tuple[I64, ...]

    def take(self, rows: NDArray[Any]) -> Sample:
        """Keep the requests at ``rows`` (positions or a mask)."""
        levels = tuple(level[rows] for level in self.levels)
        return Sample(self.value[rows], self.weight[rows], self.unit[rows], self.routed[rows], self.moved[rows], levels)


@dataclass(frozen=True, slots=True)
class Side:
    """One arm's mean over moved requests, as part of the mean over all that was routed.

    Parameters
    ----------
    mean: Σ over strata of the routed traffic's share × the arm's own mean. influence: what every unit moves it by.
    pooled: its variance if values spread about their mean, in parts of it, as in both arms together.
    requests: the number of even requests with the same sampling error (Kish).
    """

    mean: float
    influence: Influence
    pooled: float
    requests: float

    @property
    def enough(self) -> bool:
        """Whether there are units enough for an interval."""
        return self.influence.enough

    @property
    def variance(self) -> float:
        """The variance as the arm's own units show it."""
        return float(self.influence.variance)

    @property
    def freedom(self) -> float:
        """Degrees of freedom of that variance."""
        return float(self.influence.freedom)


@dataclass(frozen=True, eq=False)
class Sides:
    """Both arms over the same strata.

    Parameters
    ----------
    routed, kept: over moved requests. as_asked: what is not known of the routed had they been kept: the mean of the kept, with the noise
        of the routed, units spread about their stratum's mean in the same parts of it. unmoved: the mean that requests which are not moved
        bring to either.
    requests: the routed that are compared, weights counted. moved_share: of them.
    stratum: (n,) of the sample's requests, −1 where nothing could be compared with them. part: (n,) what each counts in its arm's mean; of
        the kept that are not moved nothing.
    """

    routed: Side
    kept: Side
    as_asked: Side
    unmoved: float
    requests: float
    moved_share: float
    stratum: I64
    part: F64

    @property
    def enough(self) -> bool:
        """Whether there are units enough on both sides for an interval."""
        return self.routed.enough and self.kept.enough


def strata(unit: I64, routed: B, levels: Sequence[I64]) -> I64:
    """Return codes of what is compared with what: the finest of ``levels`` with units enough in both arms, −1 where none has.

    Units enough are to be expected from all units of a code and how the last level divides its own: what the lot happened to do within a
    code must not choose its comparison, or what is left over would lack whom the lot left out.

    >>> unit, routed = np.arange(80), np.arange(80) % 2 == 0
    >>> fine, coarse = np.repeat([0, 1, 2], [56, 12, 12]), np.zeros(80, int)
    >>> strata(unit, routed, (fine, coarse)).tolist() == [0] * 56 + [1] * 24
    True
    """
    found, left, used = np.full(len(unit), -1), np.ones(len(unit), bool), 0
    likely = _kept_share(unit, routed, levels[-1])
    for number, level in enumerate(levels, 1):
        least = LEAST_UNITS if number < len(levels) else FEWEST_UNITS
        rows = np.flatnonzero(left)
        _, code = np.unique(level[rows], return_inverse=True)
        count = int(code.max(initial=-1)) + 1
        units = _units(code, unit[rows], count)
        share, both = np.zeros(count), np.zeros((2, count), bool)
        share[code] = np.minimum(likely, 1 - likely)[rows]
        both[routed[rows].astype(int), code] = True
        enough = both.all(axis=0) & (share * units >= least)
        here = enough[code]
        found[rows[here]] = used + (np.cumsum(enough) - 1)[code[here]]
        left[rows[here]] = False
        used += int(enough.sum())
    return found


def _kept_share(unit: I64, routed: B, level: I64) -> F64:
    """Return the share of units that is kept where each request's code of ``level`` is, (n,)."""
    _, code = np.unique(level, return_inverse=True)
    count = int(code.max(initial=-1)) + 1
    kept, both = _units(code[~routed], unit[~routed], count), _units(code, unit, count)
    return (kept / np.maximum(both, 1))[code]


def _units(code: I64, unit: I64, count: int) -> I64:
    """Return how many different units each code has, (count,)."""
    most = int(unit.max(initial=0)) + 1
    return np.bincount(np.unique(code * most + unit) // most, minlength=count)


def sides(sample: Sample) -> Sides | None:
    """Compare the arms of ``sample``; None where nothing routed has anything to be compared with.

    A stratum's two means are ratios of sums, so that units may be of any size, and are weighted with its share of what was routed. What
    units move them by is linearised (Särndal, Swensson & Wretman, *Model Assisted Survey Sampling*, 1992, §5.7; post-stratification §7.6).
    """
    stratum = np.full(len(sample.value), -1)
    stratum[sample.moved] = strata(sample.unit[sample.moved], sample.routed[sample.moved], [x[sample.moved] for x in sample.levels])
    compared, unmoved = stratum >= 0, sample.routed & ~sample.moved
    if not compared.any():
        return None
    whole = float(sample.weight[(compared & sample.routed) | unmoved].sum())
    count = int(stratum.max()) + 1
    share = np.bincount(stratum[compared & sample.routed], sample.weight[compared & sample.routed], count) / whole
    arms = [_Arm.of(sample, np.flatnonzero(compared & side), stratum, count) for side in (sample.routed, ~sample.routed)]
    spread = sum(arm.squares for arm in arms) / np.maximum(sum(arm.freedom for arm in arms), 1)
    routed, kept = (arm.side(share, spread, arm.means) for arm in arms)
    as_asked = arms[0].side(share, spread, arms[1].means)
    part = np.where(unmoved, sample.weight / whole, 0.0)
    for arm in arms:
        part[arm.rows] = arm.parts(share)
    level = float(sample.weight[unmoved] @ sample.value[unmoved]) / whole
    return Sides(routed, kept, as_asked, level, whole, float(share.sum()), stratum, part)


def _sums(code: I64, values: F64, count: int) -> F64:
    return np.bincount(code, values, count).astype(float)


def _over(top: F64 | float, bottom: F64) -> F64:
    """Return ``top / bottom``, 0 where the latter is."""
    found: F64 = np.divide(top, bottom, out=np.zeros_like(bottom), where=bottom != 0)
    return found


@dataclass(frozen=True, eq=False)
class _Arm:
    """One arm by strata (S,), and by unit and stratum (m,)."""

    rows: I64
    weight: F64
    stratum: I64
    sizes: F64
    means: F64
    unit: I64
    place: I64
    residual: F64
    asked: F64

    @classmethod
    def of(cls, sample: Sample, rows: I64, stratum: I64, count: int) -> _Arm:
        own, weight = stratum[rows], sample.weight[rows]
        sizes = _sums(own, weight, count)
        means = _sums(own, weight * sample.value[rows], count) / sizes
        _, pair = np.unique(sample.unit[rows] * count + own, return_inverse=True)
        size = int(pair.max()) + 1
        unit, place = np.zeros(size, np.int64), np.zeros(size, np.int64)
        unit[pair], place[pair] = sample.unit[rows], own
        residual = _sums(pair, weight * (sample.value[rows] - means[own]), size)
        return cls(rows, weight, own, sizes, means, unit, place, residual, _sums(pair, weight, size))

    @property
    def units(self) -> I64:
        """Units of every stratum."""
        return np.bincount(self.place, minlength=len(self.sizes))

    @property
    def squares(self) -> F64:
        """Sums over units of the squared residual in parts of the stratum's mean."""
        return _sums(self.place, np.square(self.residual * _over(1.0, self.means)[self.place]), len(self.sizes))

    @property
    def freedom(self) -> F64:
        """Degrees of freedom of ``squares``: none where all values are 0."""
        return np.where(self.means != 0, self.units - 1, 0)

    def parts(self, share: F64) -> F64:
        """Return what each of the arm's requests counts in its mean."""
        counts: F64 = share[self.stratum] * self.weight / self.sizes[self.stratum]
        return counts

    def side(self, share: F64, spread: F64, means: F64) -> Side:
        """Return the arm at these ``means`` of the strata: its own, or others that its units spread about in the same parts of them."""
        factor = share / self.sizes
        _, code = np.unique(self.unit, return_inverse=True)
        moves = np.bincount(code, (factor * _over(means, self.means))[self.place] * self.residual)
        n = len(moves)
        clusters = effective_clusters(np.bincount(code, factor[self.place] * self.asked))
        brings = moves * n / max(n - 1, 1) if clusters >= REFUSE else np.zeros(n)
        mean, parts = float(share @ means), self.parts(share)
        pooled = float((np.square(factor * means) * self.units) @ spread)
        return Side(mean, Influence(np.asarray(mean), brings, np.ones(n, bool), clusters), pooled, effective_clusters(parts))
