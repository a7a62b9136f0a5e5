"""Plays: plans simulated once each in one world, so that any of them can be set against any other.

In: a world and plans. Out: their simulations, each made the first time it is asked for; a plan's name does not count. Knows nothing of
what is done with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from planner.policies import Plan
from planner.simulation import Simulation, World, run

__all__ = ["Plays"]


class Plays:
    """Simulations by what their plans do.

    Parameters
    ----------
    world: that all are simulated in.
    among: plans of which one may share state between users: then all keep their sums by day, so that differences can be taken.
    progress: called with the number of simulations made so far.
    """

    def __init__(self, world: World, among: Iterable[Plan] = (), progress: Callable[[int], None] | None = None) -> None:
        self.world, self._progress = world, progress
        self.shared = any(world.header(plan).shared for plan in among)
        self._made: dict[str, Simulation] = {}

    def __call__(self, plan: Plan) -> Simulation:
        """Return the simulation of ``plan``, under its name."""
        key = plan.hash
        if key not in self._made:
            self._made[key] = run(self.world, plan, shared=self.shared)
            if self._progress:
                self._progress(len(self._made))
        return replace(self._made[key], name=plan.name)

    def __len__(self) -> int:
        return len(self._made)
