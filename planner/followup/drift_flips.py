"""Whether a measure changed between two periods: a permutation test over groups of users that allows for days.

In: measures of two periods by day and group of users. Out: for each measure its p-value and what changed most, with intervals; and p-values
made good for the number of measures. Users are permuted, never requests: one who asks a thousand times is one witness. Knows nothing of
logs or of what a measure means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri_exp, stdtr, stdtrit

from planner.followup.drift_days import day_variance, over, weekday_weights
from planner.followup.drift_tally import Pair, Tally
from planner.stats import effective_clusters

__all__ = ["Change", "changes", "clusters", "holm", "p_values"]

F64 = NDArray[np.float64]
#: Permutations that are drawn at once.
_CHUNK = 4_000
#: What is smaller is rounding.
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Change:
    """What each of J columns of a measure did.

    Parameters
    ----------
    said: (J,) each in words. before, now: shares, the first period with the second's weekdays where ``weekdays``; NaN where one of them
        has nothing to count.
    low, high: 95 % interval of now − before, users and days varying.
    score: how surprising the difference is without a change, as a normal deviate.
    flips: (groups, J) what each group brings to the difference, in units of what all of them bring by chance.
    day_freedom: degrees of freedom with which days were seen to vary; 0 where they could not be.
    """

    said: tuple[str, ...]
    before: F64
    now: F64
    low: F64
    high: F64
    score: F64
    flips: F64
    weekdays: bool
    day_freedom: float

    @property
    def top(self) -> int:
        """The column that changed most surely."""
        return int(self.score.argmax())


def changes(pair: Pair) -> Change:
    """Compare the two periods of a measure.

    Notes
    -----
    With the share p of both periods together, a group's u = Σ_now (part − p · whole) / whole_now − Σ_before (…) / whole_before sum up to
    the difference of the shares. Exchanging a group's two periods changes the sign of its u; so does moving a group that is in one
    period only. If nothing changed, every choice of signs is as likely: the permutations (Good, *Permutation, Parametric and Bootstrap
    Tests of Hypotheses*, 2005, §3.2; for clusters, Canay, Romano & Shaikh, *Econometrica* 85, 2017). Days are on one side for all
    groups alike and would pass for a change; their variance (``day_variance``) makes the difference less surprising, by Student's t
    with their freedom. Where columns differ in it by chance, the freedom is that of their mean.
    """
    if not (pair.before.whole.any() and pair.now.whole.any()):
        return _nothing(pair)
    weights = weekday_weights(pair)
    before = pair.before if weights is None else _weighted(pair.before, weights)
    (part_b, whole_b), (part_n, whole_n) = ((t.part.sum(0), np.broadcast_to(t.whole, t.part.shape).sum(0)) for t in (before, pair.now))
    share_b, share_n = over(part_b.sum(0), whole_b.sum(0)), over(part_n.sum(0), whole_n.sum(0))
    both = over(part_b.sum(0) + part_n.sum(0), whole_b.sum(0) + whole_n.sum(0))
    brings = over(part_n - both * whole_n, whole_n.sum(0)) - over(part_b - both * whole_b, whole_b.sum(0))
    chance = np.square(brings).sum(0)
    effects, freedom = day_variance(pair, weights)
    days = np.maximum(effects, 0.0)
    usual = max(float(effects.sum()), 0.0) / max(float(chance.sum()), _TINY)
    most = np.maximum(days, usual * chance)
    there = (whole_b.sum(0) > 0) & (whole_n.sum(0) > 0)
    known = there & (chance > _TINY**2)
    total = np.where(known, chance + most, 1.0)
    steady = np.where(most > 0, np.square(over(total, most)) * max(freedom, 1.0), np.inf)
    surprise = np.where(known, np.abs(share_n - share_b) / np.sqrt(np.where(known, chance + days, 1.0)), 0.0)
    own = over(part_n - share_n * whole_n, whole_n.sum(0)) - over(part_b - share_b * whole_b, whole_b.sum(0))
    count = max(effective_clusters((whole_b + whole_n).mean(1)), 2.0)
    half = stdtrit(np.minimum(steady, count - 1), 0.975) * np.sqrt(np.square(own).sum(0) * count / (count - 1) + days)
    difference = share_n - share_b
    return Change(
        pair.said,
        np.where(there, share_b, np.nan),
        np.where(there, share_n, np.nan),
        np.where(there, np.maximum(difference - half, -1.0), np.nan),
        np.where(there, np.minimum(difference + half, 1.0), np.nan),
        _normal(surprise, steady),
        over(brings, np.sqrt(chance)) * known,
        weights is not None,
        freedom,
    )


def _nothing(pair: Pair) -> Change:
    """Return the change of a measure of which one period has nothing: unknown, and no surprise."""
    unknown = np.full(len(pair.said), np.nan)
    flips = np.zeros((pair.now.part.shape[1], len(pair.said)))
    return Change(pair.said, unknown, unknown, unknown, unknown, np.zeros(len(pair.said)), flips, weekdays=False, day_freedom=0.0)


def _weighted(tally: Tally, weights: F64) -> Tally:
    return Tally(tally.part * weights[:, None, None], tally.whole * weights[:, None, None], tally.days)


def _normal(t: F64, freedom: F64) -> F64:
    """Return the normal deviate as surprising as Student's ``t``.

    >>> _normal(np.array([2.0, 2.0]), np.array([np.inf, 4.0])).round(2).tolist()
    [2.0, 1.57]
    """
    tail = np.maximum(stdtr(np.where(np.isfinite(freedom), freedom, 1.0), -t), 1e-300)
    return np.where(np.isfinite(freedom), np.minimum(-ndtri_exp(np.log(tail)), t), t)


def p_values(found: Sequence[Change], draws: int, seed: int = 0) -> F64:
    """Return the p-value of each measure, (len(found),): how often ``draws`` permutations show a larger top score in any of its columns.

    The same permutations serve all measures. The observed order counts as one of them, so that none is 0.
    """
    top = np.array([c.score.max(initial=0.0) for c in found])
    groups = found[0].flips.shape[0]
    rng = np.random.default_rng(seed)
    reached = np.ones(len(found))
    done = 0
    while done < draws:
        count = min(_CHUNK, draws - done)
        signs = np.where(rng.integers(0, 2, (count, groups), np.int8) > 0, np.float32(1), np.float32(-1))
        for k, change in enumerate(found):
            most = np.abs(signs @ change.flips.astype(np.float32)).max(1, initial=0.0)
            reached[k] += (most >= top[k] - 1e-4).sum()
        done += count
    return reached / (draws + 1)


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """Return p-values made good for their number, in the order of ``p`` (Holm, *Scandinavian Journal of Statistics* 6, 1979).

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.02})
    {'a': 0.03, 'b': 0.04, 'c': 0.04}
    """
    order = sorted(p, key=lambda name: p[name])
    adjusted, least = {}, 0.0
    for rank, name in enumerate(order):
        least = max(least, min((len(p) - rank) * p[name], 1.0))
        adjusted[name] = least
    return {name: adjusted[name] for name in p}


def clusters(pair: Pair) -> int:
    """Return the number of groups that ask anything, of the period in which fewer do."""
    return min(int((t.groups > 0).sum()) for t in (pair.before, pair.now))
