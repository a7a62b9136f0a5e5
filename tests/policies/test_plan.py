"""Plans as plain values: checked whole, hashed by what they do, refused with a reason."""

from dataclasses import fields

import numpy as np
import pytest

from planner.errors import InputError
from planner.policies import Plan, Route
from planner.router import ALWAYS_TAU, AlwaysRule, Capability, Costs, Router


def router(tau: float = ALWAYS_TAU) -> Router:
    """Send everything to ``b``."""
    costs = Costs(np.array([2.0, 1.0]), *(np.zeros(2) for _ in range(3)))
    return Router(("a", "b"), "a", AlwaysRule.model(1, 0, 2), costs, (Capability(10**6),) * 2, tau=tau)


def test_a_plans_hash_is_what_it_does() -> None:
    """The name does not count; the router's level does."""
    assert Plan((Route(router()),), "x").hash == Plan((Route(router()),), "y").hash
    assert Plan((Route(router()),)).hash != Plan((Route(router(0.1)),)).hash


def test_payload_round_trip() -> None:
    """A plan rebuilt from its payload does the same."""
    plan = Plan((Route(router().with_apps(["chat"])),), "mine")
    known = {"route": lambda p: Route(router() if p["apps"] is None else router().with_apps(p["apps"]))}
    again = Plan.of(plan.payload(), known)
    assert (again.name, again.hash) == ("mine", plan.hash)
    assert plan.payload()["levers"][0]["apps"] == ["chat"]
    assert (again.levers[0].router.version, plan.hash != Plan((Route(router()),)).hash) == (plan.payload()["levers"][0]["router"], True)


def test_a_route_is_its_router_alone() -> None:
    """A route holds a router and nothing that could make the plan another one than the router that is exported."""
    assert [f.name for f in fields(Route)] == ["router"]
    assert Plan((Route(router()),)).payload()["levers"][0]["apps"] is None


def test_unknown_levers_and_newer_plans_are_refused() -> None:
    """A lever kind nobody knows, and a plan of a newer planner, each give one sentence."""
    payload = Plan().payload()
    with pytest.raises(InputError, match="lever kind 'teleport'"):
        Plan.of({**payload, "levers": [{"kind": "teleport"}]}, {"route": Route})
    with pytest.raises(InputError, match="newer planner"):
        Plan.of({**payload, "version": 99}, {})
