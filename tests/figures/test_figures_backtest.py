"""The picture of a back-test shows the numbers of its table."""

from __future__ import annotations

import pytest
from comparison.back_logs import columns, log_of
from matplotlib.colors import to_hex

from planner.comparison.backtest import Backtest, backtest
from planner.errors import InputError
from planner.figures.backtest import backtest as draw
from planner.figures.style import CEILING


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Backtest:
    """Return the back-test of a log of which one app becomes slower."""
    return backtest(log_of(tmp_path_factory.mktemp("log"), columns(2_500, slower=2.0)), runs=2)


def test_every_app_is_a_line_and_a_dot(found: Backtest) -> None:
    """Lines are the intervals and dots what happened, both against the prediction; the title counts what holds."""
    table = found.table[found.table["measure"] == "usd"]
    picture = draw(found)
    lines = picture.axes[0].lines
    shown = {round(float(line.get_xdata()[0]), 6) for line in lines if line.get_marker() in ("o", "x")}
    assert shown == {round(100 * (r.actual / r.predicted - 1), 6) for r in table.itertuples()}
    ends = {tuple(round(float(x), 6) for x in line.get_xdata()) for line in lines if line.get_linewidth() == 5}
    assert ends == {tuple(round(100 * (x / r.predicted - 1), 6) for x in (r.low, r.high)) for r in table.itertuples()}
    assert f"{int((table['hit'] == True).sum())} of {len(table)} intervals hold" in picture.title  # noqa: E712
    assert picture.numbers["app"].tolist() == table["app"].tolist()


def test_a_miss_is_a_cross(found: Backtest) -> None:
    """What lies outside its interval is a red cross."""
    picture = draw(found, "latency_p95_ms", note="SYNTHETIC")
    crosses = [line for line in picture.axes[0].lines if line.get_marker() == "x"]
    assert len(crosses) == int((found.table.query("measure == 'latency_p95_ms'")["hit"] == False).sum()) > 0  # noqa: E712
    assert {to_hex(line.get_color()).upper() for line in crosses} == {CEILING}
    assert any("SYNTHETIC" in text.get_text() for text in picture.texts)


def test_a_measure_that_is_not_there_is_refused(found: Backtest) -> None:
    """A picture of what the log does not have is an error that names what it has."""
    with pytest.raises(InputError, match="latency_p50_ms"):
        draw(found, "cache_hits")
