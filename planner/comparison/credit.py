"""Credit: what routing, or a cascade, adds over the best that needs neither.

In: a world, and a plan that routes or cascades. Out: the same plan, its other levers on, with simpler rules in their place: nothing
at all, each app's model of today or each model of the cascade alone, each app's best static model, the gateway's own heuristic; and what
the plan saves and is worth beyond the best of them. Choosing the best on the log that judges flatters the simple rules, never the plan.
Knows nothing of tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from planner.comparison.cascades import Alone, gateway_for, replaced, static_for
from planner.comparison.contrast import improves, saves
from planner.comparison.gateway import heuristic
from planner.comparison.noninferiority import noninferior
from planner.comparison.plays import Plays
from planner.comparison.static import best_static, swapped, today
from planner.comparison.waterfall import between
from planner.errors import MissingExtraError, NeedsError
from planner.policies import Plan, Route
from planner.simulation import Simulation, World
from planner.stats import Estimate

__all__ = ["CASCADE", "GATEWAY", "ROUTING", "STATIC", "TODAY", "Credit", "credit", "simple_plans", "without"]

#: What is credited: the levers of one key, taken together.
ROUTING, CASCADE = "routing", "cascade"
TODAY, STATIC, GATEWAY = "models of today", "best static per app", "gateway's heuristic"


@dataclass(frozen=True, eq=False)
class Credit:
    """What the routing or the cascade (``what``) of ``plan`` adds over ``over``, the best simpler rule under the same other levers.

    ``saving`` [USD] of the log's period, which ``per_month`` takes to a month, and ``quality``; ``floor`` is the quality one is
    willing to lose.
    """

    what: str
    plan: str
    over: str
    saving: Estimate
    quality: Estimate
    per_month: float
    floor: float

    @property
    def sure(self) -> bool:
        """Whether it surely saves more than the simpler rule, and surely loses no more than the floor against it."""
        return self.saving.low is not None and self.saving.low > 0 and noninferior(self.quality, self.floor) == "yes"

    @property
    def text(self) -> str:
        """Say it in a sentence; what no interval supports, or what quality pays for, is no credit."""
        what = f"{between(self.saving, self.per_month)} a month, quality {self.quality.format('+.4f')}"
        unsure = "" if self.sure else " nothing that is sure"
        return f"{'Routing' if self.what == ROUTING else 'The cascade'} in '{self.plan}' adds over '{self.over}'{unsure}: {what}."


def simple_plans(
    world: World, plan: Plan, floor: float, tiers: Mapping[str, str] | None = None, what: str = ROUTING
) -> tuple[dict[str, Plan], tuple[str, ...]]:
    """Return ``plan`` under each rule that is simpler than ``what``, by name, and a sentence for each that cannot be run here.

    None without a lever of ``what``.
    """
    found: dict[str, Plan] = {}
    rules = _routing(world, plan, floor, tiers) if what == ROUTING else _cascade(world, plan, floor, tiers)
    try:
        for name, rule in rules.items():
            found[name] = rule(f"{plan.name}, {name}")
    except (MissingExtraError, NeedsError) as error:
        return found, (str(error),)
    return found, ()


def _routing(world: World, plan: Plan, floor: float, tiers: Mapping[str, str] | None) -> Mapping[str, Callable[[str], Plan]]:
    """Return what makes the plan under each rule simpler than its routers; the gateway's, which may be missing, is the last."""
    if not any(isinstance(lever, Route) for lever in plan.levers):
        return {}
    return {
        without(ROUTING): lambda name: swapped(plan, name, None),
        TODAY: lambda name: swapped(plan, name, today),
        STATIC: lambda name: swapped(plan, name, lambda router: best_static(world, router, floor)),
        GATEWAY: lambda name: swapped(plan, name, lambda router: heuristic(router, tiers)),
    }


def _cascade(world: World, plan: Plan, floor: float, tiers: Mapping[str, str] | None) -> Mapping[str, Callable[[str], Plan]]:
    """Return what makes the plan under each rule simpler than its cascades; the gateway's, which may be missing, is the last."""
    found = plan.of_key(CASCADE)
    if not found:
        return {}
    first, then = (f"{', '.join(dict.fromkeys(models))} alone" for models in ((x.first for x in found), (x.then for x in found)))
    return {
        without(CASCADE): lambda name: replaced(plan, name, lambda x: ()),
        first: lambda name: replaced(plan, name, lambda x: (Alone(x.first, x.apps),)),
        then: lambda name: replaced(plan, name, lambda x: (Alone(x.then, x.apps),)),
        STATIC: lambda name: replaced(plan, name, lambda x: static_for(world, x, floor)),
        GATEWAY: lambda name: replaced(plan, name, lambda x: gateway_for(world, x, tiers)),
    }


def credit(plays: Plays, plan: Plan, simple: Mapping[str, Plan], floor: float, what: str = ROUTING) -> Credit:
    """Return what ``plan`` adds over the best of ``simple``: of those not inferior by ``floor``, the one that saves most."""
    own = plays(plan)
    others = {name: plays(other) for name, other in simple.items()}
    name = _best(others, floor, without(what))
    terms = ((1, own), (-1, others[name]))
    return Credit(what, plan.name, name, saves(terms), improves(terms), own.per_month, floor)


def without(what: str) -> str:
    """Name the rule that has nothing in the place of ``what``."""
    return f"no {what}"


def _best(others: Mapping[str, Simulation], floor: float, nothing: str) -> str:
    """Return the name of the best; ``nothing`` in the lever's place always is good enough, so that there always is one."""
    fit = [n for n, s in others.items() if n == nothing or noninferior(s.quality_difference(), floor) == "yes"]
    return max(fit, key=lambda n: others[n].saving().value)
