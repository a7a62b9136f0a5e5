"""The browser harness itself, on a notebook of two widgets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest
from support.browser import Lab, leaves_this_machine, move_slider, open_notebook, picture, run_all

if TYPE_CHECKING:
    from playwright.sync_api import Page

_WIDGETS = """
import ipywidgets as w
slider, shown = w.IntSlider(value=3, max=10), w.HTML()
slider.observe(lambda change: setattr(shown, "value", f"<b class=shown>{change.new * 7}</b>"), "value")
w.VBox([slider, shown])
"""


def _write(path: Path, *cells: str) -> str:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)
    return path.name


def test_a_slider_reaches_the_kernel_and_back(jupyter_lab: Lab, page: Page, tmp_path: Path) -> None:
    """A key press on a slider changes what the kernel computes and the page shows, and nothing leaves this machine."""
    open_notebook(page, jupyter_lab, _write(jupyter_lab.root / "widgets.ipynb", _WIDGETS))
    run_all(page)
    move_slider(page, 0, times=2)
    page.wait_for_function("document.querySelector('.shown')?.textContent === '35'", timeout=10_000)
    assert page.locator(".jp-toast-button, .Toastify__toast").count() == 0, "a pop-up covers the notebook"
    assert picture(page, tmp_path / "page.png").startswith(b"\x89PNG")


def test_a_cell_that_raises_fails_the_run(jupyter_lab: Lab, page: Page) -> None:
    """run_all says what a cell raised."""
    open_notebook(page, jupyter_lab, _write(jupyter_lab.root / "raises.ipynb", "1 / 0"))
    with pytest.raises(AssertionError, match="ZeroDivisionError: division by zero"):
        run_all(page)


@pytest.mark.parametrize(
    ("url", "leaves"),
    [
        ("http://127.0.0.1:8888/lab", False),
        ("ws://localhost:8888/api", False),
        ("data:image/png;base64,AA", False),
        ("blob:http://127.0.0.1:8888/1", False),
        ("https://example.com/x.js", True),
        ("http://127.0.0.1.example.com/", True),
    ],
)
def test_only_loopback_stays(url: str, leaves: bool) -> None:
    """Requests count as leaving exactly when a network would carry them."""
    assert leaves_this_machine(url) is leaves
