"""Providers' prompt caches: leading blocks, kept for a while after their last use.

In: the rules, what the pools hold, and a call that begins. Out: how many leading blocks it reads and writes. Knows nothing
of tokens or prices.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from planner.simulation.events.compiled import hook
from planner.simulation.events.inputs import Floats, Ints, PromptCacheRules
from planner.simulation.events.records import Records, packed, record

__all__ = ["NEVER", "Pools", "empty", "touch"]

#: So long ago that no lifetime reaches back to it.
NEVER = -(2**61)
_HELD = record({"ready_us": "i8", "used_us": "i8"})
_RULE = record({"ttl_us": "i8", "least": "i8", "pool": "i2"})


class Pools(NamedTuple):
    """Blocks of requests and their sizes; a rule for each lane; and when each block (pools, blocks) can be read, and was last used."""

    block: Ints
    block_start: Ints
    block_tokens: Floats
    rule: Records
    held: Records


def empty(rules: PromptCacheRules, least: int = 0) -> Pools:
    """Return pools that hold nothing, with room for at least so many blocks."""
    pools = 1 + int(rules.pool.max(initial=-1))
    blocks = max(1 + int(rules.block.max(initial=-1)), least) if pools else 0
    held = packed(_HELD, {"used_us": np.full(pools * blocks, NEVER)}).reshape(pools, blocks)
    rule = packed(_RULE, {"ttl_us": rules.ttl_us, "least": rules.least, "pool": rules.pool})
    return Pools(rules.block, rules.block_start, rules.block_tokens, rule, held)


@hook
def touch(pools: Pools, request: int, lane: int, marked: int, now: int, first_us: int) -> tuple[int, int]:
    """Read and write the request's leading blocks in the lane's pool; return how many of each.

    A block that is written can be read from the call's first token on.
    """
    start, end = pools.block_start[request], pools.block_start[request + 1]
    ttl, least, pool = pools.rule[lane].ttl_us, pools.rule[lane].least, pools.rule[lane].pool
    size = pools.block_tokens[request]
    at = start
    while at < end and _warm(pools.held[pool, pools.block[at]], now, ttl):
        at += 1
    warm = at - start if (at - start) * size >= least else 0
    for at in range(start, start + warm):
        pools.held[pool, pools.block[at]].used_us = now
    if marked * size < least:
        return warm, 0
    for at in range(start + warm, start + marked):
        held = pools.held[pool, pools.block[at]]
        there = now - held.used_us <= ttl
        held.ready_us = min(held.ready_us, now + first_us) if there else now + first_us
        held.used_us = now
    return warm, max(0, marked - warm)


@hook
def _warm(held: Records, now: int, ttl: int) -> bool:
    return held.ready_us <= now and now - held.used_us <= ttl
