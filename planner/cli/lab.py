"""``planner lab``: JupyterLab on the notebooks.

In: nothing, or arguments for Jupyter. Out: this process becomes Jupyter. Where planner was installed without a checkout,
the notebooks are copied next to the user first. Knows nothing of what notebooks show.
"""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import typer

from planner.cli.common import Json
from planner.cli.output import Part, note, show
from planner.errors import InputError, MissingExtraError

__all__ = ["lab"]

_COPY = Path("planner-notebooks")


def lab(context: typer.Context, json: Json = False) -> None:
    """Open JupyterLab on the notebooks; further arguments go to Jupyter. With --json it only says what it would run.

    [bold]Examples[/bold]

        planner lab
        planner lab --no-browser --port 8899
    """
    if find_spec("jupyterlab") is None:
        raise MissingExtraError("planner lab needs jupyterlab, which is not installed", fix="run: pip install 'llm-traffic-planner[lab]'")
    folder = _notebooks(copy=not json)
    start = folder / "00_start.ipynb"
    command = [sys.executable, "-m", "jupyterlab", str(start if start.exists() else folder), *context.args]
    if json:
        show([Part("notebooks", folder), Part("command", command)], True)
        return
    note(f"Opening {folder} in JupyterLab; stop it with Ctrl-C.")
    os.execv(command[0], command)


def _notebooks(copy: bool) -> Path:
    """Return the checkout's notebooks, else the user's own copy of those that came with the package."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent / "notebooks"
    if (package.parent / "pyproject.toml").is_file() and checkout.is_dir():
        return checkout
    shipped = package / "notebooks"
    if not shipped.is_dir():
        raise InputError(f"{shipped}: no notebooks there", "an installation with its notebooks", "install planner again, or use a checkout")
    if copy and not _COPY.exists():
        shutil.copytree(shipped, _COPY)
    return _COPY
