"""The comparing widget: a click is a line on disk before the next pair is shown, by Python and in a real browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pandas as pd
from support.browser import Lab, open_notebook, run_all

from planner.lab import Blind, ab
from planner.labels.ab import CHOICES, choices
from planner.labels.answers import Answers

if TYPE_CHECKING:
    from playwright.sync_api import Page

EVIL = '<img src=x onerror="window.hacked = 1"><b>bold</b> costs $5 and $6'


def answers_of(n: int = 6) -> Answers:
    """Return answers of two models; one side of every pair holds HTML."""
    ids = [f"q{i}" for i in range(n)]
    asked = [json.dumps([{"role": "user", "content": f"<script>ask {i}</script>"}]) for i in ids]
    rows = [{"request_id": i, "model": m, "source": s, "response": f"{t} {i}\n" + "long " * 900}
            for i in ids for m, s, t in (("hidden-home", "log", EVIL), ("hidden-cheap", "run", "plain"))]  # fmt: skip
    return Answers.of(pd.DataFrame({"request_id": ids, "messages": asked}), pd.DataFrame(rows))


def lines(folder: Path) -> list[str]:
    """Return the choices on disk, undone ones too."""
    file = folder / "ada.jsonl"
    return [json.loads(line).get("choice", "undo") for line in file.read_text().splitlines()] if file.exists() else []


def shown(panel: Blind) -> str:
    """Return all HTML that the panel shows."""
    return panel.status.value + panel.view.value


def test_every_click_is_saved_and_undo_comes_back(tmp_path: Path) -> None:
    """Buttons and keys write one line each, progress counts them, and undo shows the pair again."""
    panel = ab(answers_of(), tmp_path / "ab", rater="ada")
    assert "0 of 6, saved" in shown(panel)
    assert panel.undo.disabled
    for k, choice in enumerate(CHOICES[:3], 1):
        before = panel.view.value
        panel.buttons[choice].click()
        assert lines(tmp_path / "ab") == list(CHOICES[:k])
        assert f"{k} of 6, saved" in shown(panel)
        assert panel.view.value != before
    last = before
    panel.undo.click()
    assert panel.view.value == last
    panel.keys.value = "4"
    assert panel.keys.value == ""
    panel.keys.value = "x"
    panel.keys.value = "5"
    panel.keys.value = "U"
    assert lines(tmp_path / "ab") == ["left", "right", "tie", "undo", "both bad", "skip", "undo"]
    panel = ab(answers_of(), tmp_path / "ab", rater="ada")
    assert "3 of 6, saved" in shown(panel)
    for _ in range(3):
        panel.buttons["tie"].click()
    assert "6 of 6, saved. Nothing is left" in shown(panel)
    assert all(b.disabled for b in panel.buttons.values())
    panel.keys.value = "1"
    assert len(choices(tmp_path / "ab")) == 6


def test_models_are_hidden_and_texts_escaped(tmp_path: Path) -> None:
    """No model name is in what is shown, and nothing that answers hold is markup."""
    panel = ab(answers_of(), tmp_path / "ab", rater="ada")
    assert "hidden-" not in shown(panel)
    assert "<img" not in shown(panel)
    assert "<script>" not in shown(panel)
    assert "&lt;img src=x" in shown(panel)


def test_what_cannot_be_saved_is_not_passed_over(tmp_path: Path) -> None:
    """When the line cannot be written the pair stays, and the widget says that the click is not saved."""
    panel = ab(answers_of(), tmp_path / "ab", rater="ada")
    before = panel.view.value
    (tmp_path / "ab" / "ada.jsonl").mkdir()
    panel.buttons["left"].click()
    assert "NOT saved" in panel.status.value
    assert panel.view.value == before
    (tmp_path / "ab" / "ada.jsonl").rmdir()
    panel.buttons["left"].click()
    assert "1 of 6, saved" in panel.status.value


def test_a_person_in_a_browser(jupyter_lab: Lab, page: Page, tmp_path: Path) -> None:
    """A click is on disk when the next pair is shown; keys work; a reload goes on; HTML in an answer is text that scrolls."""
    folder, saved = tmp_path / "ab", answers_of().save(tmp_path / "answers")
    cell = f"from planner import lab\nlab.ab({str(saved)!r}, {str(folder)!r}, rater='ada')"
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, jupyter_lab.root / "compare.ipynb")
    open_notebook(page, jupyter_lab, "compare.ipynb")
    run_all(page)
    status = page.locator(".pl-ab[role=status]")
    status.get_by_text("0 of 6, saved").wait_for()
    assert page.locator(".pl-ab img, .pl-ab script, .pl-ab .text b, mjx-container").count() == 0
    assert page.evaluate("() => window.hacked") is None
    assert EVIL in page.locator(".pl-ab .answers").inner_text()
    panes = page.locator(".pl-ab .answers .text")
    assert page.evaluate("() => [...document.querySelectorAll('.pl-ab .answers .text')].every(e => e.scrollHeight > e.clientHeight)")
    widths = [panes.nth(i).bounding_box() for i in (0, 1)]
    assert all(w is not None and w["width"] > 250 and w["height"] == 340 for w in widths)

    page.get_by_role("button", name="Left is better (1)").click()
    status.get_by_text("1 of 6, saved").wait_for()
    assert lines(folder) == ["left"]
    page.get_by_placeholder("or type here").focus()
    page.keyboard.press("3")
    status.get_by_text("2 of 6, saved").wait_for()
    page.keyboard.press("u")
    status.get_by_text("1 of 6, saved").wait_for()
    page.keyboard.press("4")
    status.get_by_text("2 of 6, saved").wait_for()
    assert lines(folder) == ["left", "tie", "undo", "both bad"]
    asked = page.locator(".pl-ab .asked").inner_text()
    page.screenshot(path=tmp_path / "ab.png")

    open_notebook(page, jupyter_lab, "compare.ipynb")
    run_all(page)
    status.get_by_text("2 of 6, saved").wait_for()
    assert page.locator(".pl-ab .asked").inner_text() == asked
