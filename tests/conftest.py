"""What every test shares: a work folder of its own, the real data where there is some, and the sample."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from planner.labels import Labels
    from planner.traffic import Traffic

pytest_plugins = ["support.browser", "support.skips"]

REPOSITORY = Path(__file__).resolve().parent.parent
IN_CI = os.environ.get("CI", "").lower() not in ("", "0", "false")

settings.register_profile("user", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci" if IN_CI else "user")


@pytest.fixture(scope="session")
def work_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the folder that the whole run works in."""
    folder = tmp_path_factory.mktemp("work")
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.fixture(autouse=True)
def _away_from_the_checkout(work_folder: Path) -> None:
    """Let no test write ``.planner/`` into the checkout; a test that needs an empty folder takes ``tmp_path``."""


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of public traces and benchmarks, which are too large for a checkout; skip without it."""
    named = os.environ.get("PLANNER_REAL_DATA")
    if not named:
        pytest.skip("no real data: set PLANNER_REAL_DATA to a folder with the files that tests/README.md lists")
    folder = (REPOSITORY / named).resolve()
    if not folder.is_dir():
        pytest.skip(f"no real data: PLANNER_REAL_DATA names {named}, which is not a folder; tests/README.md lists its files")
    return folder


@pytest.fixture(scope="session")
def sample(work_folder: Path) -> tuple[Traffic, Labels]:
    """Open the SYNTHETIC sample, read once for the whole run."""
    from planner.synthetic import load_sample

    return load_sample()
