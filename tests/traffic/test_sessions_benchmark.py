"""The measurement of rebuilt sessions, on a tenth of the SYNTHETIC sample's conversations."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from benchmarks.sessions import _pairs, measure
from planner.labels import Labels
from planner.traffic import Traffic
from planner.traffic.sampling import sampled


@pytest.mark.parametrize("hide_users", [False, True])
def test_hidden_sessions_come_back(sample: tuple[Traffic, Labels], tmp_path: Path, hide_users: bool) -> None:
    """Of pairs with text at least 95 % are found and at most 1 in 1,000 is wrong, with and without users."""
    found = measure(sampled(sample[0], 0.1, tmp_path / "part"), tmp_path, hide_users)
    assert found["precision, pairs with text"] >= 0.999
    assert found["recall, pairs with text"] >= 0.95
    assert found["precision, links"] >= 0.95
    assert found["recall, links"] >= 0.95


def test_pairs_are_counted_by_hand() -> None:
    """Three of one conversation, two of them rebuilt with a stranger: one right pair of three made and three true."""
    true, made = pd.Series(["s", "s", "s", "t", None]), pd.Series(["x", "x", None, "x", "y"])
    assert _pairs(true, made) == (1, 3, 3)
