"""The explorer says what Frontier.table says, whatever is moved, ticked or chosen."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from support.small import MODELS, world_of

from planner.figures.style import money, points
from planner.lab import Explorer, explorer, progress
from planner.lab.canvas import HEIGHT, SHARP, WIDTH, Canvas
from planner.lab.narrow import Narrowing, take
from planner.outcomes import Outcomes, fit_outcomes
from planner.prices import PriceBook
from planner.simulation import Frontier, World, frontier, price_date, simulate
from planner.traffic import Traffic
from planner.training import Training, train

Made = tuple[Traffic, Training, Outcomes, PriceBook]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Make a log and labels, and train."""
    traffic, labels = world_of(tmp_path_factory.mktemp("lab"))
    book = PriceBook.load()
    training = train(labels, traffic, book=book, floor=0.02)
    return traffic, training, fit_outcomes(traffic, labels, training), book


@pytest.fixture
def shown(made: Made) -> Explorer:
    """Open the explorer."""
    traffic, training, outcomes, book = made
    return explorer(traffic, training, outcomes=outcomes, book=book, note="<b>made up</b>")


def _expect(shown: Explorer, wanted: Frontier, floor: float) -> None:
    level = wanted.for_floor(floor)
    chosen, row = level or 0, wanted.as_logged if level is None else wanted.table.iloc[level]
    assert shown.chosen == chosen
    assert bool(shown.status.value) == (level is None) == (not shown.plan.levers)
    assert money(row["usd_per_month"]) in shown.kpis.value
    assert f"[{money(row['saving_low'])}, {money(row['saving_high'])}]".replace("<", "&lt;") in shown.kpis.value
    assert f"[{points(row['quality_low'])}, {points(row['quality_high'])}]" in shown.kpis.value
    assert f"{row['saving_usd_per_month']:,.2f}" in shown.level.value
    assert f"{row['quality_difference']:+.4f}" in shown.level.value
    assert shown.router.tau == wanted.table["tau"].iloc[chosen]
    assert shown.image.value == Canvas(shown.frontier, note="<b>made up</b>").png(chosen, round(-shown.floor.value / 100, 9))


@pytest.mark.parametrize("floor", [-5.0, -3.3, -2.0, -0.1, 0.0])
def test_the_slider_looks_up_the_table(made: Made, shown: Explorer, floor: float) -> None:
    """Figures, numbers, picture and router are those of the level that Frontier chooses for the floor."""
    traffic, training, outcomes, book = made
    wanted = frontier(traffic, training.router, outcomes=outcomes, book=book)
    shown.floor.value = floor
    pd.testing.assert_frame_equal(shown.frontier.table, wanted.table)
    _expect(shown, wanted, -floor / 100)


def test_candidates_and_app_are_traced_as_the_library_does(made: Made, shown: Explorer) -> None:
    """Taking a candidate away and steering one app gives the frontier of the narrowed router on that app."""
    traffic, training, outcomes, book = made
    shown.boxes[MODELS[2]].value = False
    shown.apps.value = "chat"
    narrow = training.router.with_candidates(MODELS[:2])
    wanted = frontier(traffic, narrow, outcomes=outcomes, book=book, app="chat")
    pd.testing.assert_frame_equal(shown.frontier.table, wanted.table)
    assert shown.router.candidates == MODELS[:2]
    assert shown.router.support.apps == ("chat",)
    _expect(shown, wanted, 0.02)


def test_the_plan_simulates_to_what_is_shown(made: Made, shown: Explorer) -> None:
    """Simulating the chosen plan gives the saving of the chosen row."""
    traffic, _, outcomes, book = made
    shown.floor.min = shown.text.min = -40.0
    shown.floor.value = -40.0
    assert shown.plan.levers, "so deep a floor is cleared by some level"
    row = simulate(traffic, shown.plan, outcomes=outcomes, book=book).table.iloc[-1]
    wanted = shown.frontier.table.iloc[shown.chosen]
    for name in ("usd_per_month", "saving_usd_per_month", "quality_difference", "changed_share"):
        assert row[name] == pytest.approx(wanted[name], abs=1e-9)


def test_models_of_today_are_locked(made: Made, shown: Explorer) -> None:
    """A model that some app uses today cannot be unticked, and its box says why."""
    router = made[1].router
    today = {router.reference, *(m for _, m in router.references)}
    assert {m for m, box in shown.boxes.items() if box.disabled} == today
    assert all("answers today" in shown.boxes[m].tooltip for m in today)


def test_text_box_and_reset(shown: Explorer) -> None:
    """The text box and the slider are one value, reset is the floor that the router was trained for."""
    shown.text.value = -1.25
    assert shown.floor.value == -1.25
    shown.reset.click()
    assert (shown.floor.value, shown.text.value) == (-2.0, -2.0)
    assert all("Default -2: the floor the router was trained for" in w.tooltip for w in (shown.floor, shown.text, shown.reset))


def test_the_picture_never_changes_its_size(shown: Explorer) -> None:
    """The image keeps one size in the browser and in the file, so that nothing jumps."""
    for floor in (-5.0, 0.0):
        shown.floor.value = floor
        assert (shown.image.layout.width, shown.image.layout.height) == (f"{WIDTH}px", f"{HEIGHT}px")
        header = np.frombuffer(shown.image.value[16:24], ">u4")
        assert header.tolist() == [round(WIDTH * SHARP), round(HEIGHT * SHARP)]


def test_it_calls_itself_exploratory_and_escapes(shown: Explorer) -> None:
    """The head says exploratory, and what the caller passes is no markup."""
    assert ">exploratory<" in shown.head.value
    assert "<b>made up" not in shown.head.value
    assert "&lt;b&gt;made up" in shown.head.value


def test_without_outcomes_quality_is_unknown(made: Made) -> None:
    """Without outcome models nothing clears a floor: that is said, and the log's own figures are shown."""
    traffic, training, _, book = made
    bare = explorer(traffic, training, book=book)
    assert bare.chosen == 0
    assert "No level that saves has its whole" in bare.status.value
    assert bare.plan.levers == ()
    assert re.search(r'"big new">\$0', bare.kpis.value)


def test_narrowing_is_scoring_again(made: Made) -> None:
    """Columns taken from the full router's scores equal the narrowed router's own scores, and no text is read for them."""
    traffic, training, outcomes, book = made
    router = training.router
    plain, served = (World(traffic, outcomes, book, price_date(book, None)) for _ in range(2))
    narrow = Narrowing(served, router).to(MODELS[:2])
    for name in ("block", "labelled"):
        ours, theirs = (getattr(world, name).scores(narrow) for world in (served, plain))
        for column in ("gains", "cost_usd", "feasible", "abstain", "home"):
            np.testing.assert_array_equal(getattr(ours, column), getattr(theirs, column))
    whole = plain.block.scores(router)
    np.testing.assert_array_equal(take(whole, np.arange(3))["gains"], whole.gains)


def test_it_shows_itself(shown: Explorer, capsys: pytest.CaptureFixture[str]) -> None:
    """As the last line of a cell it displays its widgets."""
    shell = InteractiveShell.instance()
    try:
        shown._ipython_display_()
    finally:
        InteractiveShell.clear_instance()
    assert "VBox" in capsys.readouterr().out
    assert shell is not None


def test_progress_takes_both_kinds_of_report(capsys: pytest.CaptureFixture[str]) -> None:
    """A bar follows (done, all) and (stage, share) alike, and closes at the end."""
    for reports in ([(1, 4), (4, 4)], [("fitted", 0.25), ("judged", 1.0)]):
        tell = progress("training")
        for done, whole in reports:
            tell(done, whole)
        said = capsys.readouterr().err
        assert "training:  25%" in said
        assert "training: 100%" in said


def test_what_is_done_already_shows_no_bar(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    """Scoring reports how much text is read; a second explorer finds the scores stored and shows no bar."""
    traffic, training, outcomes, book = made
    reports: list[tuple[int, int]] = []
    shutil.rmtree(traffic.folder / "derived")
    explorer(traffic, training, outcomes=outcomes, book=book, progress=lambda done, whole: reports.append((done, whole)))
    assert reports[-1] == (len(traffic), len(traffic))
    first = explorer(traffic, training, outcomes=outcomes, book=book, progress=progress("scoring"))
    assert "scoring" not in capsys.readouterr().err
    assert first.chosen == explorer(traffic, training, outcomes=outcomes, book=book).chosen
