"""Make the pictures of the README again from the SYNTHETIC sample: the same sample gives the same start.png.

Writes docs/start.png, and docs/explorer.png where there is a browser. Run from the root: python tools/pictures.py
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import planner
from planner.synthetic import best_reachable

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
LARGEST_BYTES = 300_000


def start(path: Path) -> None:
    """Draw what the first notebook ends with: today, the proposal, and the best that is reachable."""
    traffic, labels = planner.load_sample()
    book = planner.PriceBook.load()
    training = planner.train(labels, traffic, book=book)
    outcomes = planner.fit_outcomes(traffic, labels, training)
    found = planner.frontier(traffic, training.router, outcomes=outcomes, book=book)
    picture = planner.figures.frontier(
        found,
        chosen=found.for_floor(training.floor),
        ceiling=best_reachable(traffic, found, outcomes, book),
        floor=training.floor,
        note="SYNTHETIC sample",
    )
    path.write_bytes(picture.png())


def explorer(path: Path) -> None:
    """Photograph the explorer of the first notebook in JupyterLab."""
    sys.path.insert(0, str(ROOT / "tests"))
    from playwright.sync_api import sync_playwright
    from support.browser import NOTEBOOKS, find_browser, open_notebook, run_all, running_lab

    work = Path.cwd()
    (work / "00_start.ipynb").write_bytes((NOTEBOOKS / "00_start.ipynb").read_bytes())
    with running_lab(work, work / "settings") as lab, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), headless=True, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1500, "height": 1100}, device_scale_factor=1.5)
        open_notebook(page, lab, "00_start.ipynb")
        run_all(page, timeout_ms=600_000)
        page.evaluate("window.jupyterapp.commands.execute('application:toggle-left-area')")
        shown = page.locator(".jp-OutputArea-output .widget-vbox:has(.pl-kpis)").first
        shown.scroll_into_view_if_needed()
        page.wait_for_timeout(1000)
        shown.screenshot(path=path)
        browser.close()


def main() -> int:
    """Make both; return the exit status."""
    sys.path.insert(0, str(ROOT / "tests"))
    from support.browser import find_browser

    DOCS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        start(DOCS / "start.png")
        if find_browser():
            explorer(DOCS / "explorer.png")
        os.chdir(ROOT)
    sizes = {path.name: path.stat().st_size for path in sorted(DOCS.glob("*.png"))}
    print("\n".join(f"docs/{name}: {size / 1000:,.0f} kB" for name, size in sizes.items()))
    return int(max(sizes.values()) > LARGEST_BYTES)


if __name__ == "__main__":
    sys.exit(main())
