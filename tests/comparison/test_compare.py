"""Plans side by side: the Pareto set, what must not be compared, and what routing adds over the best simple rule."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support.small import MODELS, traffic_of

from planner.comparison import Comparison, compare
from planner.comparison.credit import GATEWAY, STATIC, TODAY, credit, simple_plans
from planner.comparison.noninferiority import unmeasured
from planner.comparison.plays import Plays
from planner.comparison.static import always
from planner.errors import InputError
from planner.outcomes import Outcomes, fit_outcomes
from planner.policies import Compress, Hedge, Plan, PromptCache, Retry, Route, Timeout
from planner.prices import PriceBook
from planner.simulation import World, run, simulate
from planner.simulation.side_effects import as_logged, side_effects


def test_dominated_plans_are_off_the_pareto_set(world) -> None:
    """A plan is on the set exactly when no other is as cheap, as good and as quick, and better in one of them."""
    opened, training = world
    plans = [Plan((Route(router),), name) for name, router in training.rules.items()]
    table = compare(run(opened, Plan()), *(run(opened, p) for p in plans)).table
    for _, row in table.iterrows():
        as_good = (table["usd_per_month"] <= row["usd_per_month"]) & (table["quality_difference"] >= row["quality_difference"])
        as_good &= table["p95_ms"] <= row["p95_ms"]
        better = (table["usd_per_month"] < row["usd_per_month"]) | (table["quality_difference"] > row["quality_difference"])
        assert row["pareto"] == (not (as_good & (better | (table["p95_ms"] < row["p95_ms"]))).any())


@pytest.mark.parametrize(("floor", "best"), [(0.0, None), (0.01, "careful"), (0.05, "bold")])
def test_the_verdict_is_the_most_saved_within_the_loss(world, floor: float, best: str | None) -> None:
    """Only plans whose whole intervals say a saving and no more loss than the floor can win, and of them the most saving one does."""
    today = run(world[0], Plan())
    rows = pd.DataFrame(
        [
            ("careful", 5.0, 1.0, -0.001, -0.005),
            ("bold", 10.0, 5.0, -0.01, -0.02),
            ("no interval", 20.0, 9.0, 0.0, np.nan),
            ("perhaps dearer", 30.0, -1.0, 0.0, 0.0),
            ("dearer", -5.0, -6.0, 0.1, 0.05),
        ],
        columns=["plan", "saving_usd_per_month", "saving_low", "quality_difference", "quality_low"],
    ).assign(changed_share=0.5, noninferior="unknown")
    found = Comparison(tuple(replace(today, name=n) for n in rows["plan"]), floor, rows)
    assert (found.best.name if found.best else None) == best
    first, *others = found.text.split("\n")
    assert f"less than {floor:g} of quality" in first
    assert (f"'{best}' saves most" if best else "Keep today's models") in first
    assert others == [s.text for s in found.simulations]


def test_a_floor_is_a_share_of_quality(world) -> None:
    """A floor that no quality could fall by is refused."""
    with pytest.raises(InputError, match="floor 2"):
        compare(run(world[0], Plan()), floor=2)


def test_without_labels_nothing_is_chosen(world) -> None:
    """Plans whose quality is unknown are compared in money only, and the verdict says why none is chosen."""
    opened, training = world
    blind = World(opened.traffic, Outcomes(), opened.book, opened.at)
    routed = [run(blind, Plan((Route(router),), name)) for name, router in training.rules.items()]
    found = compare(*routed)
    assert found.best is None
    assert "without labels the quality of no plan is known" in found.text


def test_other_dates_and_equal_names_are_refused(world) -> None:
    """Two price dates, or two plans of one name, are no comparison."""
    opened, _ = world
    today = run(opened, Plan())
    with pytest.raises(InputError, match="price_date"):
        compare(today, simulate(opened.traffic, Plan((), "other"), book=opened.book, at=dt.date(2026, 10, 20)))
    with pytest.raises(InputError, match="a name each"):
        compare(today, today)
    with pytest.raises(InputError, match="no simulations"):
        compare()


def test_savings_carry_their_evidence(world) -> None:
    """A saving's parts by evidence add up to it, and its text names them."""
    opened, training = world
    routed = run(opened, Plan((Route(training.rules["cheapest"]),), "cheapest"))
    saving = routed.saving()
    assert sum(saving.shares.values()) == pytest.approx(saving.value)
    assert saving.evidence in ("estimated", "assumed")
    assert saving.evidence in routed.text
    assert np.isfinite(saving.low if saving.low is not None else np.nan)


def test_tables_show_themselves(world) -> None:
    """Simulation and comparison have text, a table and an HTML form that escapes names."""
    opened, training = world
    odd = run(opened, Plan((Route(training.rules["cheapest"]),), "<b>&"))
    assert "<b>&" not in odd._repr_html_()
    assert "<b>&" not in compare(odd)._repr_html_()


def test_today_static_and_gateway_always_stand_beside_a_plan_that_routes(world) -> None:
    """With a world, the log, the models of today, the best static models and the gateway's own router come before the plans."""
    opened, training = world
    found = compare(Plan((Route(training.router.with_tau(5.0)), PromptCache()), "mine"), world=opened)
    assert found.table["plan"].tolist() == ["as logged", TODAY, STATIC, GATEWAY, "mine"]
    assert found.table["saving_usd_per_month"].iloc[0] == 0


def test_routing_is_credited_with_what_it_adds_over_the_best_simple_rule(world) -> None:
    """The credit is the plan's saving less that of the same plan with the simple rule, to the integer, and no other levers' saving."""
    opened, training = world
    plan = Plan((Route(training.router.with_tau(5.0)), Hedge(2_000.0)), "mine")
    simple, _ = simple_plans(opened, plan, 0.02)
    plays = Plays(opened)
    found = credit(plays, plan, simple, 0.02)
    best = run(opened, simple[found.over])
    assert [lever.key for lever in simple[found.over].levers if lever.key != "route"] == ["hedge"]
    assert found.saving.value == pytest.approx(run(opened, plan).saving().value - best.saving().value, rel=1e-12)
    sure = {n: p for n, p in simple.items() if n == "no routing" or (run(opened, p).quality_difference().low or -1) >= -0.02}
    assert found.saving.value == pytest.approx(min(plays(plan).saving().value - plays(p).saving().value for p in sure.values()), rel=1e-12)


def test_a_router_that_is_the_best_static_model_earns_no_credit(world) -> None:
    """Where the learned router decides as the static rule does, routing adds nothing to it, to the integer."""
    opened, training = world
    static = always(training.router, {"chat": "gpt-5.4-mini", "search": "gpt-5.4-mini"})
    plan = Plan((Route(static),), "mine")
    own = {
        "best static per app": Plan(
            (Route(always(training.router, dict(static.references) | {"chat": "gpt-5.4-mini", "search": "gpt-5.4-mini"})),), "s"
        )
    }
    found = credit(Plays(opened), plan, own | {"no routing": Plan((), "none")}, 1.0)
    assert (found.over, found.saving.value, found.quality.value, found.sure) == ("best static per app", 0.0, 0.0, False)


def test_a_plan_without_a_world_is_refused_and_one_without_a_route_has_no_simple_rules(world) -> None:
    """A plan needs a world to be played in; where nothing is routed only the log stands beside it."""
    with pytest.raises(InputError, match="without a world"):
        compare(Plan((Hedge(2_000.0),), "hedged"))
    found = compare(Plan((Hedge(2_000.0),), "hedged"), world=world[0])
    assert found.table["plan"].tolist() == ["as logged", "hedged"]
    assert found.credits == ()


def test_what_no_label_measured_carries_no_floor(world) -> None:
    """A compression that no label was made with cannot be the best plan, whatever it saves, and the text says why."""
    opened, training = world
    found = compare(Plan((Route(training.router.with_tau(1.0)), Compress("rank")), "short"), world=opened, floor=1.0)
    row = found.table.set_index("plan").loc["short"]
    assert row["noninferior"] == "unknown"
    assert np.isnan(row["quality_low"])
    assert found.best is not None
    assert found.best.name != "short"
    assert "'short' carries no floor" in found.text
    answers = opened.outcomes.answers
    assert answers is not None
    made = answers.outcomes.assign(prompt_variant="compress-rank-2")
    told = World(opened.traffic, replace(opened.outcomes, answers=replace(answers, outcomes=made)), opened.book, opened.at)
    assert unmeasured(told, Plan((Compress("rank"),))) == ()


def test_a_plan_that_may_act_twice_says_so_beside_its_saving(tmp_path) -> None:
    """Of plans that ask again where tools are offered, and of the log, the second actions stand in text and table; of no other plan."""
    n = 600
    columns = {
        "app": np.where(np.arange(n) % 2 == 0, "agent", "chat"),
        "provider": "openai",
        "model": MODELS[0],
        "input_tokens": 100,
        "output_tokens": 20,
        "latency_ms": np.random.default_rng(0).lognormal(7, 0.5, n),
        "has_tools": np.arange(n) % 2 == 0,
        "attempts": np.where(np.arange(n) % 10 == 0, 2, 1),
    }
    traffic = traffic_of(tmp_path, columns)
    opened = World(traffic, fit_outcomes(traffic), PriceBook.load(), dt.date(2026, 11, 1))
    twice = Plan((Hedge(800.0), Retry({"transport": 2}, jitter=0.0)), "twice")
    harmless = [Plan((Hedge(800.0, apps=("chat",)),), "in chat"), Plan((Timeout(9_000.0),), "patient")]
    found = compare(twice, *harmless, world=opened)
    expected = {"as logged": as_logged(opened), "twice": side_effects(opened, twice, opened.replayed(twice))}
    assert found.acts == expected
    rows = found.table.set_index("plan")
    for name, acts in expected.items():
        assert acts.possible + acts.keyed > 0
        assert (rows.loc[name, ["twice_certain", "twice_possible", "twice_keyed"]] == [acts.certain, acts.possible, acts.keyed]).all()
        assert found.text.index(f"Second actions under '{name}': {acts.text}") < found.text.index("as logged: $")
    assert rows.loc[["in chat", "patient"], "twice_possible"].isna().all()
    assert "twice_possible" not in compare(*harmless, world=opened).table
