"""One stretch of time after another gives what the whole gives: the event phase does not notice where it is cut."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation.made_worlds import LEVERS, made

from planner.simulation.events.carry import FOREVER_US, Carry, part
from planner.simulation.events.inputs import Happened, Names, World
from planner.simulation.events.kernel import happen

#: The fields of ``Happened`` that are about requests.
_ENDS = ("arrived_us", "done_us", "answer_us", "end")


def roots(follows: np.ndarray) -> np.ndarray:
    """Return the first turn of each request's line of turns."""
    root = np.where(follows >= 0, follows, np.arange(len(follows)))
    while (root != root[root]).any():
        root = root[root]
    return root


def taken(world: World, at: np.ndarray, fresh: np.ndarray) -> tuple[World, Names]:
    """Return the World of the requests ``at``, of which the ``fresh`` ones begin here, under dense numbers of its own, and their names."""
    place = np.full(len(world.requests) + 1, -1)
    place[at[fresh]] = np.flatnonzero(fresh)

    def of(value: Any, *names: str) -> Any:
        return replace(value, **{k: getattr(value, k)[at] for k in names or [f.name for f in fields(value)]})

    key, key_code = dense(world.responses.key[at], ragged(world.responses.near, world.responses.near_start, at))
    block, block_code = dense(np.zeros(0, np.int64), ragged(world.prompts.block, world.prompts.block_start, at))
    responses = replace(of(world.responses, "ttl_us"), key=key_code[0], near=key_code[1], near_start=starts(world.responses.near_start, at))
    prompts = replace(of(world.prompts, "marked", "block_tokens"), block=block_code[1], block_start=starts(world.prompts.block_start, at))
    requests = of(world.requests)
    requests = replace(requests, follows=np.where(fresh, place[world.requests.follows[at]], -1))
    lanes = of(world.lanes, "first_us", "whole_us", "input_tokens", "output_tokens", "cell")
    pools = range(1 + int(world.prompts.pool.max()))
    names = Names(at, tuple(map(str, range(len(lanes.failed_us)))), tuple(map(str, pools)), key, block)
    return World(requests, lanes, of(world.log), of(world.retries, "policy"), responses, prompts, world.limits), names


def dense(*columns: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the values that occur, and the columns as positions among them; −1 stays."""
    every = np.concatenate(columns)
    known = np.unique(every[every >= 0])
    return known.astype(np.uint64), [np.where(c >= 0, np.searchsorted(known, c), -1) for c in columns]


def ragged(values: np.ndarray, start: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return the values of the requests ``at``, one after another."""
    return np.concatenate([values[start[i] : start[i + 1]] for i in at]) if len(at) else values[:0]


def starts(start: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return where the values of each of the requests ``at`` start."""
    return np.append(0, np.cumsum(np.diff(start)[at]))


def in_parts(world: World, cuts: list[int]) -> tuple[list[tuple[np.ndarray, Happened]], Carry]:
    """Play ``world`` in parts that begin at the arrivals ``cuts``; return each part's requests with what happened to them."""
    arrival, root = world.requests.arrival_us, roots(world.requests.follows)
    of = np.searchsorted(np.array(cuts), arrival[root], "right")
    carry, found = None, []
    for k in range(len(cuts) + 1):
        new = np.flatnonzero(of == k)
        at = np.sort(np.concatenate([new, carry.row])) if carry else new
        ancestors = carry.source if carry else np.zeros(0, np.int64)
        happened, carry = part(*taken(world, at, np.isin(at, new)), carry, cuts[k] if k < len(cuts) else FOREVER_US)
        source = np.where(happened.source >= 0, np.append(at, ancestors)[happened.source], -1)
        found.append((at, replace(happened, source=source)))
    return found, carry


def assert_same(world: World, cuts: list[int]) -> int:
    """Assert that every request's calls and end are those of the whole; return how many requests were under way at a cut."""
    whole, (found, last) = happen(world), in_parts(world, cuts)
    n, under_way = len(world.requests), 0
    seen = np.zeros(n, bool)
    for at, happened in found:
        over = happened.done_us >= 0
        under_way += int((~over).sum())
        assert not seen[at[over]].any()
        seen[at[over]] = True
        for name in (*_ENDS, "source"):
            np.testing.assert_array_equal(getattr(happened, name)[over], getattr(whole, name)[at[over]], err_msg=name)
        theirs = np.isin(whole.row, at[over])
        for field in fields(Happened):
            ours = getattr(happened, field.name)
            if field.name not in (*_ENDS, "source", "answer"):
                ours = at[ours] if field.name == "row" else ours
                np.testing.assert_array_equal(ours, getattr(whole, field.name)[theirs], err_msg=field.name)
        number = np.append(np.flatnonzero(theirs), -1)
        np.testing.assert_array_equal(number[happened.answer[over]], whole.answer[at[over]], err_msg="answer")
    assert seen.all()
    assert len(last.row) == len(last.calls) == len(last.queue) == 0
    return under_way


@given(st.integers(0, 2**31), st.integers(1, 60), st.sets(st.sampled_from(LEVERS)), st.integers(1, 5), st.data())
@settings(max_examples=300, deadline=None)
def test_cuts_leave_no_trace(seed: int, n: int, levers: set[str], count: int, data: st.DataObject) -> None:
    """Any of the levers together, cut at any times: every call and every end is that of the uncut run."""
    world = made(seed, n, tuple(levers))
    last = int(world.requests.arrival_us[-1])
    assert_same(world, sorted({data.draw(st.integers(0, last + 1)) for _ in range(count)}))


@pytest.mark.parametrize("off", ["", *LEVERS])
def test_cuts_through_all_levers_but_one_leave_no_trace(off: str) -> None:
    """Ten worlds of a hundred requests with all levers on, and with each one off, in five parts: the same, and work is carried over."""
    carried = 0
    for seed in range(10):
        world = made(seed, 100, tuple(lever for lever in LEVERS if lever != off))
        carried += assert_same(world, np.unique(np.quantile(world.requests.arrival_us, [0.2, 0.4, 0.6, 0.8]).astype(int)).tolist())
    assert carried > 100


def test_cuts_of_twenty_thousand_requests_leave_no_trace() -> None:
    """20,000 requests under cache, prompt cache, retries, hedges and limits in fifty parts: the same."""
    world = made(48, 20_000, ("failures", "retries", "jitter", "hedges", "limits", "cache", "coalesce", "prompts"))
    assert assert_same(world, np.unique(np.quantile(world.requests.arrival_us, np.arange(1, 50) / 50).astype(int)).tolist()) > 100
