"""A real JupyterLab in a real browser.

``jupyter_lab`` runs a server on a copy of ``notebooks/``; ``page`` is a Chromium tab that fails its test when anything was
asked of another machine. Both skip, with the reason, where there is no browser.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)
_QUIET = {"@jupyterlab/apputils-extension": {"notification": {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}}}
_START_MS = 60_000
_HAS_LAB = "() => window.jupyterapp !== undefined"
# Run All before the kernel is alive does nothing, and says nothing.
_KERNEL_IS_LIVE = """() => {
  const kernel = window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel;
  return kernel?.status === 'idle' && kernel?.connectionStatus === 'connected';
}"""
_RUN_ALL = """() => {
  window.finished = null;
  window.jupyterapp.commands.execute('notebook:run-all-cells').then(whole => { window.finished = Boolean(whole); });
}"""
_ERRORS = """() => {
  const cells = Array.from(window.jupyterapp.shell.currentWidget.content.model.cells);
  const outputs = cells.flatMap(cell => cell.toJSON().outputs ?? []);
  return outputs.filter(o => o.output_type === 'error').map(o => `${o.ename}: ${o.evalue}`);
}"""


@dataclass(frozen=True)
class Lab:
    """A running server: where it listens and the folder it serves."""

    url: str
    root: Path


def find_browser() -> str | None:
    """Return the path of an installed Chromium, or None."""
    return next((path for path in map(shutil.which, _BROWSERS) if path), None)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the path of Chromium; skip with the way to get it."""
    path = find_browser()
    if path is None:
        pytest.skip(f"no browser ({', '.join(_BROWSERS)}): install one, for example: apt-get install chromium")
    return path


@pytest.fixture(scope="session")
def jupyter_lab(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Run JupyterLab on a copy of the notebooks for the whole session."""
    folder = tmp_path_factory.mktemp("lab")
    root = shutil.copytree(NOTEBOOKS, folder / "root", ignore=shutil.ignore_patterns(".*")) if NOTEBOOKS.is_dir() else folder / "root"
    root.mkdir(exist_ok=True)
    with running_lab(root, folder / "settings") as lab:
        yield lab


@contextlib.contextmanager
def running_lab(root: Path, settings: Path) -> Iterator[Lab]:
    """Serve ``root`` on a free loopback port, with settings of its own, until left."""
    port = _free_port()
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    command += ["--ServerApp.port_retries=0", "--IdentityProvider.token=", "--ServerApp.password=", f"--ServerApp.root_dir={root}"]
    command += ["--LabApp.expose_app_in_browser=True"]
    with (
        (settings.parent / "lab.log").open("wb") as log,
        subprocess.Popen(command, cwd=root, env=_environment(settings), stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process,
    ):
        try:
            _wait_for(f"http://127.0.0.1:{port}/api", process, settings.parent / "lab.log")
            yield Lab(f"http://127.0.0.1:{port}", root)
        finally:
            _end(process)


@pytest.fixture
def page(chromium: str) -> Iterator[Page]:
    """Open a browser tab; when the test is over, fail it if anything was asked of another machine."""
    from playwright.sync_api import sync_playwright

    outside: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=list(_FLAGS))
        tab = browser.new_page(viewport={"width": 1400, "height": 1000})
        tab.on("request", lambda request: outside.append(request.url) if leaves_this_machine(request.url) else None)
        tab.on("websocket", lambda socket: outside.append(socket.url) if leaves_this_machine(socket.url) else None)
        yield tab
        browser.close()
    assert outside == [], f"asked of another machine: {outside}"


def leaves_this_machine(url: str) -> bool:
    """Tell whether a request to ``url`` goes over a network."""
    parts = urlsplit(url)
    return parts.scheme in ("http", "https", "ws", "wss") and parts.hostname not in ("127.0.0.1", "localhost")


def open_notebook(page: Page, lab: Lab, name: str, timeout_ms: int = _START_MS) -> None:
    """Open ``name`` (a path below the served folder) in a workspace of its own, and wait for a live kernel."""
    workspace = re.sub(r"\W", "-", name)  # a dot in it, and JupyterLab does not open the file
    page.goto(f"{lab.url}/lab/workspaces/{workspace}/tree/{quote(name)}?reset")
    page.wait_for_function(_HAS_LAB, timeout=timeout_ms)
    page.wait_for_function(_KERNEL_IS_LIVE, timeout=timeout_ms)


def run_all(page: Page, timeout_ms: int = 120_000) -> None:
    """Run every cell of the open notebook to its end; AssertionError with what the cells raised."""
    page.evaluate(_RUN_ALL)
    page.wait_for_function("() => window.finished !== null", timeout=timeout_ms)
    errors = page.evaluate(_ERRORS)
    assert errors == [], f"cells raised: {errors}"
    assert page.evaluate("() => window.finished"), "the run ended early, and no error was shown"


def move_slider(page: Page, index: int, key: str = "ArrowRight", times: int = 1) -> None:
    """Move the ``index``-th ipywidgets slider of the page from the keyboard, as a reader would."""
    page.locator(".widget-slider .noUi-handle").nth(index).focus()
    for _ in range(times):
        page.keyboard.press(key)


def picture(page: Page, path: Path) -> bytes:
    """Write a screenshot of the notebook, without the file browser, to ``path`` and return it."""
    page.evaluate("if (window.jupyterapp.shell.leftCollapsed === false) window.jupyterapp.commands.execute('application:toggle-left-area')")
    return page.screenshot(path=path)


def _environment(settings: Path) -> dict[str, str]:
    """Return our environment with Jupyter's own folders below ``settings``: no news, and nothing of the user's."""
    for plugin, files in _QUIET.items():
        folder = settings / "lab" / plugin
        folder.mkdir(parents=True)
        for name, values in files.items():
            (folder / f"{name}.jupyterlab-settings").write_text(json.dumps(values), "utf-8")
    names = {"JUPYTERLAB_SETTINGS_DIR": "lab", "JUPYTERLAB_WORKSPACES_DIR": "workspaces", "JUPYTER_CONFIG_DIR": "config"}
    names |= {"JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime", "IPYTHONDIR": "ipython"}
    environment = {**os.environ, **{key: str(settings / name) for key, name in names.items()}}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # every kernel start would compile planner again
    return environment


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def _wait_for(url: str, process: subprocess.Popen[Any], log: Path, timeout_s: float = 60.0) -> None:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not start in {timeout_s} s:\n{log.read_text('utf-8', 'replace')[-2000:]}")


def _end(process: subprocess.Popen[Any]) -> None:
    """Stop the server; its kernels end with it."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
