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
from planner.simulation.events.inputs import Happened, Log, Requests
from planner.simulation.events.inputs import World as Events
from planner.simulation.lanes import Lanes, lanes_of
from planner.simulation.settings import US_PER_MS, assigned, limits, per_request, retries
from planner.simulation.settle import calls_of, side_of
from planner.simulation.shared import prompts, responses, writing
from planner.simulation.side import Side
from planner.simulation.verify import with_verifiers
from planner.stats import draws
from planner.traffic.rows import Coded, Rows

if TYPE_CHECKING:
    from planner.simulation.world import World

__all__ = ["Replay", "replay"]

LIMITED = STATUSES.index("rate_limit")


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

    at = in_order(rows, rows.steerable)
    mine, own = rows.take(at), Coded(sent.codes[at], sent.values)
    lanes = lanes_of(world, plan, at, world.rows.take(at), mine, own)
    log = logged(world, plan, world.rows.take(at), mine, lanes)
    events = Events(
        requests_of(plan, mine, lanes, log, intents.submit_ms[at]),
        lanes.timed,
        log,
        retries(plan, mine.app, world.seed),
        responses(world, plan, at, sent),
        prompts(world, plan, at, lanes),
        limits(plan, [use.model for use in lanes.used], [use.provider for use in lanes.used]),
    )
    happened = happen(events)
    cached = bool((events.prompts.pool >= 0).any())
    used = writing(world, plan, lanes)
    covered = assigned(plan.of_key("prompt_cache"), mine.app) >= 0
    calls = calls_of(happened, used, log, mine, world.prints.prefixes.take(at, covered) if cached else None, covered)
    calls = with_verifiers(world, plan, calls, happened, lanes)
    priced = price_calls(calls, mine, world.book, world.at)
    refuse_unpriced(priced, calls.model.differs(Coded(world.rows.model.codes[at][calls.row], world.rows.model.values)))
    another = (happened.source >= 0) & (events.responses.key[happened.source] != events.responses.key)
    side = side_of(calls, priced, happened, mine, np.where(another, np.nan, lanes.quality(happened)), another, world.has_price[at])
    side = replace(side, calls=side.calls + unseen(plan, happened, log, mine))
    return Replay(at, calls, happened, merged(world.side(sent, rows), at, side))


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


def requests_of(plan: Plan, rows: Rows, lanes: Lanes, log: Log, submit_ms: NDArray[np.float64]) -> Requests:
    """Return the requests as the event phase reads them; turns follow each other where the log has them apart."""
    n, app = len(rows), rows.app
    arrival = (rows.timestamp - rows.timestamp.min()).astype("timedelta64[us]").astype(np.int64) if n else np.zeros(0, np.int64)
    follows, think = turns(rows.session, arrival, arrival + log.whole_us)
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

    A turn that came before the last answer was complete does not wait for it.

    >>> turns(np.array([7, -1, 7]), np.array([0, 5, 100]), np.array([60, 9, 130]))
    (array([-1, -1,  0]), array([ 0,  0, 40]))
    """
    follows, think = np.full(len(session), -1, np.int64), np.zeros(len(session), np.int64)
    order = np.argsort(session, kind="stable")
    before, after = order[:-1], order[1:]
    pause = arrival[after] - done[before]
    linked = (session[before] == session[after]) & (session[after] >= 0) & (pause >= 0)
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
    first, whole = latency.logged_us(observed, score) if latency else (np.ones(len(rows), np.int64),) * 2
    spanned = np.rint(observed.latency_ms * US_PER_MS)
    whole = np.where(tried | ~np.isfinite(spanned), whole, np.maximum(np.nan_to_num(spanned), 1)).astype(np.int64)
    begun = np.rint(observed.ttft_ms * US_PER_MS)
    first = np.where(tried | ~np.isfinite(begun), np.minimum(first, whole), np.clip(np.nan_to_num(begun), 1, whole)).astype(np.int64)
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
