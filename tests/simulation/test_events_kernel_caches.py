"""The response cache alone: equal to a cache written with an OrderedDict, and what it refuses."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.caches import azure, mooncake
from planner.errors import InputError
from planner.simulation.events.hits import hits


def by_dict(keys: NDArray[np.int64], times: NDArray[np.int64], capacity: int, lru: bool, ttl: int | None) -> list[bool]:
    """Return the same with the standard library: who was filled when, the first in line at the front."""
    filled: OrderedDict[int, int] = OrderedDict()
    found = []
    for key, now in zip(keys.tolist(), times.tolist(), strict=True):
        if key in filled and ttl is not None and now - filled[key] >= ttl:
            del filled[key]
        found.append(key in filled)
        if found[-1]:
            if lru:
                filled.move_to_end(key)
            continue
        filled[key] = now
        if len(filled) > capacity:
            filled.popitem(last=False)
    return found


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), max_size=120),
    st.integers(1, 14),
    st.booleans(),
    st.none() | st.integers(0, 12),
)
@settings(max_examples=500, deadline=None)
def test_hits_are_those_of_an_ordered_dict(asked: list[tuple[int, int]], capacity: int, lru: bool, ttl: int | None) -> None:
    """LRU and FIFO, with and without a lifetime: every lookup hits or misses as in the reference."""
    keys = np.array([key for key, _ in asked], np.int64)
    times = np.cumsum([gap for _, gap in asked], dtype=np.int64)
    lifetime = {} if ttl is None else {"ttl_us": ttl}
    assert hits(keys, times, capacity, lru, **lifetime).tolist() == by_dict(keys, times, capacity, lru, ttl)


@pytest.mark.parametrize("lru", [True, False])
@pytest.mark.parametrize("ttl", [None, 3_000_000])
@pytest.mark.parametrize("capacity", [1, 100, 3000])
def test_hits_of_many_popular_keys(lru: bool, ttl: int | None, capacity: int) -> None:
    """Over 100,000 lookups of Zipf-distributed keys the hits are those of the reference, one by one."""
    rng = np.random.default_rng(capacity)
    keys = np.minimum(rng.zipf(1.1, 100_000), 20_000) - 1
    times = np.cumsum(rng.integers(0, 1000, len(keys)))
    lifetime = {} if ttl is None else {"ttl_us": ttl}
    assert hits(keys, times, capacity, lru, **lifetime).tolist() == by_dict(keys, times, capacity, lru, ttl)


def test_an_entry_is_as_old_as_its_answer() -> None:
    """Hits do not prolong a life: filled at 0 with a lifetime of 10, an entry serves at 9, not at 10, and is filled again then."""
    times = np.array([0, 6, 9, 10, 19, 20])
    assert hits(np.zeros(6, int), times, 1, ttl_us=10).tolist() == [False, True, True, False, True, False]


@pytest.mark.parametrize(
    ("keys", "times", "capacity", "words"),
    [
        ([0, 1], [0], 1, "one length"),
        ([0], [0], 0, "capacity of 0"),
        ([-1], [0], 1, "keys from 0"),
        ([0, 0], [1, 0], 1, "sorted times"),
    ],
)
def test_lookups_that_make_no_trace_are_refused(keys: list[int], times: list[int], capacity: int, words: str) -> None:
    """Negative keys, clocks that go backwards, columns that do not match and no capacity are errors."""
    with pytest.raises(InputError, match=words):
        hits(np.array(keys), np.array(times), capacity)


def test_traces_are_lookups_of_objects(tmp_path: Path) -> None:
    """Mooncake's blocks are looked up one after another at their request's time; Azure's objects are pairs of token counts."""
    blocks = tmp_path / "mooncake.jsonl"
    blocks.write_text('{"timestamp": 0, "hash_ids": [4, 9]}\n{"timestamp": 27, "hash_ids": []}\n{"timestamp": 30, "hash_ids": [9, 7]}\n')
    trace = mooncake(blocks)
    assert (trace.keys.tolist(), trace.times_us.tolist()) == ([0, 1, 1, 2], [0, 0, 30_000, 30_000])
    pairs = tmp_path / "azure.csv"
    pairs.write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n"
        "2023-11-16 18:15:50.9951690,396,109\n2023-11-16 18:15:51.6805900,374,44\n"
    )
    trace = azure(pairs)
    assert (trace.keys.tolist(), trace.times_us.tolist()) == ([0, 1, 0], [0, 4_314_579, 5_000_000])
