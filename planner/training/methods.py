"""Every way to route that a training compares: the learned router and the simple rules, fitted to the same rows.

In: a problem and what was learned on its fit rows. Out: per method a router whose τ is still to be chosen, with the cross-fitted
scores by which the τ to test are laid out, and the rows of a part as Judged. Knows nothing of certificates or verdicts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from planner.router import ALWAYS_TAU, AlwaysRule, Router, Scores, Support, rebased
from planner.router.state import Scorer
from planner.training.guarantee import sequence
from planner.training.judge import Judged
from planner.training.learn import Learned
from planner.training.problem import Problem
from planner.training.rules import cross_fit, fit_length, fit_table

__all__ = ["Method", "judged", "judged_rows", "methods"]

F64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Method:
    """A router, the τ at which it may be used, in the order in which they are tested, and cross-fitted scores of the fit rows.

    A constant model has one τ, and is that model whether it is certified or not.
    """

    router: Router
    taus: F64
    fitted: Scores

    def at(self, tau: float) -> Router:
        """Return the router at the certified ``tau``."""
        return self.router.with_tau(self.taus[0] if isinstance(self.router.scorer, AlwaysRule) else tau)


def methods(
    problem: Problem, learned: Learned, references: Mapping[str, str], blind: frozenset[str], floor: float, seed: int
) -> tuple[dict[str, Method], Judged]:
    """Return the methods by name, ``learned`` first, and the fit rows that every candidate answered.

    ``references`` are the apps' own models of today; ``blind`` the apps left alone because theirs has no labels.
    """
    fit = problem.rows("fit")
    part, gain, weight, unit = problem.requests.take(fit), problem.gain[fit], problem.weight[fit], problem.unit[fit]
    support = _support(problem, blind)
    base = Router(
        problem.models, problem.reference, learned.scorer, problem.costs, problem.capabilities, support, -np.inf, part.unit
    ).with_references(references)
    rows, whole = judged_rows(problem, "fit", base)

    def method(scorer: Scorer, gains: F64, tau: float | None = None) -> Method:
        router = replace(base, scorer=scorer)
        found = router.scores(part, problem.day)
        scores = replace(found, gains=rebased(gains.astype(np.float32), found.home)).take(whole)
        return Method(router, sequence(rows, scores, floor=floor) if tau is None else np.array([tau]), scores)

    k, home = len(problem.models), problem.reference_code
    best = AlwaysRule.model(int(np.argmax(np.average(rows.quality, axis=0, weights=rows.weight))), home, k)
    cheap = AlwaysRule(np.zeros(k, np.float32))
    made = {
        "learned": method(learned.scorer, learned.oof),
        "cheapest": method(cheap, cheap.gains(part).astype(float), np.inf),
        "best": method(best, best.gains(part).astype(float), ALWAYS_TAU),
        "per app": method(fit_table(part, gain, weight), cross_fit(fit_table, part, gain, weight, unit, seed)),
        "length": method(fit_length(part, gain, weight), cross_fit(fit_length, part, gain, weight, unit, seed)),
    }
    return made, rows


def judged_rows(problem: Problem, part: str, router: Router) -> tuple[Judged, NDArray[np.int64]]:
    """Return the rows of ``part`` that every model labelled for their app answered, and their positions in the part."""
    at = problem.rows(part)
    whole = np.flatnonzero(problem.whole[at])
    return judged(problem, at[whole], router), whole


def judged(problem: Problem, rows: NDArray[np.int64], router: Router) -> Judged:
    """Return ``rows`` (whole ones) against ``router``'s references; a model that nobody labelled for an app answers as the reference."""
    home = router.home([problem.requests.app[i] for i in rows])
    silent = ~problem.able[rows]
    quality, cost = (
        np.where(silent, np.take_along_axis(values[rows], home[:, None], 1), values[rows]) for values in (problem.quality, problem.cost_usd)
    )
    return Judged(quality, cost, problem.weight[rows], problem.unit[rows], home)


def _support(problem: Problem, blind: frozenset[str]) -> Support:
    """Return what the calibration rows cover; the longest request is that of the rows that fit, so that no tested row sets it."""
    tested, fitted = (Support.of(problem.requests.take(problem.rows(part)), blind) for part in ("calibrate", "fit"))
    return replace(tested, max_tokens=fitted.max_tokens)
