"""What a cascade must beat: no cascade, each of its two models alone, each app's best static model, the gateway's own heuristic.

In: a world, and a plan with cascades. Out: the same plan with simpler rules in their place. Their calls are played one by one, as a
cascade's are, so that failures and times differ by the rule alone. A static model is chosen on predictions among all that have any,
never on the held-out labels that judge it. Knows nothing of intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from planner.comparison.gateway import heuristic
from planner.comparison.static import cheapest, sent
from planner.errors import PriceError
from planner.policies import Cascade, Plan, Route
from planner.policies.base import Block, Intents, Lever, Settings, in_apps, sent_to, where
from planner.router import AlwaysRule, Capability, Costs, Router, Support
from planner.router.requests import FORMATS
from planner.simulation import World
from planner.simulation.side import Side

__all__ = ["Alone", "OneByOne", "gateway_for", "replaced", "static_for"]

_ANY_SIZE = 1 << 62


@dataclass(frozen=True)
class Alone(Settings):
    """Send the requests of ``apps`` to ``model``: one model of a cascade without the other.

    >>> Alone("gpt-5-nano", ("extract",)).words()
    'gpt-5-nano alone in extract'
    """

    model: str
    apps: tuple[str, ...] | None = None

    key = "alone"
    writes = ("model",)

    @property
    def uses(self) -> tuple[str, ...]:
        """The model."""
        return (self.model,)

    def apply(self, block: Block, intents: Intents) -> Intents:
        """Send every request of the apps to the model, as a cascade does."""
        return sent_to(intents, in_apps(block.rows, self.apps), 0, (self.model,))

    def words(self) -> str:
        """Say what it does, for people."""
        return f"{self.model} alone {where(self.apps)}"


@dataclass(frozen=True, eq=False)
class OneByOne(Route):
    """A route whose calls are played one by one."""

    phase = "event"


def replaced(plan: Plan, name: str, rule: Callable[[Cascade], Sequence[Lever]]) -> Plan:
    """Return ``plan`` with the levers of ``rule`` in the place of each cascade."""
    levers = [new for x in plan.levers for new in (rule(x) if isinstance(x, Cascade) else (x,))]
    return Plan(tuple(levers), name)


def static_for(world: World, cascade: Cascade, floor: float) -> Sequence[Lever]:
    """Return the levers that send each app of ``cascade`` to its one best model; an app in which none is good enough stays as logged."""
    steered = in_apps(world.rows, cascade.apps)
    known = world.outcomes.predicted.models if world.outcomes.predicted else ()
    sides: dict[str, Side] = {}
    for model in dict.fromkeys((cascade.first, cascade.then, *known)):
        with suppress(PriceError):
            sides[model] = world.side(sent(world, model, steered))
    chosen = cheapest(world, steered, sides, floor)
    return [Alone(model, tuple(a for a in chosen if chosen[a] == model)) for model in dict.fromkeys(chosen.values())]


def gateway_for(world: World, cascade: Cascade, tiers: Mapping[str, str] | None) -> Sequence[Lever]:
    """Return the route that decides between the cascade's models as the gateway's heuristic does; ``tiers`` may name others.

    Raises MissingExtraError without the gateway, NeedsError without text.
    """
    world.traffic.require("the gateway's own router", "messages")
    models = tuple(dict.fromkeys((cascade.first, cascade.then, *(tiers or {}).values())))
    k, none = len(models), np.zeros(len(models))
    seen = {m for names in world.traffic.frame("modalities")["modalities"].unique() for m in names.split(",")}
    able = Capability(None, _ANY_SIZE, True, FORMATS, tuple(sorted(seen)), source="what a cascade takes for granted")
    ranked = Costs(none, none, none, np.arange(k, dtype=float), basis="the cascade's order; a ranking, not dollars")
    rule, support = AlwaysRule(np.zeros(k, np.float32)), Support(cascade.apps, cut_text=True)
    base = Router(models, cascade.then, rule, ranked, (able,) * k, support, unit="request")
    return [OneByOne(heuristic(base, tiers))]
