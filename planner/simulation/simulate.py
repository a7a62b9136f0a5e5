"""Simulate: one plan over one log, through row phase, event phase and accounting, into one Summary.

In: traffic, a plan, outcome models, a price book and the date of its prices. Out: a Simulation: integers, and their
reading as estimates. The whole plan is checked before anything runs. The empty plan at as-logged prices is the audit, to
the integer. Knows nothing of how a router was trained.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from planner.errors import NeedsError, PriceError
from planner.outcomes import Outcomes, fit_outcomes
from planner.policies import Plan
from planner.prices import PriceBook
from planner.simulation.accounting import price_date
from planner.simulation.drawn import Drawn, drawn_of
from planner.simulation.parts import ROWS, check_parts, divisible, summary_of
from planner.simulation.result import Simulation
from planner.simulation.side import Side
from planner.simulation.summarise import summarise
from planner.simulation.world import World, send
from planner.traffic import Traffic, needs_every_row
from planner.traffic.sampling import heaviest, spread_of

__all__ = ["LARGE", "run", "simulate", "simulate_in_parts"]

#: Requests above which a log is no longer opened whole.
LARGE = 1_000_000


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

    A log of more than LARGE requests is replayed in parts, if the plan can be: in bounded memory. A sample is opened whole.

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
    NeedsError: the log lacks a column that a lever needs, or the outcomes lack the latencies.
    PriceError: the plan uses a model without a rate.
    """
    plan = plan or Plan()
    if len(traffic) > LARGE and divisible(plan) and heaviest(traffic) is None:
        return simulate_in_parts(traffic, plan, outcomes=outcomes, book=book, at=at, by=by, seed=seed)
    return run(_world(traffic, plan, outcomes, book, at, by, seed), plan)


def simulate_in_parts(
    traffic: Traffic,
    plan: Plan,
    *,
    outcomes: Outcomes | None = None,
    book: PriceBook | None = None,
    at: dt.date | str | None = None,
    by: tuple[str, ...] = ("app",),
    seed: int = 0,
    rows: int = ROWS,
    keep: Path | None = None,
    client: Any = None,
    progress: Callable[[int, int], None] | None = None,
) -> Simulation:
    """Do what :func:`simulate` does with a log of any size: part after part, in the memory of one; the same integers come out.

    Parameters
    ----------
    traffic, plan, outcomes, book, at, by, seed: as of ``simulate``.
    rows: that begin in a part.
    keep: a folder in which every finished part stays, so that the same call goes on after an interruption.
    client: a ``distributed.Client``, on whose workers the parts are played; they must see the traffic's folder at the same path.
    progress: called with rows done and in all.

    Raises
    ------
    InputError: a plan that gathers requests or compares each with all others (batch, micro_batch, semantic_cache), fewer than one row
        in a part, and a folder that keeps another run.
    NeedsError, PriceError: as of ``simulate``.

    The cost of a sample has no interval: parts do not know what was drawn together.
    """
    check_parts(traffic, plan, rows)
    world = _world(traffic, plan, outcomes, book, at, by, seed)
    _check(world, plan, *_names(traffic))
    summary = summary_of(
        traffic, plan, world.outcomes, world.book, world.at, by, seed, rows=rows, keep=keep, client=client, progress=progress
    )
    return Simulation(plan.name, summary, None if heaviest(traffic) is None else Drawn({}, spread_of(traffic)))


def _world(
    traffic: Traffic,
    plan: Plan,
    outcomes: Outcomes | None,
    book: PriceBook | None,
    at: dt.date | str | None,
    by: tuple[str, ...],
    seed: int,
) -> World:
    book = book or PriceBook.load()
    if outcomes is None:
        timed = any(lever.phase == "event" or {"submit_ms", "stream"} & {*lever.writes} for lever in plan.levers)
        outcomes = fit_outcomes(traffic, seed=seed) if timed else Outcomes()
    return World(traffic, outcomes, book, price_date(book, at), by, seed)


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
    return Simulation(plan.name, summarise(world, header, side, labelled, by_day=header.shared or shared), drawn_of(world, side, plan))


def checked(world: World, plan: Plan) -> None:
    """Check the whole plan against the log and the price book before anything runs."""
    _check(world, plan, *(column.values for column in (world.rows.app, world.rows.model, world.rows.provider)))


def _check(world: World, plan: Plan, apps: Sequence[str], logged: Sequence[str], providers: Sequence[str]) -> None:
    if plan.of_key("stream") and world.outcomes.latency is None:
        raise NeedsError("stream needs to know how soon answers begin, which these outcomes do not say", fix="fit them on the log")
    named = list(dict.fromkeys(n for need in plan.needs for n in need.split("|")))
    uses = {m for lever in plan.levers for m in lever.uses}
    shared = [lever.key for lever in plan.levers if lever.key != "retry" or getattr(lever, "budget", None) is not None]
    if world.traffic.meta.get("samples") and (said := needs_every_row(world.traffic, shared)):
        raise NeedsError(" ".join(said), fix="simulate it on the whole log, or leave the lever out")
    models = {*logged, *(m for m in uses if _has_price(world, m))}
    plan.check(apps, models, world.traffic.filled(*named), providers, world.traffic.with_text)


def _names(traffic: Traffic) -> list[list[str]]:
    """Return the apps, models and providers of a log, read a piece at a time."""
    found: dict[str, dict[str, None]] = {"app": {}, "model": {}, "provider": {}}
    for batch in traffic.batches(tuple(found)):
        for name, values in found.items():
            values |= dict.fromkeys(value or "" for value in batch[name].unique().to_pylist())
    return [list(values) for values in found.values()]


def _has_price(world: World, model: str) -> bool:
    try:
        world.book.resolve(model, world.outcomes.providers.get(model))
    except PriceError:
        return False
    return True
