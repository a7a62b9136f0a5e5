"""Plans side by side: the Pareto set, and what must not be compared."""

import datetime as dt

import numpy as np
import pytest
from support.small import MODELS, world_of

from planner.comparison import compare
from planner.errors import InputError
from planner.outcomes import fit_outcomes
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
