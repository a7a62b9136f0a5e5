"""Simulate: one plan over one log, through row phase, event phase and accounting, into one Summary.

In: traffic, a plan, outcome models, a price book and the date of its prices. Out: a Simulation: integers, and their
reading as estimates. The whole plan is checked before anything runs. The empty plan at as-logged prices is the audit, to
the integer. Knows nothing of how a router was trained.
"""

from __future__ import annotations

import datetime as dt

from planner.outcomes import Outcomes
from planner.policies import Plan
from planner.prices import PriceBook
from planner.simulation.accounting import price_date
from planner.simulation.result import Simulation
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
    outcomes: what other models would have done, from :func:`planner.fit_outcomes`; without it they are assumed alike.
    book: rates; the catalogue by default.
    at: the date whose prices hold, default the catalogue's own; ``"as-logged"`` prices each request at its own time.
    by: columns to keep apart: any of app, model, provider, tier.
    seed: of every draw.

    Raises
    ------
    NeedsError: the log lacks a column that a lever needs.
    PriceError: the plan uses a model without a rate.
    """
    book = book or PriceBook.load()
    return run(World(traffic, outcomes or Outcomes(), book, price_date(book, at), by, seed), plan or Plan())


def run(world: World, plan: Plan) -> Simulation:
    """Simulate ``plan`` in an opened world: what the lab does many times over."""
    world.traffic.require(f"plan {plan.name!r}", *plan.needs)
    held = world.labelled
    labelled = send(held.rows, world.intents(plan, held)) if held else None
    return Simulation(plan.name, summarise(world, world.header(plan), world.played(plan), labelled))
