"""Credit: what routing adds over the best that needs no learned router.

In: a world, and a plan that routes. Out: the same plan with simpler rules in the place of its router: no routing, each app's model of
today, its best static model, the gateway's own heuristic; and what the plan saves and is worth beyond the best of them. Choosing the
best on the log that judges flatters the simple rules, never the router. Knows nothing of tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from planner.comparison.contrast import improves, saves
from planner.comparison.gateway import heuristic
from planner.comparison.noninferiority import noninferior
from planner.comparison.plays import Plays
from planner.comparison.static import best_static, swapped, today
from planner.comparison.waterfall import between
from planner.errors import MissingExtraError
from planner.policies import Plan, Route
from planner.simulation import Simulation, World
from planner.stats import Estimate

__all__ = ["GATEWAY", "STATIC", "TODAY", "Credit", "credit", "simple_plans"]

TODAY, STATIC, GATEWAY = "models of today", "best static per app", "gateway's heuristic"
_UNROUTED = "no routing"


@dataclass(frozen=True, eq=False)
class Credit:
    """What the routing of ``plan`` adds over ``over``, the best simpler rule under the same other levers.

    ``saving`` [USD] of the log's period, which ``per_month`` takes to a month, and ``quality``; ``floor`` is the quality one is
    willing to lose.
    """

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
        return f"Routing in '{self.plan}' adds over '{self.over}'{'' if self.sure else ' nothing that is sure'}: {what}."


def simple_plans(world: World, plan: Plan, floor: float, tiers: Mapping[str, str] | None = None) -> tuple[dict[str, Plan], tuple[str, ...]]:
    """Return ``plan`` under each simpler rule by name, and a sentence for each that cannot be run here; none without a route."""
    if not any(isinstance(lever, Route) for lever in plan.levers):
        return {}, ()
    found = {_UNROUTED: swapped(plan, f"{plan.name}, {_UNROUTED}", None), TODAY: swapped(plan, f"{plan.name}, {TODAY}", today)}
    found[STATIC] = swapped(plan, f"{plan.name}, {STATIC}", lambda router: best_static(world, router, floor))
    try:
        found[GATEWAY] = swapped(plan, f"{plan.name}, {GATEWAY}", lambda router: heuristic(router, tiers))
    except MissingExtraError as error:
        return found, (str(error),)
    return found, ()


def credit(plays: Plays, plan: Plan, simple: Mapping[str, Plan], floor: float) -> Credit:
    """Return what ``plan`` adds over the best of ``simple``: of those not inferior by ``floor``, the one that saves most."""
    own = plays(plan)
    others = {name: plays(other) for name, other in simple.items()}
    name = _best(others, floor)
    terms = ((1, own), (-1, others[name]))
    return Credit(plan.name, name, saves(terms), improves(terms), own.per_month, floor)


def _best(others: Mapping[str, Simulation], floor: float) -> str:
    """Return the name of the best: without routing nothing is lost, so that there always is one."""
    fit: Sequence[str] = [n for n, s in others.items() if n == _UNROUTED or noninferior(s.quality_difference(), floor) == "yes"]
    return max(fit, key=lambda n: others[n].saving().value)
