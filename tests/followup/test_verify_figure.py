"""The picture of a verification puts every app's saving, interval and prediction where the table has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from followup.made_rollout import World, columns, digest, made_bundle, rolled_out
from support.steered import MINI

from planner.errors import InputError
from planner.figures.verify import verify as draw
from planner.followup.verify import verify
from planner.traffic import Traffic

_WHOLE = {"value": 0.5, "low": 0.4, "high": 0.6}
_HIGH = {"value": 0.95, "low": 0.9, "high": 0.97}
PREDICTION = {"saving_share": _WHOLE, "apps": {"chat": {"saving_share": _WHOLE}, "search": {"saving_share": _HIGH}}}


@pytest.fixture
def rolled(tmp_path: Path) -> tuple[Traffic, Path]:
    """Return a rollout's log, and the bundle that ran."""
    bundle = made_bundle(tmp_path / "production", PREDICTION)
    return rolled_out(tmp_path / "log", World(shares=(0.5, 0.5)), digest(bundle)), bundle


def test_lines_and_diamonds_are_the_tables(rolled: tuple[Traffic, Path]) -> None:
    """Each app has its interval, its value, and its prediction with an interval where it has one; the words say what is missed."""
    found = verify(*rolled)
    picture = draw(found, note="SYNTHETIC")
    drawn = [np.asarray(line.get_xdata(), float).tolist() for line in picture.axes[0].lines]
    rows = found.table[found.table["measure"] == "saving_share"]
    for _, row in rows.iterrows():
        assert [100 * row["low"], 100 * row["high"]] in drawn
        assert [100 * row["difference"]] in drawn
        assert [100 * row["predicted"]] in drawn
    assert drawn.count([40.0, 60.0]) == 2
    texts = [text.get_text() for text in picture.texts]
    assert picture.title.startswith("Routing saved ")
    assert any("SYNTHETIC" in text and "orange: missed" in text for text in texts)
    assert picture.png().startswith(b"\x89PNG")


def test_failed_checks_stand_in_the_picture(rolled: tuple[Traffic, Path], tmp_path: Path) -> None:
    """A picture of a comparison that does not mean what it should says so itself; one of nothing is refused."""
    from support.small import traffic_of

    log = columns(World(shares=(0.5, 0.5)), digest(rolled[1]))
    routed = log["tags"].str.contains("planner-arm:routed")
    lacking = log[routed | ~log["session_id"].str[-1].isin(list("02468"))]
    found = verify(traffic_of(tmp_path / "lacking", lacking.reset_index(drop=True)), rolled[1])
    assert any("CHECK FAILED: arm sizes" in text.get_text() for text in draw(found).texts)
    bare = verify(traffic_of(tmp_path / "bare", log.assign(model=log["model"].replace(MINI, "mystery"))), rolled[1])
    with pytest.raises(InputError, match="without a saving"):
        draw(bare)
    one_app = log.assign(model=np.where((log["app"] == "search") & (log["model"] == MINI), "mystery", log["model"]))
    some = verify(traffic_of(tmp_path / "some", one_app), rolled[1])
    assert draw(some).title == "What routing saved of the cost is known of some apps alone"
    assert some.table.set_index(["app", "measure"]).loc[("chat", "saving_share"), "difference"] > 0
    alone = verify(traffic_of(tmp_path / "alone", log[routed].reset_index(drop=True)), rolled[1])
    with pytest.raises(InputError, match="without a saving"):
        draw(alone)
