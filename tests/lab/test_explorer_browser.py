"""The first notebook in a real JupyterLab in a real browser: it runs, and its slider says what the library says."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from support.browser import Lab, move_slider, open_notebook, picture, run_all
from support.chain import chain

from planner.figures.style import money, points, share
from planner.lab.canvas import HEIGHT, WIDTH, Canvas

if TYPE_CHECKING:
    from playwright.sync_api import Page

#: The bytes behind the picture that the browser shows.
_BYTES = """async () => {
  const answer = await fetch(document.querySelector('.widget-image').src);
  return Array.from(new Uint8Array(await answer.arrayBuffer()));
}"""


def _bytes_become(page: Page, wanted: bytes, seconds: float = 20.0) -> None:
    """Wait until the picture in the browser is ``wanted``, byte for byte."""
    for _ in range(int(seconds * 10)):
        if bytes(page.evaluate(_BYTES)) == wanted:
            return
        page.wait_for_timeout(100)
    raise AssertionError("the browser does not show the picture that the library draws")


def test_the_slider_shows_what_the_library_says(jupyter_lab: Lab, page: Page, work_folder: Path, tmp_path: Path) -> None:
    """Run all, press a key on the floor's slider, and key figures and picture become the library's for that floor."""
    ours = chain()
    shutil.copytree(work_folder / ".planner", jupyter_lab.root / ".planner", dirs_exist_ok=True)
    open_notebook(page, jupyter_lab, "00_start.ipynb")
    run_all(page, timeout_ms=400_000)
    canvas = Canvas(ours.frontier, note="SYNTHETIC sample")
    page.locator(".pl-kpis").scroll_into_view_if_needed()
    _bytes_become(page, canvas.png((ours.frontier.for_floor(0.02) or 0), 0.02))
    before = page.locator(".widget-image").bounding_box()

    move_slider(page, 0, "ArrowLeft", times=12)
    chosen = ours.frontier.for_floor(0.032) or 0
    row = ours.frontier.table.iloc[chosen]
    assert chosen != (ours.frontier.for_floor(0.02) or 0), "the two floors must differ for this test to say anything"
    _bytes_become(page, canvas.png(chosen, 0.032))
    said = page.locator(".pl-kpis").inner_text()
    for figure in (
        money(row["usd_per_month"]),
        f"{money(row['saving_usd_per_month'])} ({share(row['saving_share'])})",
        f"[{money(row['saving_low'])}, {money(row['saving_high'])}]",
        points(row["quality_difference"]),
        f"[{points(row['quality_low'])}, {points(row['quality_high'])}]",
        share(row["changed_share"]),
    ):
        assert figure in said
    assert page.locator(".pl-head").inner_text().startswith("Routing, all apps")
    assert "exploratory" in page.locator(".pl-head").inner_text()

    after = page.locator(".widget-image").bounding_box()
    assert after == before, "the layout jumped"
    assert after is not None
    assert (after["width"], after["height"]) == (WIDTH, HEIGHT)
    clipped = page.evaluate("() => [...document.querySelectorAll('.pl-kpi *')].filter(e => e.scrollWidth > e.clientWidth + 1).length")
    assert clipped == 0, "a key figure does not fit its card"
    assert page.locator("mjx-container").count() == 0, "dollars were typeset as formulas"
    assert picture(page, tmp_path / "explorer.png").startswith(b"\x89PNG")
