"""Plans side by side: the Pareto set, and what must not be compared."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support.small import MODELS, world_of

from planner.comparison import Comparison, compare
from planner.errors import InputError
from planner.outcomes import Outcomes, fit_outcomes
from planner.policies import Plan, Route
from planner.prices import PriceBook
from planner.simulation import World, run, simulate
from planner.training import train

DATE = dt.date(2026, 11, 1)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory):
    """A world with labels, and its training."""
    traffic, labels = world_of(tmp_path_factory.mktemp("traffic"))
    training = train(labels, reference=MODELS[0])
    return World(traffic, fit_outcomes(traffic, labels, training), PriceBook.load(), DATE), training


def test_dominated_plans_are_off_the_pareto_set(world) -> None:
    """A plan is on the set exactly when no other is at least as cheap and as good, and better on one."""
    opened, training = world
    plans = [Plan((Route(router),), name) for name, router in training.rules.items()]
    table = compare(run(opened, Plan()), *(run(opened, p) for p in plans)).table
    for _, row in table.iterrows():
        better = (table["usd_per_month"] <= row["usd_per_month"]) & (table["quality_difference"] >= row["quality_difference"])
        strictly = better & ((table["usd_per_month"] < row["usd_per_month"]) | (table["quality_difference"] > row["quality_difference"]))
        assert row["pareto"] == (not strictly.any())


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
    ).assign(changed_share=0.5)
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
