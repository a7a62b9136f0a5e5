"""The simple rules that a router must beat: each app's best static model, and the gateway's own heuristic."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from planner.comparison.credit import GATEWAY, simple_plans
from planner.comparison.gateway import TIERS, assumed_tiers, heuristic
from planner.comparison.static import always, static_models
from planner.errors import InputError, MissingExtraError
from planner.policies import Plan, Route
from planner.router import Requests
from planner.simulation import run

HARD = "prove step by step that this algorithm is right, think through the edge cases and explain why"


@pytest.mark.parametrize("floor", [0.0, 0.05, 0.3, 1.0])
def test_a_static_model_is_the_cheapest_that_is_good_enough(world, floor: float) -> None:
    """Played on its own, no candidate that is predicted good enough for an app costs less there than the chosen one."""
    opened, training = world
    chosen = static_models(opened, training.router, floor)
    for app in ("chat", "search"):
        group = opened.groups.index((app,))
        cost, quality = {}, {}
        for model in training.router.candidates:
            played = run(opened, Plan((Route(always(training.router, {app: model})),), model)).summary
            cost[model] = int(played.measure("cost_pusd", group).sum())
            quality[model] = int(played.pair("quality_nano", group).sum() - played.pair("quality_logged_nano", group).sum())
        weight = int(played.pair("quality_weight_micro", group).sum())
        fit = [m for m in cost if quality[m] / weight / 1000 >= -floor - 1e-12]
        assert chosen.get(app) == (min(fit, key=cost.__getitem__) if fit else None)


def test_a_static_model_answers_all_it_can(world) -> None:
    """Every request of the app that the router may decide goes to the app's model, and none of another app moves."""
    opened, training = world
    router = always(training.router, {"chat": "gpt-5.4-nano"})
    sent = opened.played(Plan((Route(router),), "static")).model.decode()
    app, logged = opened.rows.app.decode(), opened.rows.model.decode()
    assert (sent[(app == "chat") & opened.rows.steerable] == "gpt-5.4-nano").mean() > 0.95
    moved = (sent != logged) & (app == "search")
    assert {*sent[moved]} <= {training.router.candidates[c] for c in training.router.home(["search"])}


def test_the_gateways_router_decides_as_the_gateway_does(world) -> None:
    """Each request goes to the model of the tier that LiteLLM's own scorer gives it, whatever it costs."""
    from litellm.router_strategy.complexity_router.complexity_router import ComplexityRouter

    router = heuristic(world[1].router)
    texts = ["hi", HARD, "write a python function that first parses then sorts the api response", "list the rivers of Asia"]
    judge, tiers = ComplexityRouter("auto", None, {"tiers": {}}), assumed_tiers(router)
    scores = router.scores(Requests.of(texts, app=["chat"] * len(texts)), "")
    decided = [router.candidates[c] for c in router.choose(scores)[0]]
    allowed = scores.feasible.all(axis=1) & (scores.abstain == 0)
    assert allowed.any()
    wanted = [tiers[judge.classify(t)[0].value] for t in texts]
    assert [d for d, ok in zip(decided, allowed, strict=True) if ok] == [w for w, ok in zip(wanted, allowed, strict=True) if ok]
    assert len({*wanted}) > 1


def test_tiers_are_the_candidates_by_cost(world) -> None:
    """Without a configuration the easiest tier is the cheapest candidate and the hardest the dearest; a stated tier must be one of both."""
    router = world[1].router
    cost = dict(zip(router.candidates, router.costs.usd(np.array([1_000]))[0].tolist(), strict=True))
    spread = [cost[model] for model in assumed_tiers(router).values()]
    assert spread == sorted(spread)
    assert (spread[0], spread[-1]) == (min(cost.values()), max(cost.values()))
    for tiers, said in (({"EASY": "gpt-5.4"}, "tier"), (dict.fromkeys(TIERS, "gpt-5.5"), "Did you mean 'gpt-5.4'")):
        with pytest.raises(InputError, match=said):
            heuristic(router, tiers)


def test_without_the_gateway_the_rest_is_compared(world, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where LiteLLM is not installed the comparison says that its router cannot be run, and goes on without it."""
    opened, training = world
    for name in [n for n in sys.modules if n.split(".")[0] == "litellm"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "litellm", None)
    with pytest.raises(MissingExtraError, match="pip install litellm"):
        heuristic(training.router)
    found, untold = simple_plans(opened, Plan((Route(training.router),), "mine"), 0.02)
    assert GATEWAY not in found
    assert "cannot be run here" in untold[0]
