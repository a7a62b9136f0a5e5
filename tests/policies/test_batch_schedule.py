"""Batch windows, computed by hand and by a slow reference that walks through the arrivals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError
from planner.policies.windows import schedule

Case = tuple[list[int], list[int], list[int], tuple[int, int, int], list[int], list[int]]
#: arrivals, groups, bytes, (window, requests, bytes), sent, batch
BY_HAND: dict[str, Case] = {
    "nothing": ([], [], [], (10, 9, 99), [], []),
    "one request waits out its window": ([3], [0], [1], (10, 9, 99), [13], [0]),
    "the window's end opens the next": ([0, 9, 10], [0] * 3, [1] * 3, (10, 9, 99), [10, 10, 20], [0, 0, 1]),
    "a window begins with its first request": ([0, 25, 30], [0] * 3, [1] * 3, (10, 9, 99), [10, 35, 35], [0, 1, 1]),
    "full by number goes at once": ([0, 1, 2, 3], [0] * 4, [1] * 4, (10, 3, 99), [2, 2, 2, 13], [0, 0, 0, 1]),
    "full by bytes goes at once": ([0, 1, 2], [0] * 3, [4, 6, 1], (10, 9, 10), [1, 1, 12], [0, 0, 1]),
    "what is full takes nothing more": ([0, 0], [0] * 2, [10, 0], (5, 9, 10), [0, 5], [0, 1]),
    "what no longer fits closes it": ([0, 1, 7], [0] * 3, [4, 5, 2], (10, 9, 10), [7, 7, 17], [0, 0, 1]),
    "what comes too late to fit in does not": ([0, 1, 11], [0] * 3, [4, 5, 2], (10, 9, 10), [10, 10, 21], [0, 0, 1]),
    "larger than a batch goes alone": ([0, 1], [0] * 2, [50, 1], (10, 9, 10), [0, 11], [0, 1]),
    "equal times keep their order": ([5, 5, 5], [0] * 3, [1] * 3, (10, 2, 99), [5, 5, 15], [0, 0, 1]),
    "groups share nothing": ([0, 1, 2, 3], [1, 0, 1, 0], [1] * 4, (10, 2, 99), [2, 3, 2, 3], [1, 0, 1, 0]),
    "no window sends at once": ([0, 4], [0] * 2, [1] * 2, (0, 9, 99), [0, 4], [0, 1]),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_schedules_by_hand(name: str) -> None:
    """Each schedule is the one worked out on paper."""
    arrivals, groups, size, (window, requests, limit), sent, batch = BY_HAND[name]
    found = schedule(arrivals, groups, size, window, requests, limit)
    assert (found[0].tolist(), found[1].tolist()) == (sent, batch)


def walked(arrivals: list[int], size: list[int], window: int, requests: int, limit: int) -> list[int]:
    """Walk through one group's arrivals and return when each is sent."""
    sent, held, opened = [0] * len(arrivals), list[int](), 0

    def send(at: int) -> None:
        for i in held:
            sent[i] = at
        held.clear()

    for i, now in enumerate(arrivals):
        if held and now >= opened + window:
            send(opened + window)
        if held and sum(size[h] for h in held) + size[i] > limit:
            send(now)
        if not held:
            opened = now
        held.append(i)
        if len(held) == requests or sum(size[h] for h in held) >= limit:
            send(now)
    send(opened + window)
    return sent


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12), st.integers(0, 2)), max_size=40),
    st.integers(0, 20),
    st.integers(1, 6),
    st.integers(1, 30),
)
def test_schedule_equals_a_walk(made: list[tuple[int, int, int]], window: int, requests: int, limit: int) -> None:
    """Any schedule equals the walk through each group alone; nothing is sent before it arrives, and no batch exceeds its limits."""
    made.sort(key=lambda m: m[0])
    arrival, size, group = (np.array([m[k] for m in made], np.int64) for k in range(3))
    sent, batch = schedule(arrival, group, size, window, requests, limit)
    for g in set(group.tolist()):
        mine = group == g
        assert sent[mine].tolist() == walked(arrival[mine].tolist(), size[mine].tolist(), window, requests, limit)
    assert (sent >= arrival).all()
    assert (sent <= arrival + window).all()
    counts, bytes_of = np.bincount(batch), np.bincount(batch, weights=size)
    assert (counts >= 1).all()
    assert (counts <= requests).all()
    assert ((bytes_of <= limit) | (counts == 1)).all()


def test_a_clock_that_goes_backwards_is_refused() -> None:
    """Arrivals out of order within a group are an error, not a wrong schedule."""
    with pytest.raises(InputError, match="arrivals that go backwards"):
        schedule([5, 4], [0, 0], [1, 1], 10, 9, 99)
    assert schedule([5, 4], [0, 1], [1, 1], 10, 9, 99)[0].tolist() == [15, 14]
