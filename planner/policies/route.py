"""Route: send each request to the model a router chooses.

In: a router and the level τ of its family. Out: the model codes of the requests the router may steer; what it abstains
from, and what is not a user's own call, stays as logged. Knows nothing of what the other model would answer or cost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from planner.policies.base import Block, Intents
from planner.router import Router

__all__ = ["Route"]


@dataclass(frozen=True, eq=False)
class Route:
    """Route by ``router`` at its own τ, for ``apps`` (all when None).

    A chosen model equal to the logged one leaves the request as logged.
    """

    router: Router
    apps: tuple[str, ...] | None = None

    key = "route"
    phase = "row"
    needs = ("model",)
    writes = ("model",)

    def apply(self, block: Block, intents: Intents) -> Intents:
        """Set the model of every steerable request of the chosen apps."""
        scores = block.scores(self.router)
        codes, _ = self.router.choose(scores)
        steered = block.rows.steerable & ~scores.abstain.astype(bool)
        if self.apps is not None:
            steered &= np.isin(block.rows.app.decode(), self.apps)
        return replace(intents, model=np.where(steered, codes, -1).astype(np.int32), models=self.router.candidates)

    def payload(self) -> dict[str, Any]:
        """Plain values: the router is named by its version, not contained."""
        apps = None if self.apps is None else list(self.apps)
        return {"kind": "route", "router": self.router.version, "tau": self.router.tau, "candidates": list(self.router.candidates), "apps": apps}
