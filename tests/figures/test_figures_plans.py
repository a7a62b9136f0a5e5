"""The pictures of plans show exactly the numbers of their results."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from figures.conftest import Made
from matplotlib.patches import Rectangle

from planner.comparison import compare, waterfall
from planner.figures.pareto import pareto
from planner.figures.style import Picture, money, points
from planner.figures.waterfall import waterfall as waterfall_picture
from planner.policies import Hedge, Plan, PromptCache, Route
from planner.simulation import World


@pytest.fixture(scope="module")
def world(made: Made) -> World:
    """Open the world of all pictures."""
    return World(made.traffic, made.outcomes, made.book, dt.date(2026, 11, 1))


def _plan(made: Made) -> Plan:
    return Plan((Route(made.training.router.with_tau(5.0)), PromptCache(), Hedge(2_000.0)), "mine")


def _words(picture: Picture) -> str:
    axes = picture.axes[0]
    return "\n".join(t.get_text() for t in (*picture.texts, *axes.texts))


def test_the_waterfall_hangs_together(made: Made, world: World) -> None:
    """The first and last bar are the logged and planned cost; each lever's begins where the one before ends and is its saving."""
    found = waterfall(world, _plan(made))
    picture = waterfall_picture(found, note="SYNTHETIC")
    bars = [p for p in picture.axes[0].patches if isinstance(p, Rectangle)]
    start, end = (s.cost().value * s.per_month for s in (found.logged, found.planned))
    assert (bars[0].get_width(), bars[-1].get_width()) == (pytest.approx(start), pytest.approx(end))
    at = start
    for bar, saving in zip(bars[1:-1], found.table["saving_usd_per_month"].iloc[:-1], strict=True):
        assert (bar.get_x(), bar.get_width()) == (pytest.approx(at), pytest.approx(-saving))
        at -= saving
    assert at == pytest.approx(end)
    assert "SYNTHETIC" in _words(picture)
    assert "in this order: route, then prompt_cache, then hedge" in _words(picture).replace("\n", " ")
    assert picture.numbers.equals(found.table)


def test_what_is_assumed_is_dashed(made: Made, world: World) -> None:
    """A bar is dashed exactly where its lever's saving rests on an assumption."""
    found = waterfall(world, _plan(made))
    bars = [p for p in waterfall_picture(found).axes[0].patches if isinstance(p, Rectangle)][1:-1]
    assumed = (found.table["evidence"].iloc[:-1] == "assumed").tolist()
    assert [bar.get_linestyle() == "--" for bar in bars] == assumed
    assert any(assumed)
    assert not all(assumed)


def test_plans_are_points_and_the_set_is_full(made: Made, world: World) -> None:
    """Each plan stands at its cost and quality, filled exactly when it is on the Pareto set, and is named with both numbers."""
    found = compare(Plan((Route(made.training.router.with_tau(5.0)),), "mine"), world=world)
    picture = pareto(found)
    table = found.table.sort_values("usd_per_month", kind="stable")
    dots = [line for line in picture.axes[0].lines if line.get_marker() == "o"]
    for dot, row in zip(dots, table.to_dict("records"), strict=True):
        assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (row["usd_per_month"], 100 * row["quality_difference"])
        assert (dot.get_markerfacecolor() != "white") == row["pareto"]
        assert f"{row['plan']}\n    {money(row['usd_per_month'])}, {points(row['quality_difference'])} points" in _words(picture)
    floor = next(line for line in picture.axes[0].lines if list(np.unique(line.get_ydata())) == [-100 * found.floor])
    assert floor.get_linestyle() != "-"
