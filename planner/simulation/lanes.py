"""Lanes: the models a plan's requests may be sent to, and what each request would use, take and be worth there.

In: requests as the row phase sends them, a plan's fallbacks, hedges and cascades, and fitted outcomes. Out: lanes as the event
phase and the settlement read them, and the order in which a request tries them. Knows nothing of clocks, caches or limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from planner.outcomes.validators import Gate
from planner.policies import Plan
from planner.schema import STATUSES
from planner.simulation.events.inputs import HISTORIES, SCORES, Happened
from planner.simulation.events.inputs import Lanes as Timed
from planner.simulation.settings import DRAWS, assigned, levers
from planner.simulation.settle import Lane
from planner.stats import draws
from planner.traffic.rows import Coded, Rows

if TYPE_CHECKING:
    from planner.simulation.world import World

__all__ = ["Lanes", "lanes_of"]

#: How long a validator that is no model takes [µs]: parsing, not thinking. Assumed.
VERIFY_US = 1_000
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

    def quality(self, happened: Happened, key: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return q̂ of what each user got: of the model that answered, given what its validator said; else of the first lane.

        The answer to another question (``key``) than the own one has an unknown quality: NaN.
        """
        n = len(self.gated)
        table = np.column_stack([use.quality for use in self.used])
        source = np.where(happened.source >= 0, happened.source, np.arange(n))
        call = happened.answer[source]
        lane = np.where(call >= 0, happened.lane[np.maximum(call, 0)] if len(happened.lane) else 0, self.chain[:, 0])
        out = table[np.arange(n), lane]
        for code, gate in enumerate(self.gates):
            passed = (self.gated[source] == code) & (call >= 0) & (lane == self.chain[source, 0])
            out[passed] = gate.quality(out[passed])
        return np.asarray(np.where(key[source] == key, out, np.nan))


def lanes_of(world: World, plan: Plan, at: NDArray[np.int64], observed: Rows, rows: Rows, sent: Coded) -> Lanes:
    """Return the lanes of ``rows`` as ``sent``; ``observed`` are the same requests as logged, ``at`` their positions in the log."""
    app = rows.app
    falls, hedges, cascades = (levers(plan, key) for key in ("fallback", "hedge", "cascade"))
    present = [sent.values[c] for c in np.unique(sent.codes)]
    further = [*(m for f in falls for m in f.models), *(h.model for h in hedges if h.model), *(c.then for c in cascades)]
    names = tuple(dict.fromkeys([*present, *further]))
    place = {m: i for i, m in enumerate(names)}
    first = np.array([place.get(v, 0) for v in sent.values], _CODE)[sent.codes]
    used = tuple(world.lane(m, at, observed, rows) for m in names)
    gated = assigned(cascades, app)
    gates = tuple(world.gate(c.first, c.validators) for c in cascades)
    hedge = _pick([place[h.model] if h.model else -1 for h in hedges], assigned(hedges, app), -1)
    escalate = _pick([place[c.then] for c in cascades], gated, -1)
    return Lanes(
        used,
        timed(world, used, rows, bool(levers(plan, "rate_limit"))),
        np.column_stack([first, *_after(falls, assigned(falls, app), place, first)]),
        np.where(hedge < 0, first, hedge),
        escalate,
        _accepted(world, rows, gates, gated, used, first),
        np.where(escalate >= 0, VERIFY_US, 0).astype(np.int64),
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
    for code, gate in enumerate(gates):
        chance[gated == code] = gate.accepted(np.nan_to_num(quality[gated == code], nan=0.5))
    return np.asarray(draws.uniform(world.seed, rows.key, "accepted") < chance)


def timed(world: World, used: Sequence[Lane], rows: Rows, limited: bool) -> Timed:
    """Return what the event phase reads of the lanes; a log without latencies makes every call instant.

    Where limits are simulated (``limited``), nothing else refuses a call for its rate.
    """
    latency, failures, n, many = world.outcomes.latency, world.outcomes.call_failures, len(rows), len(used)
    first, whole = np.ones((n, many), np.int64), np.ones((n, many), np.int64)
    residual = np.ones((many, len(SCORES)))
    table = np.zeros((1, many, HISTORIES, 5))
    took = np.ones((many, 6), np.int64)
    for code, use in enumerate(used):
        if latency:
            first[:, code], whole[:, code] = latency.expected_us(rows, use.model, use.tokens, use.provider)
            residual[code] = latency.speed(use.model).residual.at(SCORES)
        if failures:
            found = unlimited(failures.probabilities(use.model)) if limited else failures.probabilities(use.model)
            table = table if len(table) == len(found) else np.zeros((len(found), many, HISTORIES, 5))
            table[:, code], took[code] = found, np.maximum(failures.took_us(use.model), 1)
    return Timed(
        first_us=first,
        whole_us=whole,
        input_tokens=np.column_stack([use.tokens[:, :4].sum(axis=1) for use in used]),
        output_tokens=np.column_stack([use.tokens[:, 4:].sum(axis=1) for use in used]),
        cell=failures.cells(rows) if failures else np.zeros(n, np.int32),
        failure=table,
        failed_us=took,
        residual=residual,
        rho=latency.alike.value if latency else 0.0,
        stream=np.array([_streams(world.seed, use.model) for use in used], np.uint64),
    )


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
