"""A floor under quality that holds: the largest τ whose loss is shown to be within it, on rows that did not train the router.

In: labelled rows with the router's scores: those that trained it (cross-fitted) to fix which τ are tested and in which order,
and calibration rows to test them. Out: the last τ certified, what it saves, and the statement with its grader. Exact at every
sample size; nothing is assumed but that the calibration rows are drawn like the requests to come. Knows nothing of how scores or
grades came about.
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from planner.errors import InputError
from planner.router import Scores, lookup, steps
from planner.stats.betting import fixed_sequence
from planner.stats.draws import key, uniform
from planner.training.judge import Judged

__all__ = ["Guarantee", "certify", "sequence"]

F64 = NDArray[np.float64]
#: Power with which "labels needed" are reckoned.
_POWER = 0.8


@dataclass(frozen=True, eq=False)
class Guarantee:
    """What is certified of a router.

    Parameters
    ----------
    tau: the last τ certified; −∞ (always the model of today) when none is.
    floor: quality that may be lost on the mean of all requests, fixed beforehand.
    delta: the chance that the statement is false, at most.
    rows, units: calibration rows, and the users, sessions and duplicate groups they come from.
    heaviest: the largest share of the calibration rows' weight per unit that was allowed for, as a multiple of the mean unit's.
    table: one row a τ in the order of testing: ``tau, loss, p_value, usd_per_1k, saving, certified``; NaN where not tested.
    saving: share of the spend on the calibration rows that ``tau`` saves.
    abstained_share: share of the spend on requests that the router leaves as they are, unread.
    grader: who graded; ``verified`` is False for an LLM judge that no human subset has checked.
    needed: calibration rows with which the first τ that failed would have passed with 80 % power (estimated); NaN for no number.
    usd_per_label: [USD] of one more calibration row, answers and grading; NaN when unknown.
    """

    tau: float
    floor: float
    delta: float
    rows: int
    units: int
    heaviest: float
    table: pd.DataFrame = field(repr=False)
    saving: float
    abstained_share: float
    grader: str
    verified: bool
    needed: float
    usd_per_label: float

    @property
    def certified(self) -> bool:
        """Whether any τ but always-the-reference holds."""
        return not np.isneginf(self.tau)

    def holds(self, tau: float) -> bool:
        """Whether ``tau`` was among those that passed."""
        return bool((self.table["certified"] & (self.table["tau"] == tau)).any())

    def at(self, tau: float) -> Guarantee:
        """Return the guarantee of another τ that passed; InputError for one that did not."""
        if not self.holds(tau):
            raise InputError(f"tau {tau:g}", "one that the table shows as certified")
        line = self.table[self.table["tau"] == tau].iloc[0]
        return replace(self, tau=float(tau), saving=float(line["saving"]))

    @property
    def text(self) -> str:
        """The statement in words."""
        return " ".join(w for w in (self._statement(), self._support(), self._more(), self._graded()) if w)

    def _statement(self) -> str:
        source = f"{self.units:,} calibration units, {self.rows:,} requests; grader: {self.grader}"
        if not self.certified:
            return (
                f"Nothing is certified: no threshold is shown to keep the loss of quality within {self.floor:g} at {1 - self.delta:.0%} "
                f"confidence ({source}), so every request stays with its model of today."
            )
        return (
            f"With {1 - self.delta:.0%} confidence, quality falls by at most {self.floor:g} against today's models on requests like these "
            f"({source}). It saves {self.saving:.1%} (measured on them)."
        )

    def _support(self) -> str:
        return f"{self.abstained_share:.1%} of the spend is outside what was calibrated and stays as it is." if self.certified else ""

    def _more(self) -> str:
        if self.certified:
            return ""
        if math.isnan(self.needed):
            return "More labels of this kind would not change that: already the first threshold seems to lose more."
        more = max(math.ceil((self.needed - self.rows) / 100) * 100, 100)
        price = "" if math.isnan(self.usd_per_label) else f", for ${more * self.usd_per_label:,.0f}"
        return f"About {more:,} more calibration labels would show it for the first threshold{price} (estimated from the spread seen)."

    def _graded(self) -> str:
        return "" if self.verified else "Judge-preferred, not verified: no human has graded a part of these answers."

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.text)}</p>{self.table.round(4).to_html()}"


def sequence(rows: Judged, scores: Scores, points: int = 200) -> F64:
    """Return the τ to test, in their order, at most ``points``, from training rows and their cross-fitted scores.

    Ascending, so that the predicted risk of every switch a step adds is higher than that of those before; a τ that saves no more
    than an earlier one is left out. Evenly spread over the saving, each halfway between the thresholds of two requests.
    """
    thresholds, codes = _steps(scores, rows)
    finite = np.unique(thresholds[np.isfinite(thresholds)])
    if not len(finite):
        return np.zeros(0)
    between = np.append((finite[:-1] + finite[1:]) / 2, finite[-1] + 1e-3)
    tried = between[np.unique(np.linspace(0, len(between) - 1, 10 * points).astype(int))]
    saved = np.array([_spend(rows, rows.reference) - _spend(rows, lookup(thresholds, codes, rows.reference, t)) for t in tried])
    before = np.maximum.accumulate(np.concatenate([[0.0], saved]))[:-1]
    tried, saved = tried[saved > before], saved[saved > before]
    if len(tried) > points:
        tried = tried[np.unique(np.searchsorted(saved, np.linspace(saved[0], saved[-1], points)))]
    spread: F64 = tried
    return spread


def certify(
    rows: Judged,
    scores: Scores,
    taus: F64,
    floor: float,
    delta: float = 0.05,
    seed: int = 0,
    *,
    heaviest: float | None = None,
    grader: str = "unknown",
    verified: bool = True,
    usd_per_label: float = math.nan,
) -> Guarantee:
    """Test ``taus`` in their order on calibration rows, and stop at the first that fails.

    The quantity is the mean loss over requests; one bet is made a unit, on its sum of weight · (floor − loss).

    Parameters
    ----------
    rows, scores: calibration rows; none of them trained the scorer or chose ``taus`` or ``floor``.
    heaviest: the largest weight of a unit that can come; by default the largest among ``rows``.
    seed: of the order in which units are bet on.
    """
    if not 0 < delta < 1 or not 0 <= floor < 1:
        raise InputError(f"floor {floor!r}, delta {delta!r}", "a loss from 0 to below 1 and a chance between 0 and 1")
    names, unit = np.unique(rows.unit, return_inverse=True)
    mass = np.bincount(unit, rows.weight)
    top = float(mass.max() if heaviest is None else heaviest)
    if mass.max() > top:
        raise InputError(f"a unit of weight {mass.max():g} where heaviest is {top:g}", "none above it", "pass the log's heaviest unit")
    loss, cost = outcomes(rows, scores, taus)
    sums = np.zeros((len(names), len(taus)))
    np.add.at(sums, unit, rows.weight[:, None] * (floor - loss) / top)
    order = np.argsort(uniform(seed, key(names), "certify"), kind="stable")
    p = fixed_sequence(sums[order], 1 - floor, delta)
    passed = int((p <= delta).sum())
    spent = np.average(cost, axis=0, weights=rows.weight)
    today = np.average(_home_cost(rows), weights=rows.weight)
    saving = 1 - spent / today if today > 0 else np.zeros(len(taus))
    table = pd.DataFrame(
        {
            "tau": taus,
            "loss": np.average(loss, axis=0, weights=rows.weight),
            "p_value": p,
            "usd_per_1k": 1000 * spent,
            "saving": saving,
            "certified": np.arange(len(taus)) < passed,
        }
    )
    return Guarantee(
        float(taus[passed - 1]) if passed else -np.inf,
        floor,
        delta,
        len(rows.weight),
        len(names),
        float(top / mass.mean()),
        table,
        float(saving[passed - 1]) if passed else 0.0,
        _share(scores.abstain > 0, _home_cost(rows) * rows.weight),
        grader,
        verified,
        _needed(sums[:, passed], delta) * len(rows.weight) / len(names) if passed < len(taus) else math.nan,
        usd_per_label,
    )


def outcomes(rows: Judged, scores: Scores, taus: F64) -> tuple[F64, F64]:
    """Return what each row loses against its reference and what it costs [USD] at each τ, both (n, T)."""
    thresholds, codes = _steps(scores, rows)
    home, at = rows.quality_of(rows.reference), np.arange(len(rows.weight))
    loss, cost = np.empty((len(home), len(taus))), np.empty((len(home), len(taus)))
    for t, tau in enumerate(taus):
        picked = lookup(thresholds, codes, rows.reference, tau)
        loss[:, t], cost[:, t] = home - rows.quality[at, picked], rows.cost_usd[at, picked]
    return loss, cost


def _steps(scores: Scores, rows: Judged) -> tuple[F64, NDArray[np.int64]]:
    """Return each row's thresholds and codes; where the router abstains there is none to pass."""
    thresholds, codes = steps(scores.gains, scores.cost_usd, scores.feasible, rows.reference)
    return np.where(scores.abstain[:, None] > 0, np.inf, thresholds), codes


def _home_cost(rows: Judged) -> F64:
    return np.take_along_axis(rows.cost_usd, rows.reference[:, None], axis=1)[:, 0]


def _spend(rows: Judged, codes: NDArray[np.int64]) -> float:
    return float(np.average(np.take_along_axis(rows.cost_usd, codes[:, None], axis=1)[:, 0], weights=rows.weight))


def _share(which: NDArray[np.bool_], mass: F64) -> float:
    return float(mass[which].sum() / mass.sum()) if mass.sum() > 0 else 0.0


def _needed(sums: F64, delta: float) -> float:
    """Return how many units like these show a positive mean with 80 % power, by the normal approximation; NaN for a mean below 0."""
    mean, spread = float(sums.mean()), float(sums.std())
    return math.ceil(((ndtri(1 - delta) + ndtri(_POWER)) * spread / mean) ** 2) if mean > 0 else math.nan
