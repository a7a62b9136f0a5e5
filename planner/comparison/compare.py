"""Compare: several plans over one log, side by side, and beside what needs no plan.

In: Simulations of the same traffic at the same prices, or plans and the world to play them in, and the quality one is willing to lose.
Out: one table, which plan saves most within that loss, and what routing adds over the best simple rule; Summaries that differ in
traffic, seed, price date or bucket version are refused. Knows nothing of how the plans were made.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from planner.comparison.contrast import comparable
from planner.comparison.credit import GATEWAY, STATIC, TODAY, Credit, credit, simple_plans
from planner.comparison.noninferiority import noninferior, statement, unmeasured
from planner.comparison.pareto import pareto
from planner.comparison.plays import Plays
from planner.errors import InputError
from planner.policies import Plan, Route
from planner.simulation import Simulation, World
from planner.stats import Estimate

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Plans in the order given, the first usually as logged; ``floor``: quality one is willing to lose.

    ``credits``: what routing adds in each plan that routes. ``notes``: what could not be run or is not measured.
    """

    simulations: tuple[Simulation, ...]
    floor: float
    _rows: pd.DataFrame = field(repr=False)
    credits: tuple[Credit, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def table(self) -> pd.DataFrame:
        """One row per plan: money per month with interval and evidence, quality, failures, latency; what else is said of it.

        ``noninferior``: whether its quality is shown to be within the floor. ``pareto``: whether no other plan beats it in cost, quality
        and p95 at once. ``credit_…``: what its routing adds a month over the best simple rule.
        """
        return self._rows

    @property
    def best(self) -> Simulation | None:
        """The plan that saves most of those that surely save money and surely lose less quality than ``floor``; None without one.

        Surely: at the unfavourable end of a 95 % interval, each read alone. A plan without an interval is not sure.
        """
        sure = np.flatnonzero((self._rows["quality_low"] >= -self.floor) & (self._rows["saving_low"] > 0))
        saving = self._rows["saving_usd_per_month"].to_numpy(float)[sure]
        return self.simulations[sure[saving.argmax()]] if len(sure) else None

    @property
    def verdict(self) -> str:
        """Which plan is the best, in one sentence."""
        changed = self._rows[self._rows["changed_share"] > 0]
        if len(changed) and changed["quality_difference"].isna().all():
            return "Nothing can be chosen: without labels the quality of no plan is known."
        limit = f"loses less than {self.floor:g} of quality by its 95 % interval (each read alone)"
        if self.best is None:
            return f"Keep today's models: no plan saves money by its 95 % interval and {limit}."
        return f"Of the plans of which each {limit}, '{self.best.name}' saves most."

    @property
    def text(self) -> str:
        """Which plan saves most of those that surely lose less quality than ``floor``, and what each would do."""
        told = {*self._rows[self._rows["noninferior"] != "unknown"]["plan"]}
        said = [statement(s.name, s.quality_difference(), self.floor) for s in self.simulations if s.changed() and s.name in told]
        return "\n".join([self.verdict, *(c.text for c in self.credits), *self.notes, *said, *(s.text for s in self.simulations)])

    def _repr_html_(self) -> str:
        body: str = self.table.to_html(index=False, float_format="{:,.4g}".format)
        return f"{body}<p class='mathjax_ignore'>{html.escape(self.text).replace(chr(10), '<br>')}</p>"


def compare(
    *given: Simulation | Plan,
    world: World | None = None,
    floor: float = 0.02,
    tiers: Mapping[str, str] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Comparison:
    """Put plans side by side.

    Parameters
    ----------
    given: simulations of one log at the same prices, or plans to play in ``world``; each with a name of its own.
    world: where plans are played. With it the log as it is stands first and, if a plan routes, then each app's model of today, its best
        static model and the gateway's own heuristic router; what a plan's router adds over the best of these is its credit.
    floor: quality one is willing to lose, 0 to 1: what the verdict holds each plan to.
    tiers: which model each tier of the gateway's heuristic router stands for; else the candidates by cost.
    progress: called with the number of simulations made.

    Raises InputError when there are none, when two have the same name, when they are not about the same thing, and for a plan without
    a world.
    """
    if not 0 <= floor <= 1:
        raise InputError(f"floor {floor}", "quality one is willing to lose, 0 to 1")
    if not given:
        raise InputError("no simulations", "at least one", "pass the results of planner.simulate")
    names = [x.name for x in given]
    if len({*names}) < len(names):
        raise InputError(f"plans named {', '.join(names)}", "a name each", "give each Plan its own name")
    plans = [x for x in given if isinstance(x, Plan)]
    if world is None:
        if plans:
            raise InputError(f"the plan {plans[0].name!r} without a world", "simulations, or plans and world=World(traffic, …)")
        return _side_by_side(tuple(x for x in given if isinstance(x, Simulation)), floor)
    return _in_world(world, given, plans, floor, tiers, progress)


def _in_world(
    world: World,
    given: tuple[Simulation | Plan, ...],
    plans: list[Plan],
    floor: float,
    tiers: Mapping[str, str] | None,
    progress: Callable[[int], None] | None,
) -> Comparison:
    plays = Plays(world, plans, progress)
    simple: dict[str, Plan] = {}
    credits, notes = [], []
    for plan in plans:
        swaps, untold = simple_plans(world, plan, floor, tiers)
        notes += [f"'{GATEWAY}' is missing: {reason}" for reason in untold]
        if swaps:
            simple = simple or {n: _routes_alone(swaps[n], n) for n in (TODAY, STATIC, GATEWAY) if n in swaps}
            credits.append(credit(plays, plan, swaps, floor))
    notes += [
        f"'{p.name}' carries no floor: of '{what}' no label measured what it does to answers."
        for p in plans
        for what in unmeasured(world, p)
    ]
    first = [p for p in (Plan(), *simple.values()) if p.name not in {x.name for x in given}]
    simulations = [*map(plays, first), *(plays(x) if isinstance(x, Plan) else x for x in given)]
    unsure = {p.name for p in plans if unmeasured(world, p)}
    return _side_by_side(tuple(simulations), floor, tuple(credits), tuple(dict.fromkeys(notes)), unsure)


def _routes_alone(plan: Plan, name: str) -> Plan:
    """Return the routes of ``plan`` without its other levers."""
    return Plan(tuple(x for x in plan.levers if isinstance(x, Route)), name)


def _side_by_side(
    simulations: tuple[Simulation, ...],
    floor: float,
    credits: tuple[Credit, ...] = (),
    notes: tuple[str, ...] = (),
    unsure: Collection[str] = (),
) -> Comparison:
    comparable([(1, s) for s in simulations])
    rows = pd.DataFrame([{"plan": s.name, **s.table.iloc[-1].drop(list(s.summary.header.group_by)).to_dict()} for s in simulations])
    rows["evidence"] = [s.cost().evidence for s in simulations]
    sure = ["saving_low", "quality_low"]
    rows[sure] = rows[sure].astype(float)
    rows.loc[rows["plan"].isin([*unsure]), ["quality_low", "quality_high"]] = np.nan
    rows["noninferior"] = ["unknown" if s.name in unsure else noninferior(s.quality_difference(), floor) for s in simulations]
    rows["pareto"] = pareto(rows["usd_per_month"], rows["quality_difference"], rows["p95_ms"])
    if credits:
        rows = rows.merge(_credits(credits), on="plan", how="left")
    return Comparison(simulations, floor, rows, credits, notes)


def _credits(credits: tuple[Credit, ...]) -> pd.DataFrame:
    rows = [[c.plan, c.over, *_monthly(c.saving, c.per_month), c.quality.value, c.sure] for c in credits]
    return pd.DataFrame(
        rows, columns=["plan", "credit_over", "credit_usd_per_month", "credit_low", "credit_high", "credit_quality", "credit_sure"]
    )


def _monthly(saving: Estimate, factor: float) -> list[float]:
    return [np.nan if x is None else x * factor for x in (saving.value, saving.low, saving.high)]
