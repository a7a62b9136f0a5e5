"""Let the requests of a log happen under what was configured, knowing only what its first period tells.

In: a world with outcome models of the first period, the plan that was configured, and Donors. Out: per request what it is expected to
use and how it ends, as means over a few runs, and the latencies of those runs; and the same of what did happen. Arrivals are as logged.
Knows nothing of intervals or verdicts.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from planner.comparison.backtest_blind import Blind, Donors
from planner.outcomes import Calls, Outcomes
from planner.outcomes.hours import Hours, hour_of
from planner.policies import Plan
from planner.schema import STATUSES, TOKEN_BUCKETS
from planner.simulation import AS_LOGGED, World
from planner.simulation.accounting import price_calls
from planner.simulation.events.inputs import Happened, Log
from planner.simulation.events.inputs import World as Events
from planner.simulation.lanes import lanes_of
from planner.simulation.replay import in_order, requests_of
from planner.simulation.settings import assigned, limits, retries
from planner.simulation.settle import Lane, cached
from planner.simulation.shared import prompts, responses, writing
from planner.stats import draws
from planner.text.prints import Prefixes
from planner.traffic.rows import Rows
from planner.units import PUSD_PER_USD

__all__ = ["MEASURES", "NEAR", "Played", "Timed", "observed", "play"]

F64 = NDArray[np.float64]
#: What is predicted of every request; ``prompt_cache_tokens`` are those that the simulated cache alone gives, ``calls`` count retries.
MEASURES = (
    "usd", "input_tokens", "cache_read_tokens", "output_tokens", "failures", *(f"failures_{k}" for k in STATUSES[1:]),
    "calls", "cache_hits", "prompt_cache_tokens",
)  # fmt: skip
#: A simulated cache is used for the bill of an app and model if it comes this near to what the first period logged.
NEAR = 0.05
_WEEK, _DAY = 168, 24
_READ = TOKEN_BUCKETS.index("cache_read_tokens")


@dataclass(frozen=True, eq=False)
class Timed:
    """Latencies of answered requests: ``row`` (m,) positions in the log, ``ms`` (m,)."""

    row: NDArray[np.int64]
    ms: F64


@dataclass(frozen=True, eq=False)
class Played:
    """``mean`` (n, MEASURES) of every request of the log; 0 where it is none of the users' own.

    ``times``: latencies of all runs. ``simulated`` (n,): the prompt cache was simulated; ``trusted`` (n,): it is what is billed.
    ``unpriced`` (n,): has no price. ``source`` (n,): whose answers stand for its own (``backtest_blind``).
    """

    mean: F64
    times: tuple[Timed, ...]
    simulated: NDArray[np.bool_]
    trusted: NDArray[np.bool_]
    unpriced: NDArray[np.bool_]
    source: NDArray[np.int8] = field(repr=False)


def observed(world: World, simulated: NDArray[np.bool_]) -> Played:
    """Return what did happen, in the same terms; ``simulated`` (n,) as the prediction has it."""
    rows = world.rows
    tokens = np.where(rows.billable[:, None], rows.tokens, 0)
    usd, unpriced = _usd(world, rows, tokens, rows.billable)
    found = _measures(rows.demand, usd, tokens, rows.status, np.where(rows.billable, rows.attempts, 0), ~rows.billable, simulated)
    answered = np.flatnonzero(rows.demand & (rows.status == 0) & (rows.latency_ms > 0))
    times = (Timed(answered, rows.latency_ms[answered]),)
    return Played(found, times, simulated, simulated, unpriced, np.zeros(len(rows), np.int8))


def play(
    world: World,
    plan: Plan,
    donors: Donors,
    first: NDArray[np.bool_],
    hits: F64,
    runs: int,
    progress: Callable[[str, float], None],
) -> Played:
    """Let all happen ``runs`` times.

    ``first`` (n,) are the rows of the first period, ``hits`` (apps,) the share that its response cache answered there: for questions
    whose text the log lacks. Each run lives through other weeks of the first period's provider-hours; what an hour did to failures is
    left out, since no hour of the last period is known.
    """
    rows, at = world.rows, in_order(world.rows, world.rows.demand)
    total: F64 = np.zeros((len(rows), len(MEASURES)))
    times, trusted, simulated, unpriced = [], None, np.zeros(len(rows), bool), np.zeros(len(rows), bool)
    for run in range(runs):
        progress("simulating", run / runs)
        mine = copy.copy(world)
        mine.seed, mine.outcomes = world.seed + run, relived(world.outcomes, rows, run)
        blind = donors.draw(mine.seed)
        ended = _run(mine, plan, blind, at, hits)
        simulated = ended.simulated
        trusted = _trusted(donors, first, ended) if trusted is None else trusted
        tokens = np.where(trusted[:, None] & ended.answered[:, None], ended.cached, blind.rows.tokens)
        tokens[ended.status > 0] = donors.failed[rows.app.codes[ended.status > 0]]
        tokens[ended.hit | ~rows.demand] = 0
        usd, unpriced = _usd(mine, blind.rows, tokens, rows.demand & ~ended.hit)
        told = tokens.copy()
        told[:, _READ] = np.where(simulated & ended.answered, ended.cached[:, _READ], 0)
        total += _measures(rows.demand, usd, tokens, ended.status, ended.calls, ended.hit, simulated, told[:, _READ])
        well = np.flatnonzero(rows.demand & (ended.status == 0) & np.isfinite(ended.latency_ms))
        times.append(Timed(well, ended.latency_ms[well]))
    assert trusted is not None
    return Played(total / runs, tuple(times), simulated, trusted, unpriced, blind.source)


@dataclass(frozen=True, eq=False)
class _Ended:
    """How every request of the log ended in one run, (n,) each; ``cached`` (n, 6) its tokens as the simulated prompt cache splits them.

    ``answered``: by a provider.
    """

    status: NDArray[np.int8]
    calls: NDArray[np.int64]
    hit: NDArray[np.bool_]
    latency_ms: F64
    cached: NDArray[np.int64]
    answered: NDArray[np.bool_]
    simulated: NDArray[np.bool_]


def _run(world: World, plan: Plan, blind: Blind, at: NDArray[np.int64], hits: F64) -> _Ended:
    from planner.simulation.events.kernel import happen  # numba is slow to import

    mine = blind.rows.take(at)
    lanes, n = lanes_of(world, plan, at, mine, mine, mine.model), len(at)
    zero: NDArray[np.int64] = np.zeros(n, np.int64)
    log = Log(np.full(n, -1, np.int16), zero, np.ones(n, np.int8), np.zeros(n, np.int8), zero + 1, zero + 1, np.zeros(n))
    asked = requests_of(plan, mine, lanes, log, np.zeros(n), world.rows.timestamp.min())
    answers, caches = responses(world, plan, at, blind.rows.model)[0], prompts(world, plan, at, lanes)[0]
    quotas = limits(plan, [use.model for use in lanes.used], [use.provider for use in lanes.used])
    apart = replace(asked, follows=np.full(n, -1, np.int64), think_us=zero)
    happened = happen(Events(apart, lanes.timed, log, retries(plan, mine.app, world.seed), answers, caches, quotas))
    cover = assigned(plan.of_key("prompt_cache"), mine.app) >= 0
    prefixes = world.prints.prefixes.take(at, cover)
    split, simulated = _split(happened, writing(world, plan, lanes), mine.tokens, prefixes, cover & (prefixes.size > 0), lanes.chain[:, 0])
    return _spread(world, blind.rows, at, happened, split, simulated, answers.key < 0, hits)


def _split(
    happened: Happened,
    used: Sequence[Lane],
    tokens: NDArray[np.int64],
    prefixes: Prefixes,
    covered: NDArray[np.bool_],
    lane: NDArray[np.int16],
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return ``tokens`` (n, 6) with their input split as the simulated prompt caches have it, and of which requests they tell."""
    out, call = tokens.copy(), happened.answer[happened.answer >= 0]
    for code, use in enumerate(used):
        mine = call[happened.lane[call] == code]
        mine = mine[covered[happened.row[mine]]]
        if use.writes and len(mine):
            row = happened.row[mine]
            out[row] = cached(tokens[row], prefixes, row, happened.warm[mine], happened.written[mine], use.writes)
    return out, covered & np.array([use.writes > 0 for use in used], bool)[lane]


def _spread(
    world: World,
    rows: Rows,
    at: NDArray[np.int64],
    happened: Happened,
    split: NDArray[np.int64],
    simulated: NDArray[np.bool_],
    untold: NDArray[np.bool_],
    hits: F64,
) -> _Ended:
    """Lay what happened out over the rows of the log; questions that are ``untold`` hit the response cache by chance."""
    n = len(rows)
    lucky = untold & (draws.uniform(world.seed, rows.key[at], "hit") < hits[rows.app.codes[at]])
    served = (happened.source >= 0) | lucky
    status, made, latency, hit = np.zeros(n, np.int8), np.zeros(n, np.int64), np.full(n, np.nan), np.zeros(n, bool)
    status[at] = np.where(lucky, 0, happened.end)
    made[at] = np.where(lucky, 0, np.bincount(happened.row, minlength=len(at)))
    hit[at] = served
    if world.outcomes.latency is not None:
        latency[at] = np.where(lucky, np.nan, (happened.done_us - happened.arrived_us) / 1_000)
    tokens, answered, known = rows.tokens.copy(), np.zeros(n, bool), np.zeros(n, bool)
    tokens[at] = split
    answered[at], known[at] = (happened.answer >= 0) & ~served, simulated
    return _Ended(status, made, hit, latency, tokens, answered, known)


def _trusted(donors: Donors, first: NDArray[np.bool_], ended: _Ended) -> NDArray[np.bool_]:
    """Say where the simulated prompt cache is used: in apps and models whose first period it reproduces."""
    seen = np.flatnonzero(first & ended.simulated & ended.answered)
    size = len(donors.cells)
    logged, found = (
        np.bincount(donors.cell[seen], t[seen, _READ].astype(float), minlength=size) for t in (donors.rows.tokens, ended.cached)
    )
    near = (np.abs(found - logged) <= NEAR * logged) & (logged > 0)
    return np.asarray(near[donors.cell] & ended.simulated)


def _usd(world: World, rows: Rows, tokens: NDArray[np.int64], billed: NDArray[np.bool_]) -> tuple[F64, NDArray[np.bool_]]:
    """Return what every row costs at the prices of its own time [USD], and which have no price."""
    n = len(rows)
    calls = Calls(
        np.arange(n), np.zeros(n, np.int32), np.zeros(n, np.int8), rows.provider, rows.model, rows.tier, tokens,
        np.zeros(n), np.zeros(n), rows.status, rows.evidence,
    )  # fmt: skip
    priced = price_calls(calls, rows, world.book, AS_LOGGED)
    return np.where(billed, priced.cost_pusd, 0) / PUSD_PER_USD, priced.reason != 0


def _measures(
    demand: NDArray[np.bool_],
    usd: F64,
    tokens: NDArray[np.int64],
    status: NDArray[np.int8],
    calls: NDArray[np.int64],
    hit: NDArray[np.bool_],
    simulated: NDArray[np.bool_],
    told: NDArray[np.int64] | None = None,
) -> F64:
    kinds = status[:, None] == np.arange(1, len(STATUSES))
    told = np.where(simulated, tokens[:, _READ], 0) if told is None else told
    uncached, output = tokens[:, [0, 2, 3]].sum(axis=1), tokens[:, 4:].sum(axis=1)
    columns = np.column_stack([usd, uncached, tokens[:, _READ], output, status > 0, kinds, calls, hit, told]).astype(float)
    return np.where(demand[:, None], columns, 0.0)


def relived(outcomes: Outcomes, rows: Rows, run: int) -> Outcomes:
    """Return ``outcomes`` for hours that were not seen: latencies live through earlier weeks (else days) again, failures through none.

    Run after run other ones, counted back from the first that is far enough.
    """
    latency, failures = outcomes.latency, outcomes.call_failures
    until = int(hour_of(rows.timestamp).max()) + 1
    if latency is not None:
        latency = replace(latency, hours=_again(latency.hours, until, run))
    if failures is not None:
        flat = tuple(replace(h, values=np.full_like(h.values, h.neutral)) for h in failures.hours)
        failures = replace(failures, hours=flat)
    return replace(outcomes, latency=latency, call_failures=failures)


def _again(hours: Hours, until: int, run: int) -> Hours:
    seen = hours.values.shape[1]
    period = next((p for p in (_WEEK, _DAY) if seen >= p), 0)
    if not period:
        return hours
    hour = np.arange(seen, max(until - hours.first, seen))
    known = seen // period
    back = -(-(hour - seen + 1) // period)
    source = hour - period * (back + (run % known))
    source = np.where(source < 0, source + period * known, source)
    return replace(hours, values=np.column_stack([hours.values, hours.values[:, source]]))
