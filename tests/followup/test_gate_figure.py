"""The picture of a gate shows every bound of its table beside the margin."""

from __future__ import annotations

import numpy as np
from followup.test_gate import labels, marked

from planner.figures.gate import gate as draw
from planner.followup.gate import gate


def test_bounds_and_margin_are_drawn() -> None:
    """A line from low to high for the whole and each slice, in the table's order from the top, and a line at the margin."""
    found = gate(labels(marked(np.arange(0, 600, 7)), model="gpt-5.5"), labels())
    picture = draw(found, note="SYNTHETIC")
    axes = picture.axes[0]
    bounds = [tuple(round(float(x), 6) for x in line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2]
    for row in found.table.itertuples():
        assert (round(100 * row.low, 6), round(100 * row.high, 6)) in bounds
    assert any(list(line.get_xdata()) == [-100 * found.margin] * 2 for line in axes.lines)
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[-1] == "all"
    assert len(names) == len(found.table)
    assert picture.title == "gpt-5.5 fails against gpt-5.4"
    assert any("SYNTHETIC" in text.get_text() for text in picture.texts)


def test_titles_say_the_verdict() -> None:
    """Pass and inconclusive have titles of their own."""
    assert "passes" in draw(gate(labels(), labels())).title
    assert "is not shown to be as good" in draw(gate(labels(n=60), labels(n=60))).title
