"""The picture of a semantic cache shows the numbers of the result it is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.faq import faq

from planner.figures.semantic import semantic_cache
from planner.figures.style import Picture
from planner.outcomes.semantic import Choice, choose_threshold, false_hits
from planner.outcomes.served import Asked, asked

THRESHOLDS = [0.95, 0.93, 0.9, 0.85, 0.75, 0.5]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """Make a help desk's log."""
    folder: Path = tmp_path_factory.mktemp("faq")
    return asked(faq(folder, n=5_000, wrong=0.02), floor=0.5)


def _lines(picture: Picture, marker: str) -> list[list[tuple[float, float]]]:
    """Return the points of all lines with ``marker``, plot by plot."""
    return [
        list(zip(*map(list, line.get_data()), strict=True)) for axes in picture.axes for line in axes.lines if line.get_marker() == marker
    ]


def test_both_plots_show_the_later_period(log: Asked) -> None:
    """Dots are the later false hits that have an interval, squares the chosen threshold in both plots, the dotted line the limit."""
    choice = choose_threshold(log, 0.06, thresholds=THRESHOLDS)
    picture = semantic_cache(choice, note="SYNTHETIC")
    known = choice.later.table[choice.later.table["low"].notna()]
    row = choice.later.table[choice.later.table["threshold"] == choice.threshold].iloc[0]
    assert _lines(picture, "o") == [list(zip(known["threshold"], known["false_hits"], strict=True))]
    assert sorted(_lines(picture, "s")) == sorted([[(choice.threshold, row["false_hits"])], [(choice.threshold, row["hit_rate"])]])
    assert any(np.allclose(line.get_ydata(), 0.06) for axes in picture.axes for line in axes.lines)
    assert picture.title.startswith(f"At {choice.threshold:g} a semantic cache serves")
    assert "SYNTHETIC" in "".join(t.get_text() for t in picture.texts)
    assert picture.numbers.equals(choice.table)
    assert picture.png() == semantic_cache(choice, note="SYNTHETIC").png()


def test_nothing_is_marked_where_nothing_is_chosen(log: Asked) -> None:
    """Without a threshold the title says so and there is no square; a result without a choice has no limit either."""
    nothing = semantic_cache(choose_threshold(log, 1e-4, thresholds=THRESHOLDS))
    assert (nothing.title, _lines(nothing, "s")) == ("No similarity is known to keep false hits within < 0.1 %", [])
    alone = semantic_cache(false_hits(log, THRESHOLDS))
    assert (_lines(alone, "s"), len(alone.axes)) == ([], 2)


def test_too_few_users_leave_only_the_hit_rate(log: Asked) -> None:
    """Without any interval the lower plot has no dots, and the picture is drawn all the same."""
    few = false_hits(log, [0.99])
    assert few.table["low"].isna().all()
    assert _lines(semantic_cache(few), "o") == [[]]
    assert isinstance(semantic_cache(Choice(None, 0.02, few, few)), Picture)
