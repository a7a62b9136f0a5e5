"""What changed in a log, and when: planted changes are found on their day, chance is none, and sums are the audit's."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.small import traffic_of

import planner
from planner.figures import timeline as drawn
from planner.figures.style import Picture
from planner.prices import Timeline, audit, timeline
from planner.synthetic.world import APPS, DAYS, START

COLUMNS = {"provider": "openai", "input_tokens": 1_000, "output_tokens": 100}


def of(folder: Path, days: int, per_day: int, app: str = "chat", **columns: object) -> Timeline:
    """Return the timeline of a log with ``per_day`` requests on each of ``days``."""
    n = days * per_day
    at = pd.Timestamp("2026-11-01", tz="UTC") + pd.to_timedelta(np.repeat(np.arange(days), per_day), unit="D")
    frame = pd.DataFrame({"timestamp": at, "app": app, "model": "gpt-5.4", "status": "ok", **COLUMNS, **columns}, index=range(n))
    return timeline(audit(traffic_of(folder, frame), planner.PriceBook.load()))


def test_the_samples_changes_are_those_of_its_world() -> None:
    """Every model and prompt version that the sample's world changes is found, on its day, and nothing else."""
    found = timeline(planner.audit(planner.load_sample()[0], planner.PriceBook.load()))
    true = [
        (app.name, what, str(START + np.timedelta64(day, "D"))[:10], before, after)
        for app in APPS
        for what, steps in (("model", app.models), ("prompt version", app.versions))
        for (before, _), (after, day) in pairwise(steps)
        if day < DAYS
    ]
    assert sorted(map(tuple, found.changes.to_numpy().tolist())) == sorted(true)
    assert all(f"{app} has {what} {after} instead of {before}" in found.text for app, what, _, before, after in true)


def test_sums_are_the_audits() -> None:
    """Days, apps and models add up to the whole spend and all requests; failures to those that ended badly."""
    spend = planner.audit(planner.load_sample()[0], planner.PriceBook.load())
    found = timeline(spend).table
    assert found["usd"].sum() == pytest.approx(spend.total.value, abs=1e-9)
    assert found["requests"].sum() == pytest.approx(len(spend))
    assert found["failed"].sum() == (~spend.traffic.frame("status")["status"].isin(["ok", "cancelled"])).sum()


def test_a_split_between_two_models_is_no_change(tmp_path: Path) -> None:
    """An app that has two models in turn, or too few requests to say, changes nothing; going back is a second change."""
    half = ["gpt-5.4", "gpt-5.4-mini"] * 30
    assert of(tmp_path / "half", 2, 30, model=half).changes.empty
    few = ["gpt-5.4"] * 19 + ["gpt-5.4-mini"] * 19
    assert of(tmp_path / "few", 2, 19, model=few).changes.empty
    back = ["gpt-5.4"] * 20 + ["gpt-5.4-mini"] * 20 + ["gpt-5.4"] * 20
    assert of(tmp_path / "back", 3, 20, model=back).changes["day"].tolist() == ["2026-11-02", "2026-11-03"]


def test_rows_of_a_sample_count_once(tmp_path: Path) -> None:
    """A row that stands for fifty requests is one of the twenty that a day needs: a few heavy rows find no change, and all is estimated."""
    few = {"model": ["gpt-5.4"] * 3 + ["gpt-5.4-mini"] * 3, "weight": 50.0}
    found = of(tmp_path / "few", 2, 3, **few)
    assert found.changes.empty
    assert found.table["requests"].sum() == 300
    assert "(estimated); most failed" in found.text
    assert found.text.endswith("of its requests (estimated).")
    assert "dollars estimated, failures estimated" in words(drawn(found))
    enough = of(tmp_path / "enough", 2, 20, model=["gpt-5.4"] * 20 + ["gpt-5.4-mini"] * 20, weight=50.0)
    assert enough.changes["day"].tolist() == ["2026-11-02"]


def test_dollars_are_known_as_the_audit_knows_them(tmp_path: Path) -> None:
    """Where tokens are assumed the dollars of the timeline are, in words and picture; what failed is counted all the same."""
    log = traffic_of(tmp_path / "log", {"model": "gpt-5.4", **COLUMNS, "app": ["a"] * 40})
    spend = audit(replace(log, meta={**log.meta, "evidence": "assumed"}), planner.PriceBook.load())
    found = timeline(spend)
    assert (found.evidence, found.counted) == (spend.total.evidence, "measured") == ("assumed", "measured")
    assert "(assumed); most failed" in found.text
    assert "dollars assumed, failures measured" in words(drawn(found))


def words(picture: Picture) -> str:
    """Return all that is written on a picture."""
    return "\n".join([text.get_text() for text in picture.texts] + [text.get_text() for axes in picture.axes for text in axes.texts])


def test_the_figure_marks_each_change(tmp_path: Path) -> None:
    """The picture has the numbers of the table and a line of words for each change, whatever the names are."""
    models = ["gpt-5.4"] * 30 + ["gpt-5.4-mini"] * 30
    found = of(tmp_path / "a", 2, 30, app="a $x_1$ <b>", model=models)
    picture = drawn(found, note="made")
    words = [text.get_text() for axes in picture.axes for text in axes.texts]
    assert "a $x_1$ <b>: gpt-5.4 → gpt-5.4-mini" in words
    assert picture.numbers.equals(found.table)
    assert picture.png() == drawn(found, note="made").png()
