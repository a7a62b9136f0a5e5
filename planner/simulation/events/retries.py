"""Whether a failed call is tried again, and after what pause.

In: a policy's record, with what it has saved up. Out: yes or no, and microseconds. Knows nothing of lanes or the queue.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from planner.schema import STATUSES
from planner.simulation.events.chance import uniform
from planner.simulation.events.compiled import hook
from planner.simulation.events.inputs import Retries
from planner.simulation.events.records import Records, packed, record

__all__ = ["earn", "pause_us", "policies", "spend"]

_POLICY = record(
    {
        **{"most": ("i8", (len(STATUSES),)), "fallback": ("i1", (len(STATUSES),)), "retry_after": "i1"},
        **dict.fromkeys(("base_us", "most_us", "deadline_us"), "i8"),
        **dict.fromkeys(("factor", "jitter", "budget", "budget_most", "saved"), "f8"),
    }
)


def policies(retries: Retries) -> Records:
    """Return a record for each policy, its budget as full as it gets."""
    given = {name: getattr(retries, name) for name in _POLICY.names or () if name != "saved"}
    return packed(_POLICY, given | {"saved": retries.budget_most})


@hook
def earn(policy: Records) -> None:
    """Credit the policy with a call that is no retry."""
    policy.saved = min(policy.budget_most, policy.saved + policy.budget)


@hook
def spend(policy: Records, kind: int, nth: int) -> bool:
    """Return whether an ``nth`` retry is made after a failure of this kind, and pay for it if so."""
    if nth > policy.most[kind] or policy.saved < 1.0:
        return False
    policy.saved -= 1.0
    return True


@hook
def pause_us(policy: Records, stream: NDArray[np.uint64], key: np.uint64, nth: int, refused_us: int) -> int:
    """Return the pause before the ``nth`` retry; no shorter than what a refusal asked for, if that is kept."""
    grown = np.rint(policy.base_us * policy.factor ** float(nth - 1))
    at = min(nth, len(stream)) - 1
    draw = uniform(stream[at, 0], stream[at, 1], key)
    pause = int(np.rint(min(float(policy.most_us), grown) * (1.0 - policy.jitter * draw)))
    return max(pause, refused_us) if policy.retry_after else pause
