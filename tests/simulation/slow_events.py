"""The event phase once more, slowly: ``docs/events.md`` in objects, dictionaries and one heap, written apart from the kernel.

In: a World. Out: what Happened. Whoever doubts the kernel reads this beside the page; nothing here is made to be fast.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from planner.schema import PURPOSES, STATUSES
from planner.simulation.events.inputs import CANCELLED, OK, SCORES, Happened, World

END, START, HEDGE, ARRIVE = range(4)
RATE_LIMIT = STATUSES.index("rate_limit")
MINUTE = 60_000_000


@dataclass
class Call:
    """One call to a provider."""

    row: int
    lane: int
    attempt: int
    purpose: str
    start: int
    kind: int
    first: int  # how long to the first token, −1: none
    whole: int
    end: int = 0
    warm: int = 0
    written: int = 0
    drawn: int = -1  # earlier calls on its lane that the limits let through; −1 if it was refused itself
    retry_after: int = 0
    running: bool = True


@dataclass
class Asked:
    """One request on its way."""

    chain: list[int]
    arrived: int = -1
    place: int = 0  # in the chain
    failed_here: int = 0  # how often all its calls had failed at this place
    kind: int = OK  # of the last failure that left no call running
    escalated: bool = False
    aside: int = -1  # the call whose answer the validator refused
    score: float | None = None  # of the first success that was timed
    calls: list[int] = field(default_factory=list)
    through: dict[int, int] = field(default_factory=lambda: defaultdict(int))  # calls on a lane that the limits let through
    failures: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))  # kinds, by lane


@dataclass
class Entry:
    """A stored answer: who filled it, and when."""

    source: int
    filled: int


def slow(world: World) -> Happened:
    """Play the world through, event by event."""
    run = Run(world)
    while run.queue:
        now, _, i, _, what, *more = heapq.heappop(run.queue)
        what(now, i, *more)
    return run.happened()


def uniform(stream: Any, key: int) -> float:
    """Draw from (0, 1): the key mixed with the two constants of the stream, as ``planner.stats.draws.uniform`` does."""
    word = _mix(_mix((int(key) + int(stream[0])) % 2**64) ^ int(stream[1]))
    return min(((word >> 11) + 0.5) * 2.0**-53, 1 - 2.0**-53)


def _mix(z: int) -> int:
    z = (z + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


class Run:
    """All that changes while a world is played."""

    def __init__(self, world: World) -> None:
        self.world = world
        n = len(world.requests)
        self.queue: list[Any] = []
        self.number = 0
        self.calls: list[Call] = []
        self.asked = [Asked([int(lane) for lane in row if lane >= 0]) for row in world.requests.chain]
        self.followers: dict[int, list[int]] = defaultdict(list)
        self.entries: OrderedDict[int, Entry] = OrderedDict()  # next to leave first
        self.leader: dict[int, int] = {}
        self.waiting: dict[int, list[int]] = defaultdict(list)  # by leader
        self.blocks: dict[tuple[int, int], tuple[int, int]] = {}  # (pool, block) -> ready, used
        self.levels = [[limit * MINUTE for limit in limits] for limits in world.limits.per_minute.tolist()]
        self.refilled = [0] * len(self.levels)
        self.budget = world.retries.budget_most.tolist()
        self.done_us, self.answer_us = [-1] * n, [-1] * n
        self.ended, self.answer, self.source = [-1] * n, [-1] * n, [-1] * n
        for i in range(n):
            if world.log.lane[i] >= 0 and world.log.kind[i] in (OK, CANCELLED):
                self.asked[i].score = float(world.log.score[i])
            if (before := int(world.requests.follows[i])) >= 0:
                self.followers[before].append(i)
            else:
                self.put(int(world.requests.arrival_us[i]), ARRIVE, i, self.arrive)

    def put(self, time: int, kind: int, i: int, what: Any, *more: Any) -> None:
        """Queue an event."""
        heapq.heappush(self.queue, (time, kind, i, self.number, what, *more))
        self.number += 1

    # ARRIVE

    def arrive(self, now: int, i: int) -> None:
        """Answer from the cache, wait for the same question, or start the first call."""
        cache, asked = self.world.responses, self.asked[i]
        if asked.arrived < 0:
            asked.arrived = now
        key = int(cache.key[i])
        if cache.capacity > 0 and key >= 0:
            near = cache.near[cache.near_start[i] : cache.near_start[i + 1]].tolist()
            for question in [key, *near]:
                entry = self.look_up(question, now)
                if entry is not None:
                    self.put(now + cache.hit_us, END, i, self.served, entry.source)
                    return
            if cache.coalesce and key in self.leader:
                self.waiting[self.leader[key]].append(i)
                return
            self.leader.setdefault(key, i)
        self.put(max(now, int(self.world.requests.submit_us[i])), START, i, self.start, asked.chain[0], "main")

    def look_up(self, question: int, now: int) -> Entry | None:
        """Return the entry that is held and not expired; an expired one is removed."""
        entry = self.entries.get(question)
        if entry is None:
            return None
        if now - entry.filled >= self.world.responses.ttl_us[entry.source]:
            del self.entries[question]
            return None
        if self.world.responses.lru:
            self.entries.move_to_end(question)
        return entry

    # START

    def start(self, now: int, i: int, lane: int, purpose: str) -> None:
        """Make a call, unless it is too late for one."""
        asked, requests, retries = self.asked[i], self.world.requests, self.world.retries
        policy = int(retries.policy[i])
        deadline = int(retries.deadline_us[policy])
        if deadline > 0 and asked.calls and purpose != "hedge" and now > asked.arrived + deadline:
            self.give_up(now, i)
            return
        call = self.refused(now, i, lane, purpose) or self.outcome(now, i, lane, purpose)
        self.touch_prompt_cache(call)
        timeout = int(requests.timeout_us[i])
        call.end = now + call.whole
        if timeout > 0 and call.whole > timeout:
            call.end, call.kind, call.retry_after = now + timeout, CANCELLED, 0
            if call.first > timeout:
                call.first = -1
        if not asked.calls and requests.hedge[i] >= 0:
            self.put(now + int(requests.hedge_after_us[i]), HEDGE, i, self.hedge)
        if purpose != "retry":
            self.budget[policy] = min(float(retries.budget_most[policy]), self.budget[policy] + float(retries.budget[policy]))
        asked.calls.append(len(self.calls))
        self.put(call.end, END, i, self.end, len(self.calls))
        self.calls.append(call)

    def refused(self, now: int, i: int, lane: int, purpose: str) -> Call | None:
        """Return the call that a rate limit refuses, or take what the call needs from the buckets."""
        lanes, limits = self.world.lanes, self.world.limits
        quota = int(limits.quota[lane])
        if quota < 0:
            return None
        levels, elapsed = self.levels[quota], now - self.refilled[quota]
        self.refilled[quota] = now
        tokens = (1, int(lanes.input_tokens[i, lane]), int(lanes.output_tokens[i, lane]))
        needs, waits = [0.0, 0.0, 0.0], []
        for bucket, per_minute in enumerate(limits.per_minute[quota].tolist()):
            if math.isinf(per_minute):
                continue
            levels[bucket] = min(per_minute * MINUTE, levels[bucket] + per_minute * elapsed)
            needs[bucket] = min(per_minute, tokens[bucket]) * MINUTE
            if levels[bucket] < needs[bucket]:
                waits.append(math.ceil((needs[bucket] - levels[bucket]) / per_minute))
        if waits:
            whole = int(lanes.failed_us[lane, RATE_LIMIT])
            attempt = len(self.asked[i].calls)
            return Call(i, lane, attempt, purpose, now, RATE_LIMIT, -1, whole, retry_after=max(waits))
        for bucket in range(3):
            levels[bucket] -= needs[bucket]
        return None

    def outcome(self, now: int, i: int, lane: int, purpose: str) -> Call:
        """Return the call as it was logged or, where the log does not reach, as it is drawn."""
        asked, lanes, log = self.asked[i], self.world.lanes, self.world.log
        earlier = asked.through[lane]
        asked.through[lane] += 1
        logged = log.lane[i] == lane and earlier <= log.failures[i]
        streams = lanes.stream[lane, min(earlier, lanes.stream.shape[1] - 1)]
        key = int(self.world.requests.key[i])
        if logged:
            kind = int(log.failure_kind[i] if earlier < log.failures[i] else log.kind[i])
        else:
            u = uniform(streams[0], key)
            chances = lanes.failure[lanes.cell[i], lane, history(asked.failures[lane])]
            kind = next((k for k in range(1, len(STATUSES)) if u < chances[k - 1]), OK)
        if kind != OK:
            first, whole = -1, int(log.whole_us[i] if logged and earlier == log.failures[i] else lanes.failed_us[lane, kind])
        elif logged:
            first, whole = int(log.first_us[i]), int(log.whole_us[i])
        else:
            factor = self.residual(asked, lane, streams, key)
            whole = max(1, round(int(lanes.whole_us[i, lane]) * factor))
            first = min(whole, max(1, round(int(lanes.first_us[i, lane]) * factor)))
        return Call(i, lane, len(asked.calls), purpose, now, kind, first, whole, drawn=earlier)

    def residual(self, asked: Asked, lane: int, streams: Any, key: int) -> float:
        """Return the factor on the times of a success: drawn, and correlated with the request's first success."""
        rho = self.world.lanes.rho
        z = math.sqrt(-2.0 * math.log(uniform(streams[1], key))) * math.cos(2.0 * math.pi * uniform(streams[2], key))
        if asked.score is None:
            asked.score = z
        else:
            z = rho * asked.score + math.sqrt(1.0 - rho * rho) * z
        return float(np.interp(z, SCORES, self.world.lanes.residual[lane]))

    def touch_prompt_cache(self, call: Call) -> None:
        """Read the leading blocks that are warm and write those that follow."""
        rules = self.world.prompts
        pool, i, now = int(rules.pool[call.lane]), call.row, call.start
        if call.kind != OK or pool < 0:
            return
        ttl, least, marked = int(rules.ttl_us[call.lane]), int(rules.least[call.lane]), int(rules.marked[i])
        size = float(rules.block_tokens[i])
        blocks = [(pool, block) for block in rules.block[rules.block_start[i] : rules.block_start[i + 1]].tolist()]
        warm = 0
        for block in blocks:
            if block not in self.blocks or self.blocks[block][0] > now or now - self.blocks[block][1] > ttl:
                break
            warm += 1
        if warm * size < least:
            warm = 0
        for block in blocks[:warm]:
            self.blocks[block] = (self.blocks[block][0], now)
        call.warm = warm
        if marked * size < least:
            return
        call.written = max(0, marked - warm)
        for block in blocks[warm:marked]:
            ready = now + call.first
            if block in self.blocks and now - self.blocks[block][1] <= ttl:
                ready = min(ready, self.blocks[block][0])
            self.blocks[block] = (ready, now)

    # HEDGE

    def hedge(self, now: int, i: int) -> None:
        """Send a second call when the first is still out."""
        if self.calls[self.asked[i].calls[0]].running:
            self.put(now, START, i, self.start, int(self.world.requests.hedge[i]), "hedge")

    # END

    def end(self, now: int, i: int, number: int) -> None:
        """Judge a call that is over."""
        call = self.calls[number]
        if not call.running:  # it was cancelled before
            return
        call.running = False
        if call.kind == OK:
            self.answered(now, i, number)
            return
        if call.drawn >= 0:
            self.asked[i].failures[call.lane].append(call.kind)
        if not any(self.calls[other].running for other in self.asked[i].calls):
            self.failed(now, i, call)

    def answered(self, now: int, i: int, number: int) -> None:
        """Give the answer to the user, to the validator, or keep it aside and escalate."""
        requests, asked = self.world.requests, self.asked[i]
        for other in asked.calls:
            self.cancel(now, self.calls[other])
        lane, verified = int(requests.escalate[i]), now + int(requests.verify_us[i])
        if lane < 0 or asked.escalated:
            self.done(now, i, OK, number, self.calls[number].start + self.calls[number].first)
        elif asked.place == 0 and not requests.accepted[i]:
            asked.aside, asked.escalated = number, True
            asked.chain, asked.place, asked.failed_here = [lane], 0, 0
            self.put(verified, START, i, self.start, lane, "escalation")
        else:
            self.put(verified, END, i, self.done, OK, number, verified)

    def cancel(self, now: int, call: Call) -> None:
        """Stop a call that still runs; a first token that has come has come."""
        if call.running:
            call.running, call.kind, call.end = False, CANCELLED, now
            if call.start + call.first > now:
                call.first = -1

    def failed(self, now: int, i: int, call: Call) -> None:
        """Try the lane again, or the next one, or give up."""
        asked, retries = self.asked[i], self.world.retries
        policy = int(retries.policy[i])
        asked.kind = call.kind
        asked.failed_here += 1
        if asked.failed_here <= retries.most[policy, call.kind] and self.budget[policy] >= 1:
            self.budget[policy] -= 1
            pause = self.pause(i, policy, asked.failed_here)
            if retries.retry_after[policy]:
                pause = max(pause, call.retry_after)
            self.put(now + pause, START, i, self.start, asked.chain[asked.place], "retry")
        elif retries.fallback[policy, call.kind] and asked.place + 1 < len(asked.chain):
            asked.place, asked.failed_here = asked.place + 1, 0
            self.put(now, START, i, self.start, asked.chain[asked.place], "fallback")
        else:
            self.give_up(now, i)

    def pause(self, i: int, policy: int, r: int) -> int:
        """Return the pause before the ``r``-th retry."""
        retries = self.world.retries
        grown = round(int(retries.base_us[policy]) * float(retries.factor[policy]) ** (r - 1))
        u = uniform(retries.stream[min(r - 1, len(retries.stream) - 1)], int(self.world.requests.key[i]))
        return round(min(int(retries.most_us[policy]), grown) * (1.0 - float(retries.jitter[policy]) * u))

    def give_up(self, now: int, i: int) -> None:
        """End with the answer that was kept aside, else with the last failure."""
        asked = self.asked[i]
        if asked.aside >= 0:
            self.done(now, i, OK, asked.aside, now)
        else:
            self.done(now, i, asked.kind, -1, -1)

    # A request is done

    def served(self, now: int, i: int, source: int) -> None:
        """End a request with another's answer."""
        self.source[i] = source
        self.done(now, i, OK, -1, now)

    def done(self, now: int, i: int, kind: int, answer: int, answer_us: int) -> None:
        """End a request, store its answer, and let those who wait or follow go on."""
        cache, key = self.world.responses, int(self.world.responses.key[i])
        assert self.done_us[i] < 0, "a request ends once"
        self.done_us[i], self.ended[i], self.answer[i], self.answer_us[i] = now, kind, answer, answer_us
        for after in self.followers[i]:
            self.put(now + int(self.world.requests.think_us[after]), ARRIVE, after, self.arrive)
        if self.leader.get(key) == i:
            del self.leader[key]
        good = kind == OK and (answer < 0 or answer != self.asked[i].aside)
        if good and answer >= 0 and key >= 0 and cache.capacity > 0:
            self.store(now, i, key)
        for other in sorted(self.waiting.pop(i, [])):
            if good:
                self.put(now, END, other, self.served, i)
            else:
                self.put(now, ARRIVE, other, self.arrive)

    def store(self, now: int, i: int, key: int) -> None:
        """Hold an answer; beyond the capacity the first in line leaves."""
        cache = self.world.responses
        self.entries[key] = Entry(i, now)
        if cache.lru:
            self.entries.move_to_end(key)
        if len(self.entries) > cache.capacity:
            self.entries.popitem(last=False)

    def happened(self) -> Happened:
        """Return what happened, as columns."""

        def column(name: str, dtype: Any = np.int64) -> Any:
            return np.array([getattr(call, name) for call in self.calls], dtype)

        first = [call.start + call.first if call.first >= 0 else -1 for call in self.calls]
        return Happened(
            row=column("row"),
            lane=column("lane", np.int16),
            attempt=column("attempt", np.int32),
            purpose=np.array([PURPOSES.index(call.purpose) for call in self.calls], np.int8),
            start_us=column("start"),
            end_us=column("end"),
            first_us=np.array(first, np.int64),
            whole_us=column("whole"),
            kind=column("kind", np.int8),
            warm=column("warm"),
            written=column("written"),
            drawn=column("drawn", np.int32),
            arrived_us=np.array([asked.arrived for asked in self.asked], np.int64),
            done_us=np.array(self.done_us, np.int64),
            answer_us=np.array(self.answer_us, np.int64),
            end=np.array(self.ended, np.int8),
            answer=np.array(self.answer, np.int64),
            source=np.array(self.source, np.int64),
        )


def history(kinds: list[int]) -> int:
    """Return how a lane has treated a request so far: a position in HISTORIES."""
    if not kinds:
        return 0
    return 1 + 2 * (kinds[-1] - 1) + (len(kinds) > 1)
