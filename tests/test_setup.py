"""What a user installs: the bare wheel in an environment of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

_LOOK = """
import importlib.metadata as m, importlib.util as u, json, planner, planner.router
try:
    planner.read
except planner.PlannerError as error:
    missing = str(error)
lacks = [n for n in ("pandas", "pyarrow", "sklearn", "scipy", "pydantic", "jupyterlab") if u.find_spec(n) is None]
files = sorted({str(f).split("/")[0] for f in m.files("llm-traffic-planner")})
print(json.dumps([planner.Router.__name__, missing, lacks, files, planner.__file__]))
"""


@pytest.fixture(scope="module")
def bare(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of a fresh environment after ``pip install .`` (about 6 s, and a registry or a warm cache)."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    command = [python, "-m", "pip", "install", "-q", "--no-compile", "-c", repository / "constraints.txt", repository]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return python


def test_the_bare_wheel_runs_the_router(bare: Path, tmp_path: Path) -> None:
    """``pip install .`` brings the router and nothing of the extras; a name outside it says what to install."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run([bare, "-c", _LOOK], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    router, missing, lacks, files, home = json.loads(done.stdout)
    assert router == "Router"
    assert missing.endswith("Run: pip install 'llm-traffic-planner[plan]'.")
    assert lacks == ["pandas", "pyarrow", "sklearn", "scipy", "pydantic", "jupyterlab"]
    assert {f for f in files if not f.endswith(".dist-info")} == {"..", "planner"}
    assert Path(home).is_relative_to(bare.parent.parent)


def test_the_command_line_says_what_it_needs(bare: Path, tmp_path: Path) -> None:
    """The ``planner`` command of a bare installation names the extra, without a traceback."""
    done = subprocess.run([bare.with_name("planner"), "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "pip install 'llm-traffic-planner[plan]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_wheel_brings_the_notebooks(bare: Path) -> None:
    """The notebooks are beside the installed package, where ``planner lab`` finds them without a checkout."""
    assert next(bare.parent.parent.glob("lib/python*/site-packages/planner/notebooks/00_start.ipynb")).is_file()


def test_make_prints_its_verbs(repository: Path) -> None:
    """``make`` alone lists what it can do."""
    done = subprocess.run(["make", "-s", "-C", repository], capture_output=True, text=True)
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("  make ")][:3] == ["help", "lab", "test"]


@pytest.mark.parametrize("browser", [True, False])
def test_ci_runs_everything_and_fetches_only_a_browser(repository: Path, tmp_path: Path, browser: bool) -> None:
    """.ci/run checks and tests where nothing may be skipped, and installs Chromium only on a machine without a browser."""
    commands = {"apt-get": 'echo apt-get "$@"', "make": 'echo make "$@" no_skip=$PLANNER_NO_SKIP', "chromium": ""}
    for name, line in commands.items():
        if browser or name != "chromium":
            (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
            (tmp_path / name).chmod(0o755)
    for name in ("sh", "bash", "env", "dirname"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    (tmp_path / "id").symlink_to(str(shutil.which("echo")))  # `id -u` is not 0, so that apt-get needs sudo
    (tmp_path / "sudo").symlink_to(str(shutil.which("env")))
    done = subprocess.run(["bash", repository / ".ci" / "run"], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=True)
    fetched = ["apt-get update -qq", "apt-get install -y -qq --no-install-recommends chromium"]
    assert done.stdout.splitlines() == [*([] if browser else fetched), "make check no_skip=1", "make test no_skip=1"]
    assert os.access(repository / ".ci" / "run", os.X_OK)


def test_this_python_is_supported() -> None:
    """The tests run on a Python that pyproject.toml allows."""
    assert sys.version_info >= (3, 11)
