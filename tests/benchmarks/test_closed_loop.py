"""The rehearsal before a real proxy, small: what was simulated is what happens."""

from __future__ import annotations

from pathlib import Path

from benchmarks.closed_loop import conditional


def test_a_real_gateway_does_what_was_simulated(tmp_path: Path) -> None:
    """Decisions, calls, retries, fallbacks and the cost of every request are those of the simulation, failures among them."""
    found = conditional(160, 1, 8, tmp_path / "production", quiet=True)
    assert found["requests"] == found["recorded"] == 160
    assert found["decisions_equal"]
    assert found["counts_equal"]
    assert found["max_cost_diff_usd"] <= 1e-9
    assert found["moved"] > 50
    assert found["retries"] > 50
    assert found["fallbacks"] > 0
