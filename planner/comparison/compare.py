"""Compare: several plans over one log, side by side, and beside what needs no plan.

In: Simulations of the same traffic at the same prices, or plans and the world to play them in, and the quality one is willing to lose.
Out: one table, which plan saves most within that loss, what routing and cascades add over the best simple rule, and how often plans that
ask again may act twice; Summaries that differ in traffic, seed, price date or bucket version are refused. Knows nothing of how the plans
were made.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from planner.comparison.contrast import comparable
from planner.comparison.credit import CASCADE, GATEWAY, ROUTING, STATIC, Credit, credit, simple_plans, without
from planner.comparison.noninferiority import noninferior, statement, unmeasured
from planner.comparison.pareto import pareto
from planner.comparison.plays import Plays
from planner.comparison.silence import set_aside
from planner.errors import InputError
from planner.policies import Plan
from planner.simulation import Simulation, World
from planner.simulation.side_effects import SideEffects, as_logged, repeats, side_effects
from planner.traffic.reasons import earlier_calls

__all__ = ["AMONG_DRAWN", "Comparison", "compare"]

AMONG_DRAWN = "Second actions are those of the requests that the sample holds, not of all that these stand for."
#: What sets this static rule apart from the one that a training fits.
_CHOSEN = (
    f"'{STATIC}' is each app's cheapest model whose mean predicted quality on this log is within the floor; "
    "'per app' of planner simulate is fitted to labels and certified on them."
)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Plans in the order given, the first usually as logged; ``floor``: quality one is willing to lose.

    ``credits``: what routing adds in each plan that routes, and a cascade in each that has one. ``notes``: what could not be run or is
    not measured. ``acts``: the second actions of the log and of each plan that asks again where tools are offered, by name.
    """

    simulations: tuple[Simulation, ...]
    floor: float
    _rows: pd.DataFrame = field(repr=False)
    credits: tuple[Credit, ...] = ()
    notes: tuple[str, ...] = ()
    acts: Mapping[str, SideEffects] = field(default_factory=dict)

    @property
    def table(self) -> pd.DataFrame:
        """One row per plan: money per month with interval and evidence, quality, failures, latency; what else is said of it.

        ``noninferior``: whether its quality is shown to be within the floor. ``pareto``: whether no other plan beats it in cost, quality
        and p95 at once. ``credit_…``, ``cascade_credit_…``: what its routing, or its cascade, adds a month over the best simple rule.
        ``usd_low``, ``usd_high``: limits of the money, which a sample alone has.
        ``twice_…``: second actions in the log's period, of requests that offer tools: certain, possible, prevented by keys.
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
            head = "Nothing is sure" if self._unsure else "Keep today's models"
            return f"{head}: no plan saves money by its 95 % interval and {limit}.{self._unsure}"
        return f"Of the plans of which each {limit}, '{self.best.name}' saves most."

    @property
    def _unsure(self) -> str:
        """Name the plans whose saving has no interval, with the reason."""
        open_ = self._rows[self._rows["saving_low"].isna() & (self._rows["saving_usd_per_month"] != 0)]["plan"].tolist()
        if not open_:
            return ""
        names = ", ".join(f"'{name}'" for name in open_)
        thin, few = "the sample is too thin", "what changes there is asked by too few users"
        why = few if self.simulations[0].drawn is None else thin if self.simulations[0].thin else f"{few}, or {thin} for it"
        return f" Of {names} the saving has no interval: {why}."

    @property
    def text(self) -> str:
        """Which plan saves most of those that surely lose less quality than ``floor``, and what each would do."""
        told = {*self._rows[self._rows["noninferior"] != "unknown"]["plan"]}
        said = [statement(s.name, s.quality_difference(), self.floor) for s in self.simulations if s.changed() and s.name in told]
        return "\n".join([*self.head, *said, *(s.text for s in self.simulations)])

    @property
    def head(self) -> tuple[str, ...]:
        """What must be read before a plan is picked: the verdict, who may act twice, what is credited, what is not known."""
        twice = [f"Second actions under '{name}': {acts.text}" for name, acts in self.acts.items()]
        return (self.verdict, *twice, *(c.text for c in self.credits), *self.notes)

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
        static model and the gateway's own heuristic router; if none routes but one has a cascade, each of its two models alone in the
        place of the model of today. What a plan's router, or its cascade, adds over the best of these is its credit. Plans that ask
        again where tools are offered say how often that may act twice; Simulations, whose calls are not kept, do not.
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
    for plan, what in product(plans, (ROUTING, CASCADE)):
        swaps, untold = simple_plans(world, plan, floor, tiers, what)
        notes += [f"'{GATEWAY}' is missing: {reason}" for reason in untold]
        if swaps:
            simple = simple or {n: _new(swap, plan, n) for n, swap in swaps.items() if n != without(what)}
            credits.append(credit(plays, plan, swaps, floor, what))
    notes += [
        f"'{p.name}' carries no floor: of '{what}' no label measured what it does to answers."
        for p in plans
        for what in unmeasured(world, p)
    ]
    first = [p for p in (Plan(), *simple.values()) if p.name not in {x.name for x in given}]
    simulations = [*map(plays, first), *(plays(x) if isinstance(x, Plan) else x for x in given)]
    unsure = {p.name for p in plans if unmeasured(world, p)}
    acts = {p.name: side_effects(world, p, world.replayed(p)) for p in plans if repeats(world, p)}
    told = {Plan().name: as_logged(world), **acts} if acts else {}
    meta = world.traffic.meta
    if aside := int(meta.get("quarantined", 0)) - earlier_calls(meta.get("reasons", {})):
        notes.append(set_aside(aside))
    if STATIC in simple:
        notes.append(_CHOSEN)
    return _side_by_side(tuple(simulations), floor, tuple(credits), tuple(dict.fromkeys(notes)), unsure, told)


def _new(plan: Plan, other: Plan, name: str) -> Plan:
    """Return the levers of ``plan`` that ``other`` does not have."""
    return Plan(tuple(x for x in plan.levers if all(x is not y for y in other.levers)), name)


def _side_by_side(
    simulations: tuple[Simulation, ...],
    floor: float,
    credits: tuple[Credit, ...] = (),
    notes: tuple[str, ...] = (),
    unsure: Collection[str] = (),
    acts: Mapping[str, SideEffects] | None = None,
) -> Comparison:
    comparable([(1, s) for s in simulations])
    rows = pd.DataFrame([{"plan": s.name, **s.table.iloc[-1].drop(list(s.summary.header.group_by)).to_dict()} for s in simulations])
    rows["evidence"] = [s.cost().evidence for s in simulations]
    sure = ["saving_low", "quality_low"]
    rows[sure] = rows[sure].astype(float)
    rows.loc[rows["plan"].isin([*unsure]), ["quality_low", "quality_high"]] = np.nan
    rows["noninferior"] = ["unknown" if s.name in unsure else noninferior(s.quality_difference(), floor) for s in simulations]
    rows["pareto"] = pareto(rows["usd_per_month"], rows["quality_difference"], rows["p95_ms"])
    for what, prefix in ((ROUTING, "credit"), (CASCADE, "cascade_credit")):
        if own := [c for c in credits if c.what == what]:
            rows = rows.merge(pd.DataFrame([{"plan": c.plan, **_credited(c, prefix)} for c in own]), on="plan", how="left")
    if acts:
        twice = pd.DataFrame([{"plan": n, **{f"twice_{k}": v for k, v in asdict(a).items()}} for n, a in acts.items()])
        rows = rows.merge(twice, on="plan", how="left")
    untold = [said for said in (simulations[0].untold, simulations[0].thin, simulations[0].rough) if said]
    if acts and simulations[0].drawn is not None:
        untold.append(AMONG_DRAWN)
    return Comparison(simulations, floor, rows, credits, (*notes, *untold), acts or {})


def _credited(found: Credit, prefix: str) -> dict[str, Any]:
    saving = (found.saving.value, found.saving.low, found.saving.high)
    value, low, high = (np.nan if x is None else x * found.per_month for x in saving)
    told = {"over": found.over, "usd_per_month": value, "low": low, "high": high, "quality": found.quality.value, "sure": found.sure}
    return {f"{prefix}_{name}": value for name, value in told.items()}
