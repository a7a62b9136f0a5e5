"""Route: send each request to the model a router chooses.

In: a router and the level τ of its family. Out: the model codes of the requests the router may steer; what it abstains
from, and what is not a user's own call, stays as logged. Knows nothing of what the other model would answer or cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.policies.base import Block, Intents, sent_to, where
from planner.router import Router, Scores

__all__ = ["Route"]


@dataclass(frozen=True, eq=False)
class Route:
    """Route by ``router`` at its own τ, inside its own support: ``Router.with_apps`` says which apps it steers.

    A chosen model equal to the logged one leaves the request as logged.
    """

    router: Router

    key = "route"
    phase = "row"
    needs = ("messages",)
    writes = ("model",)

    @property
    def apps(self) -> tuple[str, ...] | None:
        """The apps that the router steers."""
        return self.router.support.apps

    @property
    def uses(self) -> tuple[str, ...]:
        """The models it chooses from."""
        return self.router.candidates

    def apply(self, block: Block, intents: Intents) -> Intents:
        """Set the model of every request that the router decides."""
        scores = block.scores(self.router)
        codes, _ = self.router.choose(scores)
        return sent_to(intents, self.steered(block, scores), codes, self.router.candidates)

    def steered(self, block: Block, scores: Scores) -> NDArray[np.bool_]:
        """Return which requests the router decides: the users' own, inside its support."""
        mine: NDArray[np.bool_] = block.rows.steerable & (scores.abstain == 0)
        return mine

    def payload(self) -> dict[str, Any]:
        """Plain values: the router is named by its version, not contained."""
        apps = self.router.support.apps
        return {
            "kind": "route",
            "router": self.router.version,
            "tau": self.router.tau,
            "candidates": list(self.router.candidates),
            "apps": None if apps is None else list(apps),
        }

    def words(self) -> str:
        """Say what it does, for people."""
        return f"route {where(self.apps)} between {', '.join(self.router.candidates)} at τ {self.router.tau:g}"
