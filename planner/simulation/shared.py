"""From the cache levers of a plan to the arrays the event phase is given.

In: a world's prints, a plan's cache levers, and the requests that take part. Out: the response cache's keys and the prompt
caches' blocks, as ``events.inputs`` describes them. Knows nothing of outcomes, calls or money.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError, PriceError
from planner.outcomes.questions import questions
from planner.policies import Plan
from planner.prices.provider_rules import PromptCache, prompt_cache
from planner.schema import TOKEN_BUCKETS
from planner.simulation.events.inputs import PromptCacheRules, ResponseCache
from planner.simulation.lanes import Lanes
from planner.simulation.settings import US_PER_MS, assigned, per_request
from planner.simulation.settle import Lane
from planner.stats import draws
from planner.text.embeddings import embedding
from planner.text.prints import Prefixes, joint_keys, leading
from planner.traffic.rows import Coded

if TYPE_CHECKING:
    from planner.simulation.world import World

__all__ = ["covered_blocks", "prompts", "responses", "writing"]

_US_PER_S = 1_000_000
#: Lifetimes by name [s].
LIFETIMES_S = {"5m": 300, "1h": 3_600}


def responses(world: World, plan: Plan, at: NDArray[np.int64], sent: Coded) -> tuple[ResponseCache, NDArray[np.uint64]]:
    """Return the response cache, one for the gateway, whatever the apps, and what its dense keys stand for.

    These are hashes of questions, the same in any part of the log, unless similar questions are served too. Requests carry their own
    time to live.
    ``sent`` (all rows) is part of every question: an answer of one model is not served for another. Requests that offer tools
    have no question. A hit takes as long as the slowest of the levers says.
    """
    exact, semantic = plan.of_key("exact_cache"), plan.of_key("semantic_cache")
    n, found = len(at), [*exact, *semantic]
    key, near = np.full(n, -1, np.int64), [np.zeros(0, np.int64)] * n
    if not found:
        return ResponseCache(key, np.zeros(0, np.int64), np.zeros(n + 1, np.int64), np.zeros(n, np.int64)), np.zeros(0, np.uint64)
    same(found, ("capacity", "eviction"))
    same(exact, ("coalesce",))
    app, may = Coded(world.rows.app.codes[at], world.rows.app.values), ~world.acts[at]
    request = joint_keys(world.prints.request, draws.key(sent.values)[sent.codes])[at]
    covered = (assigned(exact, app) >= 0) & (request != 0) & may
    asked, key[covered] = np.unique(request[covered], return_inverse=True)
    for lever in semantic:
        _similar(world, lever, at, sent, may & (assigned(semantic, app) == semantic.index(lever)), key, near)
    cache = ResponseCache(
        key=key,
        near=np.concatenate(near) if n else np.zeros(0, np.int64),
        near_start=np.append(0, np.cumsum([len(x) for x in near], dtype=np.int64)),
        ttl_us=np.rint(np.maximum(per_request(exact, app, "ttl_s"), per_request(semantic, app, "ttl_s")) * _US_PER_S).astype(np.int64),
        capacity=found[0].capacity,
        lru=found[0].eviction == "lru",
        hit_us=round(max(lever.hit_ms for lever in found) * US_PER_MS),
        coalesce=any(lever.coalesce for lever in exact),
    )
    return cache, asked if not semantic else np.arange(1 + key.max(initial=-1), dtype=np.uint64)


def _similar(
    world: World,
    lever: Any,
    at: NDArray[np.int64],
    sent: Coded,
    covered: NDArray[np.bool_],
    key: NDArray[np.int64],
    near: list[NDArray[np.int64]],
) -> None:
    """Write the questions of a semantic cache's requests, and the similar earlier ones, into ``key`` and ``near``."""
    asked = questions(
        world.traffic,
        embedding(lever.embedding),
        apps=lever.apps,
        guarded=lever.guard,
        across_users=lever.across_users,
        model=sent,
    )
    place = np.empty(len(asked), np.int64)
    place[asked.row] = np.arange(len(asked))
    mine = np.flatnonzero(covered & (asked.asks[place[at]] >= 0))
    if not len(mine):
        return
    found = asked.neighbours(lever.threshold).take(place[at[mine]])
    first = int(key.max(initial=-1)) + 1
    key[mine] = asked.asks[place[at[mine]]] + first
    for i, own in zip(mine.tolist(), np.split(found.near + first, found.start[1:-1]), strict=True):
        near[i] = own


def same(found: Sequence[Any], names: Sequence[str]) -> None:
    """Refuse cache levers that ask one cache to be two things at once."""
    for name in names:
        values = list(dict.fromkeys(getattr(lever, name) for lever in found))
        if len(values) > 1:
            raise InputError(
                f"{found[0].key} with {name} {values[0]} in one app and {values[1]} in another", "one value: the gateway has one cache"
            )


def prompts(world: World, plan: Plan, at: NDArray[np.int64], lanes: Lanes) -> tuple[PromptCacheRules, NDArray[np.uint64]]:
    """Return the providers' prompt caches, one for each lane whose provider has a rule, and the hashes that their dense blocks stand for.

    Requests of other apps touch none.
    """
    found = plan.of_key("prompt_cache")
    n, many = len(at), len(lanes.used)
    none, zero = np.full(many, -1, np.int16), np.zeros(many, np.int64)
    if not found:
        nothing = PromptCacheRules(np.zeros(0, np.int64), np.zeros(n + 1, np.int64), none, zero, zero, np.zeros(n, np.int64), np.ones(n))
        return nothing, np.zeros(0, np.uint64)
    same(found, ("lifetime",))
    mine = covered_blocks(world, plan, at)
    keys, block, often = np.unique(mine.keys, return_inverse=True, return_counts=True)
    again = often > 1 if world.part is None else np.isin(keys, world.part.recurring, assume_unique=True)
    marked = leading(again[block], np.diff(mine.start)) if len(block) else np.zeros(n, np.int64)
    tokens = world.rows.tokens[at, :4].sum(axis=1)
    on = dt.date.fromisoformat(world.day)
    rules = [rule_of(world, use, on) for use in lanes.used]
    life = [lifetime(rule, found[0].lifetime) for rule in rules]
    rules_of_all = PromptCacheRules(
        block=block.astype(np.int64),
        block_start=mine.start,
        pool=np.array([-1 if rule is None else i for i, rule in enumerate(rules)], np.int16),
        ttl_us=np.array([seconds for seconds, _ in life], np.int64) * _US_PER_S,
        least=np.array([0 if rule is None else rule.min_tokens for rule in rules], np.int64),
        marked=marked,
        block_tokens=tokens * mine.block / np.maximum(mine.size, 1),
    )
    return rules_of_all, keys


def covered_blocks(world: World, plan: Plan, at: NDArray[np.int64]) -> Prefixes:
    """Return the leading blocks of the requests ``at``; none where no prompt cache of the plan speaks of the app."""
    return world.prints.prefixes.take(at, assigned(plan.of_key("prompt_cache"), world.rows.app)[at] >= 0)


def rule_of(world: World, use: Lane, on: dt.date) -> PromptCache | None:
    """Return the prompt-cache rule of a lane, None where we know none."""
    try:
        return prompt_cache(*world.book.resolve(use.model, use.provider or None), on)
    except PriceError:
        return None


def lifetime(rule: PromptCache | None, name: str) -> tuple[int, int]:
    """Return how long an entry lives [s] and the bucket its writing is billed in: as asked for where it is offered."""
    if rule is None:
        return 0, 0
    offered = dict(rule.lifetimes)
    seconds = LIFETIMES_S[name] if LIFETIMES_S[name] in offered else rule.lifetimes[0][0]
    return seconds, TOKEN_BUCKETS.index(offered[seconds])


def writing(world: World, plan: Plan, lanes: Lanes) -> list[Lane]:
    """Return the lanes with the token bucket in which their prompt-cache writes are billed, where the plan has such caches."""
    found, on = plan.of_key("prompt_cache"), dt.date.fromisoformat(world.day)
    if not found:
        return list(lanes.used)
    rules = [rule_of(world, use, on) for use in lanes.used]
    return [
        replace(use, writes=lifetime(rule, found[0].lifetime)[1], promised=rule is not None and rule.explicit)
        for use, rule in zip(lanes.used, rules, strict=True)
    ]
