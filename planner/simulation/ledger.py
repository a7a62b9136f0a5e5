"""Ledger: what a plan does to every single request, for those who want to look.

In: a world and a plan. Out: ``schema.LEDGER``, one row per logged request, in stored order: the reduction of its calls.
Summaries are added up from the same arrays. Knows nothing of estimates or intervals.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from planner.policies import Plan
from planner.schema import EVIDENCE, STATUSES
from planner.simulation.side import unlike
from planner.simulation.world import World

__all__ = ["ledger"]


def ledger(world: World, plan: Plan) -> pd.DataFrame:
    """Return ``schema.LEDGER`` under ``plan``; the costs sum to the plan's Summary, weights aside.

    ``quality`` is what a label says where one graded this very answer, else predicted: it is not corrected on labels as means are.
    """
    side, rows = unlike(world.played(plan), world.logged), world.rows
    graded = world.outcomes.measured(rows, side.model)
    return pd.DataFrame(
        {
            "request_id": rows.request_id,
            "calls": side.calls.astype(np.int32),
            "model": side.model.decode(),
            "cost_pusd": side.cost_pusd,
            "latency_ms": side.latency_ms,
            "status": np.array(STATUSES, object)[side.outcome],
            "quality": np.where(np.isfinite(graded), graded, side.quality),
            "evidence": np.array(EVIDENCE, object)[side.evidence],
        }
    )
