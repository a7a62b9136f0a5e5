"""What each lever brings: steps that add up to the integer, and interactions that closed forms know."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from planner.comparison import interactions, waterfall
from planner.comparison.contrast import improves, saves, slows
from planner.errors import InputError
from planner.policies import Block, Hedge, Intents, Plan, PromptCache, Route
from planner.simulation import run
from planner.simulation.summary import MEASURES
from planner.stats import jackknife

ORDERS = [None, ("twin", "discount"), ("discount", "twin")]


@dataclass(frozen=True)
class Discount:
    """Send everything through the batch tier, at half the price: twice the same is once the same."""

    key: str = "discount"
    apps: tuple[str, ...] | None = None

    phase = "row"
    needs = ()
    writes = ()
    uses = ()

    def apply(self, block: Block, intents: Intents) -> Intents:
        """Set the tier of the apps."""
        mine = block.rows.steerable & np.isin(block.rows.app.decode(), self.apps or block.rows.app.values)
        return replace(intents, tier=np.where(mine, 0, intents.tier).astype(np.int32), tiers=("batch",))

    def payload(self) -> dict[str, Any]:
        """Return plain values."""
        return {"kind": self.key, "apps": list(self.apps or ())}

    def words(self) -> str:
        """Say what it does."""
        return f"{self.key} by half"


def pusd(simulation: Any) -> int:
    """Return the cost difference to the log [pUSD]."""
    return int(simulation.summary.measure("cost_difference_pusd").sum())


@pytest.mark.parametrize("order", ORDERS)
def test_a_duplicated_lever_saves_nothing_last(world, order) -> None:
    """Of two levers that do the same, the one put in first has all of the saving, neither has any as the last, and both have it alone."""
    opened, _ = world
    plan = Plan((Discount(), Discount("twin")), "twice")
    found = waterfall(opened, plan, order=order)
    first, second = found.steps
    whole = run(opened, plan).saving().value
    assert whole > 0
    assert (first.saving.value, second.saving.value) == (whole, 0.0)
    assert (first.last.value, second.last.value) == (0.0, 0.0)
    assert first.alone.value == second.alone.value == whole
    assert second.saving.evidence == "measured"
    (pair,) = interactions(opened, plan).pairs
    assert pair.extra.value == -whole
    assert pair.found == "less together"


def test_levers_in_different_apps_add_up(world) -> None:
    """Levers that never meet have no interaction: whatever the order, a step is what the lever saves alone and last, to the integer."""
    opened, _ = world
    plan = Plan((Discount(apps=("chat",)), Discount("twin", apps=("search",))), "apart")
    for order in ORDERS:
        for step in waterfall(opened, plan, order=order).steps:
            assert step.saving.value == step.alone.value == step.last.value > 0
    (pair,) = interactions(opened, plan, pairs=[("discount", "twin")]).pairs
    assert (pair.extra.value, pair.found, pair.p) == (0.0, "none", 1.0)
    assert interactions(opened, plan).pairs == ()


def test_steps_add_up_to_the_plan(world) -> None:
    """The steps in order sum to the whole plan's saving, and every difference is that of integer sums."""
    opened, training = world
    plan = Plan((Route(training.router.with_tau(5.0)), Discount(apps=("chat",)), PromptCache(), Hedge(2_000.0)), "mine")
    found = waterfall(opened, plan, order=("hedge", "prompt_cache", "discount", "route"))
    assert [s.lever for s in found.steps] == ["hedge", "prompt_cache", "discount", "route"]
    whole = run(opened, plan)
    assert sum(s.saving.value for s in found.steps) == pytest.approx(whole.saving().value, rel=1e-12)
    without = run(opened, Plan(plan.levers[1:], "without"))
    assert found.steps[-1].last.value == (pusd(without) - pusd(whole)) / 1e12
    table = found.table
    assert table["saving_usd_per_month"].iloc[:-1].sum() == pytest.approx(table["saving_usd_per_month"].iloc[-1])
    assert "in the order hedge, then prompt_cache, then discount, then route" in found.text.lower()


def test_routing_and_discount_interact_by_the_product(world) -> None:
    """Halving the price of what a route already made cheaper saves half of what is left: the extra is minus half the route's saving."""
    opened, training = world
    plan = Plan((Route(training.rules["cheapest"]), Discount()), "both")
    (pair,) = interactions(opened, plan).pairs
    assert pair.extra.value == pytest.approx(-pair.first.value / 2, rel=1e-3)
    assert pair.found == "less together"
    assert pair.extra.high is not None
    assert pair.extra.high < 0


def test_a_difference_is_taken_on_replicates(world) -> None:
    """The interval of a difference is the jackknife's over each bucket's own difference, and leaves out what both plans share."""
    opened, _ = world
    both, one = (run(opened, Plan(x, "x")) for x in ((Discount(),), (Discount(apps=("chat",)),)))
    found = saves([(1, both), (-1, one)])
    at = MEASURES.index("cost_difference_pusd")
    parts = [s.summary.sums[..., at].sum(axis=(0, 2)).astype(float) for s in (both, one)]
    requests = both.summary.measure("requests_micro").sum(axis=1).astype(float)
    slow = jackknife(((parts[1] - parts[0]) / 1e12)[:, None], lambda s: s[:, 0], requests, extensive=True)
    assert (found.low, found.high) == (pytest.approx(float(slow.low)), pytest.approx(float(slow.high)))
    assert saves([(1, both), (-1, both)]).value == 0.0


def test_against_the_log_a_difference_is_the_simulations_own(world) -> None:
    """Set against the empty plan, saving, quality and p95 are what the simulation says of itself."""
    opened, training = world
    routed, logged = run(opened, Plan((Route(training.router.with_tau(5.0)),), "routed")), run(opened, Plan())
    pairs = [(saves([(1, routed), (-1, logged)]), routed.saving()), (slows(routed, logged), routed.latency_difference())]
    pairs.append((improves([(1, routed), (-1, logged)]), routed.quality_difference()))
    for found, own in pairs:
        assert (found.value, found.low, found.high) == pytest.approx((own.value, own.low, own.high))
        assert found.evidence == own.evidence


def test_quality_of_a_lever_that_changes_no_answer_cancels(world) -> None:
    """Two plans that route alike differ in no quality, measured, although each one's own is only estimated."""
    opened, training = world
    route = Route(training.router.with_tau(5.0))
    one, other = (run(opened, Plan(levers, "x")) for levers in ((route,), (route, Discount())))
    found = improves([(1, other), (-1, one)])
    assert (found.value, found.low, found.high, found.evidence) == (0.0, 0.0, 0.0, "measured")


def test_an_order_names_every_lever_once(world) -> None:
    """A misspelt, missing or doubled lever in the order is refused, and so is a plan without levers."""
    plan = Plan((Discount(), Discount("twin")), "twice")
    for order, said in ((("discuont", "twin"), "Did you mean 'discount'"), (("twin",), "once"), (("twin", "twin"), "once")):
        with pytest.raises(InputError, match=said):
            waterfall(world[0], plan, order=order)
    with pytest.raises(InputError, match="without levers"):
        waterfall(world[0], Plan())
