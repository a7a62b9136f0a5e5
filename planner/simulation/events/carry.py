"""Carry: the event phase over one stretch of time after another, what is under way taken along from each to the next.

In: a World of one part's requests (those that begin in it with the turns that follow them, and those carried into it), what its
numbers stand for, and the Carry of the part before. Out: what happened to the requests that are done, and the Carry for the part after.
All parts in order give what one World of all requests gives, call for call. Knows nothing of models, money, or how parts are cut.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.simulation.events.checks import checked
from planner.simulation.events.inputs import Happened, Ints, Names, World
from planner.simulation.events.kernel import CALLS, happened, played
from planner.simulation.events.prompts import NEVER, Pools
from planner.simulation.events.queue import CLASS_BITS, END, START, with_room
from planner.simulation.events.records import Records, record
from planner.simulation.events.responses import ABSENT, filled, in_line
from planner.simulation.events.state import FOREVER_US, Answers, State, begin

__all__ = ["FOREVER_US", "Carry", "part"]

_ENTRY = record({"key": "u8", "until_us": "i8", "source": "i8"})
_ASKED = record({"key": "u8", "leader": "i4", "first_waiting": "i4"})
_HELD = record({"block": "u8", "ready_us": "i8", "used_us": "i8", "pool": "i2"})
_REQUEST = (1 << CLASS_BITS) - 1
#: What a request knows about itself that no World says.
_OWN = ("arrival_us", "think_us", "score", "arrived_us", "done_us", "answer_us", "tries", "made", "place", "failed", "end")
_ROWS, _CALLS = ("first_child", "next_child", "next_waiting"), ("running", "hedging", "kept", "answer")


@dataclass(frozen=True, eq=False)
class Carry:
    """What is under way between two parts: ``u`` requests, their calls, and what the levers hold.

    Parameters
    ----------
    row: int64 (u,) names of the requests that are not done; where records name requests or calls, they count from 0 here.
    requests, seen, calls, queue: of those requests alone; ``lane`` names what calls and ``seen`` (u, L) count.
    entries: answers in the response cache, the first of which leaves first. asked: who asks for what right now.
    held: blocks in the prompt caches ``pool``. quotas, policies: as they stand.
    source: int64 (s,) names of the requests, long done, whose answers are still served; ``source`` of other records counts these.
    """

    row: Ints
    lane: tuple[str, ...]
    pool: tuple[str, ...]
    requests: Records
    seen: Records
    calls: Records
    queue: Records
    entries: Records
    asked: Records
    held: Records
    quotas: Records
    policies: Records
    source: Ints


def part(world: World, names: Names, before: Carry | None, until_us: int) -> tuple[Happened, Carry]:
    """Play one part up to ``until_us``, the first arrival of the next one (FOREVER_US: to the end).

    Returns
    -------
    Happened
        Of the requests that are done (``done_us`` ≥ 0) all, of the others no calls. A ``source`` of n or more is the one that
        ``before.source[source − n]`` names.
    Carry
        What the next part begins with.
    """
    state = begin(checked(world)) if before is None else _resumed(world, names, before)
    keys, blocks = (names.key, names.block) if before is None else _known(names, before)
    state = played(state, until_us)
    over = state.requests["done_us"] >= 0
    return _of(happened(state), over), _carried(state, replace(names, key=keys, block=blocks), before, over)


def _known(names: Names, before: Carry) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the keys and blocks that either this part or what is carried into it speaks of."""
    keys = np.concatenate([names.key, before.entries["key"], before.asked["key"]])
    return np.unique(keys), np.unique(np.concatenate([names.block, before.held["block"]]))


def _resumed(world: World, names: Names, before: Carry) -> State:
    """Return the state in which the part begins: its own requests as given, those carried into it as they were."""
    keys, blocks = _known(names, before)
    own, block = np.searchsorted(keys, names.key), np.searchsorted(blocks, names.block)
    cache, rules = world.responses, world.prompts
    cache = replace(cache, key=_through(own, cache.key), near=_through(own, cache.near))
    world = replace(world, responses=cache, prompts=replace(rules, block=_through(block, rules.block)))
    state = begin(checked(world), len(keys), len(blocks))
    n, order = len(names.row), np.argsort(names.row, kind="stable")
    row = order[np.searchsorted(names.row, before.row, sorter=order)] if len(before.row) else np.zeros(0, np.int64)
    lane = np.array([names.lane.index(name) if name in names.lane else -1 for name in before.lane], np.int64)
    calls = np.empty(len(before.calls) + len(state.calls), state.calls.dtype)
    calls[: len(before.calls)] = _renamed(before.calls, {"row": row, "lane": lane})
    queue = _events(before.queue, row, np.arange(len(before.calls)), lane)
    room = with_room(max(1024, 2 * len(queue)))
    room.rows[: len(queue)], room.size[0] = queue, len(queue)
    _restore(state.requests, row, before.requests, n)
    present = np.flatnonzero(lane >= 0)
    state.paths.seen[np.ix_(row, lane[present])] = before.seen[:, present]
    _hold(state.pools, names, before, blocks)
    state.progress["calls"] = len(before.calls)
    state.progress["waiting"] = sum(_line(state.requests["next_waiting"], row[first]) for first in _first_waiting(before))
    state.progress["most_children"] = 1 + (state.requests["next_child"] >= 0).sum()
    answers = _answering(state.answers, before, keys, row, n)
    return state._replace(calls=calls, queue=room, answers=answers, quotas=before.quotas.copy(), policies=before.policies.copy())


def _restore(requests: Records, row: Ints, before: Records, n: int) -> None:
    """Write what the carried requests know about themselves into the part's records."""
    known = _renamed(before, dict.fromkeys(_ROWS, row))
    for name in (*_OWN, *_ROWS, *_CALLS):
        requests[name][row] = known[name]
    requests["source"][row] = np.where(before["source"] >= 0, n + before["source"], ABSENT)


def _first_waiting(before: Carry) -> list[int]:
    return [int(i) for i in before.asked["first_waiting"] if i >= 0]


def _line(following: Ints, first: int) -> int:
    """Return how many wait in a line."""
    count = 0
    while first >= 0:
        count, first = count + 1, int(following[first])
    return count


def _answering(answers: Answers, before: Carry, keys: NDArray[np.uint64], row: Ints, n: int) -> Answers:
    """Return the response cache as it was left."""
    asked, at = answers.asked, np.searchsorted(keys, before.asked["key"])
    for name in ("leader", "first_waiting"):
        asked[name][at] = _through(row, before.asked[name])
    line, entries = np.searchsorted(keys, before.entries["key"]), answers.entries
    if len(line):
        entries = filled(len(asked), line, n + before.entries["source"], before.entries["until_us"])
    return answers._replace(asked=asked, entries=entries)


def _hold(pools: Pools, names: Names, before: Carry, blocks: NDArray[np.uint64]) -> None:
    """Write the blocks that the prompt caches held into them; a cache that no lane of this part uses is none."""
    pool = np.array([names.pool.index(name) if name in names.pool else -1 for name in before.pool], np.int64)
    there = before.held[pool[before.held["pool"]] >= 0] if len(before.held) else before.held
    at = (pool[there["pool"]], np.searchsorted(blocks, there["block"]))
    for name in ("ready_us", "used_us"):
        pools.held[name][at] = there[name]


def _carried(state: State, names: Names, before: Carry | None, over: NDArray[np.bool_]) -> Carry:
    """Return what the next part begins with."""
    left = np.flatnonzero(~over)
    place = np.where(over, -1, np.cumsum(~over) - 1)
    calls, numbers = _kept(state, ~over)
    requests = _renamed(state.requests[left], {**dict.fromkeys(_ROWS, place), **dict.fromkeys(_CALLS, numbers)})
    requests["arrival_us"] = np.where(requests["arrived_us"] >= 0, -1, requests["arrival_us"])
    queue = state.queue.rows[: state.queue.size[0]]
    queue = queue[~over[queue["order"] & _REQUEST]]
    entries, asked = _answers(state, names.key, place)
    sources = np.concatenate([entries["source"], requests["source"]])
    used = np.unique(sources[sources >= 0])
    for records in (entries, requests):
        records["source"] = np.where(records["source"] >= 0, np.searchsorted(used, records["source"]), ABSENT)
    known = np.concatenate([names.row, before.source]) if before else names.row
    return Carry(
        names.row[left],
        names.lane,
        names.pool,
        requests,
        state.paths.seen[left],
        _renamed(calls, {"row": place}),
        _events(queue, place, numbers, np.arange(len(names.lane))),
        entries,
        asked,
        _still_held(state, names.block),
        state.quotas.copy(),
        state.policies.copy(),
        known[used],
    )


def _kept(state: State, mine: NDArray[np.bool_]) -> tuple[Records, Ints]:
    """Return the calls of the requests that are ``mine``, and the new number of each call, −1 for the others."""
    calls = state.calls[: state.progress["calls"][0]]
    kept = mine[calls["row"]]
    return calls[kept], np.where(kept, np.cumsum(kept) - 1, -1)


def _answers(state: State, keys: NDArray[np.uint64], place: Ints) -> tuple[Records, Records]:
    """Return the answers that are held, and who asks for what."""
    line = in_line(state.answers.entries)
    entries = np.zeros(len(line), _ENTRY)
    entries["key"] = keys[line]
    for name in ("until_us", "source"):
        entries[name] = state.answers.entries.row[name][line]
    at = np.flatnonzero((state.answers.asked["leader"] >= 0) | (state.answers.asked["first_waiting"] >= 0))
    asked = np.zeros(len(at), _ASKED)
    asked["key"] = keys[at]
    for name in ("leader", "first_waiting"):
        asked[name] = _through(place, state.answers.asked[name][at])
    return entries, asked


def _still_held(state: State, blocks: NDArray[np.uint64]) -> Records:
    """Return the blocks that may still be read from the part's end on."""
    held, rule, until = state.pools.held, state.pools.rule, int(state.progress["until_us"][0])
    ttl = np.zeros(len(held), np.int64)
    used = rule["pool"] >= 0
    np.maximum.at(ttl, rule["pool"][used], rule["ttl_us"][used])
    pool, block = np.nonzero((held["used_us"] > NEVER) & (until - held["used_us"] <= ttl[:, None]))
    out = np.zeros(len(pool), _HELD)
    out["pool"], out["block"] = pool, blocks[block]
    for name in ("ready_us", "used_us"):
        out[name] = held[name][pool, block]
    return out


def _of(all_of_it: Happened, over: NDArray[np.bool_]) -> Happened:
    """Return what happened to the requests that are done."""
    kept = over[all_of_it.row]
    number = np.where(kept, np.cumsum(kept) - 1, -1)
    calls: dict[str, Any] = {name: values[kept] for name, values in vars(all_of_it).items() if name in CALLS}
    answer = np.where(over, _through(number, all_of_it.answer), -1)
    return replace(all_of_it, **calls, answer=answer, source=np.where(over, all_of_it.source, ABSENT))


def _events(queue: Records, row: Ints, call: Ints, lane: Ints) -> Records:
    """Return events about requests, calls and lanes under their new numbers, soonest first: a sorted list is a heap."""
    out = queue.copy()
    kind, request = queue["order"] >> CLASS_BITS, queue["order"] & _REQUEST
    out["order"] = queue["order"] - request + row[request]
    for of, number in ((END, call), (START, lane)):
        on = (kind == of) & (queue["a"] >= 0)
        out["a"][on] = number[queue["a"][on]]
    return out[np.lexsort((out["a"], out["order"], out["time"]))]


def _renamed(rows: Records, names: dict[str, Ints]) -> Records:
    """Return records whose named fields count by the new numbers; −1 stays."""
    out = rows.copy()
    for name, number in names.items():
        out[name] = _through(number, rows[name])
    return out


def _through(number: NDArray[Any], values: NDArray[Any]) -> Ints:
    """Return ``number[values]``, −1 where the value is −1."""
    if not len(number):
        return np.full(len(values), -1, np.int64)
    return np.where(values >= 0, number[np.maximum(values, 0)], -1).astype(np.int64)
