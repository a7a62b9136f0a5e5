"""Rows in another order: the ones that were asked for, each block read once, in bounded memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from support.small import prompt, traffic_of

from planner.schema import TRAFFIC
from planner.traffic import Traffic, TrafficWriter
from planner.traffic.join import join
from planner.traffic.join_order import in_order

N = 300


class Counted(Traffic):
    """A log that counts the rows it hands out."""

    handed = 0

    def batches(self, columns: Sequence[str], rows: int = 65_536) -> Iterator[pa.RecordBatch]:
        """Count what is streamed, in small batches."""
        for batch in super().batches(columns, min(rows, 37)):
            Counted.handed += len(batch)
            yield batch


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Counted:
    """A log whose rows differ."""
    columns = {"model": "m", "input_tokens": range(N), "messages": [prompt(f"q {i}") for i in range(N)], "text_state": "full"}
    made = traffic_of(tmp_path_factory.mktemp("log") / "log", columns)
    return Counted(made.folder, made.meta)


def _wanted(kind: str) -> NDArray[np.int64]:
    rng = np.random.default_rng(0)
    order = {"same": np.arange(N), "reversed": np.arange(N)[::-1], "shuffled": rng.permutation(N)}[kind]
    wanted = np.full(N + 50, -1)
    wanted[np.sort(rng.choice(N + 50, N - 20, replace=False))] = order[: N - 20]
    return wanted


@pytest.mark.parametrize("kind", ["same", "reversed", "shuffled"])
@pytest.mark.parametrize("waiting_bytes", [0, 20_000, 1 << 30])
@pytest.mark.parametrize("rows", [1, 64, 1_000])
def test_each_place_has_its_row(log: Counted, tmp_path: Path, kind: str, waiting_bytes: int, rows: int) -> None:
    """Whatever the orders, blocks and memory, the rows are those wanted, nulls in between; the log is read once and no file is left."""
    wanted, Counted.handed = _wanted(kind), 0
    blocks = list(in_order(log, wanted, tmp_path, rows, waiting_bytes))
    assert [len(b) for b in blocks[:-1]] == [rows] * (len(blocks) - 1)
    whole = log.arrow(*TRAFFIC.names)
    assert pa.concat_tables(blocks).to_pylist() == whole.take(pa.array(wanted, mask=wanted < 0)).to_pylist()
    assert N - 20 <= Counted.handed <= N
    assert list(tmp_path.iterdir()) == []


def test_no_row_wanted_is_rows_of_nulls(log: Counted, tmp_path: Path) -> None:
    """Of two logs that share nothing in a block, the block is there, and nothing is read for it."""
    Counted.handed = 0
    (block,) = in_order(log, np.full(3, -1), tmp_path)
    assert block.select(["request_id"]).to_pylist() == [{"request_id": None}] * 3
    assert list(in_order(log, np.zeros(0, np.int64), tmp_path)) == []
    assert Counted.handed == 0


def test_a_shuffled_log_is_joined_like_a_sorted_one_and_read_as_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of the second log changes neither the joined rows nor how many row groups are read for them."""
    n, parts = 2_000, 20
    monkeypatch.setattr(sys.modules["planner.traffic.join"], "_ROWS", 100)
    rng = np.random.default_rng(1)
    whole = traffic_of(tmp_path / "a", {"model": "m", "input_tokens": rng.integers(1, 9_000, n), "latency_ms": 5.0})
    table = whole.arrow(*TRAFFIC.names)
    read: list[int] = []
    groups = pq.ParquetFile.read_row_group
    monkeypatch.setattr(pq.ParquetFile, "read_row_group", lambda *a, **k: (read.append(1), groups(*a, **k))[1])
    found, counts = [], []
    for name, order in (("sorted", np.arange(n)), ("shuffled", rng.permutation(n))):
        with TrafficWriter(tmp_path / name) as writer:
            for part in np.split(order, parts):
                writer.accept(table.take(pa.array(part)))
            other = writer.close(source_format="test")
        read.clear()
        found.append(join(whole, other, tmp_path / f"joined-{name}").arrow(*TRAFFIC.names))
        counts.append(len(read))
    assert found[0].equals(found[1])
    assert counts[0] == counts[1]
