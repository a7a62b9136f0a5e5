"""What the calibration rows certify of every method, and the routers that follow from it.

In: methods, the rows that fitted them, a floor, and what owners state for their apps. Out: a Guarantee a method, one an app
where owners state floors, and each method's router at the τ that holds. Looks at no row that judges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.labels import Labels
from planner.router import Router
from planner.traffic import Apps
from planner.training.by_app import AppGuarantees, certify_apps
from planner.training.certificate import Guarantee
from planner.training.guarantee import certify
from planner.training.judge import Judged
from planner.training.methods import Method, judged_rows
from planner.training.problem import Problem
from planner.training.rectified import human_quality
from planner.training.split import PARTS

__all__ = ["OTHERS", "Certified", "app_floors", "app_levels", "certified"]

F64 = NDArray[np.float64]
#: Apps without a floor of their own, certified together.
OTHERS = "all other apps"


@dataclass(frozen=True, eq=False)
class Certified:
    """Guarantees by method, of the learned router by app (None where no owner states a floor), and the routers by method."""

    guarantees: Mapping[str, Guarantee]
    by_app: AppGuarantees | None
    routers: Mapping[str, Router]


def certified(
    problem: Problem,
    made: Mapping[str, Method],
    fit_rows: Judged,
    labels: Labels,
    *,
    floor: float,
    delta: float,
    usd_per_label: float,
    apps: Apps | None = None,
    human: Labels | None = None,
    seed: int = 0,
) -> Certified:
    """Certify every method for ``floor``; where owners state levels, the learned router for each of those apps, and the rest together.

    ``human`` are grades by people of some of the same answers, which correct those of a judge.
    """
    grades = None if human is None else human_quality(human, labels.items["request_id"].tolist(), problem.models)[problem.rows("calibrate")]
    stated: dict[str, Any] = {**_graders(labels), "usd_per_label": usd_per_label / PARTS["calibrate"]}
    part = problem.requests.take(problem.rows("calibrate"))
    guarantees = {}
    for name, method in made.items():
        rows, whole = judged_rows(problem, "calibrate", method.router)
        scores = method.router.scores(part, problem.day).take(whole)
        people = None if grades is None else _filled(problem, grades, whole)
        trained = (fit_rows, method.fitted)
        guarantees[name] = certify(rows, scores, method.taus, floor, delta, seed, trained=trained, human=people, **stated)
    routers = {name: method.at(guarantees[name].tau) for name, method in made.items()}
    levels = app_levels(apps)
    if not levels:
        return Certified(guarantees, None, routers)
    groups = np.array([a if a in levels else OTHERS for a in problem.requests.app], object)
    stated |= {"levels": levels, "human": people}
    found = _by_app(problem, groups, made["learned"], fit_rows, app_floors(problem, groups, fit_rows, levels, floor), delta, seed, stated)
    tau, names = found.common()
    router = made["learned"].router.with_tau(tau)
    if names:
        router = router.with_apps(sorted({a for a, g in zip(problem.requests.app, groups, strict=True) if g in names} & _steered(router)))
    return Certified(guarantees, found, routers | {"learned": router})


def _steered(router: Router) -> set[str]:
    return set(router.support.apps or ("default",))


def _graders(labels: Labels) -> dict[str, Any]:
    """Return who graded; a judge's grades are not verified."""
    names = sorted({str(g) for g in labels.outcomes["grader"].dropna() if g})
    return {"grader": " and ".join(names) or "unknown", "verified": not any(n.startswith("judge") for n in names)}


def _by_app(
    problem: Problem,
    groups: NDArray[np.object_],
    learned: Method,
    fit_rows: Judged,
    floors: Mapping[str, float],
    delta: float,
    seed: int,
    stated: Mapping[str, Any],
) -> AppGuarantees:
    rows, whole = judged_rows(problem, "calibrate", learned.router)
    part = problem.requests.take(problem.rows("calibrate"))
    scores = learned.router.scores(part, problem.day).take(whole)
    calibration = (rows, scores, groups[problem.rows("calibrate")][whole].astype(str))
    return certify_apps(calibration, (fit_rows, learned.fitted, _fit_groups(problem, groups)), floors, delta, seed, **stated)


def _filled(problem: Problem, grades: F64, whole: NDArray[np.int64]) -> F64:
    """Return people's grades of whole calibration rows; a model that nobody labelled for an app answers as its reference."""
    rows = problem.rows("calibrate")[whole]
    home = np.take_along_axis(grades[whole], problem.home[rows][:, None], 1)
    return np.where(problem.able[rows], grades[whole], home)


def _fit_groups(problem: Problem, groups: NDArray[np.object_]) -> NDArray[np.str_]:
    """Return the group of each whole fit row."""
    fit = problem.rows("fit")
    return groups[fit][problem.whole[fit]].astype(str)


def app_levels(apps: Apps | None) -> dict[str, float]:
    """Return the quality that owners state for their apps; a guess of the draft states nothing."""
    stated = {name: app.quality_floor for name, app in (apps.apps.items() if apps else ()) if "quality_floor" not in app.assumed}
    return {name: level for name, level in stated.items() if level is not None}


def app_floors(
    problem: Problem, groups: NDArray[np.object_], fit_rows: Judged, levels: Mapping[str, float], floor: float
) -> dict[str, float]:
    """Return the loss that each group may have: ``floor`` for those without a level, else what today's model is above it on fit rows.

    The latter is an estimate, and only says where to begin: what is certified there is the level itself.
    """
    named, today = _fit_groups(problem, groups), fit_rows.quality_of(fit_rows.reference)
    found = dict.fromkeys(sorted(set(named.tolist())), floor)
    for name in {*levels} & {*found}:
        own = named == name
        found[name] = float(np.clip(np.average(today[own], weights=fit_rows.weight[own]) - levels[name], 0, 0.99))
    return found
