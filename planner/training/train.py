"""Train a router on labels, beside every simple rule it has to beat.

In: Labels and what answers cost. Out: a Training: fitted on one part of the labels, certified on another, judged on the last.
Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError, PriceError
from planner.labels import Labels
from planner.prices import PriceBook
from planner.router import Capability
from planner.traffic import Apps, Traffic
from planner.training.appraise import appraise
from planner.training.certified import certified
from planner.training.harm import priced, requests_per_month
from planner.training.judge import apgr, tau_for
from planner.training.learn import learn
from planner.training.methods import methods
from planner.training.observed import allowed, models_today, seen_capabilities, widened
from planner.training.problem import Problem, pose
from planner.training.result import Training
from planner.training.split import PARTS

__all__ = ["train"]

Progress = Callable[[str, float], None]


def train(
    labels: Labels,
    traffic: Traffic | None = None,
    *,
    apps: Apps | None = None,
    human: Labels | None = None,
    reference: str | None = None,
    references: Mapping[str, str] | None = None,
    candidates: Sequence[str] | None = None,
    book: PriceBook | None = None,
    at: date | None = None,
    cost: Mapping[str, float] | None = None,
    capabilities: Mapping[str, Capability] | None = None,
    expected_output: Mapping[str, float] | None = None,
    floor: float = 0.02,
    delta: float = 0.05,
    unit: str = "session",
    seed: int = 0,
    progress: Progress | None = None,
) -> Training:
    """Train on half of the labelled units, certify a threshold on a quarter, judge on the last quarter.

    Parameters
    ----------
    labels: graded answers of at least two models.
    traffic: the log the router is for: it shows each app's model of today, which becomes that app's reference, and what
        each model has been seen to do. An app whose model of today has no labels is left as it is.
    apps: what each app allows: candidates and providers that its owner states are kept to; a guess of the draft forbids nothing.
        Where one states a quality floor, the router is certified app by app.
    human: grades by people of some of the same answers, to correct a judge's.
    reference: the model in use today where no log tells; by default the best single model on the fit rows.
    references: {app: model} instead of what the log shows.
    candidates: the models to choose among; by default all that are labelled.
    book: a PriceBook, used at ``at`` where the labels carry no cost.
    at: the day of those rates, on which it is settled which models have retired; by default the book's; without a book none has.
    cost: {model: cost per request} where nothing is known: only the ratio matters then.
    capabilities: {model: Capability}; by default what labels, book and log show, see ``known_capabilities``.
    expected_output: {model: tokens} of an answer, where the labels do not say.
    floor: quality one is willing to lose against the reference; fixed now, then certified.
    delta: the chance that a certificate is false, at most.
    unit: ``session``: the first turn decides; ``request``: every turn.

    Raises NeedsError or InputError in one sentence when there is nothing to learn.
    """
    if not 0 <= floor < 1:
        raise InputError(f"floor {floor!r}", "a loss of quality from 0 to below 1")
    tell = progress or _silent
    homes, blind = _homes(labels, traffic, references)
    problem = pose(
        labels,
        reference=reference,
        references=homes,
        candidates=candidates,
        book=book,
        at=at,
        cost=cost,
        capabilities=capabilities,
        expected_output=expected_output,
        unit=unit,
        seed=seed,
    )
    if traffic is not None and capabilities is None:
        known = dict(zip(problem.models, problem.capabilities, strict=True))
        wide = widened(known, seen_capabilities(traffic, problem.models))
        problem = replace(problem, capabilities=tuple(wide[m] for m in problem.models))
    if apps is not None:
        problem = replace(
            problem, capabilities=allowed(problem.models, problem.capabilities, apps, _providers(problem.models, traffic, book))
        )
    tell("labels checked", 0.1)
    fit = problem.rows("fit")
    part = problem.requests.take(fit)
    graded, home = problem.quality[fit], problem.reference_code
    learned = learn(part, problem.gain[fit], problem.weight[fit], problem.unit[fit], home, seed, quality=graded)
    tell("gains fitted", 0.7)
    made, rows = methods(problem, learned, homes, blind, floor, seed)
    tell("rules fitted", 0.8)
    usd = _usd_per_label(problem)
    held_to = {"floor": floor, "usd_per_label": usd}
    certain = certified(problem, made, rows, labels, delta=delta, apps=apps, human=human, seed=seed, **held_to)
    tell("floor certified", 0.9)
    hoped = tau_for(rows, made["learned"].fitted, floor)
    volume = None if traffic is None else requests_per_month(traffic)
    found = appraise(problem, certain.routers, rows, hoped_tau=hoped, per_month=volume, **held_to)
    held = problem.rows("judge")
    gains = learned.scorer.gains(problem.requests.take(held))
    tell("judged", 1.0)
    trained = Training(
        certain.routers["learned"],
        {name: router for name, router in certain.routers.items() if name != "learned"},
        certain.guarantees,
        certain.by_app,
        found.verdict,
        found.harm,
        problem,
        learned.oof,
        gains,
        found.table,
        found.curves,
        _apgr(problem, fit, learned.oof, held, gains) if len(problem.models) == 2 else {},
        floor,
        labels.hash,
        {
            "alpha": learned.alpha,
            "usd_per_label": usd,
            "trials": learned.trials,
            **{f"{name}_rows": len(problem.rows(name)) for name in PARTS},
            "judged_rows": int(problem.whole[held].sum()),
            "units": "sessions and duplicates are never split" if problem.note else "users, sessions and duplicates are never split",
        },
    )
    return trained if apps is None else priced(trained, apps)


def _providers(models: Sequence[str], traffic: Traffic | None, book: PriceBook | None) -> dict[str, str]:
    """Return who serves each model: as the log shows, else as the book knows; unknown ones are left out."""
    logged: dict[str, str] = {}
    if traffic is not None:
        frame = traffic.frame("model", "provider").dropna().drop_duplicates("model")
        logged = dict(zip(frame["model"], frame["provider"], strict=True))
    found = {}
    for model in models:
        try:
            found[model] = logged.get(model) or (book.resolve(model)[0] if book is not None else "")
        except PriceError:
            continue
    return {m: p for m, p in found.items() if p}


def _homes(labels: Labels, traffic: Traffic | None, stated: Mapping[str, str] | None) -> tuple[dict[str, str], frozenset[str]]:
    """Return each app's reference, and the apps that must be left alone because nobody labelled their model of today."""
    if stated is not None or traffic is None:
        return dict(stated or {}), frozenset()
    today, models = models_today(traffic), labels.models
    return {a: m for a, m in today.items() if m in models}, frozenset(a for a, m in today.items() if m not in models)


def _silent(stage: str, share: float) -> None:
    return None


def _usd_per_label(problem: Problem) -> float:
    """Return what one more labelled request costs in answers of all candidates [USD]; NaN where costs are only a ranking."""
    ranking = problem.costs.basis.startswith("stated")
    return float("nan") if ranking else float(np.average(np.where(problem.able, problem.cost_usd, 0).sum(1), weights=problem.weight))


def _apgr(
    problem: Problem, fit: NDArray[np.int64], oof: NDArray[np.float64], held: NDArray[np.int64], gains: NDArray[np.float32]
) -> dict[str, float]:
    home = problem.reference_code
    found = {}
    for name, at, predicted in (("fit", fit, oof), ("judge", held, gains.astype(float))):
        whole = ~np.isnan(problem.quality[at]).any(1)
        found[name] = apgr(predicted[whole, 1 - home], problem.quality[at][whole], home, problem.weight[at][whole])
    return found
