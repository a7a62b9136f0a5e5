"""A handle on stored traffic tells what the log holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from support.small import traffic_of

from planner.schema import TRAFFIC
from planner.traffic import TrafficWriter


def test_filled_columns_are_those_that_hold_something(tmp_path: Path) -> None:
    """A column counts as filled when one row has it, nested ones too; the file's statistics say what reading all of it would."""
    columns = {"model": "m", "user": ["u", None, None], "prefix_blocks": [None, [1, 2], None], "latency_ms": [None, None, None]}
    traffic = traffic_of(tmp_path, columns)
    table = traffic.arrow(*TRAFFIC.names)
    assert traffic.filled(*TRAFFIC.names) == tuple(c for c in TRAFFIC.names if table[c].null_count < 3)
    assert set(traffic.filled("user", "prefix_blocks", "latency_ms", "messages")) == {"user", "prefix_blocks"}


def test_streaming_holds_a_part_of_the_file(tmp_path: Path) -> None:
    """Of a file of 16 MB that is streamed in small batches, less than a quarter is in memory at any time."""
    rng, rows = np.random.default_rng(0), 256
    with TrafficWriter(tmp_path) as writer:
        for part in range(32):
            ids, texts = [f"{part}-{i}" for i in range(rows)], [rng.bytes(2_048).hex() for _ in range(rows)]
            when = pa.array([0] * rows, pa.timestamp("us", "UTC"))
            writer.accept(pa.table({"request_id": ids, "timestamp": when, "model": ids, "messages": texts}))
        traffic = writer.close()
    before, size = pa.total_allocated_bytes(), (tmp_path / "traffic.parquet").stat().st_size
    most = max(pa.total_allocated_bytes() - before for _ in traffic.batches(("messages",), 64))
    assert size > 16_000_000
    assert most < size / 4
