"""What a sample tells of the money of a plan: how far each total may be from that of the whole log, by what was drawn whole.

In: a world, a plan and its side. Out: limits of the cost of all and of each group, why there are none where too few of those who hold a
total are to be expected in the sample, and which groups the plan cannot reach. The intervals are those of the audit (``stats.expanded``),
of the plan's dollars instead of the log's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from planner.policies import Plan
from planner.simulation.side import Side
from planner.simulation.summarise import weigh_cost
from planner.stats import Estimate
from planner.traffic.sampling import Spread, limits, spread_of
from planner.units import PUSD_PER_USD

if TYPE_CHECKING:
    from planner.simulation.world import World

__all__ = ["UNCHANGED", "Drawn", "drawn_of", "held", "unchanged"]

F64: TypeAlias = NDArray[np.float64]
#: How an estimate says that a plan leaves something as it was.
UNCHANGED = "nothing changes"


@dataclass(frozen=True, eq=False)
class Drawn:
    """What a sample tells.

    ``limits``: low and high of the cost of the log's period [USD], by the position of a group, None for all; absent where there are not ten
    effective units to tell. ``spread``: of the log that was drawn from, None where it is not known. ``effective`` (groups,): as how many
    of its conversations, alike, spent what each group of the log's period did, and ``times`` (groups,) how many times what was drawn stands
    for it spent; None where that is known of the whole log alone. ``whole``: the same of all that was logged, and ``shared`` by how much
    fewer that is than of all groups together, since some are in several. ``still``: what the plan cannot reach, as the keys of ``limits``.
    """

    limits: Mapping[int | None, tuple[float, float]]
    spread: Spread | None = None
    effective: F64 | None = None
    times: F64 | None = None
    whole: float = np.inf
    shared: float = 1.0
    still: frozenset[int | None] = frozenset()

    def source(self, group: int | None = None) -> str:
        """Say that what is shown of the cost is estimated, and whether it has an interval."""
        return f"estimated from a sample{'' if group in self.limits else ', no interval of the cost'}"

    def thin(self, amount: NDArray[Any], group: int | None = None) -> str:
        """Say why the total of ``amount`` (groups,), or its part in one group, has no interval; nothing where it may have one."""
        return "" if self.spread is None else self.spread.thin(self._holding(amount, group), self._under)

    def rough(self, amount: NDArray[Any]) -> str:
        """Say why the interval of the total of ``amount`` (groups,) is to be read with care; else nothing."""
        return "" if self.spread is None else self.spread.rough(self._holding(amount, None), self._under)

    @property
    def _under(self) -> str:
        return "" if self.effective is None or None in self.still else " under the plan"

    def _holding(self, amount: NDArray[Any], group: int | None) -> float:
        """Return how many conversations of the log, alike, hold a total."""
        if self.spread is None or self.effective is None or self.times is None:
            return np.inf if self.spread is None else self.spread.effective
        if group is not None:
            return float(self.effective[group])
        return self.whole if None in self.still else self.shared * held(amount * self.times, self.effective)

    def beside(self, other: Drawn | None) -> Drawn:
        """Return what the sample tells of the difference to another plan over the same log."""
        return replace(self, still=self.still & (self.still if other is None else other.still))


def held(amount: NDArray[Any], effective: F64) -> float:
    """Return as how many alike hold the total of ``amount`` (n,), each part of it held by ``effective`` (n,) of its own.

    A part is (Σx)² / Σx² of its own holders, so that (Σ S)² / Σ (S² / n) is that of all.

    >>> held(np.array([1.0, 1.0]), np.array([50.0, 50.0])), held(np.array([0.0, 2.0]), np.array([50.0, 4.0])), held(np.zeros(1), np.ones(1))
    (100.0, 4.0, inf)
    """
    size = np.abs(np.asarray(amount, float))
    on = size > 0
    if not on.any():
        return np.inf
    return float(size.sum() ** 2 / (np.square(size[on]) / np.maximum(effective[on], 1e-12)).sum())


def unchanged(drawn: Drawn | None, group: int | None, n: int) -> Estimate:
    """Return that nothing changes; of a sample that is known only where the plan cannot reach, for what was not drawn may change."""
    if drawn is None or group in drawn.still:
        return Estimate(0.0, 0.0, 0.0, "measured", n=n, source=UNCHANGED)
    return Estimate(0.0, evidence="estimated", n=n, source="nothing that was drawn changes, which does not tell of the rest")


def drawn_of(world: World, side: Side, plan: Plan) -> Drawn | None:
    """Return what a sample tells of the cost of ``side``, to which ``plan`` came; None where every row stands for itself alone."""
    inside = np.flatnonzero(world.rows.weight > 0)
    weight = world.rows.weight[inside]
    if (weight == 1).all():
        return None
    unit, place = world.units[inside], world.place(world.rows)[inside]
    usd, logged = (weigh_cost(weight, one.cost_pusd[inside]) / PUSD_PER_USD for one in (side, world.logged))
    found = Drawn({}, spread_of(world.traffic), still=_still(world, plan))
    if found.spread is not None and found.spread.apps:
        found = _spread_out(world, found, found.spread, inside, place, logged)
    amount = np.bincount(place, usd, len(world.groups))
    masks: dict[int | None, NDArray[np.bool_]] = {None: np.ones(len(inside), bool)}
    masks |= {group: place == group for group in np.unique(place).tolist()}
    ends = {group: limits(usd[at], weight[at], unit[at], found.thin(amount, group)) for group, at in masks.items()}
    return replace(found, limits={group: (low, high) for group, (low, high) in ends.items() if low is not None and high is not None})


def _spread_out(world: World, found: Drawn, spread: Spread, inside: NDArray[np.int64], place: NDArray[np.int64], logged: F64) -> Drawn:
    """Return ``found`` with as how many conversations, alike, spent what each group of the log's period did.

    A part of an app, as a period or a model of it, is taken to be spread as the app is, over as much fewer as it has fewer rows.
    """
    apps, groups = world.rows.app, len(world.groups)
    effective = np.array([spread.apps.get(name, spread.effective) for name in apps.values])
    times = np.array([spread.times.get(name, 1.0) for name in apps.values])
    rows = np.bincount(apps.codes, minlength=len(apps.values))
    cells, at = np.unique(place * len(apps.values) + apps.codes[inside], return_inverse=True)
    group, app = np.divmod(cells, len(apps.values))
    spent = np.bincount(at, logged) * times[app]
    each = effective[app] * np.bincount(at) / rows[app]
    of_group = np.array([held(spent[group == g], each[group == g]) for g in range(groups)])
    each_group, drawn = np.bincount(group, spent, groups), np.bincount(place, logged, groups)
    more = np.divide(each_group, drawn, out=np.ones(groups), where=drawn > 0)
    whole = spread.effective * len(inside) / len(world.rows)
    shared = min(whole / held(each_group, of_group), 1.0)
    return replace(found, effective=of_group, times=more, whole=whole, shared=shared)


def _still(world: World, plan: Plan) -> frozenset[int | None]:
    """Return the groups of which no lever of ``plan`` reaches the app; None among them where that is all of them."""
    everything = range(len(world.groups))
    reached = {app for lever in plan.levers for app in (world.rows.app.values if lever.apps is None else lever.apps)}
    if "app" in world.by:
        app = world.by.index("app")
        left = {g for g in everything if world.groups[g][app] not in reached}
    else:
        left = set() if reached else {*everything}
    return frozenset(left if len(left) < len(world.groups) else {None, *left})
