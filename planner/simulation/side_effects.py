"""Answers that may act twice: calls of one request that offer tools, made again after one that may already have acted.

In: a world, a plan, and what it came to. Out: how many second actions are certain, how many possible, and how many a key prevents.
A call that was refused for its rate, its content or its form has not acted; one that was lost on the way or cancelled may have; a
hedge and the call beside it both do, unless one is cancelled in time. Knows nothing of what a tool does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.policies import Plan
from planner.schema import PURPOSES, STATUSES
from planner.simulation.replay import Replay
from planner.simulation.settings import assigned
from planner.simulation.world import World

__all__ = ["SideEffects", "side_effects"]

_OK, _HEDGE = STATUSES.index("ok"), PURPOSES.index("hedge")
#: After a call that ended so, nobody knows whether its tool has acted.
_UNSURE = tuple(STATUSES.index(k) for k in ("transport", "cancelled"))


@dataclass(frozen=True)
class SideEffects:
    """Second calls of ``requests`` that offer tools: ``certain`` and ``possible`` second actions, ``keyed`` ones that keys prevent.

    ``possible`` counts neither the certain nor the keyed ones. Which tools honour a key is the caller's to know: assumed, all do.
    """

    requests: int
    certain: int
    possible: int
    keyed: int

    @property
    def text(self) -> str:
        """The counts in a sentence.

        >>> SideEffects(1_200, 0, 14, 31).text
        'Of 1,200 requests that offer tools, 0 act twice for certain and up to 14 more may; idempotency keys prevent up to 31 (assumed: \
every tool honours them).'
        """
        keys = f"; idempotency keys prevent up to {self.keyed:,} (assumed: every tool honours them)" if self.keyed else ""
        twice = f"{self.certain:,} act twice for certain and up to {self.possible:,} more may"
        return f"Of {self.requests:,} requests that offer tools, {twice}{keys}."


def side_effects(world: World, plan: Plan, played: Replay) -> SideEffects:
    """Count second actions of requests that offer tools under ``plan``, in the period of the log."""
    acts, calls = world.acts[played.at], played.calls
    answered = np.zeros(len(played.at), np.int64)
    np.add.at(answered, calls.row, calls.outcome == _OK)
    lost = np.zeros(len(played.at), np.int64)
    np.add.at(lost, calls.row, np.isin(calls.outcome, _UNSURE))
    certain = np.where(acts, np.maximum(answered - 1, 0), 0)
    unsure = np.where(acts & (answered + lost > 1), np.minimum(lost, answered + lost - 1) - certain, 0).clip(0)
    keyed = _keyed(plan, world, played) & ~_hedged(played)
    return SideEffects(int(acts.sum()), int(certain.sum()), int(unsure[~keyed].sum()), int(unsure[keyed].sum()))


def _keyed(plan: Plan, world: World, played: Replay) -> NDArray[np.bool_]:
    """Say whose repeated calls carry the key of the first."""
    found, app = plan.of_key("retry"), world.rows.take(played.at).app
    return np.array([*(lever.idempotency_keys for lever in found), False], bool)[assigned(found, app)]


def _hedged(played: Replay) -> NDArray[np.bool_]:
    """Say who had a second call out beside the first: it is another request to the provider, whatever its key."""
    out = np.zeros(len(played.at), bool)
    out[played.calls.row[played.calls.purpose == _HEDGE]] = True
    return out
