"""Laws that the rules of ``docs/events.md`` must keep, held against the slow reference: they could show the page itself wrong."""

from __future__ import annotations

import heapq
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation.made_worlds import KINDS, LEVERS, SECOND, made, neutral
from simulation.slow_events import MINUTE, Run, slow

from planner.schema import PURPOSES
from planner.simulation.events.inputs import CANCELLED, OK, SCORES, Happened, Limits, World

MAIN, RETRY, HEDGE, FALLBACK, ESCALATION = (PURPOSES.index(p) for p in ("main", "retry", "hedge", "fallback", "escalation"))
FOREVER = 10**15

worlds = st.builds(
    lambda seed, n, levers: made(seed, n, tuple(levers)), st.integers(0, 2**31), st.integers(0, 40), st.sets(st.sampled_from(LEVERS))
)
lawful = settings(max_examples=150, deadline=None)


def calls_of(happened: Happened) -> list[list[int]]:
    """Return the calls of each request, in order of attempt."""
    calls: list[list[int]] = [[] for _ in happened.end]
    for number, row in enumerate(happened.row.tolist()):
        calls[row].append(number)
    return calls


def assert_same(a: Happened, b: Happened, *, but: tuple[str, ...] = ()) -> None:
    """Compare every array but those named."""
    for field in fields(Happened):
        if field.name not in but:
            np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name), err_msg=field.name)


@given(worlds)
@lawful
def test_every_request_ends_once_and_for_one_reason(world: World) -> None:
    """Each request arrives, ends no earlier, and is ok exactly when it has an answer of its own or another's, never both."""
    h = slow(world)
    assert (h.arrived_us >= 0).all()
    assert (h.done_us >= h.arrived_us).all()
    assert ((h.end >= 0) & (h.end < KINDS)).all()
    np.testing.assert_array_equal(h.end == OK, (h.answer >= 0) ^ (h.source >= 0))
    np.testing.assert_array_equal(h.end == OK, (h.answer >= 0) | (h.source >= 0))
    np.testing.assert_array_equal(h.end == OK, h.answer_us >= 0)
    made_calls = np.bincount(h.row, minlength=len(h.end))
    np.testing.assert_array_equal(made_calls == 0, h.source >= 0)
    answered = h.answer[h.answer >= 0]
    np.testing.assert_array_equal(h.row[answered], np.flatnonzero(h.answer >= 0))
    assert (h.kind[answered] == OK).all()
    assert (h.answer_us <= h.done_us).all()


@given(worlds)
@lawful
def test_sessions_keep_their_pauses(world: World) -> None:
    """A turn arrives its pause after the end of the one before it, a first turn when it was logged."""
    h, before = slow(world), world.requests.follows
    due = np.where(before >= 0, h.done_us[before] + world.requests.think_us, world.requests.arrival_us)
    np.testing.assert_array_equal(h.arrived_us, due)


@given(worlds)
@lawful
def test_calls_of_a_request_overlap_only_by_a_hedge(world: World) -> None:
    """Attempts are numbered as they begin; only a hedge runs beside another call; nothing begins before its window or ends after done."""
    h = slow(world)
    assert (np.diff(h.start_us) >= 0).all()
    assert (h.end_us >= h.start_us).all()
    for i, calls in enumerate(calls_of(h)):
        assert h.attempt[calls].tolist() == list(range(len(calls)))
        if not calls:
            continue
        assert h.start_us[calls[0]] >= max(h.arrived_us[i], world.requests.submit_us[i])
        assert h.purpose[calls[0]] == MAIN
        assert (h.purpose[calls] == MAIN).sum() == 1
        assert (h.purpose[calls] == HEDGE).sum() <= 1
        assert (h.purpose[calls] == ESCALATION).sum() <= 1
        assert h.end_us[calls].max() <= h.done_us[i]
        for later in calls[1:]:
            if h.purpose[later] == HEDGE:
                assert h.start_us[later] == h.start_us[calls[0]] + world.requests.hedge_after_us[i]
                assert h.start_us[later] < h.end_us[calls[0]] or world.requests.hedge_after_us[i] == 0
            else:
                assert h.end_us[[c for c in calls if c < later]].max() <= h.start_us[later]


@given(worlds)
@lawful
def test_calls_are_what_they_say(world: World) -> None:
    """No call outlasts its timeout; an answer ran to its end; first tokens lie within the call, failures have none."""
    h = slow(world)
    timeout = world.requests.timeout_us[h.row]
    assert (h.end_us - h.start_us <= np.where(timeout > 0, timeout, FOREVER)).all()
    whole = h.end_us - h.start_us == h.whole_us
    assert (whole | (h.kind == CANCELLED)).all()
    assert ((h.end_us - h.start_us) <= h.whole_us).all()
    has_first = h.first_us >= 0
    assert (has_first | (h.kind != OK)).all()
    assert (~has_first | (h.kind == OK) | (h.kind == CANCELLED)).all()
    assert ((h.first_us >= h.start_us) & (h.first_us <= h.end_us))[has_first].all()


@given(worlds)
@lawful
def test_retries_keep_their_limits(world: World) -> None:
    """Per policy: no more retries than its budget, none after the deadline, none beyond `most` at one place, no fallback not allowed."""
    h, r = slow(world), world.retries
    policy = r.policy[h.row]
    for p in range(len(r.budget)):
        sent = h.row.size and ((h.purpose != RETRY) & (policy == p)).sum()
        retried = h.row.size and ((h.purpose == RETRY) & (policy == p)).sum()
        assert retried <= r.budget_most[p] + (r.budget[p] * sent if sent else 0)
    for i, calls in enumerate(calls_of(h)):
        p, retried = r.policy[i], 0
        for number in calls[1:]:
            purpose = h.purpose[number]
            retried = 0 if purpose in (FALLBACK, ESCALATION) else retried + (purpose == RETRY)
            assert retried <= r.most[p].max()
            assert purpose != FALLBACK or r.fallback[p].any()
            if purpose != HEDGE and r.deadline_us[p] > 0:
                assert h.start_us[number] <= h.arrived_us[i] + r.deadline_us[p]


@given(st.integers(0, 2**31), st.integers(1, 40), st.sets(st.sampled_from(LEVERS)))
@lawful
def test_a_call_is_refused_exactly_when_a_minute_is_used_up(seed: int, n: int, levers: set[str]) -> None:
    """Let through or refused as the definition says: within no window may more be taken than one minute's worth and the refill."""
    world = made(seed, n, (*levers, "limits"))
    whole = np.floor(world.limits.per_minute)  # whole limits: the comparison below is then exact in integers
    h, lanes = slow(replace(world, limits=Limits(world.limits.quota, whole))), world.lanes
    quota = world.limits.quota[h.lane]
    for q in range(len(whole)):
        taken: list[tuple[int, list[float]]] = []
        for call in np.flatnonzero(quota == q):
            i, lane, now = h.row[call], h.lane[call], int(h.start_us[call])
            tokens = (1, int(lanes.input_tokens[i, lane]), int(lanes.output_tokens[i, lane]))
            need = [min(limit, t) for limit, t in zip(whole[q].tolist(), tokens, strict=True)]
            allowed = all(_fits(taken, now, need[b], b, whole[q, b]) for b in range(3))
            assert allowed == (h.drawn[call] >= 0)
            if allowed:
                taken.append((now, need))


def _fits(taken: list[tuple[int, list[float]]], now: int, need: float, bucket: int, per_minute: float) -> bool:
    """Return whether ``need`` fits beside what was taken, in every window that ends now."""
    if np.isinf(per_minute):
        return True
    limit, asked = int(per_minute), int(need)
    if asked > limit:
        return False
    for since, amounts in reversed(taken):
        asked += int(amounts[bucket])
        if asked * MINUTE > limit * (MINUTE + now - since):
            return False
    return True


@given(worlds)
@lawful
def test_the_cache_is_bounded(world: World) -> None:
    """After any event, no more entries are held than its capacity, and none without a cache."""
    run = Run(world)
    while run.queue:
        now, _, i, _, what, *more = heapq.heappop(run.queue)
        what(now, i, *more)
        assert len(run.entries) <= world.responses.capacity
    assert not run.leader
    assert not any(run.waiting.values())


@given(st.integers(0, 2**31), st.integers(1, 40), st.sets(st.sampled_from(LEVERS)))
@lawful
def test_answers_come_from_those_who_had_one(seed: int, n: int, levers: set[str]) -> None:
    """A served answer is that of a finished request with an equal or near key, not refused by a validator, and not older than its life."""
    world = made(seed, n, (*levers, "cache"))
    h, cache = slow(world), world.responses
    calls = [np.array(numbers, int) for numbers in calls_of(h)]
    for i in np.flatnonzero(h.source >= 0):
        source = h.source[i]
        near = cache.near[cache.near_start[i] : cache.near_start[i + 1]]
        assert cache.key[source] == cache.key[i] or cache.key[source] in near
        assert h.end[source] == OK
        assert h.answer[source] >= 0
        waited = cache.coalesce and h.done_us[source] == h.done_us[i] and cache.key[source] == cache.key[i]
        looked_up = h.done_us[i] - cache.hit_us
        assert waited or h.done_us[source] <= looked_up < h.done_us[source] + cache.ttl_us[source]
        escalations = calls[source][h.purpose[calls[source]] == ESCALATION]
        assert (h.answer[source] >= escalations).all()


@given(st.integers(0, 2**31), st.booleans())
@lawful
def test_hits_are_those_of_the_stack_distance(seed: int, lru: bool) -> None:
    """LRU holds a key iff fewer others than its capacity were touched since; FIFO iff fewer others entered since it did."""
    rng = np.random.default_rng(seed)
    n, capacity = 60, int(rng.integers(1, 6))
    world = neutral(10 * SECOND * np.arange(n), seed)  # each is over before the next one comes
    key = rng.integers(0, 8, n)
    h = slow(replace(world, responses=replace(world.responses, key=key, capacity=capacity, lru=lru)))
    line: list[int] = []
    for i in range(n):
        held = key[i] in line[:capacity]
        assert held == (h.source[i] >= 0)
        if lru and key[i] in line:
            line.remove(key[i])
        if lru or not held:
            line = [k for k in line[:capacity] if k != key[i]]
            line.insert(0, key[i])


@pytest.mark.parametrize(("lru", "left"), [(True, False), (False, True)])
def test_an_answer_stored_again_keeps_its_place_in_a_queue(lru: bool, left: bool) -> None:
    """Stored at 5, 6 and, by one asked before, again at 7: with two places the third question drives out the first in FIFO, not in LRU."""
    key = np.array([0, 0, 1, 2, 0])
    world = neutral(np.array([0, 1, 2, 10, 20]) * SECOND)
    log = replace(world.log, whole_us=np.array([5, 6, 4, 1, 1]) * SECOND, first_us=np.zeros(5, np.int64))
    h = slow(replace(world, log=log, responses=replace(world.responses, key=key, capacity=2, lru=lru)))
    assert h.source.tolist() == [-1, -1, -1, -1, -1 if left else 1]


@pytest.mark.parametrize(("timeout", "again"), [(0, SECOND + MINUTE), (2 * SECOND, SECOND + MINUTE), (SECOND // 2, SECOND // 2)])
def test_who_times_out_while_refused_does_not_hear_when_to_come_back(timeout: int, again: int) -> None:
    """A refusal that takes a second says to wait a minute, counted from when it was heard; a caller who hung up tries again at once."""
    world = neutral(np.zeros(2, np.int64))
    log = replace(world.log, whole_us=np.ones(2, np.int64), first_us=np.zeros(2, np.int64))
    retries = replace(world.retries, most=np.ones((1, KINDS), np.int64), retry_after=np.array([True]))
    limits = Limits(np.zeros(2, np.int16), np.array([[1.0, np.inf, np.inf]]))
    requests = replace(world.requests, timeout_us=np.full(2, timeout))
    h = slow(replace(world, requests=requests, log=log, retries=retries, limits=limits))
    assert h.start_us.tolist() == [0, 0, again]


@given(st.integers(0, 2**31), st.integers(1, 40))
@lawful
def test_warm_blocks_were_written_and_read_in_time(seed: int, n: int) -> None:
    """With caches that never forget, what is warm is the longest beginning whose blocks some earlier call had written by now."""
    world = made(seed, n, ("failures", "routes", "retries", "prompts"))
    prompts = replace(world.prompts, ttl_us=np.full_like(world.prompts.ttl_us, FOREVER))
    h = slow(replace(world, prompts=prompts))
    known: dict[tuple[int, int], int] = {}
    for call in np.flatnonzero((h.kind == OK) & (prompts.pool[h.lane] >= 0)):
        i, lane = h.row[call], h.lane[call]
        blocks = [(int(prompts.pool[lane]), b) for b in prompts.block[prompts.block_start[i] : prompts.block_start[i + 1]].tolist()]
        ready = [known.get(b, FOREVER) <= h.start_us[call] for b in blocks]
        warm = ready.index(False) if False in ready else len(ready)
        size = prompts.block_tokens[i]
        warm = warm if warm * size >= prompts.least[lane] else 0
        marked = int(prompts.marked[i]) if prompts.marked[i] * size >= prompts.least[lane] else 0
        assert (h.warm[call], h.written[call]) == (warm, max(0, marked - warm))
        for b in blocks[warm:marked]:
            known[b] = min(known.get(b, FOREVER), int(h.first_us[call]))
    assert not h.warm[(h.kind != OK) | (prompts.pool[h.lane] < 0)].any()


def test_a_prompt_cache_forgets_after_its_last_use() -> None:
    """Uses 4 s apart keep blocks of 5 s alive for ever; after 6 s they are gone; before the first token there is nothing to read."""
    world = neutral(np.array([0, 0.5, 4, 8, 13, 19.000001]) * SECOND)
    world = replace(
        world,
        log=replace(world.log, first_us=np.full(6, SECOND), whole_us=np.full(6, SECOND)),
        prompts=replace(
            world.prompts,
            block=np.tile(np.arange(3), 6),
            block_start=3 * np.arange(7),
            pool=np.array([0, -1], np.int16),
            ttl_us=np.array([5 * SECOND, 0]),
            marked=np.full(6, 3),
        ),
    )
    h = slow(world)
    assert h.warm.tolist() == [0, 0, 3, 3, 3, 0]
    assert h.written.tolist() == [3, 3, 0, 0, 0, 3]


def _logged(seed: int, n: int = 30) -> World:
    """Return a log with all kinds of ends, sent again as it was."""
    rng = np.random.default_rng(seed)
    world = neutral(np.sort(rng.integers(0, 60 * SECOND, n)), seed)
    failed_us = rng.integers(0, SECOND, (2, KINDS))
    kind = (rng.integers(0, KINDS, n) * (rng.random(n) < 0.3)).astype(np.int8)
    return replace(world, lanes=replace(world.lanes, failed_us=failed_us), log=replace(world.log, kind=kind))


@given(st.integers(0, 2**31))
@lawful
def test_neutral_settings_are_the_log(seed: int) -> None:
    """Sent along the lane of the log with no lever on, each request makes one call: of the logged kind, at the logged times."""
    world = _logged(seed)
    h, log = slow(world), world.log
    ok = log.kind == OK
    order = np.argsort(h.row)
    np.testing.assert_array_equal(h.row[order], np.arange(len(ok)))
    np.testing.assert_array_equal(h.end, log.kind)
    np.testing.assert_array_equal(h.arrived_us, world.requests.arrival_us)
    np.testing.assert_array_equal(h.done_us - h.arrived_us, log.whole_us)
    np.testing.assert_array_equal((h.answer_us - h.arrived_us)[ok], log.first_us[ok])


IDLE: dict[str, Any] = {
    "no key comes twice": lambda w: {"responses": replace(w.responses, key=np.arange(len(w.requests)), capacity=1000, coalesce=True)},
    "keys are near to what nobody asks": lambda w: {
        "responses": replace(
            w.responses,
            key=np.arange(len(w.requests)),
            capacity=9,
            near=w.requests.follows + 10**6,
            near_start=np.arange(len(w.requests) + 1),
        )
    },
    "nothing is that slow": lambda w: {"requests": replace(w.requests, timeout_us=np.full(len(w.requests), FOREVER))},
    "the hedge is late": lambda w: {"requests": replace(w.requests, hedge=w.log.lane, hedge_after_us=np.full(len(w.requests), FOREVER))},
    "windows are over": lambda w: {"requests": replace(w.requests, submit_us=w.requests.arrival_us)},
    "limits are far": lambda w: {"limits": Limits(np.zeros(2, np.int16), np.array([[1e6, 1e9, np.inf]]))},
    "only first calls are under the deadline": lambda w: {"retries": replace(w.retries, deadline_us=np.array([1]))},
    "there is nothing to save up": lambda w: {"retries": replace(w.retries, budget=np.zeros(1), budget_most=np.zeros(1))},
    "the next lane is not for failures": lambda w: {
        "requests": replace(w.requests, chain=np.column_stack([w.log.lane, w.log.lane + 1]).astype(np.int16))
    },
    "draws are not needed": lambda w: {
        "lanes": replace(w.lanes, failure=np.ones_like(w.lanes.failure), residual=np.exp(SCORES)[None, :].repeat(2, 0), rho=0.5)
    },
}


@pytest.mark.parametrize("lever", IDLE)
def test_a_lever_with_nothing_to_do_changes_nothing(lever: str) -> None:
    """Each lever, set so that it never acts, leaves every array as it was."""
    for seed in range(10):
        world = _logged(seed)
        assert_same(slow(replace(world, **IDLE[lever](world))), slow(world))


def test_an_accepting_validator_only_delays() -> None:
    """When every answer is accepted, the end comes later by the validator's time, and the user sees nothing before."""
    world = _logged(3)
    n, lane = len(world.requests), world.log.lane + 1
    checked = replace(world, requests=replace(world.requests, escalate=lane.astype(np.int16), verify_us=np.full(n, 700)))
    h, plain = slow(checked), slow(world)
    ok = plain.end == OK
    assert_same(h, plain, but=("done_us", "answer_us"))
    np.testing.assert_array_equal(h.done_us, plain.done_us + 700 * ok)
    np.testing.assert_array_equal(h.answer_us, np.where(ok, h.done_us, -1))


ALONE = tuple(lever for lever in LEVERS if lever not in ("budget", "limits", "cache", "near", "coalesce", "prompts", "sessions"))


@given(st.integers(0, 2**31), st.integers(1, 30), st.sets(st.sampled_from(ALONE)))
@lawful
def test_requests_that_share_nothing_do_not_know_each_other(seed: int, n: int, levers: set[str]) -> None:
    """Without shared state every request fares alone as among others: draws belong to it, not to its position."""
    world = made(seed, n, tuple(levers))
    h, alone = slow(world), np.random.default_rng(seed).integers(n)
    single = slow(only(world, np.array([alone])))
    for name in ("arrived_us", "done_us", "answer_us", "end"):
        np.testing.assert_array_equal(getattr(single, name), getattr(h, name)[[alone]], err_msg=name)
    for name in ("lane", "attempt", "purpose", "start_us", "end_us", "first_us", "whole_us", "kind", "drawn"):
        np.testing.assert_array_equal(getattr(single, name), getattr(h, name)[h.row == alone], err_msg=name)


def only(world: World, rows: Any) -> World:
    """Return the world with these requests alone; they follow nobody, share no cache and read no blocks."""
    lanes, cache, prompts = world.lanes, world.responses, world.prompts
    by_lane = {name: getattr(lanes, name)[rows] for name in ("first_us", "whole_us", "input_tokens", "output_tokens", "cell")}
    none = np.zeros(0, np.int64)
    return replace(
        world,
        requests=type(world.requests)(**{f.name: getattr(world.requests, f.name)[rows] for f in fields(world.requests)}),
        lanes=replace(lanes, **by_lane),
        log=type(world.log)(**{f.name: getattr(world.log, f.name)[rows] for f in fields(world.log)}),
        retries=replace(world.retries, policy=world.retries.policy[rows]),
        responses=replace(cache, key=cache.key[rows], ttl_us=cache.ttl_us[rows], near=none, near_start=np.zeros(len(rows) + 1, np.int64)),
        prompts=replace(prompts, block=none, block_start=np.zeros(len(rows) + 1, np.int64), marked=prompts.marked[rows]),
    )


@given(worlds, st.integers(0, 10**12))
@lawful
def test_the_clock_has_no_origin(world: World, by: int) -> None:
    """All arrivals and windows moved by the same time move every time by it, and nothing else."""
    requests = world.requests
    moved = slow(
        replace(
            world,
            requests=replace(
                requests, arrival_us=requests.arrival_us + by, submit_us=np.where(requests.submit_us > 0, requests.submit_us + by, 0)
            ),
        )
    )
    h = slow(world)
    times = ("start_us", "end_us", "first_us", "arrived_us", "done_us", "answer_us")
    assert_same(moved, h, but=times)
    for name in times:
        was = getattr(h, name)
        np.testing.assert_array_equal(getattr(moved, name), np.where(was >= 0, was + by, -1), err_msg=name)


@given(worlds, st.integers(0, 2**31))
@lawful
def test_names_of_keys_and_blocks_mean_nothing(world: World, seed: int) -> None:
    """Cache keys and blocks numbered otherwise give the same."""
    rng = np.random.default_rng(seed)
    cache, prompts = world.responses, world.prompts
    keys = rng.permutation(max(cache.key.max(initial=-1), cache.near.max(initial=-1)) + 1)
    blocks = rng.permutation(prompts.block.max(initial=-1) + 1)
    renamed = replace(
        world,
        responses=replace(cache, key=np.array([keys[k] if k >= 0 else -1 for k in cache.key], np.int64), near=keys[cache.near]),
        prompts=replace(prompts, block=blocks[prompts.block]),
    )
    assert_same(slow(renamed), slow(world))


@given(worlds)
@lawful
def test_the_same_world_happens_the_same_way(world: World) -> None:
    """Nothing is left over from one play to the next, and the world itself is not touched."""
    assert_same(slow(world), slow(world))
