"""The picture of drift shows the numbers of its table, and alarms stand out."""

from __future__ import annotations

from pathlib import Path

import pytest
from followup.test_drift import periods
from matplotlib.colors import to_hex

from benchmarks.drift import book, router
from planner.figures.drift import drift as draw
from planner.figures.style import CEILING, PROPOSAL
from planner.followup.drift import Drift, drift


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Drift:
    """Compare two periods between which a language came up."""
    before, now = periods(Path(tmp_path_factory.mktemp("figure")), "language", 0.4)
    return drift(now, router(), before=before, book=book())


def test_before_and_now_are_drawn(found: Drift) -> None:
    """Every measure has a dot at its share before and a square at its share now, and the interval of the change between."""
    picture = draw(found, note="SYNTHETIC")
    lines = picture.axes[0].lines
    shown = {m: sorted(round(float(line.get_xdata()[0]), 6) for line in lines if line.get_marker() == m) for m in ("o", "s")}
    assert shown["o"] == sorted(round(100 * x, 6) for x in found.table["before"])
    assert shown["s"] == sorted(round(100 * x, 6) for x in found.table["now"])
    widths = sorted(round(float(line.get_xdata()[1] - line.get_xdata()[0]), 6) for line in lines if line.get_linewidth() == 5)
    assert widths == sorted(round(100 * float(r.high - r.low), 6) for r in found.table.itertuples())
    assert any("SYNTHETIC" in text.get_text() for text in picture.texts)
    assert picture.numbers["measure"].tolist() == found.table["measure"].tolist()


def test_alarms_stand_out(found: Drift) -> None:
    """Alarms have a colour of their own and are named in the title; the rest has another."""
    picture = draw(found)
    squares = [line for line in picture.axes[0].lines if line.get_marker() == "s"]
    colours = [to_hex(line.get_color()).upper() for line in squares]
    assert colours.count(CEILING) == len(found.alarms) > 0
    assert colours.count(PROPOSAL.upper()) == len(found.table) - len(found.alarms)
    assert picture.title == f"Changed: {', '.join(found.alarms)}"
