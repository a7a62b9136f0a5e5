"""Pictures show exactly the numbers of the result they are given."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from figures.conftest import Made
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.patches import Rectangle

from planner import figures
from planner.figures.bands import apart
from planner.figures.curve import headline
from planner.figures.spend import dearest
from planner.figures.style import share
from planner.prices import audit
from planner.traffic.coverage import coverage


def _words(picture: figures.Picture) -> str:
    axes = picture.axes[0]
    return "\n".join(t.get_text() for t in (*picture.texts, *axes.texts))


def _points(picture: figures.Picture, marker: str) -> list[tuple[float, float]]:
    lines = [line for line in picture.axes[0].lines if line.get_marker() == marker]
    return [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in lines if len(line.get_xdata())]


def test_frontier_shows_the_table(made: Made) -> None:
    """The curve and its band are cost, quality and interval of every level, in points."""
    table = made.frontier.table
    picture = figures.frontier(made.frontier)
    curve = next(line for line in picture.axes[0].lines if len(line.get_xdata()) == len(table))
    assert curve.get_xdata().tolist() == table["usd_per_month"].tolist()
    assert curve.get_ydata().tolist() == (100 * table["quality_difference"]).tolist()
    band = next(c for c in picture.axes[0].collections if isinstance(c, FillBetweenPolyCollection))
    corners = {tuple(v) for v in band.get_paths()[0].vertices.round(9).tolist()}
    for column in ("quality_low", "quality_high"):
        wanted = np.column_stack([table["usd_per_month"], 100 * table[column]]).round(9).tolist()
        assert {tuple(v) for v in wanted} <= corners


def test_today_is_a_circle_and_the_choice_a_square(made: Made) -> None:
    """The circle stands at the logged cost and no difference, the square at the chosen level, and the title says its numbers."""
    chosen = len(made.frontier.tau) // 2
    row = made.frontier.table.iloc[chosen]
    picture = figures.frontier(made.frontier, chosen=chosen, floor=0.05)
    logged = row["usd_per_month"] + row["saving_usd_per_month"]
    assert _points(picture, "o") == [(pytest.approx(logged), 0.0)]
    assert _points(picture, "s") == [(row["usd_per_month"], 100 * row["quality_difference"])]
    assert picture.title == headline(row)
    assert share(abs(row["saving_share"])) in picture.title
    assert "floor\n−5.0" in _words(picture)


def test_a_dearer_level_is_said_to_cost_more(made: Made) -> None:
    """A negative saving is called more, not a negative less."""
    row = made.frontier.table.iloc[0].copy()
    row["saving_usd_per_month"], row["saving_share"] = -12.0, -0.1
    assert headline(row).startswith("$12.00 a month more (10 %)")


def test_the_source_line_says_what_it_rests_on(made: Made) -> None:
    """Prices with their date, requests, period and the note are on the page."""
    words = _words(figures.frontier(made.frontier, note="SYNTHETIC sample"))
    head = made.frontier.header
    for part in ("SYNTHETIC sample", "1,200 requests", head.price_book, head.price_date, "95\u00a0%"):
        assert part in words


def test_the_ceiling_is_drawn_where_it_is_known(made: Made) -> None:
    """The best that is reachable is a line through the given points, and is named as synthetic truth."""
    ceiling = pd.DataFrame({"usd_per_month": [2.0, 1.0, 0.5], "quality_difference": [0.01, 0.0, -0.05]})
    picture = figures.frontier(made.frontier, ceiling=ceiling)
    assert any(line.get_xdata().tolist() == [2.0, 1.0, 0.5] for line in picture.axes[0].lines if len(line.get_xdata()) == 3)
    assert "best reachable\n(synthetic truth)" in _words(picture)


def test_shares_stack_to_one(made: Made) -> None:
    """Every level's bands are the shares of its models, and fill the page."""
    picture = figures.shares(made.frontier, len(made.frontier.tau) // 2)
    tops = [c.get_paths()[0].vertices[:, 1].max() for c in picture.axes[0].collections]
    assert max(tops) == pytest.approx(1.0)
    assert len(tops) == int((made.frontier.shares.max(axis=0) > 0).sum())
    named = _words(picture)
    assert all(m in named for m, s in zip(made.frontier.candidates, made.frontier.shares.max(axis=0), strict=True) if s > 0)


def test_areas_of_the_money_map_are_dollars(made: Made) -> None:
    """A square's area is its share of the spend, and the sums at the edge are the audit's."""
    spend = audit(made.traffic, made.book)
    picture = figures.money_map(spend)
    table = spend.by("app", "model")
    areas = sorted(p.get_width() * p.get_height() for p in picture.axes[0].patches if isinstance(p, Rectangle))
    usd = sorted(table.loc[table["usd"] > 0, "usd"])
    assert np.allclose(np.array(areas) / sum(areas), np.array(usd) / sum(usd))
    assert picture.numbers.equals(table)
    assert f"${spend.total.value:,.2f} spent" in picture.title


def test_what_does_not_fit_is_summed_as_other() -> None:
    """Shortening a table keeps the dearest rows and every dollar."""
    table = pd.DataFrame({"m": [1.0, 5.0, 3.0, 0.0, 2.0]}, index=list("abcde"))
    short = dearest(table, 3)
    assert short["m"].to_dict() == {"b": 5.0, "c": 3.0, "other": 3.0}
    assert dearest(table, 4).index.tolist() == ["b", "c", "e", "a"]


def test_coverage_bars_are_shares_of_spend(made: Made) -> None:
    """One bar a lever, as long as its share, and every setting that opens more is written once."""
    found = coverage(made.traffic)
    picture = figures.coverage(found)
    bars = [p.get_width() for p in picture.axes[0].patches][len(found.levers) :]
    assert sorted(bars) == pytest.approx(sorted(found.levers["share_usd"]))
    assert _words(picture).count("to open the rest:") == found.levers["setting"].replace("", None).nunique()


def test_names_keep_their_distance() -> None:
    """Names are pushed apart in order and stay on the page."""
    for places in ([0.5, 0.5, 0.51], [0.97, 0.98, 0.99, 1.0], [0.0, 0.0, 1.0]):
        out = apart(np.array(places), 0.06)
        assert (np.diff(out) > 0.0599).all()
        assert out[-1] <= 1.0


def test_the_same_result_gives_the_same_bytes(made: Made) -> None:
    """A picture is a pure function of its result, whatever a notebook has set."""
    import matplotlib

    first = figures.frontier(made.frontier, chosen=3).png()
    with matplotlib.rc_context({"font.size": 30, "axes.grid": True, "text.color": "red"}):
        assert figures.frontier(made.frontier, chosen=3).png() == first
    assert first.startswith(b"\x89PNG")


def test_nothing_of_the_log_becomes_markup(made: Made) -> None:
    """Names from a log are escaped in what a notebook shows."""
    hostile = replace(made.frontier, candidates=tuple(f"<script>alert({i})</script>" for i in range(len(made.frontier.candidates))))
    shown = figures.shares(hostile)._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_dollars_are_money_and_no_formulas(made: Made) -> None:
    """A name or note with dollars and backslashes is drawn as it stands."""
    picture = figures.frontier(made.frontier, chosen=0, note=r"$\frac{broken$ and $x^2$")
    assert picture.png().startswith(b"\x89PNG")
    assert not any(t.get_parse_math() for t in (*picture.texts, *picture.axes[0].texts, picture.axes[0].xaxis.label))


def test_no_global_plotting_state() -> None:
    """Drawing needs no pyplot, so that a notebook's own plots are left alone."""
    code = "import sys, planner.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
