"""The kernel of the event phase itself: its draws, its queue, what it does when room runs out, and what it refuses.

That it follows the rules is shown in ``test_events_equal.py``.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from simulation.made_worlds import KINDS, LEVERS, SECOND, made, neutral

from planner.errors import InputError
from planner.simulation.events import chance, queue
from planner.simulation.events.inputs import OK, SCORES, Happened, Limits, World
from planner.simulation.events.kernel import happen
from planner.simulation.events.loop import run
from planner.stats import draws

REFUSED = 2


@njit
def uniforms(stream: Any, offset: Any, keys: Any, found: Any) -> None:
    """Draw in compiled code: hooks have no door to Python."""
    for i in range(len(keys)):
        found[i] = chance.uniform(stream, offset, keys[i])


@njit
def normals(streams: Any, keys: Any, found: Any) -> None:
    """Draw in compiled code."""
    for i in range(len(keys)):
        found[i] = chance.normal(streams, 0, 0, keys[i])


@njit
def residuals(factors: Any, scores: Any, found: Any) -> None:
    """Interpolate in compiled code."""
    for i in range(len(scores)):
        found[i] = chance.residual(factors, 0, scores[i])


@njit
def sort_by_queue(events: Any, waiting: Any, left: Any, found: Any) -> None:
    """Push all events, a pop after each one that ``left`` names, then pop the rest."""
    n = 0
    for i in range(len(events)):
        queue.push(waiting, events[i, 0], events[i, 1], events[i, 2], i)
        if left[i]:
            found[n] = waiting.rows[0].b
            queue.pop(waiting)
            n += 1
    while waiting.size[0] > 0:
        found[n] = waiting.rows[0].b
        queue.pop(waiting)
        n += 1


def test_uniforms_are_those_of_the_rest_of_the_house() -> None:
    """One at a time in the loop or as a column in ``planner.stats``, a draw has the same bits."""
    keys = np.random.default_rng(0).integers(0, 2**64, 100_000, np.uint64)
    found = np.empty(len(keys))
    uniforms(*draws.constants(7, "failure"), keys, found)
    np.testing.assert_array_equal(found, draws.uniform(7, keys, "failure"))


def test_normals_are_those_of_the_rest_of_the_house() -> None:
    """The same but for the last bits, where numpy's vectorised logarithm and cosine differ from the C library's."""
    keys = np.random.default_rng(1).integers(0, 2**64, 100_000, np.uint64)
    found = np.empty(len(keys))
    streams = np.stack([draws.constants(7, purpose) for purpose in ("z", "z/radius", "z/angle")])[None, None]
    normals(streams, keys, found)
    np.testing.assert_allclose(found, draws.normal(7, keys, "z"), rtol=1e-13, atol=1e-15)


def test_residuals_are_interpolated_as_numpy_does() -> None:
    """Between, on and beyond the scores that are given, the factor has the bits of ``np.interp``."""
    rng = np.random.default_rng(2)
    factors = np.sort(rng.lognormal(size=(1, len(SCORES))))
    edges = np.concatenate([SCORES, np.nextafter(SCORES, -9), np.nextafter(SCORES, 9)])
    scores = np.concatenate([rng.normal(size=100_000), rng.uniform(-7, 7, 100_000), edges])
    found = np.empty(len(scores))
    residuals(factors, scores, found)
    np.testing.assert_array_equal(found, np.interp(scores, SCORES, factors[0]))


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3, st.booleans()), max_size=80))
@settings(max_examples=200, deadline=None)
def test_the_queue_gives_the_soonest(given_events: list[tuple[int, int, int, bool]]) -> None:
    """Pushes and pops in any order give what ``heapq`` gives; of events that are equal in everything, either."""
    events = np.array([e[:3] for e in given_events], np.int64).reshape(-1, 3)
    left = np.array([e[3] for e in given_events], bool)
    found, heap, right = np.empty(len(events), np.int64), [], []
    sort_by_queue(events, queue.with_room(len(events) + 1), left, found)
    for event, leaves in zip(events.tolist(), left, strict=True):
        heapq.heappush(heap, event)
        right += [heapq.heappop(heap)] if leaves else []
    right += [heapq.heappop(heap) for _ in range(len(heap))]
    assert events[found].tolist() == right


def test_no_requests_are_no_calls() -> None:
    """Nothing happens to nobody: every array is empty and of its type."""
    happened = happen(neutral([]))
    assert {len(getattr(happened, f.name)) for f in fields(Happened)} == {0}


def test_who_comes_first_at_one_time_is_the_first_in_position() -> None:
    """Of three who arrive together at a limit of one a minute, the first in position is let through, whoever that is."""
    world = neutral([5, 5, 5])
    world = replace(world, limits=Limits(np.zeros(2, np.int16), np.array([[1.0, np.inf, np.inf]])))
    for order in ([0, 1, 2], [2, 0, 1]):
        key = world.requests.key[order]
        happened = happen(replace(world, requests=replace(world.requests, key=key)))
        assert happened.kind.tolist() == [OK, REFUSED, REFUSED]
        assert happened.row.tolist() == [0, 1, 2]


def test_room_is_made_for_calls() -> None:
    """A thousand requests that fail 20 times each make 20,000 calls, far more than there was room for at first."""
    world = neutral(np.arange(1000) * 10)
    failing = replace(world.log, failures=np.full(1000, 100))
    retries = replace(world.retries, most=np.full((1, KINDS), 19))
    happened = happen(replace(world, log=failing, retries=retries))
    assert np.bincount(happened.row).tolist() == [20] * 1000
    np.testing.assert_array_equal(np.sort(happened.start_us), np.sort((np.arange(1000)[:, None] * 10 + np.arange(20) * SECOND).ravel()))
    assert (np.diff(happened.start_us) >= 0).all()


def test_room_is_made_for_all_who_wait_and_all_who_follow() -> None:
    """9,000 wait for one answer and 9,000 follow its request: the queue grows to hold their events at once."""
    n = 9000
    world = neutral(np.concatenate([[0], np.ones(2 * n)]))
    follows = np.concatenate([[-1], np.full(n, -1), np.zeros(n, int)])
    key = np.concatenate([[0], np.zeros(n, int), np.full(n, -1)])
    responses = replace(world.responses, key=key, capacity=1, coalesce=True)
    happened = happen(replace(world, requests=replace(world.requests, follows=follows), responses=responses))
    done = happened.done_us[0]
    assert len(happened.row) == 1 + n
    assert (happened.source[1 : n + 1] == 0).all()
    assert (happened.done_us[1 : n + 1] == done).all()
    assert (happened.arrived_us[n + 1 :] == done).all()


def test_one_compilation_serves_every_caller() -> None:
    """Other integer types, arrays that may not be written to and strided ones are cast, not compiled for, and happen alike."""
    world = made(3, 200)
    first = happen(world)
    chain = np.asfortranarray(world.requests.chain.astype(np.int64))
    arrival = np.repeat(world.requests.arrival_us, 2)[::2]
    arrival.flags.writeable = False
    again = happen(replace(world, requests=replace(world.requests, chain=chain, arrival_us=arrival)))
    for field in fields(Happened):
        np.testing.assert_array_equal(getattr(first, field.name), getattr(again, field.name))
    assert len(run.signatures) == 1  # type: ignore[attr-defined]


def test_the_compiled_loop_is_kept_under_all_its_sources() -> None:
    """What numba keys its file by holds a hash of every module of the folder, not of the loop's own alone."""
    closed_over = [cell.cell_contents for cell in run.py_func.__closure__]  # type: ignore[attr-defined]
    assert any(isinstance(c, str) and len(c) == 32 for c in closed_over)


def part(name: str, **columns: Any) -> Callable[[World], World]:
    """Return a change of columns of one part of a world."""
    return lambda world: replace(world, **{name: replace(getattr(world, name), **columns)})


N = 3
BAD: dict[str, tuple[Callable[[World], World], str]] = {
    "a clock that goes backwards": (part("requests", arrival_us=np.array([0, 5, 4])), "backwards at request 2"),
    "a time before the epoch": (part("requests", arrival_us=np.array([-1, 5, 6])), r"-1 in requests\.arrival_us"),
    "a column too short": (part("log", kind=np.zeros(2, np.int8)), r"log\.kind of shape \(2,\)"),
    "a column of another kind": (part("log", failures=np.zeros(N)), r"log\.failures of type float64"),
    "a lane that is not there": (part("requests", hedge=np.array([0, 2, -1])), r"2 in requests\.hedge; expected values from -1 to below 2"),
    "no first lane": (part("requests", chain=np.full((N, 1), -1)), "no first lane"),
    "a policy that is not there": (part("retries", policy=np.ones(N, int)), r"retries\.policy"),
    "a circle": (part("requests", follows=np.array([1, 0, -1])), "circle"),
    "a request that follows itself": (part("requests", follows=np.array([-1, 1, -1])), "request 1 among"),
    "a pause below nothing": (part("requests", think_us=np.full(N, -1)), r"requests\.think_us"),
    "chances that decrease": (part("lanes", failure=np.tile([0.5, 0.4, 0.5, 0.5, 0.5], (1, 2, 11, 1))), "cumulative"),
    "a chance that is no number": (part("lanes", failure=np.full((1, 2, 11, 5), np.nan)), r"nan in lanes\.failure"),
    "a correlation above 1": (part("lanes", rho=1.5), "rho of 1.5"),
    "a logged success that ends before its first token": (part("log", first_us=np.full(N, 2**40)), "without times or score"),
    "a logged failure of kind ok": (part("log", failures=np.ones(N, int), failure_kind=np.zeros(N, int)), "failure of kind ok"),
    "near questions without an owner": (part("responses", near=np.zeros(4, int)), r"responses\.near_start"),
    "marked blocks that are not there": (part("prompts", marked=np.ones(N, int)), "marked"),
    "a capacity below nothing": (part("responses", capacity=-1), "-1 entries"),
    "a limit below nothing": (part("limits", per_minute=np.full((1, 3), -1.0)), r"limits\.per_minute"),
    "a quota that is not there": (part("limits", quota=np.zeros(2, int)), r"limits\.quota"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_played_is_refused(name: str) -> None:
    """Each of these is an error that names the column, before anything runs."""
    change, words = BAD[name]
    with pytest.raises(InputError, match=words):
        happen(change(neutral([0, 5, 6])))


def test_turns_may_be_sorted_after_those_that_follow_them() -> None:
    """A turn with the same time as the one before it may stand before it, if its id is smaller: that is no circle."""
    world = neutral([7, 7])
    happened = happen(part("requests", follows=np.array([1, -1]))(world))
    assert happened.arrived_us.tolist() == [happened.done_us[1], 7]


@given(st.integers(0, 2**31), st.integers(0, 60), st.sets(st.sampled_from(LEVERS)))
@settings(max_examples=50, deadline=None)
def test_the_world_is_left_as_it_was(seed: int, n: int, levers: set[str]) -> None:
    """Playing a world writes to none of its arrays, and playing it again gives the same bytes."""
    world, same = made(seed, n, tuple(levers)), made(seed, n, tuple(levers))
    first, second = happen(world), happen(world)
    for name in (f.name for f in fields(Happened)):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    for name in (f.name for f in fields(World)):
        for column in (f.name for f in fields(getattr(world, name))):
            np.testing.assert_array_equal(getattr(getattr(world, name), column), getattr(getattr(same, name), column))
