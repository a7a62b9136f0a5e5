"""What a learned router must beat: each app's best static model, and each app's model of today.

In: a world, and the router whose requests and candidates are in question. Out: routers that decide the same requests from the same
candidates by a simpler rule, and a plan with one of them in the place of the learned one. A static model is chosen on predictions,
never on the held-out labels that judge it. Knows nothing of intervals.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from planner.policies import Plan, Route
from planner.router import ALWAYS_TAU, Router, TableRule
from planner.simulation import World
from planner.simulation.side import Side
from planner.traffic.rows import Coded

__all__ = ["always", "best_static", "cheapest", "sent", "static_models", "swapped", "today"]


def today(router: Router) -> Router:
    """Return the router that leaves every request with its app's model of today."""
    return router.with_tau(-math.inf)


def best_static(world: World, router: Router, floor: float) -> Router:
    """Return the router that gives every app the one model of ``static_models``."""
    return always(router, static_models(world, router, floor))


def static_models(world: World, router: Router, floor: float) -> dict[str, str]:
    """Return for each app the cheapest of the router's candidates whose mean predicted quality is at most ``floor`` below the log's.

    Only requests that the router would decide count, at the prices of the world. An app whose quality is not predicted, or in
    which nothing is good enough, keeps its model of today.
    """
    scores = world.block.scores(router)
    steered = Route(router).steered(world.block, scores)
    sides = {model: world.side(sent(world, model, steered & scores.feasible[:, k])) for k, model in enumerate(router.candidates)}
    return cheapest(world, steered, sides, floor)


def cheapest(world: World, steered: NDArray[np.bool_], sides: Mapping[str, Side], floor: float) -> dict[str, str]:
    """Return for each app the cheapest of the models of ``sides`` that is good enough for its requests that are ``steered`` (n,)."""
    rows, chosen = world.rows, dict[str, str]()
    for code, app in enumerate(rows.app.values):
        mine = steered & (rows.app.codes == code) & (rows.weight > 0)
        if mine.any():
            needed = _quality(world, world.logged, mine) - floor
            fit = {m: _cost(world, side, mine) for m, side in sides.items() if _quality(world, side, mine) >= needed}
            if fit:
                chosen[app] = min(fit, key=lambda m: (fit[m], m))
    return chosen


def always(router: Router, models: Mapping[str, str]) -> Router:
    """Return the router that sends each app of ``models`` to its model, wherever that can answer, and leaves all others as today."""
    candidates, given = list(router.candidates), {**dict(router.references), **models}
    apps = tuple(sorted(given))
    rows = [_row(candidates, candidates[home], given[app]) for app, home in zip(apps, router.home(apps).tolist(), strict=True)]
    table = np.array(rows, np.float32).reshape(len(apps), len(candidates))
    rule = TableRule(apps, table, _row(candidates, router.reference, router.reference))
    return replace(router, scorer=rule, tau=ALWAYS_TAU)


def swapped(plan: Plan, name: str, rule: Callable[[Router], Router] | None) -> Plan:
    """Return ``plan`` with ``rule`` of its own router in the place of each learned one; without a rule no request is routed."""
    levers = [Route(rule(x.router)) if isinstance(x, Route) and rule else x for x in plan.levers if rule or not isinstance(x, Route)]
    return Plan(tuple(levers), name)


def sent(world: World, model: str, where: NDArray[np.bool_]) -> Coded:
    """Return the models of the log with ``model`` for the requests ``where``, (n,)."""
    logged = world.rows.model
    names = tuple(dict.fromkeys((*logged.values, model)))
    return Coded(np.where(where, names.index(model), logged.codes).astype(np.int32), names)


def _quality(world: World, side: Side, mine: NDArray[np.bool_]) -> float:
    """Mean predicted quality; NaN where one of the requests has none, which is never good enough."""
    return float(np.average(side.quality[mine], weights=world.rows.weight[mine]))


def _cost(world: World, side: Side, mine: NDArray[np.bool_]) -> float:
    return float((side.cost_pusd[mine] * world.rows.weight[mine]).sum())


def _row(candidates: list[str], home: str, chosen: str) -> NDArray[np.float32]:
    """Return gains of which ``chosen`` has the largest, and every model but that of today none."""
    row = np.full(len(candidates), -np.inf, np.float32)
    row[candidates.index(home)] = 0
    row[candidates.index(chosen)] = 1
    return row
