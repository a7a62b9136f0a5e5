"""One bundle with everything in it, for every test that damages a copy or reads it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.labels import COST, made_labels

from planner.bundle import export
from planner.policies import Plan
from planner.training import Training, train


@pytest.fixture(scope="session")
def made_training() -> Training:
    """Train once on made-up labels."""
    return train(made_labels(400), reference="large", cost=COST, floor=0.3)


@pytest.fixture(scope="session")
def made_bundle(made_training: Training, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write one bundle with everything in it."""
    folder = tmp_path_factory.mktemp("bundles") / "router"
    return export(made_training.router, folder, training=made_training, plan=Plan(), evaluation={"backtest": 0.01})


@pytest.fixture
def copy(made_bundle: Path, tmp_path: Path) -> Path:
    """Return a copy of the bundle that a test may damage."""
    return Path(shutil.copytree(made_bundle, tmp_path / "copy"))
