"""A cascade is credited with what it adds over the best that needs none, whatever else the plan does."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace

import numpy as np
import pytest
from support.small import MODELS, traffic_of, world_of

from planner.comparison import compare
from planner.comparison.cascades import Alone, gateway_for, static_for
from planner.comparison.credit import CASCADE, GATEWAY, ROUTING, STATIC, credit, simple_plans
from planner.comparison.plays import Plays
from planner.errors import NeedsError
from planner.labels import Labels
from planner.outcomes import Outcomes, fit_outcomes
from planner.policies import Cascade, Hedge, Plan, Route
from planner.prices import PriceBook
from planner.schema import PURPOSES, STATUSES
from planner.simulation import World, run
from planner.simulation.side_effects import SideEffects, side_effects
from planner.training import Training, train

DATE = dt.date(2026, 11, 1)
LARGE, VERIFIER, SMALL = MODELS
CHECKED = Cascade(SMALL, LARGE, ("json_schema",), apps=("chat",))


@pytest.fixture(scope="module")
def cascaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Training]:
    """A log with labels: the schema lets nine of ten right and two of ten wrong answers pass, the grounding check all."""
    traffic, labels = world_of(tmp_path_factory.mktemp("cascaded"), 3_000, 1_500)
    draw = np.random.default_rng(4).random(len(labels.outcomes))
    passed = draw < np.where(labels.outcomes["quality"] > 0.5, 0.9, 0.2)
    told = Labels.of(labels.items, labels.outcomes.assign(validators=[json.dumps({"json_schema": bool(p)}) for p in passed]))
    book = PriceBook.load()
    training = train(told, reference=LARGE, book=book, at=DATE)
    return World(traffic, fit_outcomes(traffic, told, training), book, DATE), training


def test_every_simpler_rule_keeps_the_other_levers(cascaded: tuple[World, Training]) -> None:
    """No cascade, each model alone, a model per app and the gateway's heuristic stand in the cascade's place, beside the plan's hedge."""
    opened, _ = cascaded
    plan = Plan((CHECKED, Hedge(2_000.0)), "mine")
    simple, untold = simple_plans(opened, plan, 0.02, what=CASCADE)
    assert [*simple] == ["no cascade", f"{SMALL} alone", f"{LARGE} alone", STATIC, GATEWAY]
    assert untold == ()
    assert all(p.levers[-1] is plan.levers[-1] and not p.of_key("cascade") for p in simple.values())
    assert simple_plans(opened, plan, 0.02) == ({}, ())


def test_a_model_alone_answers_what_the_cascade_would_send_it(cascaded: tuple[World, Training]) -> None:
    """Alone, the first model gets exactly the requests that the cascade asks it, and no request of another app moves."""
    opened, _ = cascaded
    first, alone = (opened.replayed(Plan((lever,))) for lever in (CHECKED, Alone(SMALL, CHECKED.apps)))
    asked = [p.calls.model.decode()[p.calls.purpose == 0] for p in (first, alone)]
    assert asked[0].tolist() == asked[1].tolist()
    chat = opened.rows.app.decode()[alone.at] == "chat"
    assert set(asked[1][chat]) == {SMALL}
    assert (asked[1][~chat] == opened.rows.model.decode()[alone.at][~chat]).all()


def test_the_best_static_model_is_the_cheapest_that_is_good_enough(cascaded: tuple[World, Training]) -> None:
    """Of all models with predictions, none that costs less is predicted within the floor; where none is, the app stays as logged."""
    opened, _ = cascaded
    quality, cost = {}, {}
    for model in MODELS:
        played = run(opened, Plan((Alone(model, ("chat",)),)))
        chat = opened.groups.index(("chat",))
        weight = played.summary.pair("quality_weight_micro", chat).sum()
        lost = played.summary.pair("quality_nano", chat).sum() - played.summary.pair("quality_logged_nano", chat).sum()
        quality[model], cost[model] = lost / weight / 1_000, played.cost(chat).value
    for floor in (0.0, 0.1, 1.0):
        fit = [m for m in MODELS if quality[m] >= -floor]
        chosen = [lever.payload()["model"] for lever in static_for(opened, CHECKED, floor)]
        assert chosen == ([min(fit, key=cost.__getitem__)] if fit else [])


def test_a_cascade_is_credited_with_what_it_adds_over_the_best_simpler_rule(cascaded: tuple[World, Training]) -> None:
    """The credit is the plan's saving less that of the same plan with the best rule that is shown to be within the floor."""
    opened, _ = cascaded
    plan, plays = Plan((CHECKED, Hedge(2_000.0)), "mine"), Plays(opened)
    simple, _ = simple_plans(opened, plan, 0.05, what=CASCADE)
    found = credit(plays, plan, simple, 0.05, CASCADE)
    least = {n: plays(p).quality_difference().low for n, p in simple.items()}
    fit = [n for n in simple if n == "no cascade" or (least[n] is not None and least[n] >= -0.05)]
    best = max(fit, key=lambda n: plays(simple[n]).saving().value)
    assert found.over == best
    assert found.saving.value == pytest.approx(plays(plan).saving().value - plays(simple[best]).saving().value, rel=1e-12)
    assert found.text.startswith("The cascade in 'mine' adds over")


def test_routing_and_a_cascade_are_each_credited_with_the_other_on(cascaded: tuple[World, Training]) -> None:
    """In a plan with both, what stands in for one leaves the other as it is, and both credits stand in text and table."""
    opened, training = cascaded
    plan = Plan((Route(training.router.with_apps(["search"]).with_tau(5.0)), CHECKED), "both")
    for what, key in ((ROUTING, "cascade"), (CASCADE, "route")):
        simple, _ = simple_plans(opened, plan, 0.02, what=what)
        assert all(plan.of_key(key)[0] in p.levers for p in simple.values())
    found = compare(plan, world=opened)
    assert [c.what for c in found.credits] == [ROUTING, CASCADE]
    row = found.table.set_index("plan").loc["both"]
    for one, prefix in zip(found.credits, ("credit", "cascade_credit"), strict=True):
        assert row[f"{prefix}_over"] == one.over
        assert row[f"{prefix}_usd_per_month"] == pytest.approx(one.saving.value * one.per_month)
        assert one.text in found.text


def test_the_models_alone_stand_beside_a_plan_with_a_cascade(cascaded: tuple[World, Training]) -> None:
    """Where nothing is routed, the log, both models alone, the best static one and the gateway's router come before the plan."""
    table = compare(Plan((CHECKED, Hedge(2_000.0)), "mine"), world=cascaded[0]).table
    assert table["plan"].tolist() == ["as logged", f"{SMALL} alone", f"{LARGE} alone", STATIC, GATEWAY, "mine"]
    assert table["cascade_credit_usd_per_month"].notna().tolist() == [False] * 5 + [True]


def test_a_cascade_that_refuses_nothing_earns_no_credit(cascaded: tuple[World, Training]) -> None:
    """Where every answer of the first model passes, the cascade costs what that model alone does, to the integer."""
    opened, _ = cascaded
    answers = opened.outcomes.answers
    assert answers is not None
    passed = answers.outcomes.assign(validators=json.dumps({"json_schema": True}))
    easy = World(opened.traffic, replace(opened.outcomes, answers=replace(answers, outcomes=passed)), opened.book, DATE)
    plan = Plan((CHECKED,), "mine")
    found = credit(Plays(easy), plan, {"no cascade": Plan((Alone(SMALL, CHECKED.apps),))}, 1.0, CASCADE)
    assert (easy.replayed(plan).calls.purpose == 0).all()
    assert (found.saving.value, found.quality.value, found.sure) == (0.0, 0.0, False)


def test_the_gateway_decides_between_the_models_of_the_cascade(cascaded: tuple[World, Training]) -> None:
    """Its easy tiers are the first model, its hard ones the second, unless the gateway's own configuration says others."""
    opened, _ = cascaded
    (lever,) = gateway_for(opened, CHECKED, None)
    sent = opened.replayed(Plan((lever,)))
    chat = opened.rows.app.decode()[sent.at] == "chat"
    asked = sent.calls.model.decode()[sent.calls.purpose == 0]
    assert set(asked[chat]) <= {SMALL, LARGE}
    tiers = dict.fromkeys(("SIMPLE", "MEDIUM", "COMPLEX", "REASONING"), VERIFIER)
    (lever,) = gateway_for(opened, CHECKED, tiers)
    sent = opened.replayed(Plan((lever,)))
    assert set(sent.calls.model.decode()[sent.calls.purpose == 0][chat]) == {VERIFIER}


def test_without_text_the_gateway_is_missing_and_the_rest_is_compared(tmp_path) -> None:
    """A log without text cannot be read by the gateway's router: that is said, and the other rules stand."""
    traffic = traffic_of(tmp_path, {"app": "chat", "provider": "openai", "model": [LARGE] * 40, "input_tokens": 100, "output_tokens": 20})
    bare = World(traffic, Outcomes(), PriceBook.load(), DATE)
    with pytest.raises(NeedsError, match="messages"):
        gateway_for(bare, CHECKED, None)
    simple, untold = simple_plans(bare, Plan((CHECKED,), "mine"), 0.02, what=CASCADE)
    assert [*simple] == ["no cascade", f"{SMALL} alone", f"{LARGE} alone", STATIC]
    assert "gateway's own router needs messages" in untold[0]


def test_an_answer_that_the_cascade_refuses_has_not_acted(cascaded: tuple[World, Training], tmp_path) -> None:
    """However many answers are refused and asked again of the second model, no request with tools acts twice for that."""
    opened, _ = cascaded
    columns = ("request_id", "timestamp", "user", "app", "provider", "model", "messages", "text_state", "status", "latency_ms",
               "input_tokens", "output_tokens")  # fmt: skip
    traffic = traffic_of(tmp_path, opened.traffic.frame(*columns).assign(has_tools=True))
    acting, plan = World(traffic, opened.outcomes, opened.book, DATE), Plan((CHECKED,))
    played = acting.replayed(plan)
    lost = (played.calls.purpose == PURPOSES.index("escalation")) & (played.calls.outcome == STATUSES.index("transport"))
    assert (played.calls.purpose == PURPOSES.index("escalation")).sum() > 100
    assert side_effects(acting, plan, played) == SideEffects(len(played.at), 0, int(lost.sum()), 0)
