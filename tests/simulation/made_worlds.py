"""Worlds for the event phase: a neutral one to build on, and random ones with any of the levers on.

In: a seed, a size and the names of levers. Out: a World in which what the levers do collides as often as it can: bursts, ties in time,
popular keys, limits that bind, caches of one entry. Nothing here is realistic; ``planner.synthetic`` is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from planner.schema import STATUSES
from planner.simulation.events.inputs import (
    HISTORIES,
    OK,
    SCORES,
    Lanes,
    Limits,
    Log,
    PromptCacheRules,
    Requests,
    ResponseCache,
    Retries,
    World,
)

#: Every lever and circumstance that a made world may have, in the order in which they are put in.
LEVERS = (
    "sessions",
    "failures",
    "routes",
    "retries",
    "jitter",
    "fallbacks",
    "budget",
    "deadline",
    "timeouts",
    "hedges",
    "cascade",
    "batches",
    "limits",
    "cache",
    "near",
    "coalesce",
    "prompts",
)
SECOND = 1_000_000
KINDS = len(STATUSES)


def neutral(arrival_us: Any, seed: int = 0, lanes: int = 2, attempts: int = 4) -> World:
    """Return a world in which nothing shared is on: each request was logged on lane 0 and is sent there again."""
    rng = np.random.default_rng(seed)
    arrival_us = np.asarray(arrival_us, np.int64)
    n = len(arrival_us)
    zero, none, lane0 = np.zeros(n, np.int64), np.full(n, -1, np.int64), np.zeros(n, np.int16)
    whole = rng.integers(1, 5 * SECOND, (n, lanes))
    return World(
        Requests(
            arrival_us=arrival_us,
            key=words(rng, n),
            follows=none,
            think_us=zero,
            submit_us=zero,
            chain=lane0[:, None],
            escalate=none.astype(np.int16),
            accepted=np.ones(n, bool),
            verify_us=zero,
            hedge=none.astype(np.int16),
            hedge_after_us=zero,
            timeout_us=zero,
        ),
        Lanes(
            first_us=rng.integers(0, whole + 1),
            whole_us=whole,
            input_tokens=rng.integers(0, 2000, (n, lanes)),
            output_tokens=rng.integers(0, 500, (n, lanes)),
            cell=np.zeros(n, np.int32),
            failure=np.zeros((1, lanes, HISTORIES, KINDS - 1)),
            failed_us=np.full((lanes, KINDS), SECOND, np.int64),
            residual=np.ones((lanes, len(SCORES))),
            rho=0.0,
            stream=words(rng, (lanes, attempts, 3, 2)),
        ),
        Log(
            lane=lane0,
            failures=zero,
            failure_kind=np.ones(n, np.int8),
            kind=np.full(n, OK, np.int8),
            first_us=(first := rng.integers(0, 3 * SECOND, n)),
            whole_us=first + rng.integers(1, 3 * SECOND, n),
            score=rng.normal(size=n),
        ),
        Retries(
            policy=lane0,
            most=np.zeros((1, KINDS), np.int64),
            fallback=np.zeros((1, KINDS), bool),
            base_us=np.zeros(1, np.int64),
            most_us=np.zeros(1, np.int64),
            factor=np.ones(1),
            jitter=np.zeros(1),
            stream=words(rng, (attempts, 2)),
            retry_after=np.zeros(1, bool),
            budget=np.full(1, np.inf),
            budget_most=np.full(1, np.inf),
            deadline_us=np.zeros(1, np.int64),
        ),
        ResponseCache(key=none, near=zero[:0], near_start=np.zeros(n + 1, np.int64), ttl_us=np.full(n, 2**62)),
        PromptCacheRules(
            block=zero[:0],
            block_start=np.zeros(n + 1, np.int64),
            pool=np.full(lanes, -1, np.int16),
            ttl_us=np.zeros(lanes, np.int64),
            least=np.zeros(lanes, np.int64),
            marked=zero,
            block_tokens=np.ones(n),
        ),
        Limits(quota=np.full(lanes, -1, np.int16), per_minute=np.zeros((0, 3))),
    )


def words(rng: np.random.Generator, shape: Any) -> Any:
    """Return random 64-bit words."""
    return rng.integers(0, 2**64, shape, np.uint64)


def not_logged(world: World) -> World:
    """Return the world with no memory of what was logged: every outcome is drawn."""
    return replace(world, log=replace(world.log, lane=np.full(len(world.requests), -1, np.int16)))


def made(seed: int, n: int, levers: tuple[str, ...] = LEVERS) -> World:
    """Return a random world of ``n`` requests in which the named levers are on; ``seed`` decides all else."""
    rng = np.random.default_rng(seed)
    # A coarse grain makes events fall on the same microsecond; residuals of 1 keep them there.
    grain = int(rng.choice([1, 1000, 250_000]))
    lanes, attempts = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    world = neutral(arrivals(rng, n, grain), int(rng.integers(2**31)), lanes, attempts)
    world = replace(world, lanes=coarse(rng, world.lanes, grain), log=logged(rng, world.log, lanes, grain))
    for lever in LEVERS:
        if lever in levers:
            world = PUT_IN[lever](rng, world, grain)
    return world


def arrivals(rng: np.random.Generator, n: int, grain: int) -> Any:
    """Return arrivals in bursts: many at once, then a pause."""
    gaps = rng.exponential(float(rng.choice([0.05, 0.5, 5.0])) * SECOND, n) * (rng.random(n) < 0.6)
    return np.cumsum(gaps).astype(np.int64) // grain * grain


def coarse(rng: np.random.Generator, lanes: Lanes, grain: int) -> Lanes:
    """Return lanes whose times fall on the grain; half of them with residuals that spread."""
    count = len(lanes.failed_us)
    spread = rng.uniform(0, 0.7, (count, 1)) * (rng.random((count, 1)) < 0.5)
    return replace(
        lanes,
        first_us=lanes.first_us * rng.choice([1, 1, 1, 2], lanes.first_us.shape) // grain * grain,  # now and then later than the end
        whole_us=lanes.whole_us // grain * grain,
        failed_us=rng.integers(0, 4 * SECOND, (count, KINDS)) // grain * grain,
        residual=np.exp(spread * SCORES),
        rho=float(rng.choice([0.0, 0.5, 0.8, 1.0])),
    )


def logged(rng: np.random.Generator, log: Log, lanes: int, grain: int) -> Log:
    """Return a log on several lanes, or on none of them; times on the grain."""
    n = len(log.lane)
    return replace(
        log,
        lane=rng.integers(-1, lanes, n).astype(np.int16),
        first_us=log.first_us // grain * grain,
        whole_us=log.whole_us // grain * grain,
    )


def _some(rng: np.random.Generator, n: int) -> Any:
    """Return a mask of none, some or all."""
    return rng.random(n) < float(rng.choice([0.2, 0.5, 1.0]))


def _lane(rng: np.random.Generator, world: World) -> Any:
    return rng.integers(0, len(world.limits.quota), len(world.requests)).astype(np.int16)


def _sessions(rng: np.random.Generator, world: World, grain: int) -> World:
    n = len(world.requests)
    before = np.array([rng.integers(0, i) if i else -1 for i in range(n)], np.int64)
    return replace(
        world,
        requests=replace(
            world.requests,
            follows=np.where(_some(rng, n), before, -1),
            think_us=rng.integers(0, 10 * SECOND, n) // grain * grain,
        ),
    )


def _failures(rng: np.random.Generator, world: World, grain: int) -> World:
    """Fail often in the draws, and now and then in the log."""
    n, lanes, cells = len(world.requests), len(world.limits.quota), int(rng.integers(1, 4))
    often = rng.choice([0.05, 0.2, 0.6], (cells, lanes, HISTORIES, 1))
    kinds = rng.dirichlet(np.ones(KINDS - 1), (cells, lanes, HISTORIES))
    seldom = rng.random(n) < 0.3
    log = replace(
        world.log,
        failures=rng.integers(0, 4, n) * seldom,
        failure_kind=rng.integers(1, KINDS, n).astype(np.int8),
        kind=(rng.integers(0, KINDS, n) * (rng.random(n) < 0.3)).astype(np.int8),
    )
    failing = replace(world.lanes, cell=rng.integers(0, cells, n).astype(np.int32), failure=often * np.cumsum(kinds, axis=-1))
    return replace(world, log=log, lanes=failing)


def _routes(rng: np.random.Generator, world: World, grain: int) -> World:
    return replace(world, requests=replace(world.requests, chain=_lane(rng, world)[:, None]))


def _retries(rng: np.random.Generator, world: World, grain: int) -> World:
    policies = int(rng.integers(1, 4))
    return replace(
        world,
        retries=Retries(
            policy=rng.integers(0, policies, len(world.requests)).astype(np.int16),
            most=rng.integers(0, 4, (policies, KINDS)),
            fallback=np.zeros((policies, KINDS), bool),
            base_us=rng.integers(0, 3 * SECOND, policies) // grain * grain,
            most_us=rng.integers(0, 10 * SECOND, policies) // grain * grain,
            factor=rng.choice([1.0, 1.5, 2.0, 3.0], policies),
            jitter=np.zeros(policies),
            stream=words(rng, (int(rng.integers(1, 4)), 2)),
            retry_after=rng.random(policies) < 0.5,
            budget=np.full(policies, np.inf),
            budget_most=np.full(policies, np.inf),
            deadline_us=np.zeros(policies, np.int64),
        ),
    )


def _of_policies(world: World, **columns: Any) -> World:
    return replace(world, retries=replace(world.retries, **columns))


def _jitter(rng: np.random.Generator, world: World, grain: int) -> World:
    return _of_policies(world, jitter=rng.choice([0.0, 0.5, 1.0], len(world.retries.jitter)))


def _fallbacks(rng: np.random.Generator, world: World, grain: int) -> World:
    """Add up to two further lanes; the same lane may come twice."""
    n = len(world.requests)
    second = np.where(_some(rng, n), _lane(rng, world), -1).astype(np.int16)
    third = np.where(_some(rng, n) & (second >= 0), _lane(rng, world), -1).astype(np.int16)
    world = replace(world, requests=replace(world.requests, chain=np.column_stack([world.requests.chain, second, third])))
    return _of_policies(world, fallback=rng.random(world.retries.fallback.shape) < 0.7)


def _budget(rng: np.random.Generator, world: World, grain: int) -> World:
    count = len(world.retries.budget)
    return _of_policies(world, budget=rng.choice([0.0, 0.1, 0.5, np.inf], count), budget_most=rng.choice([0.5, 1.0, 3.0], count))


def _deadline(rng: np.random.Generator, world: World, grain: int) -> World:
    count = len(world.retries.budget)
    return _of_policies(world, deadline_us=rng.integers(0, 10 * SECOND, count) // grain * grain * rng.integers(0, 2, count))


def _timeouts(rng: np.random.Generator, world: World, grain: int) -> World:
    n = len(world.requests)
    timeout = np.where(_some(rng, n), rng.integers(1, 4 * SECOND, n) // grain * grain, 0)
    return replace(world, requests=replace(world.requests, timeout_us=timeout))


def _hedges(rng: np.random.Generator, world: World, grain: int) -> World:
    n = len(world.requests)
    hedge = np.where(_some(rng, n), _lane(rng, world), -1).astype(np.int16)
    after = rng.integers(0, 4 * SECOND, n) // grain * grain * rng.integers(0, 2, n)
    return replace(world, requests=replace(world.requests, hedge=hedge, hedge_after_us=after))


def _cascade(rng: np.random.Generator, world: World, grain: int) -> World:
    n = len(world.requests)
    on = _some(rng, n)
    return replace(
        world,
        requests=replace(
            world.requests,
            escalate=np.where(on, _lane(rng, world), -1).astype(np.int16),
            accepted=rng.random(n) < 0.5,
            verify_us=np.where(on, rng.integers(0, 2 * SECOND, n) // grain * grain * rng.integers(0, 2, n), 0),
        ),
    )


def _batches(rng: np.random.Generator, world: World, grain: int) -> World:
    """Hold some back to the end of their window of ten seconds; a request that follows another may come later than that."""
    requests, window = world.requests, 10 * SECOND
    submit = (requests.arrival_us // window + 1) * window
    return replace(world, requests=replace(requests, submit_us=np.where(_some(rng, len(requests)), submit, 0)))


def _limits(rng: np.random.Generator, world: World, grain: int) -> World:
    quotas = int(rng.integers(1, 3))
    per_minute = np.column_stack(
        [
            rng.choice([1.0, 7.0, 60.0, 90.5, np.inf], quotas),
            rng.choice([500.0, 20_000.0, 1e6 / 3, np.inf], quotas),
            rng.choice([100.0, 10_000.0, np.inf], quotas),
        ]
    )
    quota = rng.integers(-1, quotas, len(world.limits.quota)).astype(np.int16)
    return replace(world, limits=Limits(quota, per_minute))


def _cache(rng: np.random.Generator, world: World, grain: int) -> World:
    n = len(world.requests)
    key = np.where(rng.random(n) < 0.1, -1, np.minimum(rng.zipf(1.3, n) - 1, 5 + n // 4))
    ttl = rng.choice(np.array([1, grain, 2 * SECOND, 10 * SECOND, 2**62]), n)
    ttl = ttl if rng.random() < 0.5 else np.full(n, int(rng.choice(ttl)) if n else 1)
    return replace(
        world,
        responses=replace(
            world.responses,
            key=dense(key),
            ttl_us=ttl,
            capacity=int(rng.choice([1, 2, 5, 1000])),
            lru=bool(rng.random() < 0.5),
            hit_us=int(rng.choice([0, grain, 5_000])),
        ),
    )


def dense(key: Any) -> Any:
    """Return keys numbered from 0 in the order of their size; −1 stays."""
    there = key >= 0
    numbered = np.full(len(key), -1, np.int64)
    numbered[there] = np.unique(key[there], return_inverse=True)[1]
    return numbered


def _near(rng: np.random.Generator, world: World, grain: int) -> World:
    """Let requests that have a key be near up to three other questions."""
    key = world.responses.key
    counts = np.where(key >= 0, rng.integers(0, 4, len(key)), 0)
    near = rng.integers(0, max(1, int(key.max(initial=0)) + 1), counts.sum())
    return replace(world, responses=replace(world.responses, near=near, near_start=np.concatenate([[0], np.cumsum(counts)])))


def _coalesce(rng: np.random.Generator, world: World, grain: int) -> World:
    return replace(world, responses=replace(world.responses, coalesce=True))


def _prompts(rng: np.random.Generator, world: World, grain: int) -> World:
    """Grow prompts from few trees of blocks, so that many share a beginning."""
    n, lanes = len(world.requests), len(world.limits.quota)
    ids: dict[tuple[int, ...], int] = {}
    block: list[int] = []
    counts = rng.integers(0, 7, n)
    for count in counts:
        path: tuple[int, ...] = ()
        for _ in range(count):
            path = (*path, int(rng.integers(0, 2)) if path else 0)
            block.append(ids.setdefault(path, len(ids)))
    return replace(
        world,
        prompts=PromptCacheRules(
            block=np.array(block, np.int64),
            block_start=np.concatenate([[0], np.cumsum(counts)]),
            pool=rng.choice(np.array([-1, 0, 0, 1], np.int16), lanes),
            ttl_us=rng.choice(np.array([0, 3 * SECOND, 30 * SECOND, 300 * SECOND]), lanes),
            least=rng.integers(0, 4, lanes) * 100,
            marked=rng.integers(0, counts + 1),
            block_tokens=rng.choice(np.array([50.0, 100.0, 128.5]), len(counts)),
        ),
    )


PUT_IN = {
    "sessions": _sessions,
    "failures": _failures,
    "routes": _routes,
    "retries": _retries,
    "jitter": _jitter,
    "fallbacks": _fallbacks,
    "budget": _budget,
    "deadline": _deadline,
    "timeouts": _timeouts,
    "hedges": _hedges,
    "cascade": _cascade,
    "batches": _batches,
    "limits": _limits,
    "cache": _cache,
    "near": _near,
    "coalesce": _coalesce,
    "prompts": _prompts,
}
