"""A handle on stored traffic tells what the log holds."""

from __future__ import annotations

from pathlib import Path

from support.small import traffic_of

from planner.schema import TRAFFIC


def test_filled_columns_are_those_that_hold_something(tmp_path: Path) -> None:
    """A column counts as filled when one row has it, nested ones too; the file's statistics say what reading all of it would."""
    columns = {"model": "m", "user": ["u", None, None], "prefix_blocks": [None, [1, 2], None], "latency_ms": [None, None, None]}
    traffic = traffic_of(tmp_path, columns)
    table = traffic.arrow(*TRAFFIC.names)
    assert traffic.filled(*TRAFFIC.names) == tuple(c for c in TRAFFIC.names if table[c].null_count < 3)
    assert set(traffic.filled("user", "prefix_blocks", "latency_ms", "messages")) == {"user", "prefix_blocks"}
