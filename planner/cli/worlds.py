"""What verbs that simulate share: the world that plans are played in, opened from a log, labels and the routers that plans name.

In: a log, labels, plans, the options of training. Out: a World with fitted outcomes. Knows nothing of what is done with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.cli.common import book_of, traffic_at
from planner.cli.output import note, stages
from planner.cli.training import fitted, matched
from planner.errors import InputError

if TYPE_CHECKING:
    from planner.cli.options import TrainingOptions
    from planner.labels import Labels
    from planner.policies import Plan
    from planner.router import Router
    from planner.simulation import World
    from planner.traffic import Traffic
    from planner.training import Training

__all__ = ["OF_BUNDLE", "opened", "plans_at", "text_for", "training_of", "world_of"]

#: Options that a bundle has decided.
OF_BUNDLE = ("--reference", "--candidate", "--unit", "--apps")


def plans_at(paths: Sequence[Path]) -> list[Plan]:
    """Read plan files, each with a name of its own."""
    from planner.policies import Plan

    return [Plan.read(path) for path in paths]


def opened(log: str, plans: Sequence[Plan], labels: str | None, options: TrainingOptions, at: Any, quiet: bool) -> World:
    """Open the log with outcomes fitted on the labels, if any, as the router of the first plan that routes was trained.

    Raises InputError for options that this router's bundle has decided.
    """
    from planner.policies import Route

    traffic = traffic_at(log, quiet, text_for(plans, labels))
    router = next((lever.router for plan in plans for lever in plan.levers if isinstance(lever, Route)), None)
    if router and (own := [name for name in options.given() if name in OF_BUNDLE]):
        raise InputError(f"{', '.join(own)} with a plan that names a bundle", "a bundle, which has its own", "leave the option out")
    table = matched(options.labels(labels), traffic, options.model, router) if labels else None
    training = None if table is None else training_of(traffic, table, router, options.arguments(), options.prices, quiet)
    return world_of(traffic, table, training, options.prices, at, options.seed, quiet)


def text_for(plans: Sequence[Plan], labels: str | None) -> str:
    """Return what of ``plans`` and ``labels`` reads the prompts of a log; nothing where they can stay in it."""
    levers = [lever.key for plan in plans for lever in plan.levers if "messages" in lever.needs]
    return "labels" if labels else ", ".join(dict.fromkeys(levers))


def training_of(
    traffic: Traffic, labels: Labels, router: Router | None, options: dict[str, Any], prices: Path | None, quiet: bool
) -> Training:
    """Train, or train again what a bundle was trained as: rules, split and quality model are not part of a bundle."""
    from planner.router.state import digest

    if router is None:
        return fitted(labels, None if options["reference"] else traffic, prices, quiet, **options)
    asked = {"reference": router.reference, "references": dict(router.references), "candidates": router.candidates, "unit": router.unit}
    again = fitted(labels, None, prices, quiet, **{**options, **asked})
    if digest(again.router.scorer) != digest(router.scorer):
        note(
            "The bundle was trained on other labels or options than these: its quality is only as independent of its training as these "
            "labels are."
        )
    return again


def world_of(
    traffic: Traffic, labels: Labels | None, training: Training | None, prices: Path | None, at: Any, seed: int, quiet: bool
) -> World:
    """Fit outcomes, with progress, and open the world at the prices asked for."""
    from planner.outcomes import fit_outcomes
    from planner.simulation import World, price_date

    book = book_of(prices)
    with stages("outcomes", quiet) as progress:
        found = fit_outcomes(traffic, labels, training, seed=seed, progress=lambda done, total: progress("reading prompts", done / total))
    return World(traffic, found, book, price_date(book, at), seed=seed)
