"""What caches would have held, against simulators written for clarity."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from planner.comparison.changes_repeat import LIFETIME_HOURS, repeats
from planner.comparison.prompt_cache import moved, shared_and_warm
from planner.text.prints import Prefixes

_DAY_MS = LIFETIME_HOURS * 3_600_000
_REQUESTS = st.lists(
    st.tuples(st.lists(st.integers(0, 1), max_size=3), st.integers(0, 40), st.integers(0, 15)), max_size=15
)  # fmt: skip


def _chained(paths: list[list[int]]) -> Prefixes:
    """Blocks whose key stands for the whole path up to them."""
    keys = [hash(tuple(p[: k + 1])) & 0xFFFF_FFFF for p in paths for k in range(len(p))]
    return Prefixes(np.array(keys, np.uint64), np.cumsum([0, *map(len, paths)]), np.array([max(len(p), 1) for p in paths]), 1)


@given(_REQUESTS, st.integers(1, 30))
def test_warm_blocks_match_a_slow_cache(requests: list[tuple[list[int], int, int]], lifetime_s: int) -> None:
    """A block is warm when the last request to complete with it arrived within the lifetime; shared when another has it."""
    paths, start = [p for p, _, _ in requests], np.array([s * 1000 for _, s, _ in requests], np.int64)
    ready = start + np.array([max(t * 1000, 1) for _, _, t in requests], np.int64)
    shared, warm = shared_and_warm(_chained(paths), np.arange(len(paths)), start, ready, lifetime_s)
    for i, path in enumerate(paths):
        held = lit = 0
        for k in range(1, len(path) + 1):
            same = [j for j, other in enumerate(paths) if other[:k] == path[:k]]
            done = [j for j in same if ready[j] <= start[i]]
            last = max((ready[j] for j in done), default=0)
            alive = [start[i] - start[j] <= lifetime_s * 1000 for j in done if ready[j] == last]
            held += held == k - 1 and len(same) > 1
            lit += lit == k - 1 and any(alive) and all(alive)
        assert shared[i] == held
        assert warm[i] == lit or _tied(ready, start, paths, i)


def _tied(ready: np.ndarray, start: np.ndarray, paths: list[list[int]], i: int) -> bool:
    """Whether two requests that completed in the same millisecond arrived at different times: then either may count as last."""
    same = [(ready[j], start[j]) for j, p in enumerate(paths) if ready[j] <= start[i] and p[:1] == paths[i][:1]]
    return len({r for r, _ in same}) < len(set(same))


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(0, 60), st.integers(1, 20), st.booleans()), max_size=20))
def test_repeats_match_a_slow_cache(requests: list[tuple[int, int, int, bool]]) -> None:
    """A request is a hit exactly when some earlier successful miss with its key was complete, and at most a day old."""
    order = sorted(range(len(requests)), key=lambda i: (requests[i][1], i))
    key = np.array([k for k, *_ in requests], np.uint64)
    start = np.array([s * 3_600_000 for _, s, _, _ in requests], np.int64)
    ready = start + np.array([t * 3_600_000 for _, _, t, _ in requests], np.int64)
    ok = np.array([o for *_, o in requests], bool)
    found = repeats(key, start, ready, ok)
    stored: list[int] = []
    for i in order:
        hit = any(key[j] == key[i] and ready[j] <= start[i] <= ready[j] + _DAY_MS for j in stored)
        assert found[i] == hit
        if not hit and ok[i]:
            stored.append(i)


def _steps(work: Callable[[], Any]) -> int:
    """Count the lines of Python that ``work`` runs."""
    steps, before = 0, sys.gettrace()

    def count(frame: Any, event: str, arg: Any) -> Any:
        nonlocal steps
        steps += event == "line"
        return count

    sys.settrace(count)
    try:
        work()
    finally:
        sys.settrace(before)
    return steps


def test_a_burst_costs_per_request() -> None:
    """Of equal prompts sent while the first is under way none is a hit, and twice as many take twice the steps, not four times."""
    steps = {}
    for n in (500, 1_000):
        start, ok = np.arange(n), np.ones(n, bool)
        steps[n] = _steps(lambda start=start, ok=ok: repeats(np.ones(len(ok), np.uint64), start, start + 5_000, ok))
    assert steps[1_000] < 2.2 * steps[500]
    start = np.arange(20_001) * 1_000
    found = repeats(np.ones(20_001, np.uint64), start, start + 20_000_000, np.ones(20_001, bool))
    assert found.tolist() == [False] * 20_000 + [True]


@given(st.lists(st.tuples(*[st.integers(0, 50)] * 8, st.booleans()), min_size=1, max_size=10))
def test_caching_moves_tokens_and_makes_none(rows: list[tuple[int, ...]]) -> None:
    """Every row keeps its input tokens, reads at least what it read, and output is untouched."""
    columns = np.array([r[:8] for r in rows], np.int64)
    tokens, warm, shared = columns[:, :6], columns[:, 6], columns[:, 7]
    live = np.array([r[8] for r in rows], bool)
    after = moved(tokens, warm, shared, 2, live)
    assert (after >= 0).all()
    assert (after[:, :4].sum(axis=1) == tokens[:, :4].sum(axis=1)).all()
    assert (after[:, 1] >= tokens[:, 1]).all()
    assert (after[:, 3:] == tokens[:, 3:]).all()
    assert (after[~live] == tokens[~live]).all()
