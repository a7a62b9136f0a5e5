"""The nearest earlier questions of a group are those of brute force, whatever the blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import InputError
from planner.text import neighbours
from planner.text.embeddings import GRID, cosines
from planner.text.neighbours import nearest


def world(seed: int, n: int = 60, groups: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return vectors, who asks what, and groups: questions in order of their first request, some asked again, some requests of none."""
    rng = np.random.default_rng(seed)
    asks = np.full(n, -1, np.int64)
    known = 0
    for i in range(n):
        kind = rng.random()
        if kind < 0.6 or (kind < 0.9 and not known):
            asks[i], known = known, known + 1
        elif kind < 0.9:
            asks[i] = rng.integers(known)
    rows = rng.integers(-3, 4, (max(known, 1), 3)).astype(float)  # few directions: many ties
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return (np.rint(rows / np.where(norm, norm, 1) * GRID) / GRID).astype(np.float32), asks, rng.integers(0, groups, max(known, 1))


def brute(vectors: np.ndarray, asks: np.ndarray, group: np.ndarray, floor: float, most: int) -> tuple[list[list[int]], list[bool]]:
    """Return every list, and whether it was cut, by comparing each request with each question asked before it."""
    alike = cosines(vectors, vectors)
    lists, cut = [], []
    for i, q in enumerate(asks.tolist()):
        before = {
            p for p in asks[:i].tolist() if p >= 0 and q >= 0 and p != q and group[p] == group[q] and alike[q, p] >= np.float32(floor)
        }
        best = sorted(before, key=lambda p: (-alike[q, p], p))
        lists.append(best[:most])
        cut.append(len(best) > most)
    return lists, cut


@settings(max_examples=60)
@given(
    st.integers(0, 10**6),
    st.sampled_from([0.1, 0.7, 0.95, 1.0]),
    st.sampled_from([1, 3, 100]),
    st.sampled_from([(2, 3), (7, 4), (512, 8192)]),
)
def test_lists_equal_brute_force(seed: int, floor: float, most: int, block: tuple[int, int]) -> None:
    """Each list, its order, its similarities and the flag that it was cut are those of comparing everything with everything."""
    vectors, asks, group = world(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "_ROWS", block[0])
        patch.setattr(neighbours, "_COLUMNS", block[1])
        found = nearest(vectors, asks, group, floor, most)
    lists, cut = brute(vectors, asks, group, floor, most)
    assert [part.tolist() for part in np.split(found.near, found.start[1:-1])] == lists
    assert found.cut.tolist() == cut
    alike = cosines(vectors, vectors)
    assert found.similarity.tolist() == [alike[asks[i], p] for i, part in enumerate(lists) for p in part]


@given(st.integers(0, 10**6), st.sampled_from([2, 100]))
def test_a_higher_threshold_is_a_higher_floor(seed: int, most: int) -> None:
    """Cutting lists at a threshold equals making them with that floor, except that a cut list cannot grow again."""
    vectors, asks, group = world(seed)
    low, high = nearest(vectors, asks, group, 0.3, most).above(0.8), nearest(vectors, asks, group, 0.8, most)
    assert np.array_equal(low.near, high.near)
    assert np.array_equal(low.start, high.start)
    assert np.all(low.cut >= high.cut)


@given(st.integers(0, 10**6), st.lists(st.integers(0, 59), max_size=20))
def test_lists_can_be_taken_in_any_order(seed: int, at: list[int]) -> None:
    """Taken lists are those of the requests that were asked for, one by one."""
    found = nearest(*world(seed), 0.5)
    taken = found.take(np.array(at, np.int64))
    assert [taken.near[taken.start[k] : taken.start[k + 1]].tolist() for k in range(len(at))] == [
        found.near[found.start[i] : found.start[i + 1]].tolist() for i in at
    ]
    assert taken.cut.tolist() == found.cut[at].tolist()


def test_no_lists_of_nothing_and_no_senseless_floor() -> None:
    """No request gives no list; a floor of 0 and lists without room are refused in one sentence, a threshold below the floor too."""
    none = np.zeros(0, np.int64)
    empty = nearest(np.zeros((0, 1), np.float32), none, none, 0.5)
    assert (len(empty), empty.start.tolist()) == (0, [0])
    with pytest.raises(InputError, match="floor above 0"):
        nearest(np.zeros((1, 2), np.float32), none, none, 0.0)
    with pytest.raises(InputError, match=r"threshold 0.4; expected at least 0.5"):
        empty.above(0.4)
