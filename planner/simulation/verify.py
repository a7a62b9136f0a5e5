"""The calls that a cascade's verifier costs: one for every first answer that it reads.

In: the calls of the event phase, and a plan's cascades. Out: the same calls with those of the verifiers after them. Their time is
in the event phase already. Knows nothing of prices, or of what a verifier says.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from planner.outcomes import Calls
from planner.policies import Plan
from planner.schema import EVIDENCE, PURPOSES
from planner.simulation.events.inputs import OK, Happened
from planner.simulation.lanes import Lanes, verified
from planner.traffic.rows import Coded

if TYPE_CHECKING:
    from planner.simulation.world import World

__all__ = ["with_verifiers"]


def with_verifiers(world: World, plan: Plan, calls: Calls, happened: Happened, lanes: Lanes) -> Calls:
    """Return ``calls`` and, after them, a call of the verifier for every answer of a cascade's first model that it reads."""
    for code, cascade in enumerate(plan.of_key("cascade")):
        if cascade.verifier:
            first = next(use for use in lanes.used if use.model == cascade.first)
            read = (lanes.gated[happened.row] == code) & (happened.lane == lanes.chain[happened.row, 0]) & (happened.kind == OK)
            tokens = verified(first)[happened.row[read]]
            calls = joined(calls, asked(world, calls, np.flatnonzero(read), cascade.verifier, tokens, lanes.verify_us))
    return calls


def asked(world: World, calls: Calls, of: NDArray[np.int64], model: str, tokens: NDArray[np.int64], verify_us: NDArray[np.int64]) -> Calls:
    """Return the verifier's calls that follow the calls ``of``: assumed, since a log has none."""
    row, m = calls.row[of], len(of)
    same = np.zeros(m, np.int32)
    return Calls(
        row=row,
        attempt=np.zeros(m, np.int32),
        purpose=np.full(m, PURPOSES.index("verifier"), np.int8),
        provider=Coded(same, (world.outcomes.providers.get(model, ""),)),
        model=Coded(same, (model,)),
        tier=Coded(calls.tier.codes[of], calls.tier.values),
        tokens=tokens,
        start_ms=calls.end_ms[of],
        end_ms=calls.end_ms[of] + verify_us[row] / 1_000,
        outcome=np.full(m, OK, np.int8),
        evidence=np.full(m, EVIDENCE.index("assumed"), np.int8),
    )


def joined(a: Calls, b: Calls) -> Calls:
    """Return the calls of ``a`` and then those of ``b``."""
    columns: dict[str, Any] = {}
    for f in fields(Calls):
        one, other = getattr(a, f.name), getattr(b, f.name)
        columns[f.name] = _one_after(one, other) if isinstance(one, Coded) else np.concatenate([one, other])
    return Calls(**columns)


def _one_after(a: Coded, b: Coded) -> Coded:
    names = tuple(dict.fromkeys((*a.values, *b.values)))
    codes = [np.array([names.index(v) for v in c.values] or [0], np.int32)[c.codes] for c in (a, b)]
    return Coded(np.concatenate(codes), names)
