"""Answers that may act twice: calls of one request that offer tools, made again after one that may already have acted.

In: a world, a plan, and what it came to. Out: how many second actions are certain, how many possible, and how many a key prevents.
A call that was refused for its rate, its content or its form has not acted; one that was lost on the way or cancelled may have; a
hedge and the call beside it both do, unless one is cancelled in time. An answer that a cascade refuses is shown to nobody and does not
act, nor does a verifier's. Attempts that the gateway makes today, under no lever of retries, count as they do in the log.
Knows nothing of what a tool does.
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
from planner.stats import draws

__all__ = ["SideEffects", "as_logged", "repeats", "side_effects"]

Ints = NDArray[np.int64]
#: Levers that ask a request again after a call that may have acted.
_REPEATS = ("retry", "hedge", "fallback")
_OK = STATUSES.index("ok")
_APART = tuple(PURPOSES.index(p) for p in ("hedge", "fallback"))
#: Calls whose answer is not a second action: the one that takes a refused answer's place, and a verdict on it.
_IN_PLACE = tuple(PURPOSES.index(p) for p in ("escalation", "verifier"))
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


def repeats(world: World, plan: Plan) -> bool:
    """Say whether ``plan`` asks any request that offers tools again: whether it retries, hedges or falls back in an app that has some."""
    acts, app = world.acts & world.rows.steerable, world.rows.app
    return any(bool((acts & (assigned(plan.of_key(key), app) >= 0)).any()) for key in _REPEATS)


def as_logged(world: World) -> SideEffects:
    """Count second actions in the log itself."""
    at = np.flatnonzero(world.rows.steerable)
    status = world.rows.status[at]
    again = world.rows.attempts[at] - 1
    return _counted(world.acts[at], status == _OK, np.isin(status, _UNSURE) + _lost(world, at, again), np.zeros(len(at), bool))


def side_effects(world: World, plan: Plan, played: Replay) -> SideEffects:
    """Count second actions of requests that offer tools under ``plan``, in the period of the log."""
    calls, at = played.calls, played.at
    made, answered, lost = (
        np.bincount(calls.row[which], minlength=len(at))
        for which in (
            np.ones(len(calls), bool),
            (calls.outcome == _OK) & ~np.isin(calls.purpose, _IN_PLACE),
            np.isin(calls.outcome, _UNSURE),
        )
    )
    unseen = played.side.calls[at] - made
    keyed = _keyed(plan, world, played) & ~_apart(played)
    return _counted(world.acts[at], answered, lost + _lost(world, at, unseen), keyed)


def _lost(world: World, at: Ints, again: Ints) -> Ints:
    """Return how many of the attempts before the last, ``again``, were lost on the way: all of a request failed alike."""
    failures, rows = world.outcomes.call_failures, world.rows.take(at)
    if failures is None:
        return again
    return again * np.isin(failures.earlier_kind(rows, draws.uniform(world.seed, rows.key, "earlier")), _UNSURE)


def _counted(acts: NDArray[np.bool_], answered: Ints, lost: Ints, keyed: NDArray[np.bool_]) -> SideEffects:
    """Count, of requests of which so many calls were ``answered`` and ``lost``: all but the first of what may have acted."""
    certain = np.where(acts, answered - 1, 0).clip(0)
    unsure = np.where(acts, lost - (answered == 0), 0).clip(0)
    return SideEffects(int(acts.sum()), int(certain.sum()), int(unsure[~keyed].sum()), int(unsure[keyed].sum()))


def _keyed(plan: Plan, world: World, played: Replay) -> NDArray[np.bool_]:
    """Say whose repeated calls carry the key of the first."""
    found, app = plan.of_key("retry"), world.rows.take(played.at).app
    return np.array([*(lever.idempotency_keys for lever in found), False], bool)[assigned(found, app)]


def _apart(played: Replay) -> NDArray[np.bool_]:
    """Say who had a call beside or after the first that is another request, whatever its key: a hedge, or one to another model."""
    out = np.zeros(len(played.at), bool)
    out[played.calls.row[np.isin(played.calls.purpose, _APART)]] = True
    return out
