"""What the loop works on: requests and calls as records, the lanes' columns, and what each lever holds between requests.

In: a checked World. Out: tuples of arrays, everything as before the first event; and room for more calls and events when the loop
asks for it. Knows nothing of the rules.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from planner.simulation.events import limits, prompts, responses, retries
from planner.simulation.events.inputs import CANCELLED, OK, Floats, Ints, Log, ResponseCache, World
from planner.simulation.events.queue import Queue, with_room
from planner.simulation.events.records import CALL, REQUEST, Records, packed, record

__all__ = ["FOREVER_US", "Answers", "Paths", "State", "begin", "with_more_room"]

Positions = NDArray[np.int32]
_SEEN = record({"drawn": "i4", "history": "i1"})
_ASKED = record({"leader": "i4", "first_waiting": "i4"})
_SETTINGS = record({**dict.fromkeys(("capacity", "hit_us"), "i8"), **dict.fromkeys(("lru", "coalesce"), "i1")})
_PROGRESS = record(dict.fromkeys(("arrived", "calls", "waiting", "most_children", "until_us"), "i8"))
#: Later than any event.
FOREVER_US = 2**62


class Paths(NamedTuple):
    """Where requests may be sent and what the lanes do with them: as in ``Requests`` and ``Lanes``, ``seen`` (n, L) being c and history."""

    chain: NDArray[np.int16]
    first_us: Ints
    whole_us: Ints
    input_tokens: Ints
    output_tokens: Ints
    failure: Floats
    failed_us: Ints
    residual: Floats
    stream: NDArray[np.uint64]
    jitter_stream: NDArray[np.uint64]
    quota: NDArray[np.int16]
    seen: Records
    rho: float


class Answers(NamedTuple):
    """The response cache: its one record of settings, near questions, what it holds, and who asks for each key right now."""

    setting: Records
    near: Ints
    near_start: Ints
    entries: responses.Entries
    asked: Records


class State(NamedTuple):
    """All that the loop works on; ``quotas``, ``policies`` and the one record of progress are records too.

    Events from ``until_us`` on stay where they are.
    """

    requests: Records
    calls: Records
    queue: Queue
    paths: Paths
    answers: Answers
    pools: prompts.Pools
    quotas: Records
    policies: Records
    progress: Records


def begin(world: World, keys: int = 0, blocks: int = 0) -> State:
    """Return the state before the first event, with room in the caches for at least so many keys and blocks."""
    n, records = len(world.requests), _requests(world)
    progress = np.zeros(1, _PROGRESS)
    progress["until_us"] = FOREVER_US
    progress["most_children"] = 1 + (records["next_child"] >= 0).sum()
    return State(
        records,
        np.empty(n + n // 8 + 64, CALL),
        with_room(1024),
        _paths(world),
        _answers(world.responses, keys),
        prompts.empty(world.prompts, blocks),
        limits.full(world.limits),
        retries.policies(world.retries),
        progress,
    )


def with_more_room(state: State) -> State:
    """Return the state with more room for calls or events, whichever is short of it."""
    made, at = len(state.calls), state.progress[0]
    if at["calls"] == made:
        longer = np.empty(made + made // 2 + 1024, CALL)
        longer[:made] = state.calls
        return state._replace(calls=longer)
    room = 2 * len(state.queue.rows) + int(at["waiting"] + at["most_children"])
    return state._replace(queue=with_room(room, state.queue))


def _requests(world: World) -> Records:
    """Return a record for each request; nobody has arrived."""
    asked, cache = world.requests, world.responses
    first_child, next_child = _children(asked.follows)
    given = {
        **{name: getattr(asked, name) for name in ("key", "think_us", "submit_us", "verify_us", "hedge_after_us", "timeout_us")},
        **{name: getattr(asked, name) for name in ("escalate", "accepted", "hedge")},
        **_logged(world.log),
        "arrival_us": np.where(asked.follows < 0, asked.arrival_us, -1),
        "cell": world.lanes.cell,
        "policy": world.retries.policy,
        "cached_key": cache.key if cache.capacity else np.full(len(cache.key), -1),
        "ttl_us": cache.ttl_us,
        "marked": world.prompts.marked,
        "first_child": first_child,
        "next_child": next_child,
    }
    unknown = ("arrived_us", "done_us", "answer_us", "running", "hedging", "kept", "answer", "source", "next_waiting", "end")
    return packed(REQUEST, given | dict.fromkeys(unknown, -1))


def _paths(world: World) -> Paths:
    """Return the columns of requests × lanes; nothing was drawn, nothing has failed."""
    lanes, n = world.lanes, len(world.requests.arrival_us)
    return Paths(
        world.requests.chain,
        lanes.first_us,
        lanes.whole_us,
        lanes.input_tokens,
        lanes.output_tokens,
        lanes.failure,
        lanes.failed_us,
        lanes.residual,
        lanes.stream,
        world.retries.stream,
        world.limits.quota,
        np.zeros((n, len(lanes.failed_us)), _SEEN),
        float(lanes.rho),
    )


def _answers(cache: ResponseCache, least: int) -> Answers:
    """Return a cache that holds nothing and that nobody asks, with room for at least so many keys."""
    keys = 1 + int(max(cache.key.max(initial=-1), cache.near.max(initial=-1), least - 1)) if cache.capacity else 0
    setting = np.array([(cache.capacity, cache.hit_us, cache.lru, cache.coalesce)], _SETTINGS)
    asked = packed(_ASKED, {"leader": np.full(keys, -1), "first_waiting": -1})
    return Answers(setting, cache.near, cache.near_start, responses.empty(keys), asked)


def _logged(log: Log) -> dict[str, NDArray[Any]]:
    """Return what was observed; the score of a logged call that was timed, to its end or to where it was given up, is shared."""
    return {
        "logged_lane": log.lane,
        "failures": log.failures,
        "failure_kind": log.failure_kind,
        "logged_kind": log.kind,
        "logged_first_us": log.first_us,
        "logged_whole_us": log.whole_us,
        "score": np.where((log.lane >= 0) & np.isin(log.kind, (OK, CANCELLED)), log.score, np.nan),
    }


def _children(follows: Ints) -> tuple[Positions, Positions]:
    """Return who is the first to follow each request, and who is next to follow the same one."""
    first, following = np.full(len(follows), -1, np.int32), np.full(len(follows), -1, np.int32)
    turns = np.flatnonzero(follows >= 0)
    turns = turns[np.argsort(follows[turns], kind="stable")]
    parents = follows[turns]
    same = np.flatnonzero(parents[1:] == parents[:-1])
    following[turns[same]] = turns[same + 1]
    first[parents[::-1]] = turns[::-1]
    return first, following
