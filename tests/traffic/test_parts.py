"""Parts of a log: the rows at some positions are those of the whole, whatever the split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError
from planner.schema import TRAFFIC
from planner.traffic import Traffic, TrafficWriter
from planner.traffic.prints import Prints, prints_of
from planner.traffic.rows import Coded, Rows, load_rows

N = 60


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Traffic:
    """Sixty requests in four row groups: sessions that span them, in another order than time; users and limits that some lack."""
    rng = np.random.default_rng(3)
    session, user = rng.integers(0, 9, N), rng.integers(0, 5, N)
    frame = pd.DataFrame(
        {
            "request_id": [f"r{i}" for i in range(N)],
            "timestamp": pd.Timestamp("2026-11-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 20, N), "min"),
            "session_id": [None if s == 0 else f"s{s}" for s in session],
            "user": [None if u < 3 else f"u{u}" for u in user],
            "app": [f"app {a}" for a in rng.integers(0, 3, N)],
            "model": [f"model {m}" for m in rng.integers(0, 2, N)],
            "provider": [None if p else "openai" for p in rng.integers(0, 2, N)],
            "max_tokens": [None if m else 100 for m in rng.integers(0, 2, N)],
            "input_tokens": rng.integers(1, 99, N),
            "latency_ms": [None if i % 7 == 0 else float(i) for i in range(N)],
            "prefix_blocks": [list(range(int(b))) for b in rng.integers(0, 4, N)],
        }
    )
    with TrafficWriter(tmp_path_factory.mktemp("parts")) as writer:
        for piece in np.array_split(np.arange(N), [10, 12, 40]):
            writer.accept(pa.Table.from_pandas(frame.iloc[piece], preserve_index=False))
        return writer.close(source_format="test")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Traffic:
    """Sixty prompts of up to four blocks, some cut or absent, with parameters that appear in another order in each part."""
    rng = np.random.default_rng(4)
    system, turn = rng.integers(0, 3, N), rng.integers(0, 6, N)
    frame = pd.DataFrame(
        {
            "request_id": [f"r{i}" for i in range(N)],
            "timestamp": pd.date_range("2026-11-01", periods=N, freq="min", tz="UTC"),
            "model": [f"model {m}" for m in rng.integers(0, 3, N)],
            "app": [f"app {a}" for a in rng.integers(0, 2, N)],
            "max_tokens": [None if m else 100 for m in rng.integers(0, 2, N)],
            "messages": [None if t == 0 else f"{s} " * 400 * s + f"{t} " * 500 for s, t in zip(system, turn, strict=True)],
            "text_state": ["none" if t == 0 else "cut" if t == 1 else "full" for t in turn],
        }
    )
    with TrafficWriter(tmp_path_factory.mktemp("texts")) as writer:
        for piece in np.array_split(np.arange(N), 3):
            writer.accept(pa.Table.from_pandas(frame.iloc[piece], preserve_index=False))
        return writer.close(source_format="test")


def columns(rows: Rows) -> dict[str, object]:
    """Return the columns of rows as plain lists, strings decoded."""
    found = {name: value.decode() if isinstance(value, Coded) else value for name, value in vars(rows).items()}
    return {name: repr(value.tolist()) if isinstance(value, np.ndarray) else value for name, value in found.items()}


@given(part_of=st.lists(st.integers(0, 3), min_size=N, max_size=N))
def test_parts_are_the_whole(log: Traffic, part_of: list[int]) -> None:
    """For any split, each part's rows are those of the whole log, column by column, those that look beyond a row too."""
    whole, owner = load_rows(log), np.array(part_of)
    assert whole.later.any()
    for part in range(4):
        at = np.flatnonzero(owner == part)
        assert columns(load_rows(log, at)) == columns(whole.take(at))


def shown(prints: Prints) -> list[tuple[int, list[int], int]]:
    """Return the prints of each request: its key, the keys of its blocks, and its size."""
    p = prints.prefixes
    blocks = [p.keys[a:b].tolist() for a, b in zip(p.start[:-1], p.start[1:], strict=True)]
    return list(zip(prints.request.tolist(), blocks, p.size.tolist(), strict=True))


@pytest.mark.parametrize("name", ["log", "texts"])
def test_prints_of_parts_are_those_of_the_whole(name: str, request: pytest.FixtureRequest) -> None:
    """Requests have the same keys and blocks in any part, with text and with keys and blocks of a trace alone."""
    traffic = request.getfixturevalue(name)
    whole, owner = shown(prints_of(traffic)), np.random.default_rng(0).integers(0, 3, N)
    assert sum(len(blocks) for _, blocks, _ in whole) > N
    for part in range(4):
        at = np.flatnonzero(owner == part)
        found = prints_of(traffic, positions=at)
        assert shown(found) == [whole[i] for i in at]
        assert (found.prefixes.block, found.prefixes.partial) == (prints_of(traffic).prefixes.block, name == "log")


def test_prints_do_not_depend_on_the_rest_of_the_log(texts: Traffic, tmp_path: Path) -> None:
    """A log of half the requests gives each of them the keys that it has in the log of all."""
    half = np.arange(1, N, 2)
    with TrafficWriter(tmp_path) as writer:
        writer.accept(texts.take(half, *TRAFFIC.names))
        other = writer.close(source_format="test")
    assert prints_of(other).request.tolist() == prints_of(texts).request[half].tolist()


def test_taken_rows_keep_every_column(log: Traffic) -> None:
    """Columns of every type come as ``arrow`` gives them, in the order they were named."""
    names = ("session_id", *(n for n in reversed(TRAFFIC.names) if n != "session_id"))
    at = np.array([0, 9, 11, 12, 39, 59])
    assert log.take(at, *names).equals(log.arrow(*names).take(pa.array(at)))
    assert log.take(at).column_names == log.arrow().column_names


def test_only_the_row_groups_asked_for_are_read(log: Traffic, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of the second and the last group leave the other two unread."""
    read: list[int] = []
    original = pa.parquet.ParquetFile.read_row_group
    monkeypatch.setattr(pa.parquet.ParquetFile, "read_row_group", lambda self, g, *args: read.append(g) or original(self, g, *args))
    assert log.take(np.array([10, 11, 40]), "request_id")["request_id"].to_pylist() == ["r10", "r11", "r40"]
    assert read == [1, 3]


@pytest.mark.parametrize("positions", [[0, N], [-1, 3], [4, 3], [3, 3], [[0, 1]]])
def test_positions_that_are_none_are_refused(log: Traffic, positions: list[int]) -> None:
    """Positions out of range, out of order, twice or in two dimensions are an error that says which ones may be."""
    with pytest.raises(InputError, match="positions from 0 to 59, ascending"):
        log.take(np.array(positions), "app")
