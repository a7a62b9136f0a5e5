"""Pictures and tables of a sample: costs have their interval where there is one, and it is said that they are estimated from a sample."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pytest
from support.small import world_of

from planner import figures
from planner.comparison import compare, waterfall
from planner.figures.style import Picture
from planner.lab.words import figures_of, level
from planner.outcomes import fit_outcomes
from planner.policies import Plan, Route, Timeout
from planner.prices import PriceBook, audit, timeline
from planner.router import Router
from planner.simulation import World, sweep, trace
from planner.traffic.sampling import sampled
from planner.training import train

SAID = "estimated from a sample"
SILENT = f"{SAID}, no interval of the cost"


@dataclass(frozen=True)
class Opened:
    """The log, a sample of it that tells its cost, and one that is too thin."""

    whole: World
    half: World
    thin: World
    router: Router

    @property
    def plan(self) -> Plan:
        """Route."""
        return Plan((Route(self.router.with_tau(5.0)),), "mine")


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """Open all three."""
    folder, book = tmp_path_factory.mktemp("samples"), PriceBook.load()
    traffic, labels = world_of(folder / "log", n=3_000)
    training = train(labels, traffic, book=book)
    logs = (traffic, *(sampled(traffic, share, folder / str(share)) for share in (0.5, 0.05)))
    whole, half, thin = (World(log, fit_outcomes(log, labels, training), book, dt.date(2026, 11, 1)) for log in logs)
    return Opened(whole, half, thin, training.router)


def words(picture: Picture) -> str:
    """Return what stands on a page."""
    return " ".join(t.get_text() for axes in picture.axes for t in (*picture.texts, *axes.texts)).replace("\n", " ")


def level_lines(picture: Picture) -> list[tuple[float, float]]:
    """Return the ends of every line that is level."""
    lines = [(line.get_xdata(), line.get_ydata()) for line in picture.axes[0].lines]
    return [(float(x[0]), float(x[-1])) for x, y in lines if len(x) == 2 and y[0] == y[1]]


def test_a_waterfall_of_a_sample_has_the_intervals_of_both_costs(opened: Opened) -> None:
    """The bars of the log and of the plan carry theirs; a thin sample's and a whole log's have none, and only samples are said to be."""
    for world, said in ((opened.whole, ""), (opened.half, SAID), (opened.thin, SILENT)):
        found = waterfall(world, opened.plan)
        picture = figures.waterfall(found)
        costs, month = [s.cost() for s in (found.logged, found.planned)], found.logged.per_month
        ends = [(c.low * month, c.high * month) for c in costs if c.low is not None and c.high is not None]
        assert len(ends) == (2 if said == SAID else 0)
        lines = level_lines(picture)
        assert all(any(line == pytest.approx(end) for line in lines) for end in ends)
        assert not said or max(high for _, high in ends or [(0.0, 0.0)]) < picture.axes[0].get_xlim()[1]
        assert (f"· {said} ·" in words(picture)) if said else SAID not in words(picture)


def test_plans_of_a_sample_are_crosses(opened: Opened) -> None:
    """Every drawn plan has the interval of its cost; on a whole log none has."""
    for world, said in ((opened.whole, ""), (opened.half, SAID)):
        found = compare(opened.plan, world=world)
        picture = figures.pareto(found)
        lines = level_lines(picture)
        assert (SAID in words(picture)) == bool(said)
        if said:
            for row in found.table.to_dict("records"):
                assert (row["usd_low"], row["usd_high"]) in lines
        else:
            assert [line for line in lines if line[0] < line[1] and line != (0.0, 1.0)] == []


def test_a_sweep_of_a_sample_has_the_limits_of_every_cost(opened: Opened) -> None:
    """Table and band have them, text and page say that it is a sample; of a whole log there are none."""
    for world, said in ((opened.whole, ""), (opened.half, SAID), (opened.thin, SILENT)):
        found = sweep(world, Timeout(900), "ms", [600, 900])
        picture = figures.sweep(found, "usd_per_month", "p99_ms")
        assert found.sample == said
        assert (f", {said}." in found.text) if said else SAID not in found.text
        assert (f"· {said} ·" in words(picture)) if said else SAID not in words(picture)
        assert ("usd_low" in found.table) == bool(said)
        assert bool(picture.axes[1].collections) == (said == SAID)
        if said == SAID:
            assert (found.table["usd_low"] < found.table["usd_per_month"]).all()
            assert (found.table["usd_per_month"] < found.table["usd_high"]).all()


def test_a_frontier_says_how_sure_its_savings_are(opened: Opened) -> None:
    """Text has the interval of what a floor saves, or that there is none; text, page and cards of a sample say that it is one."""
    for world, sample, sure in ((opened.whole, False, True), (opened.half, True, True), (opened.thin, True, False)):
        found = trace(world, opened.router)
        row = found.table.iloc[-1]
        assert ("estimated on a sample of the log" in found.text) == sample
        assert ("told by a sample" in words(figures.frontier(found))) == sample
        assert ("Cost per month, estimated from a sample" in figures_of(row, found.drawn is not None)) == sample
        assert ("no interval" in figures_of(row)) == (not sure)
        assert "nan to nan" not in level(row)
        if (place := found.for_floor(0.02)) is not None:
            saved = found.table.iloc[place]
            shown = f" [${saved['saving_low']:,.0f}, ${saved['saving_high']:,.0f}] a month" if sure else ", no interval)"
            assert f"saves ${saved['saving_usd_per_month']:,.0f}" in found.text
            assert shown in found.text
    assert trace(opened.whole, opened.router).for_floor(0.02) is not None
    assert np.isfinite(trace(opened.half, opened.router).table["saving_low"].iloc[-1])


def test_a_money_map_and_a_timeline_of_a_sample_say_what_they_are(opened: Opened) -> None:
    """The map names the interval of its total, or that there is none; bars of days are said to have none; a whole log's say nothing."""
    for world, said in ((opened.whole, ""), (opened.half, "interval of the total ["), (opened.thin, "no interval of the total;")):
        spent = audit(world.traffic, world.book)
        page, days = words(figures.money_map(spent)), words(figures.timeline(timeline(spent)))
        assert (said in page) == ("estimated from a sample, " in page) if said else SAID not in page
        assert ("estimated from a sample, no interval of a day" in days) == bool(said)
