"""Calls in memory: one row per call to a provider, as arrays.

In: what levers and outcome models produced. Out: the same, checked, and as the ``schema.CALLS`` table. Accounting prices
Calls and nothing else. Knows nothing of prices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.schema import EVIDENCE, PURPOSES, STATUSES, TOKEN_BUCKETS
from planner.traffic.rows import Coded

__all__ = ["Calls"]


@dataclass(frozen=True, eq=False)
class Calls:
    """``m`` calls: ``row`` is the position of the request they serve.

    ``tokens`` has shape (m, 6) in the order of ``schema.TOKEN_BUCKETS``; ``purpose``, ``outcome`` and ``evidence`` are
    codes into ``schema.PURPOSES``, ``STATUSES`` and ``EVIDENCE``; times are [ms] after the request arrived.
    """

    row: NDArray[np.int64]
    attempt: NDArray[np.int32]
    purpose: NDArray[np.int8]
    provider: Coded
    model: Coded
    tier: Coded
    tokens: NDArray[np.int64]
    start_ms: NDArray[np.float64]
    end_ms: NDArray[np.float64]
    outcome: NDArray[np.int8]
    evidence: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.row)

    def table(self, request_id: NDArray[np.object_]) -> pd.DataFrame:
        """Return the calls as ``schema.CALLS``, given the request ids of the rows they point to."""
        named = {
            "request_id": request_id[self.row],
            "attempt": self.attempt,
            "purpose": np.array(PURPOSES, object)[self.purpose],
            "provider": self.provider.decode(),
            "model": self.model.decode(),
            "tier": self.tier.decode(),
        }
        buckets = {name: self.tokens[:, i] for i, name in enumerate(TOKEN_BUCKETS)}
        times = {"start_ms": self.start_ms, "end_ms": self.end_ms}
        codes = {"outcome": np.array(STATUSES, object)[self.outcome], "evidence": np.array(EVIDENCE, object)[self.evidence]}
        return pd.DataFrame({**named, **buckets, **times, **codes})
