"""The two periods of a search: one to search in, a later one to report on.

In: a world and the moment that divides its log. Out: two worlds of the same log, each with its own requests and its own held-out labels.
Outcome models are fitted once and shared: what a search could learn by luck, the traffic and the labels that judge it, is not.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError
from planner.outcomes import Holdout
from planner.outcomes.model import Quality
from planner.simulation import World

__all__ = ["periods"]

_END = np.timedelta64(1, "us")


def periods(world: World, cut: np.datetime64) -> tuple[World, World]:
    """Return the world before ``cut`` and the one from it on.

    A held-out label belongs to the period in which its request arrived. Labels of requests that the log does not have are halved by
    their user (or session), so that no user's luck counts in both.
    """
    if world.between is not None:
        raise InputError("a world of one period", "a whole log")
    start, end = world.rows.timestamp.min(), world.rows.timestamp.max() + _END
    held, parts = world.outcomes.holdout, []
    late = None if held is None else _late(held, world, cut)
    for between, side in (((start, cut), False), ((cut, end), True)):
        outcomes = world.outcomes if held is None else replace(world.outcomes, holdout=_kept(held, late == side))
        parts.append(World(world.traffic, outcomes, world.book, world.at, world.by, world.seed, world.progress, between))
    return parts[0], parts[1]


def _late(held: Holdout, world: World, cut: np.datetime64) -> NDArray[np.bool_]:
    logged = np.isin(held.rows.key, world.rows.key)
    return np.asarray(np.where(logged, held.rows.timestamp >= cut, held.rows.bucket % 2 == 1))


def _kept(held: Holdout, where: NDArray[np.bool_] | bool) -> Holdout:
    mask = np.broadcast_to(where, len(held.rows))

    def part(quality: Quality) -> Quality:
        return Quality(quality.models, quality.values[mask])

    return Holdout(held.rows.take(mask), held.requests.take(mask), part(held.measured), part(held.predicted))
