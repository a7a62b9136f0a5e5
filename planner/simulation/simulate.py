"""Simulate: one plan over one log, through row phase, event phase and accounting, into one Summary.

In: traffic, a plan, outcome models, a price book and the date of its prices. Out: a Simulation: integers, and their
reading as estimates. The whole plan is checked before anything runs. The empty plan at as-logged prices is the audit, to
the integer. Knows nothing of how a router was trained.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from planner.errors import PriceError
from planner.outcomes import Outcomes, fit_outcomes
from planner.policies import Plan
from planner.prices import PriceBook
from planner.simulation.accounting import price_date
from planner.simulation.result import Simulation
from planner.simulation.side import Side
from planner.simulation.summarise import summarise
from planner.simulation.world import World, send
from planner.traffic import Traffic

__all__ = ["run", "simulate"]


def simulate(
    traffic: Traffic,
    plan: Plan | None = None,
    *,
    outcomes: Outcomes | None = None,
    book: PriceBook | None = None,
    at: dt.date | str | None = None,
    by: tuple[str, ...] = ("app",),
    seed: int = 0,
) -> Simulation:
    """Replay ``traffic`` under ``plan`` (the empty plan by default) and return what would have happened.

    Parameters
    ----------
    traffic: the log.
    plan: what to do differently.
    outcomes: what other models would have done, from :func:`planner.fit_outcomes`; without it they are assumed alike, and where calls
        are timed or fail, that is fitted on the log.
    book: rates; the catalogue by default.
    at: the date whose prices hold, default the catalogue's own; ``"as-logged"`` prices each request at its own time.
    by: columns to keep apart: any of app, model, provider, tier.
    seed: of every draw.

    Raises
    ------
    NeedsError: the log lacks a column that a lever needs.
    PriceError: the plan uses a model without a rate.
    """
    book, plan = book or PriceBook.load(), plan or Plan()
    if outcomes is None:
        outcomes = fit_outcomes(traffic, seed=seed) if any(lever.phase == "event" for lever in plan.levers) else Outcomes()
    return run(World(traffic, outcomes, book, price_date(book, at), by, seed), plan)


def run(world: World, plan: Plan, *, shared: bool = False) -> Simulation:
    """Simulate ``plan`` in an opened world: what the lab does many times over.

    ``shared`` keeps sums by day even if the plan shares no state, for the difference to one that does.
    """
    checked(world, plan)
    return told(world, plan, world.played(plan), shared=shared)


def told(world: World, plan: Plan, side: Side, *, shared: bool = False) -> Simulation:
    """Add up what ``plan`` came to, ``side``."""
    held, header = world.labelled, world.header(plan)
    labelled = send(held.rows, world.intents(plan, held)) if held else None
    return Simulation(plan.name, summarise(world, replace(header, shared=header.shared or shared), side, labelled))


def checked(world: World, plan: Plan) -> None:
    """Check the whole plan against the log and the price book before anything runs."""
    named = list(dict.fromkeys(n for need in plan.needs for n in need.split("|")))
    columns = world.traffic.filled(*named)
    uses = {m for lever in plan.levers for m in lever.uses}
    models = {*world.rows.model.values, *(m for m in uses if _has_price(world, m))}
    plan.check(world.rows.app.values, models, columns, world.rows.provider.values)


def _has_price(world: World, model: str) -> bool:
    try:
        world.book.resolve(model, world.outcomes.providers.get(model))
    except PriceError:
        return False
    return True
