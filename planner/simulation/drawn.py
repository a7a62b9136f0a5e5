"""What a sample tells of the cost of a plan: how far each total may be from that of the whole log, by what was drawn whole.

In: a world and one plan's side. Out: limits of the cost of all and of each group, and why there are none where the sample is too thin.
The intervals are those of the audit (``stats.expanded``), of the plan's dollars instead of the log's. Knows nothing of levers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from planner.simulation.side import Side
from planner.simulation.summarise import weigh_cost
from planner.stats import expanded
from planner.traffic.sampling import too_thin
from planner.units import PUSD_PER_USD

if TYPE_CHECKING:
    from planner.simulation.world import World

__all__ = ["Drawn", "drawn_of"]


@dataclass(frozen=True)
class Drawn:
    """What a sample tells.

    ``limits``: low and high of the cost of the log's period [USD], by the position of a group, None for all; absent where there are not ten
    effective units to tell. ``thin``: why no total has an interval, in words; empty where totals may have one.
    """

    limits: Mapping[int | None, tuple[float, float]]
    thin: str = ""


def drawn_of(world: World, side: Side) -> Drawn | None:
    """Return what a sample tells of the cost of ``side``; None where every row stands for itself alone."""
    weight = world.rows.weight
    inside = np.flatnonzero(weight > 0)
    if (weight[inside] == 1).all():
        return None
    if thin := too_thin(world.traffic):
        return Drawn({}, thin)
    unit, place = world.units[inside], world.place(world.rows)[inside]
    usd, weight = weigh_cost(weight[inside], side.cost_pusd[inside]) / PUSD_PER_USD, weight[inside]
    masks: dict[int | None, NDArray[np.bool_]] = {None: np.ones(len(inside), bool)}
    masks |= {group: place == group for group in np.unique(place).tolist()}
    found = {group: expanded(usd[at], weight[at], unit[at]) for group, at in masks.items()}
    return Drawn({group: (float(x.low), float(x.high)) for group, x in found.items() if not np.isnan(x.low)})
