"""Replay: what happens to a plan's requests when levers hold state that spans them.

In: an opened world, a plan with event levers, and what each request would send. Out: the calls that are made, and how the
requests end, as a Side. The users' own requests that reached a provider take part, in order of arrival; all others stay as
logged. A request that no lever touches keeps its logged outcome. Knows nothing of estimates or groups.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from planner.outcomes import Calls
from planner.policies import Intents, Plan
from planner.schema import STATUSES
from planner.simulation.accounting import price_calls, refuse_unpriced
from planner.simulation.events.inputs import Happened, Log, Names, Requests
from planner.simulation.events.inputs import World as Events
from planner.simulation.lanes import Lanes, lanes_of
from planner.simulation.settings import US_PER_MS, assigned, limits, per_request, retries
from planner.simulation.settle import calls_of, side_of, weakest
from planner.simulation.shared import prompts, responses, writing
from planner.simulation.side import Side
from planner.simulation.told import Told, source_of, told
from planner.simulation.verify import with_verifiers
from planner.stats import draws
from planner.traffic.rows import Coded, Rows

if TYPE_CHECKING:
    from planner.simulation.world import World

__all__ = ["SITTING_US", "Ready", "Replay", "over", "ready", "replay"]

#: Turns of a session that come further apart than this are taken to begin by themselves [µs].
SITTING_US = 3_600_000_000
LIMITED = STATUSES.index("rate_limit")


@dataclass(frozen=True, eq=False)
class Ready:
    """The requests ``at`` (n,) of the log that take part, as the event phase is given them: ``rows`` as they are sent."""

    at: NDArray[np.int64]
    rows: Rows
    lanes: Lanes
    events: Events
    names: Names


@dataclass(frozen=True, eq=False)
class Replay:
    """What happened: ``at`` (n,) are the rows of the log that took part; ``calls`` and ``happened`` count among them."""

    at: NDArray[np.int64]
    calls: Calls
    happened: Happened
    side: Side


def replay(world: World, plan: Plan, intents: Intents, sent: Coded, rows: Rows) -> Replay:
    """Let the requests of ``world`` happen under ``plan``; ``rows`` and ``sent`` are what the row phase made of them."""
    from planner.simulation.events.kernel import happen  # numba is slow to import, and plans without state do without it

    at_once = ready(world, plan, intents, sent, rows)
    return over(world, plan, at_once, happen(at_once.events), sent, rows)[0]


def ready(world: World, plan: Plan, intents: Intents, sent: Coded, rows: Rows) -> Ready:
    """Return what the event phase is given."""
    at = in_order(rows, rows.steerable)
    mine, own = rows.take(at), Coded(sent.codes[at], sent.values)
    lanes = lanes_of(world, plan, at, world.rows.take(at), mine, own)
    log = logged(world, plan, world.rows.take(at), mine, lanes)
    answers, keys = responses(world, plan, at, sent)
    caches, blocks = prompts(world, plan, at, lanes)
    fresh = None if world.part is None else world.part.fresh[at]
    events = Events(
        requests_of(plan, mine, lanes, log, intents.submit_ms[at], world.facts.start, fresh),
        lanes.timed,
        log,
        retries(plan, mine.app, world.seed),
        answers,
        caches,
        limits(plan, [use.model for use in lanes.used], [use.provider for use in lanes.used]),
    )
    models = tuple(use.model for use in lanes.used)
    row = at if world.part is None else world.part.positions[at]
    return Ready(at, mine, lanes, events, Names(row, models, models, keys, blocks))


def over(
    world: World, plan: Plan, begun: Ready, happened: Happened, sent: Coded, rows: Rows, before: Told | None = None
) -> tuple[Replay, Told]:
    """Account for what ``happened``; ``before`` are the answers of requests long done that may have been served again.

    Returns also what was answered, to these requests and those before them.
    """
    lanes, log, mine, at = begun.lanes, begun.events.log, begun.rows, begun.at
    cached = bool((begun.events.prompts.pool >= 0).any())
    covered = assigned(plan.of_key("prompt_cache"), mine.app) >= 0
    prefixes = world.prints.prefixes.take(at, covered) if cached else None
    calls = calls_of(happened, writing(world, plan, lanes), log, mine, prefixes, covered)
    calls = with_verifiers(world, plan, calls, happened, lanes)
    priced = price_calls(calls, mine, world.book, world.at)
    refuse_unpriced(priced, calls.model.differs(Coded(world.rows.model.codes[at][calls.row], world.rows.model.values)))
    asked = begun.events.responses.key
    key = np.append(begun.names.key, np.uint64(0))[asked]
    answers = told(begun.names.lane, happened, lanes.chain[:, 0], lanes.gated, weakest(calls, priced, len(at)), key)
    answers = before.before(answers) if before else answers
    side = side_of(calls, priced, happened, answers, lanes.quality(answers, source_of(happened)), world.has_price[at], mine.streamed)
    side = replace(side, calls=side.calls + unseen(plan, happened, log, mine))
    return Replay(at, calls, happened, merged(world.side(sent, rows), at, side)), answers


def unseen(plan: Plan, happened: Happened, log: Log, rows: Rows) -> NDArray[np.int64]:
    """Return the logged attempts of each request that stand in one call here, because no lever tries again for it."""
    kept = np.zeros(len(rows), bool)
    kept[happened.row[(happened.lane == log.lane[happened.row]) & (happened.drawn == 0)]] = True
    return np.where(kept & (assigned(plan.of_key("retry"), rows.app) < 0), rows.attempts - 1, 0)


def in_order(rows: Rows, part: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the positions where ``part`` is true by (arrival, request id)."""
    at = np.flatnonzero(part)
    order = at[np.argsort(rows.timestamp[at], kind="stable")]
    when = rows.timestamp[order]
    tied = np.flatnonzero(np.append(False, when[1:] == when[:-1]) | np.append(when[1:] == when[:-1], False))
    if len(tied):
        keys = sorted(tied.tolist(), key=lambda i: (when[i], rows.request_id[order[i]]))
        order[tied] = order[keys]
    return order


def requests_of(
    plan: Plan,
    rows: Rows,
    lanes: Lanes,
    log: Log,
    submit_ms: NDArray[np.float64],
    start: np.datetime64,
    fresh: NDArray[np.bool_] | None = None,
) -> Requests:
    """Return the requests as the event phase reads them; turns follow each other where the log has them apart.

    Time counts from ``start``. Of a part of the log, only the ``fresh`` requests follow others: those carried into it know already.
    """
    app = rows.app
    arrival = (rows.timestamp - start).astype("timedelta64[us]").astype(np.int64)
    session = rows.session if fresh is None else np.where(fresh, rows.session, -1)
    follows, think = turns(session, arrival, arrival + log.whole_us)
    hedges = plan.of_key("hedge")
    hedged = assigned(hedges, app)
    after = per_request(hedges, app, "after_ms")
    whole = partial(np.rint)
    return Requests(
        arrival_us=arrival,
        key=rows.key,
        follows=follows,
        think_us=think,
        submit_us=np.where(submit_ms > 0, arrival + whole(submit_ms * US_PER_MS).astype(np.int64), 0),
        chain=lanes.chain,
        escalate=lanes.escalate,
        accepted=lanes.accepted,
        verify_us=lanes.verify_us,
        hedge=np.where(hedged >= 0, lanes.hedge, -1).astype(np.int16),
        hedge_after_us=whole(after * US_PER_MS).astype(np.int64),
        timeout_us=whole(per_request(plan.of_key("timeout"), app, "ms") * US_PER_MS).astype(np.int64),
    )


def turns(session: NDArray[np.int64], arrival: NDArray[np.int64], done: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return whom each request follows in its session and the pause [µs] after that one's answer; −1 and 0 for the others.

    A turn that came before the last answer was complete does not wait for it, nor does one that came SITTING_US or more after the
    last turn: that is a new sitting, and it begins when it began.

    >>> turns(np.array([7, -1, 7]), np.array([0, 5, 100]), np.array([60, 9, 130]))
    (array([-1, -1,  0]), array([ 0,  0, 40]))
    """
    follows, think = np.full(len(session), -1, np.int64), np.zeros(len(session), np.int64)
    order = np.argsort(session, kind="stable")
    before, after = order[:-1], order[1:]
    pause = arrival[after] - done[before]
    soon = arrival[after] - arrival[before] < SITTING_US
    linked = (session[before] == session[after]) & (session[after] >= 0) & (pause >= 0) & soon
    follows[after[linked]], think[after[linked]] = before[linked], pause[linked]
    return follows, think


def logged(world: World, plan: Plan, observed: Rows, rows: Rows, lanes: Lanes) -> Log:
    """Return what was observed on each request's logged lane; under no lever of retries, its calls count as one.

    A request that is sent with another tier has no logged outcome there. Where limits are simulated, refusals of the log are taken
    out first: they were those of its own limits.
    """
    latency, failures = world.outcomes.latency, world.outcomes.call_failures
    tried = assigned(plan.of_key("retry"), rows.app) >= 0
    place = {use.model: i for i, use in enumerate(lanes.used)}
    lane = np.array([place.get(m, -1) for m in observed.model.values], np.int16)[observed.model.codes]
    lane[rows.tier.differs(observed.tier)] = -1
    score = latency.scores(observed, world.seed) if latency else np.zeros(len(rows))
    first, last = latency.logged_us(observed, score) if latency else (np.ones(len(rows), np.int64),) * 2
    spanned = np.rint(observed.latency_ms * US_PER_MS)
    whole = np.where(tried | ~np.isfinite(spanned), last, np.maximum(np.nan_to_num(spanned), 1)).astype(np.int64)
    first = np.clip(first + (whole - last if latency else 0), 1, whole)  # what was tried before the last call came before its first token
    begun = np.rint(observed.ttft_ms * US_PER_MS)
    first = np.where(tried | ~np.isfinite(begun), first, np.clip(np.nan_to_num(begun), 1, whole)).astype(np.int64)
    kind = failures.earlier_kind(observed, draws.uniform(world.seed, observed.key, "earlier")) if failures else np.ones(len(rows), np.int8)
    earlier = np.where(tried, np.maximum(observed.attempts - 1, 0), 0)
    if plan.of_key("rate_limit"):
        lane[observed.status == LIMITED] = -1
        earlier[kind == LIMITED] = 0
    return Log(lane, earlier, kind, observed.status, first, whole, score)


def merged(whole: Side, at: NDArray[np.int64], part: Side) -> Side:
    """Return ``whole`` with the rows ``at`` replaced by ``part``."""
    names = tuple(dict.fromkeys((*whole.model.values, *part.model.values)))
    codes = np.array([names.index(v) for v in whole.model.values], np.int32)[whole.model.codes]
    codes[at] = np.array([names.index(v) for v in part.model.values], np.int32)[part.model.codes]
    changes: dict[str, Any] = {"model": Coded(codes, names)}
    for name, values in vars(part).items():
        if name != "model":
            changed = getattr(whole, name).copy()
            changed[at] = values
            changes[name] = changed
    return replace(whole, **changes)
