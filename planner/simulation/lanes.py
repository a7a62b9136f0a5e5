"""Lanes: the models a plan's requests may be sent to, and what each request would use, take and be worth there.

In: requests as the row phase sends them, a plan's fallbacks, hedges and cascades, and fitted outcomes. Out: lanes as the event
phase and the settlement read them, and the order in which a request tries them. Knows nothing of clocks, caches or limits.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from planner.errors import NeedsError, PriceError
from planner.outcomes.validators import Gate, gate
from planner.policies import Cascade, Plan
from planner.prices.call_rules import cancelled
from planner.schema import EVIDENCE, STATUSES, TOKEN_BUCKETS
from planner.simulation.events.inputs import HISTORIES, OK, SCORES
from planner.simulation.events.inputs import Lanes as Timed
from planner.simulation.settings import DRAWS, assigned
from planner.simulation.settle import Lane
from planner.simulation.told import Told
from planner.stats import draws
from planner.traffic.rows import Coded, Rows

if TYPE_CHECKING:
    from planner.simulation.world import World

__all__ = ["Lanes", "lanes_of"]

#: How long a validator that is no model takes [µs]: parsing, not thinking. Assumed.
VERIFY_US = 1_000
#: Visible tokens of a verifier's answer; assumed.
VERDICT_TOKENS = 4
_CODE = np.int16


@dataclass(frozen=True, eq=False)
class Lanes:
    """``L`` lanes of ``n`` requests.

    Parameters
    ----------
    used: what requests use on each. timed: what the event phase reads.
    chain, hedge, escalate, accepted, verify_us: as ``events.inputs.Requests`` describes them; ``hedge`` is never −1.
    gates: of the first lane of each cascade. gated: int64 (n,) the gate of each request, −1: none.
    """

    used: tuple[Lane, ...]
    timed: Timed
    chain: NDArray[np.int16]
    hedge: NDArray[np.int16]
    escalate: NDArray[np.int16]
    accepted: NDArray[np.bool_]
    verify_us: NDArray[np.int64]
    gates: tuple[Gate, ...]
    gated: NDArray[np.int64]

    def quality(self, answers: Told, source: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return q̂ of what each user got, the answer ``source``: of the model that answered, given what its validator said.

        A refused answer is given after all where the model that was asked again failed.
        """
        out = np.column_stack([use.quality for use in self.used])[np.arange(len(source)), answers.lane[source]]
        for code, own in enumerate(self.gates):
            judged = np.where(answers.again[source], own.refused(out), own.quality(out))
            out = np.where(answers.gate[source] == code, judged, out)
        return np.asarray(out)


def lanes_of(world: World, plan: Plan, at: NDArray[np.int64], observed: Rows, rows: Rows, sent: Coded) -> Lanes:
    """Return the lanes of ``rows`` as ``sent``; ``observed`` are the same requests as logged, ``at`` their positions in the log."""
    app = rows.app
    falls, hedges, cascades = (plan.of_key(key) for key in ("fallback", "hedge", "cascade"))
    present = [sent.values[c] for c in np.unique(sent.codes)]
    further = [*(m for f in falls for m in f.models), *(h.model for h in hedges if h.model)]
    further += [*(m for c in cascades for m in (c.first, c.then)), *(world.part.models if world.part else ())]
    names = tuple(sorted({*present, *further}))
    place = {m: i for i, m in enumerate(names)}
    first = np.array([place.get(v, 0) for v in sent.values], _CODE)[sent.codes]
    used = tuple(lane(world, m, at, observed, rows) for m in names)
    gated = assigned(cascades, app)
    gates = tuple(gate_of(world, c) for c in cascades)
    hedge = _pick([place[h.model] if h.model else -1 for h in hedges], assigned(hedges, app), -1)
    escalate = _pick([place[c.then] for c in cascades], gated, -1)
    return Lanes(
        used,
        timed(world, plan, used, rows),
        np.column_stack([first, *_after(falls, assigned(falls, app), place, first)]),
        np.where(hedge < 0, first, hedge),
        escalate,
        _accepted(world, rows, gates, gated, used, first),
        _verifying(world, cascades, gated, used, rows),
        gates,
        gated,
    )


def _pick(values: Sequence[int], which: NDArray[np.int64], otherwise: int) -> NDArray[np.int16]:
    return np.array([*values, otherwise], _CODE)[which]


def _after(falls: Sequence[object], which: NDArray[np.int64], place: dict[str, int], first: NDArray[np.int16]) -> list[NDArray[np.int16]]:
    """Return the lanes after the first; a request's own model is never its own fallback, and gaps close up."""
    most = max((len(f.models) for f in falls), default=0)  # type: ignore[attr-defined]
    if not most:
        return []
    listed = [[place[m] for m in f.models] + [-1] * (most - len(f.models)) for f in falls]  # type: ignore[attr-defined]
    table = np.array([*listed, [-1] * most], _CODE).reshape(-1, most)[which]
    table = np.where(table == first[:, None], _CODE(-1), table)
    order = np.argsort(table < 0, axis=1, kind="stable")
    return list(np.take_along_axis(table, order, axis=1).T)


def _accepted(
    world: World, rows: Rows, gates: Sequence[Gate], gated: NDArray[np.int64], used: Sequence[Lane], first: NDArray[np.int16]
) -> NDArray[np.bool_]:
    """Draw whether the first answer passes, by what its predicted quality makes likely; where no label tells, by one half."""
    quality = np.column_stack([use.quality for use in used])[np.arange(len(rows)), first]
    chance = np.ones(len(rows))
    for code, own in enumerate(gates):
        chance[gated == code] = own.accepted(np.nan_to_num(quality[gated == code], nan=0.5))
    return np.asarray(draws.uniform(world.seed, rows.key, "accepted") < chance)


def lane(world: World, model: str, at: NDArray[np.int64], observed: Rows, rows: Rows) -> Lane:
    """Return what ``rows`` would use on ``model``; where that is the logged one, and nothing else changed, what they used.

    A request that failed without any tokens is assumed to need what its app's answered requests do. ``observed`` are the same
    requests as logged, ``at`` their positions in the log.
    """
    sent = Coded(np.zeros(len(rows), np.int32), (model,))
    guessed = (rows.status != OK) & (rows.tokens.sum(axis=1) == 0)
    tokens, evidence, _ = world.outcomes.tokens(answered(world, rows, guessed), sent)
    evidence = np.where(guessed, EVIDENCE.index("assumed"), evidence).astype(np.int8)
    stays = ~sent.differs(observed.model)
    provider = world.outcomes.providers.get(model) or world.facts.provider(model)
    served = Coded(np.where(stays, observed.provider.codes, len(observed.provider.values)), (*observed.provider.values, provider))
    quality = world.outcomes.quality(Coded(np.zeros(len(world.rows), np.int32), (model,)))[at]
    return Lane(model, provider, served, tokens, evidence, quality, billed=_billed(world, model, provider))


def _billed(world: World, model: str, provider: str) -> tuple[str, str]:
    """Return what is billed of the answer of a cancelled call, streamed and not; the dearest where we know no rule."""
    try:
        rule = cancelled(world.book.resolve(model, provider or None)[0], dt.date.fromisoformat(world.day))
    except PriceError:
        rule = None
    return (rule.streamed, rule.whole) if rule else ("full", "full")


def answered(world: World, rows: Rows, guessed: NDArray[np.bool_]) -> Rows:
    """Return ``rows`` with the mean tokens of their app's answered requests where ``guessed``."""
    if not guessed.any():
        return rows
    tokens = rows.tokens.copy()
    for app in np.unique(rows.app.codes[guessed]):
        typical = world.facts.typical(rows.app.values[app])
        if typical is not None:
            tokens[guessed & (rows.app.codes == app)] = typical
    return replace(rows, tokens=tokens)


def gate_of(world: World, cascade: Cascade) -> Gate:
    """Return how the first model's answers pass the cascade's validators and verifier, from held-out labels."""
    answers = world.outcomes.answers
    if answers is None:
        raise NeedsError(f"a cascade from {cascade.first} needs labels", fix="fit_outcomes with the labels and the training on them")
    return gate(answers, cascade.first, (*cascade.validators, *([cascade.verifier] if cascade.verifier else [])))


def verified(use: Lane) -> NDArray[np.int64]:
    """Return the tokens (n, 6) of asking a model whether the lane's answer is good: question and answer read, a word given."""
    out = np.zeros((len(use.tokens), len(TOKEN_BUCKETS)), np.int64)
    out[:, 0] = use.tokens[:, :5].sum(axis=1)
    out[:, 4] = VERDICT_TOKENS
    return out


def _verifying(world: World, cascades: Sequence[Cascade], gated: NDArray[np.int64], used: Sequence[Lane], rows: Rows) -> NDArray[np.int64]:
    """Return how long each request's answer is being checked [µs]: as long as the verifier takes, else hardly at all."""
    out = np.where(gated >= 0, VERIFY_US, 0).astype(np.int64)
    for code, cascade in enumerate(cascades):
        if cascade.verifier and world.outcomes.latency:
            on = np.flatnonzero(gated == code)
            first = next(use for use in used if use.model == cascade.first)
            tokens = verified(first)[on]
            out[on] = world.outcomes.latency.expected_us(rows.take(on), cascade.verifier, tokens)[1]
    return out


def timed(world: World, plan: Plan, used: Sequence[Lane], rows: Rows) -> Timed:
    """Return what the event phase reads of the lanes; a log without latencies makes every call instant.

    Under no lever of retries a call stands for all that the gateway tries today, and fails as requests end, not as single calls do.
    Each timeout of the plan has cells of its own, after those of requests under none.
    """
    latency, failures, n, many = world.outcomes.latency, world.outcomes.call_failures, len(rows), len(used)
    first, whole = np.ones((n, many), np.int64), np.ones((n, many), np.int64)
    residual = np.ones((many, len(SCORES)))
    cell, tried = np.zeros(n, np.int32), assigned(plan.of_key("retry"), rows.app) >= 0
    tables, took = [np.zeros((1, HISTORIES, 5))] * many, np.ones((many, 6), np.int64)
    timeouts = plan.of_key("timeout")
    for code, use in enumerate(used):
        if latency:
            first[:, code], whole[:, code] = latency.expected_us(rows, use.model, use.tokens, use.provider)
            residual[code] = latency.speed(use.model).residual.at(SCORES)
        if failures:
            limited = bool(plan.of_key("rate_limit"))
            each = [_failing(world, use.model, limited, ms) for ms in (None, *(t.ms for t in timeouts))]
            tables[code] = np.concatenate(each)
            took[code] = np.maximum(failures.took_us(use.model, bool(timeouts)), 1)
            own = np.where(tried, failures.cells(rows), len(each[0]) - 1)
            cell = (own + len(each[0]) * (assigned(timeouts, rows.app) + 1)).astype(np.int32)
    hedges = [h.correlation for h in plan.of_key("hedge") if h.correlation is not None]
    return Timed(
        first_us=first,
        whole_us=whole,
        input_tokens=np.column_stack([use.tokens[:, :4].sum(axis=1) for use in used]),
        output_tokens=np.column_stack([use.tokens[:, 4:].sum(axis=1) for use in used]),
        cell=cell,
        failure=np.stack(tables, axis=1),
        failed_us=took,
        residual=residual,
        rho=hedges[0] if hedges else latency.alike.value if latency else 0.0,
        stream=np.array([_streams(world.seed, use.model) for use in used], np.uint64),
    )


def _failing(world: World, model: str, limited: bool, limit_ms: float | None) -> NDArray[np.float64]:
    """Return the cumulative probabilities of the kinds of failure: those of single calls by cell, and last those of whole requests.

    A model that the log hardly knows fails as single calls do. Where limits are simulated, nothing else refuses a call for its rate, and
    where calls are given up after ``limit_ms``, none times out but by how long it takes.
    """
    failures = world.outcomes.call_failures
    single = failures.probabilities(model, limit_ms=limit_ms) if failures else np.zeros((1, HISTORIES, 5))
    ended, kept = world.outcomes.failures.get(model), failures.given_up.kept(model, limit_ms) if failures else 1.0
    whole = single[-1:] if ended is None else np.broadcast_to(np.cumsum(ended[1:] * kept), (1, HISTORIES, 5))
    table = np.concatenate([single, whole])
    return unlimited(table) if limited else table


def _streams(seed: int, model: str) -> list[list[NDArray[np.uint64]]]:
    """Return the constants of the draws of a model's first DRAWS calls: failure, radius and angle."""
    return [[draws.constants(seed, f"{what}:{model}/{k}") for what in ("failure", "radius", "angle")] for k in range(DRAWS)]


def unlimited(cumulative: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return cumulative probabilities of the kinds (…, 5) without refusals for the rate; the others stay as likely as they were.

    >>> unlimited(np.array([0.1, 0.4, 0.5, 0.5, 0.5])).round(3).tolist()
    [0.1, 0.1, 0.2, 0.2, 0.2]
    """
    each = np.diff(cumulative, axis=-1, prepend=0.0)
    each[..., STATUSES.index("rate_limit") - 1] = 0.0
    return np.asarray(np.cumsum(each, axis=-1))
