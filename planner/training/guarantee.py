"""A floor under quality that holds: the largest τ whose loss is shown to be within it, on rows that did not train the router.

In: labelled rows with the router's scores: those that trained it (cross-fitted) to fix which τ are tested, in which order and
with what stakes, and calibration rows to test them. Out: a Guarantee. Exact at every sample size; nothing is assumed but that the
calibration units are drawn like those to come. Knows nothing of how scores or grades came about.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from planner.errors import InputError
from planner.router import Scores, lookup, steps
from planner.stats.betting import fixed_sequence, growth
from planner.stats.draws import key, uniform
from planner.training.certificate import Guarantee
from planner.training.judge import Judged
from planner.training.rectified import rectified

__all__ = ["Guarantee", "certify", "outcomes", "sequence", "start"]

F64 = NDArray[np.float64]
#: Power with which "labels needed" are reckoned.
_POWER = 0.8
#: A unit counts for at most this many mean ones, or for as many as leave a goal within reach: units · floor / _REACH.
_HEAVY, _REACH = 2.0, 5.0


def sequence(rows: Judged, scores: Scores, points: int = 200, floor: float | None = None) -> F64:
    """Return the τ to test, in their order, at most ``points``, from training rows and their cross-fitted scores.

    Ascending, so that each step adds the switches predicted to lose least per dollar saved; a τ that saves no more than an
    earlier one is left out. Evenly spread over the saving, each halfway between the thresholds of two requests. Given the
    ``floor``, the first is the τ that is likeliest to be certified: one before it would save less and fail sooner.
    """
    thresholds, codes = steps(scores.gains, scores.cost_usd, scores.feasible, rows.reference)
    finite = np.unique(thresholds[np.isfinite(thresholds) & (scores.abstain == 0)[:, None]])
    if not len(finite):
        return np.zeros(0)
    between = np.append((finite[:-1] + finite[1:]) / 2, finite[-1] + abs(finite[-1]))
    tried = between[np.unique(np.linspace(0, len(between) - 1, 10 * points).astype(int))]
    saved = np.array([_spend(rows, rows.reference) - _spend(rows, _picked(thresholds, codes, rows, scores, t)) for t in tried])
    more = saved > np.maximum.accumulate(np.concatenate([[0.0], saved]))[:-1]
    tried, saved = tried[more], saved[more]
    if len(tried) > points:
        tried = tried[np.unique(np.searchsorted(saved, np.linspace(saved[0], saved[-1], points)))]
    if floor is not None and len(tried):
        tried = tried[start(rows, scores, tried, floor) :]
    chosen: F64 = tried
    return chosen


def start(rows: Judged, scores: Scores, taus: F64, floor: float, level: float | None = None) -> int:
    """Return the position of the τ that training rows show to be likeliest to pass: whose bets grow fastest."""
    sums, mass = _unit_sums(rows, _margin(rows, outcomes(rows, scores, taus)[0], floor, level))
    return int(growth(_bets(sums, mass, _reach(rows, len(mass), floor)), _lowest(floor, level)).argmax())


def _margin(rows: Judged, loss: F64, floor: float, level: float | None) -> F64:
    """Return what each row leaves of the loss that is allowed, or of the quality above ``level``, (n, T)."""
    return floor - loss if level is None else (rows.quality_of(rows.reference) - level)[:, None] - loss


def _lowest(floor: float, level: float | None) -> float:
    """Return what a margin can be below 0 at most, not quite 0."""
    return max(1 - floor if level is None else level, 0.01)


def certify(
    rows: Judged,
    scores: Scores,
    taus: F64,
    floor: float,
    delta: float = 0.05,
    seed: int = 0,
    *,
    trained: tuple[Judged, Scores] | None = None,
    human: F64 | None = None,
    level: float | None = None,
    grader: str = "unknown",
    verified: bool = True,
    usd_per_label: float = math.nan,
) -> Guarantee:
    """Test ``taus`` in their order on calibration rows, and stop at the first that fails.

    The quantity is the mean loss over requests: a unit's bet is on its sum of weight · (floor − loss).

    Parameters
    ----------
    rows, scores: calibration rows; none of them trained the scorer or chose ``taus`` or ``floor``.
    trained: the training rows and cross-fitted scores that fixed ``taus``. They say what to expect of a bet, and the largest
        weight a unit counts with; heavier ones are scaled down to it. Without them no unit is taken to be heavier than the
        heaviest of ``rows``.
    level: quality that must not be undercut, tested instead of ``floor``: the loss is then free. ``floor`` should say about how much
        that allows; only power depends on it.
    human: (n, K) grades by people of a random part of the units, NaN elsewhere: they correct ``rows.quality``, see ``rectified``.
    seed: of the order in which units are bet on.
    """
    if not 0 < delta < 1 or not 0 <= floor < 1:
        raise InputError(f"floor {floor!r}, delta {delta!r}", "a loss from 0 to below 1 and a chance between 0 and 1")
    loss, cost = outcomes(rows, scores, taus)
    sums, mass = _unit_sums(rows, _margin(rows, loss, floor, level))
    top = float(mass.max()) if trained is None else _reach(trained[0], len(mass), floor)
    order = np.argsort(uniform(seed, key(np.unique(rows.unit)), "certify"), kind="stable")
    bets, lowest = _bets(sums, mass, top)[order], _lowest(floor, level)
    graded = 0
    if human is not None:
        checked, known = _human_sums(rows, scores, taus, floor, level, human)
        bets, lowest = rectified(_bets(checked, mass, top)[order], bets, known[order])
        graded = int(known.sum())
    p = fixed_sequence(bets, lowest, delta, None if trained is None or human is not None else _moment(*trained, taus, floor, level, top))
    passed = int((p <= delta).sum())
    today, spent = _spend(rows, rows.reference), np.average(cost, axis=0, weights=rows.weight)
    saving = 1 - spent / today if today > 0 else np.zeros(len(taus))
    table = pd.DataFrame({"tau": taus, "loss": np.average(loss, axis=0, weights=rows.weight), "p_value": p})
    table = table.assign(usd_per_1k=1000 * spent, saving=saving, certified=np.arange(len(taus)) < passed)
    return Guarantee(
        float(taus[passed - 1]) if passed else -np.inf,
        floor,
        level,
        delta,
        len(rows.weight),
        len(mass),
        float(top / mass.mean()),
        float(1 - np.minimum(mass, top).sum() / mass.sum()),
        table,
        float(saving[passed - 1]) if passed else 0.0,
        abstained_share(rows, scores),
        grader,
        verified or graded > 0,
        graded,
        _needed(bets[:, passed], lowest, delta) * len(rows.weight) / len(bets) if passed < len(taus) else math.nan,
        usd_per_label,
    )


def outcomes(rows: Judged, scores: Scores, taus: F64) -> tuple[F64, F64]:
    """Return what each row loses against its reference and what it costs [USD] at each τ, both (n, T)."""
    thresholds, codes = steps(scores.gains, scores.cost_usd, scores.feasible, rows.reference)
    home, at = rows.quality_of(rows.reference), np.arange(len(rows.weight))
    loss, cost = np.empty((len(home), len(taus))), np.empty((len(home), len(taus)))
    for t, tau in enumerate(taus):
        picked = _picked(thresholds, codes, rows, scores, tau)
        loss[:, t], cost[:, t] = home - rows.quality[at, picked], rows.cost_usd[at, picked]
    return loss, cost


def _unit_sums(rows: Judged, values: F64) -> tuple[F64, F64]:
    """Return each unit's weighted sums of ``values`` (n, T), shape (U, T), and its weight (U,), in the order of unit names."""
    names, unit = np.unique(rows.unit, return_inverse=True)
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, unit, rows.weight[:, None] * values)
    return sums, np.bincount(unit, rows.weight).astype(float)


def _bets(sums: F64, mass: F64, top: float) -> F64:
    """Return unit sums in units of the largest weight, heavier units scaled down to it: none is below −(1 − floor)."""
    scaled: F64 = sums * (np.minimum(1, top / mass) / top)[:, None]
    return scaled


def abstained_share(rows: Judged, scores: Scores) -> float:
    """Return the share of today's spend on rows that the router leaves as they are, unread."""
    mass = rows.weight * np.take_along_axis(rows.cost_usd, rows.reference[:, None], axis=1)[:, 0]
    return float(mass[scores.abstain > 0].sum() / mass.sum()) if mass.sum() > 0 else 0.0


def _human_sums(rows: Judged, scores: Scores, taus: F64, floor: float, level: float | None, human: F64) -> tuple[F64, NDArray[np.bool_]]:
    """Return the unit sums by people's grades, and which units they graded whole."""
    if human.shape != rows.quality.shape:
        raise InputError(f"human grades of shape {human.shape}", f"{rows.quality.shape}, as the judge's")
    by_people = Judged(np.nan_to_num(human), rows.cost_usd, rows.weight, rows.unit, rows.reference)
    missing, _ = _unit_sums(rows, np.isnan(human).max(1, keepdims=True).astype(float))
    whole: NDArray[np.bool_] = np.equal(missing[:, 0], 0)
    return _unit_sums(by_people, _margin(by_people, outcomes(by_people, scores, taus)[0], floor, level))[0], whole


def _picked(thresholds: F64, codes: NDArray[np.int64], rows: Judged, scores: Scores, tau: float) -> NDArray[np.int64]:
    """Return the code chosen for each row at ``tau``; where the router abstains, the row's reference at every τ."""
    return np.where(scores.abstain > 0, rows.reference, lookup(thresholds, codes, rows.reference, tau))


def _spend(rows: Judged, codes: NDArray[np.int64]) -> float:
    return float(np.average(np.take_along_axis(rows.cost_usd, codes[:, None], axis=1)[:, 0], weights=rows.weight))


def _reach(trained: Judged, units: int, floor: float) -> float:
    """Return the weight with which a unit counts at most: one bad unit must not outweigh what all others can show."""
    mass = np.bincount(np.unique(trained.unit, return_inverse=True)[1], trained.weight)
    return float(min(mass.max(), mass.mean() * max(_HEAVY, units * floor / _REACH)))


def _moment(trained: Judged, scores: Scores, taus: F64, floor: float, level: float | None, top: float) -> F64:
    """Return the second moment of a bet to expect at each τ."""
    sums, mass = _unit_sums(trained, _margin(trained, outcomes(trained, scores, taus)[0], floor, level))
    moment: F64 = np.square(_bets(sums, mass, top)).mean(0)
    return moment


def _needed(bets: F64, lowest: float, delta: float) -> float:
    """Return how many units like these show a positive mean with 80 % power; NaN where they do not seem to have one."""
    rate = float(growth(bets[:, None], lowest)[0])
    return math.ceil((ndtri(1 - delta) + ndtri(_POWER)) ** 2 / 2 / rate) if rate > 1e-9 else math.nan
