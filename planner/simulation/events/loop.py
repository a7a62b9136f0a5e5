"""The one loop over events, as ``docs/events.md`` states it; each function is a section of that page.

In: requests and calls as records, and what the levers hold. Out: the same, gone on until all is done or room runs out. A START that
would be the very next event anyway (of a request that arrives or is hedged now) begins at once instead of going through the
queue: whatever else is queued comes later. Knows nothing of what lanes and kinds stand for, and checks nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from planner.schema import PURPOSES, STATUSES
from planner.simulation.events import chance, limits, prompts, responses, retries
from planner.simulation.events.compiled import entry, hook
from planner.simulation.events.inputs import CANCELLED, OK
from planner.simulation.events.queue import ARRIVE, END, HEDGE, START, Queue, first, order_of, pop, push, request_of
from planner.simulation.events.records import Records
from planner.simulation.events.state import Answers, Paths, State

__all__ = ["run"]

_REFUSED = STATUSES.index("rate_limit")
_MAIN, _RETRY, _HEDGE, _FALLBACK, _ESCALATION = (PURPOSES.index(p) for p in ("main", "retry", "hedge", "fallback", "escalation"))
#: The place of a request whose first answer was not accepted: its chain is the escalation lane alone.
_ESCALATED = -1
_NOTHING = -1
#: What an event may mean for its request: it goes on, it is done, or it is done with nothing that a cache may keep.
_GOES_ON, _GOOD, _POOR = range(3)
#: One event queues no more than this, but for who waits and who follows.
_MOST = 2


@entry
def run(fingerprint: str) -> Callable[[State], bool]:
    """Return the loop: it takes the soonest of logged arrivals and queue until none is left before ``until_us`` (True) or room is short."""

    def loop(state: State) -> bool:
        fingerprint  # noqa: B018 – numba keeps the compiled loop under what it closes over
        requests, queue, at = state.requests, state.queue, state.progress[0]
        while at.calls < len(state.calls) and queue.size[0] + at.waiting + at.most_children + _MOST <= len(queue.rows):
            while at.arrived < len(requests) and requests[at.arrived].arrival_us < 0:
                at.arrived += 1
            lane, purpose, becomes = _NOTHING, _MAIN, _GOES_ON
            if _next_arrives(requests, queue, at):
                i, now = at.arrived, requests[at.arrived].arrival_us
                at.arrived += 1
                lane = _arrive(state, i, now)
            elif queue.size[0] == 0 or queue.rows[0].time >= at.until_us:
                return True
            else:
                event = queue.rows[0]
                now, order, a, b = event.time, event.order, event.a, event.b
                pop(queue)
                i = request_of(order)
                if order < order_of(START, 0):
                    becomes = _end(state, i, a, b, now)
                elif order < order_of(HEDGE, 0):
                    lane, purpose = a, b
                elif order < order_of(ARRIVE, 0):
                    lane, purpose = _hedge(requests[i]), _HEDGE
                else:
                    lane = _arrive(state, i, now)
            if lane != _NOTHING:
                becomes = _start(state, i, lane, purpose, now)
            if becomes != _GOES_ON:
                _done(state, i, becomes == _GOOD, now)
        return False

    return loop


@hook
def _next_arrives(requests: Records, queue: Queue, at: Records) -> bool:
    """Return whether the next logged arrival is in time and comes before all that is queued."""
    due = at.arrived < len(requests) and requests[at.arrived].arrival_us < at.until_us
    return due and first(queue, requests[at.arrived].arrival_us, order_of(ARRIVE, at.arrived))


@hook
def _arrive(state: State, i: int, now: int) -> int:
    """ARRIVE: return the lane to START on now, if any."""
    request, answers, chain = state.requests[i], state.answers, state.paths.chain
    if request.arrived_us < 0:
        request.arrived_us = now
    if request.cached_key >= 0:
        setting, asked = answers.setting[0], answers.asked[request.cached_key]
        request.source = _held(answers, request.cached_key, i, now)
        if request.source != responses.ABSENT:
            push(state.queue, now + setting.hit_us, order_of(END, i), _NOTHING, 0)
            return _NOTHING
        if asked.leader == _NOTHING:
            asked.leader = i
        elif setting.coalesce:
            request.next_waiting = asked.first_waiting
            asked.first_waiting = i
            state.progress[0].waiting += 1
            return _NOTHING
    if request.submit_us > now:
        push(state.queue, request.submit_us, order_of(START, i), chain[i, 0], _MAIN)
        return _NOTHING
    return chain[i, 0]


@hook
def _held(answers: Answers, key: int, i: int, now: int) -> int:
    """Return the request whose answer the cache has for ``key`` or for a question near to it, or ABSENT."""
    lru = answers.setting[0].lru
    source = responses.look_up(answers.entries, key, now, lru)
    at = answers.near_start[i]
    while source == responses.ABSENT and at < answers.near_start[i + 1]:
        source = responses.look_up(answers.entries, answers.near[at], now, lru)
        at += 1
    return source


@hook
def _start(state: State, i: int, lane: int, purpose: int, now: int) -> int:
    """START: a call begins, unless it is too late for it; return what becomes of the request."""
    request, paths, queue = state.requests[i], state.paths, state.queue
    policy = state.policies[request.policy]
    if 0 < policy.deadline_us < now - request.arrived_us and request.made > 0 and purpose != _HEDGE:
        return _give_up(request, now)
    number, refused = state.progress[0].calls, limits.ADMITTED
    state.progress[0].calls += 1
    call = state.calls[number]
    call.row, call.lane, call.attempt, call.purpose, call.start_us = i, lane, request.made, purpose, now
    call.drawn, call.warm, call.written = -1, 0, 0
    if paths.quota[lane] >= 0:
        refused = limits.ask(state.quotas[paths.quota[lane]], now, paths.input_tokens[i, lane], paths.output_tokens[i, lane])
    if refused == limits.ADMITTED:
        call.drawn = paths.seen[i, lane].drawn
        paths.seen[i, lane].drawn += 1
        call.kind, first_us, call.whole_us = _outcome(request, paths, i, lane, call.drawn)
        if call.kind == OK and state.pools.rule[lane].pool >= 0:
            call.warm, call.written = prompts.touch(state.pools, i, lane, request.marked, now, first_us)
    else:
        call.kind, first_us, call.whole_us = _REFUSED, -1, paths.failed_us[lane, _REFUSED]
    takes = call.whole_us
    if 0 < request.timeout_us < takes:
        call.kind, takes, refused = CANCELLED, request.timeout_us, 0
        first_us = first_us if first_us <= takes else -1
    call.end_us, call.first_us = now + takes, now + first_us if first_us >= 0 else -1
    push(queue, now + takes, order_of(END, i), number, max(refused, 0))
    if request.made == 0 and request.hedge >= 0:
        push(queue, now + request.hedge_after_us, order_of(HEDGE, i), 0, 0)
    request.made += 1
    if purpose == _HEDGE:
        request.hedging = number
    else:
        request.running = number
    if purpose != _RETRY:
        retries.earn(policy)
    return _GOES_ON


@hook
def _outcome(request: Records, paths: Paths, i: int, lane: int, drawn: int) -> tuple[int, int, int]:
    """Return kind, time to the first token (−1: a failure) and to the end of a call that the limits let through."""
    if request.logged_lane == lane and drawn <= request.failures:
        if drawn < request.failures:
            return request.failure_kind, -1, paths.failed_us[lane, request.failure_kind]
        if request.logged_kind != OK:
            return request.logged_kind, -1, request.logged_whole_us
        return OK, request.logged_first_us, request.logged_whole_us
    nth, history = min(drawn, paths.stream.shape[1] - 1), paths.seen[i, lane].history
    u = chance.uniform(paths.stream[lane, nth, 0, 0], paths.stream[lane, nth, 0, 1], request.key)
    for kind in range(1, paths.failure.shape[3] + 1):
        if u < paths.failure[request.cell, lane, history, kind - 1]:
            return kind, -1, paths.failed_us[lane, kind]
    score = _score(request, paths.rho, chance.normal(paths.stream, lane, nth, request.key))
    factor = chance.residual(paths.residual, lane, score)
    whole = max(1, int(np.rint(paths.whole_us[i, lane] * factor)))
    return OK, min(max(1, int(np.rint(paths.first_us[i, lane] * factor))), whole), whole


@hook
def _score(request: Records, rho: float, own: float) -> float:
    """Return the normal score of a success: the first of a request keeps its own, later ones share part of it."""
    if math.isnan(request.score):
        request.score = own
        return own
    return rho * request.score + math.sqrt(1.0 - rho * rho) * own


@hook
def _hedge(request: Records) -> int:
    """HEDGE: return the lane to START on now, if the first call is still running."""
    return request.hedge if request.made == 1 and request.running >= 0 else _NOTHING


@hook
def _end(state: State, i: int, number: int, refused_us: int, now: int) -> int:
    """END of a call, or of the request itself (no call); return what becomes of the request."""
    request = state.requests[i]
    if number == _NOTHING:
        request.end, request.answer_us = OK, now
        return _GOOD
    if request.running == number:
        request.running = _NOTHING
    elif request.hedging == number:
        request.hedging = _NOTHING
    else:
        return _GOES_ON
    call = state.calls[number]
    if call.kind == OK:
        return _answered(state, i, number, now)
    if call.drawn >= 0:
        seen = state.paths.seen[i, call.lane]
        seen.history = 2 * call.kind if seen.history > 0 else 2 * call.kind - 1
    if request.running >= 0 or request.hedging >= 0:
        return _GOES_ON
    request.failed = call.kind
    return _failed(state, i, refused_us, now)


@hook
def _answered(state: State, i: int, number: int, now: int) -> int:
    """END of a call that is ok: its answer is escalated, shown, or read by a validator first."""
    request, calls, queue = state.requests[i], state.calls, state.queue
    _cancel(calls, request.running, now)
    _cancel(calls, request.hedging, now)
    request.running = request.hedging = _NOTHING
    if request.escalate >= 0 and request.place == 0 and not request.accepted:
        request.kept, request.place, request.tries = number, _ESCALATED, 0
        push(queue, now + request.verify_us, order_of(START, i), request.escalate, _ESCALATION)
        return _GOES_ON
    request.answer = number
    if request.escalate >= 0 and request.place != _ESCALATED:
        push(queue, now + request.verify_us, order_of(END, i), _NOTHING, 0)
        return _GOES_ON
    request.end, request.answer_us = OK, calls[number].first_us
    return _GOOD


@hook
def _cancel(calls: Records, number: int, now: int) -> None:
    if number != _NOTHING:
        call = calls[number]
        call.end_us, call.kind = now, CANCELLED
        if call.first_us > now:
            call.first_us = -1


@hook
def _failed(state: State, i: int, refused_us: int, now: int) -> int:
    """END of a call that failed while no other is running: try again, fall back, or give up."""
    request, chain, queue = state.requests[i], state.paths.chain, state.queue
    policy = state.policies[request.policy]
    request.tries += 1
    if retries.spend(policy, request.failed, request.tries):
        pause = retries.pause_us(policy, state.paths.jitter_stream, request.key, request.tries, refused_us)
        lane = request.escalate if request.place == _ESCALATED else chain[i, request.place]
        push(queue, now + pause, order_of(START, i), lane, _RETRY)
        return _GOES_ON
    following = request.place + 1
    if not policy.fallback[request.failed] or request.place == _ESCALATED or following == chain.shape[1]:
        return _give_up(request, now)
    if chain[i, following] < 0:
        return _give_up(request, now)
    request.place, request.tries = following, 0
    push(queue, now, order_of(START, i), chain[i, following], _FALLBACK)
    return _GOES_ON


@hook
def _give_up(request: Records, now: int) -> int:
    """End with the answer that was kept aside, else with the last failure."""
    request.end = request.failed
    if request.kept != _NOTHING:
        request.end, request.answer, request.answer_us = OK, request.kept, now
    return _POOR


@hook
def _done(state: State, i: int, good: bool, now: int) -> None:
    """A request is done: who follows it arrives, its answer is stored if it is good, and who waits is served or asks again."""
    requests, request, answers, queue = state.requests, state.requests[i], state.answers, state.queue
    request.done_us = now
    child = request.first_child
    while child != _NOTHING:
        push(queue, now + requests[child].think_us, order_of(ARRIVE, child), 0, 0)
        child = requests[child].next_child
    if request.cached_key < 0 or request.source != responses.ABSENT:
        return
    setting, asked = answers.setting[0], answers.asked[request.cached_key]
    if good:
        responses.store(answers.entries, request.cached_key, i, now + request.ttl_us, setting.capacity, setting.lru)
    if asked.leader == i:
        asked.leader = _NOTHING
        waiting = asked.first_waiting
        asked.first_waiting = _NOTHING
        while waiting != _NOTHING:
            if good:
                requests[waiting].source = i
            push(queue, now, order_of(END if good else ARRIVE, waiting), _NOTHING, 0)
            state.progress[0].waiting -= 1
            waiting = requests[waiting].next_waiting
