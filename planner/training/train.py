"""Train a router on labels, beside every simple rule it has to beat.

In: Labels and what answers cost. Out: a Training: the learned router and the rules as routers, which rows fitted and which
judged, the table of all methods on the rows that judged, curves, and what it says in words. Knows nothing of traffic or files.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.errors import InputError, PriceError
from planner.labels import Labels
from planner.prices import PriceBook
from planner.router import ALWAYS_TAU, AlwaysRule, Capability, Requests, Router, Support, rebased
from planner.traffic import Apps, Traffic
from planner.training.judge import Judged, apgr, curve, judge, mixed, onehot, oracle, tau_for
from planner.training.learn import Learned, learn
from planner.training.observed import allowed, models_today, seen_capabilities, widened
from planner.training.problem import Problem, pose
from planner.training.prose import decision, verdict
from planner.training.rules import cross_fit, fit_length, fit_table

__all__ = ["Training", "train"]

Progress = Callable[[str, float], None]


@dataclass(frozen=True, eq=False)
class Training:
    """What training found.

    Parameters
    ----------
    router: the learned router, at the τ chosen on the fit rows for ``floor``.
    rules: the simple rules as routers: ``cheapest``, ``best``, ``per app``, ``length``; each at its own τ.
    split: ``fit``, ``calibrate`` or ``judge`` for each label item, in their order.
    oof_gains: predicted gains on the fit rows by a fit without their unit, (fit rows, K).
    gains: predicted gains of the router on the rows that judge, (judge rows, K).
    table: each method on the fully labelled rows that judge.
    frontier: quality and cost over τ of the rules that have one, on the same rows.
    apgr: for two models: ``fit`` (out of fold) and ``judge``; empty for more.
    """

    router: Router
    rules: Mapping[str, Router]
    problem: Problem = field(repr=False)
    split: NDArray[np.str_] = field(repr=False)
    oof_gains: NDArray[np.float64] = field(repr=False)
    gains: NDArray[np.float32] = field(repr=False)
    table: pd.DataFrame = field(repr=False)
    frontier: pd.DataFrame = field(repr=False)
    apgr: Mapping[str, float]
    floor: float
    labels_hash: str
    notes: Mapping[str, Any]

    @property
    def text(self) -> str:
        """The decision in words."""
        words = decision(self.table, self.router, self.rules, self.floor, self.notes["judged_rows"])
        return f"{words} {self.problem.note}".strip()

    def method(self, router: Router) -> str | None:
        """Return the method of ``table`` whose router this is, τ included; None when no row judged it.

        Two methods that are the same router (the cheapest model may be the best) have the same row.
        """
        return next((name for name, own in {"learned": self.router, **self.rules}.items() if own.version == router.version), None)

    def statement(self, router: Router) -> str:
        """Return what the rows that judged say of ``router``; without numbers for any other router than those of ``table``."""
        name = self.method(router)
        if name is None:
            return "Not judged at this level; τ was chosen on the rows that judge."
        if name == "learned":
            return self.text
        return f"{verdict(self.table, name, router, self.notes['judged_rows'])} {self.problem.note}".strip()

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.text)}</p>{self.table.round(4).to_html()}"


def train(
    labels: Labels,
    traffic: Traffic | None = None,
    *,
    apps: Apps | None = None,
    reference: str | None = None,
    references: Mapping[str, str] | None = None,
    candidates: Sequence[str] | None = None,
    book: PriceBook | None = None,
    at: date | None = None,
    cost: Mapping[str, float] | None = None,
    capabilities: Mapping[str, Capability] | None = None,
    expected_output: Mapping[str, float] | None = None,
    floor: float = 0.01,
    unit: str = "session",
    seed: int = 0,
    progress: Progress | None = None,
) -> Training:
    """Train on 70 % of the labelled units, judge on the others.

    Parameters
    ----------
    labels: graded answers of at least two models.
    traffic: the log the router is for: it shows each app's model of today, which becomes that app's reference, and what
        each model has been seen to do. An app whose model of today has no labels is left as it is.
    apps: what each app allows: candidates and providers that its owner states are kept to; a guess of the draft forbids nothing.
    reference: the model in use today where no log tells; by default the best single model on the fit rows.
    references: {app: model} instead of what the log shows.
    candidates: the models to choose among; by default all that are labelled.
    book: a PriceBook, used at ``at`` where the labels carry no cost.
    at: the day of those rates, on which it is settled which models have retired; by default the book's; without a book none has.
    cost: {model: cost per request} where nothing is known: only the ratio matters then.
    capabilities: {model: Capability}; by default what labels, book and log show, see ``known_capabilities``.
    expected_output: {model: tokens} of an answer, where the labels do not say.
    floor: quality one is willing to lose against the reference.
    unit: ``session``: the first turn decides; ``request``: every turn.

    Raises NeedsError or InputError in one sentence when there is nothing to learn.
    """
    if not 0 <= floor < 1:
        raise InputError(f"floor {floor!r}", "a loss of quality from 0 to below 1")
    tell = progress or _silent
    problem = pose(
        labels,
        reference=reference,
        candidates=candidates,
        book=book,
        at=at,
        cost=cost,
        capabilities=capabilities,
        expected_output=expected_output,
        unit=unit,
        seed=seed,
    )
    homes, blind = _homes(problem.models, traffic, references)
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
    part, gain, weight = problem.requests.take(fit), problem.gain[fit], problem.weight[fit]
    learned = learn(part, gain, weight, problem.unit[fit], problem.reference_code, seed)
    tell("gains fitted", 0.8)
    router, rules = _routers(problem, fit, learned, homes, blind, floor, seed)
    tell("rules fitted", 0.9)
    result = _judged(problem, labels, router, rules, learned, floor)
    tell("judged", 1.0)
    return result


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


def _homes(models: Sequence[str], traffic: Traffic | None, stated: Mapping[str, str] | None) -> tuple[dict[str, str], frozenset[str]]:
    """Return each app's reference, and the apps that must be left alone because nobody labelled their model of today."""
    if stated is not None or traffic is None:
        return dict(stated or {}), frozenset()
    today = models_today(traffic)
    return {a: m for a, m in today.items() if m in models}, frozenset(a for a, m in today.items() if m not in models)


def _silent(stage: str, share: float) -> None:
    return None


def _routers(
    problem: Problem,
    fit: NDArray[np.int64],
    learned: Learned,
    references: Mapping[str, str],
    blind: frozenset[str],
    floor: float,
    seed: int,
) -> tuple[Router, dict[str, Router]]:
    """Return the learned router and the rules, each at the τ that its out-of-fold gains allow."""
    part, gain, weight, unit = problem.requests.take(fit), problem.gain[fit], problem.weight[fit], problem.unit[fit]
    base = Router(
        problem.models,
        problem.reference,
        learned.scorer,
        problem.costs,
        problem.capabilities,
        _support(problem.requests.take(problem.part != "judge"), blind),
        -np.inf,
        part.unit,
    ).with_references(references)
    rows = _rows(problem, fit, base)
    whole = np.flatnonzero(~np.isnan(problem.quality[fit]).any(1))

    def at_floor(router: Router, gains: NDArray[np.float64]) -> Router:
        found = router.scores(part, problem.day)
        scores = replace(found, gains=rebased(gains.astype(np.float32), found.home))
        return router.with_tau(tau_for(rows, scores.take(whole), floor))

    def rule(scorer: Any, tau: float = -np.inf) -> Router:
        return Router(base.candidates, base.reference, scorer, base.costs, base.capabilities, base.support, tau, base.unit, base.references)

    k, home = len(problem.models), problem.reference_code
    best = int(np.argmax(np.average(rows.quality, axis=0, weights=rows.weight)))
    rules = {
        "cheapest": rule(AlwaysRule(np.zeros(k, np.float32)), np.inf),
        "best": rule(AlwaysRule.model(best, home, k), ALWAYS_TAU),
        "per app": at_floor(rule(fit_table(part, gain, weight)), cross_fit(fit_table, part, gain, weight, unit, seed)),
        "length": at_floor(rule(fit_length(part, gain, weight)), cross_fit(fit_length, part, gain, weight, unit, seed)),
    }
    return at_floor(base, learned.oof), rules


def _support(seen: Requests, blind: frozenset[str]) -> Support:
    apps = tuple(sorted(set(seen.app) - blind))
    return Support(None if apps == ("default",) else apps, int(seen.input_tokens.max(initial=0)), bool((seen.text_state == 1).any()))


def _rows(problem: Problem, at: NDArray[np.int64], router: Router) -> Judged:
    """Keep those of the rows at ``at`` that every candidate answered."""
    keep = at[~np.isnan(problem.quality[at]).any(1)]
    home = router.home([problem.requests.app[i] for i in keep])
    return Judged(problem.quality[keep], problem.cost_usd[keep], problem.weight[keep], problem.unit[keep], home)


def _judged(problem: Problem, labels: Labels, router: Router, rules: Mapping[str, Router], learned: Learned, floor: float) -> Training:
    """Judge every method on the fully labelled rows that judge."""
    held, fit = problem.rows("judge"), problem.rows("fit")
    rows = _rows(problem, held, router)
    part = problem.requests.take(held)
    whole = np.flatnonzero(~np.isnan(problem.quality[held]).any(1))
    k, home = len(problem.models), problem.reference_code
    scores = {name: r.scores(part, problem.day).take(whole) for name, r in {"learned": router, **rules}.items()}
    shares = {name: onehot({"learned": router, **rules}[name].choose(s)[0], k) for name, s in scores.items()}
    cheap = int(np.average(rows.cost_usd, axis=0, weights=rows.weight).argmin())
    spent = float(np.average((shares["learned"] * rows.cost_usd).sum(1), weights=rows.weight))
    shuffled = np.tile(np.average(shares["learned"], axis=0, weights=rows.weight), (len(whole), 1))
    methods = {"reference": onehot(rows.reference, k), **shares}
    methods |= {"random mix": mixed(rows, cheap, home, spent), "shuffled": shuffled, "oracle": oracle(rows)}
    curves = [curve(rows, scores[n]).assign(method=n) for n in ("learned", "per app", "length")]
    gains = router.scorer.gains(part)
    return Training(
        router,
        dict(rules),
        problem,
        problem.part,
        learned.oof,
        gains,
        judge(rows, methods, problem.models),
        pd.concat(curves, ignore_index=True),
        _apgr(problem, fit, learned.oof, held, gains) if k == 2 else {},
        floor,
        labels.hash,
        {
            "alpha": learned.alpha,
            "trials": learned.trials,
            "fit_rows": len(fit),
            "judged_rows": len(whole),
            "judge_rows": len(held),
            "units": "sessions and duplicates are never split" if problem.note else "users, sessions and duplicates are never split",
        },
    )


def _apgr(
    problem: Problem, fit: NDArray[np.int64], oof: NDArray[np.float64], held: NDArray[np.int64], gains: NDArray[np.float32]
) -> dict[str, float]:
    home = problem.reference_code
    found = {}
    for name, at, predicted in (("fit", fit, oof), ("judge", held, gains.astype(float))):
        whole = ~np.isnan(problem.quality[at]).any(1)
        found[name] = apgr(predicted[whole, 1 - home], problem.quality[at][whole], home, problem.weight[at][whole])
    return found
