"""Scores of a narrowed router without reading the text again.

In: a world and the router over all candidates. Out: the same world, whose blocks answer for every narrowing of that router
with the columns that are left: exactly what scoring again would give. Knows nothing of widgets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.policies.base import Block
from planner.router import Router, Scores
from planner.simulation import World
from planner.traffic.derived import Piece, joined

__all__ = ["Narrowing", "take"]

Arrays = dict[str, NDArray[Any]]


class Narrowing:
    """Scores ``router`` once over the log and the held-out labels of ``world``, then serves its narrowings."""

    def __init__(self, world: World, router: Router) -> None:
        self.router = router
        self._codes: dict[str, NDArray[np.int64]] = {}
        world.block = self._served(world.block)
        if world.labelled is not None:
            world.labelled = self._served(world.labelled)

    def to(self, candidates: Sequence[str]) -> Router:
        """Return the router over ``candidates``; InputError when a model of today is not among them."""
        narrow = self.router.with_candidates(candidates)
        self._codes[narrow.family] = np.array([self.router.candidates.index(m) for m in narrow.candidates])
        return narrow

    def _served(self, block: Block) -> Block:
        whole = block.scores(self.router)

        def stored(name: str, make: Callable[[], Iterable[Piece]]) -> Arrays:
            return next((take(whole, codes) for family, codes in self._codes.items() if family in name), None) or joined(make())

        return Block(block.rows, block.at, lambda unit: iter(()), stored=stored)


def take(whole: Scores, codes: NDArray[np.int64]) -> Arrays:
    """Keep the candidates at ``codes``, every request's own reference among them.

    >>> cost = np.array([[3.0, 2.0, 1.0]])
    >>> whole = Scores(np.zeros((1, 3), np.float32), cost, np.ones((1, 3), bool), np.zeros(1, np.int8), np.array([2]))
    >>> left = take(whole, np.array([0, 2]))
    >>> left["cost_usd"].tolist(), left["home"].tolist()
    ([[3.0, 1.0]], [1])
    """
    return {
        "gains": whole.gains[:, codes],
        "cost_usd": whole.cost_usd[:, codes],
        "feasible": whole.feasible[:, codes],
        "abstain": whole.abstain,
        "home": np.searchsorted(codes, whole.home),
    }
