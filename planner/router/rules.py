"""Simple rules with the learned scorer's contract: always one model, a table per app, prompt length.

In: Requests. Out: float32 gains (n, K), the reference's column exactly 0. They ship as routers too, and every learned router
must beat them. Knows nothing of how their numbers were chosen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.router.requests import Requests

__all__ = ["ALWAYS_TAU", "AlwaysRule", "LengthRule", "TableRule"]

F32 = NDArray[np.float32]
#: The τ at which an AlwaysRule's model answers whatever it costs.
ALWAYS_TAU = 0.0


@dataclass(frozen=True, eq=False)
class AlwaysRule:
    """One model for everything: its gain is 1, the reference's 0, every other candidate's −∞; ``row`` is float32 (K,)."""

    row: F32

    @classmethod
    def model(cls, code: int, reference: int, k: int) -> AlwaysRule:
        """Make the rule for candidate ``code`` of ``k``."""
        row = np.full(k, -np.inf, np.float32)
        row[reference] = 0
        row[code] = 1
        return cls(row)

    def gains(self, requests: Requests) -> F32:
        """Return the gains, (n, K)."""
        return np.tile(self.row, (len(requests), 1))

    def take(self, columns: NDArray[np.int64]) -> AlwaysRule:
        """Keep the candidates at ``columns``."""
        return AlwaysRule(self.row[columns])


@dataclass(frozen=True, eq=False)
class TableRule:
    """Mean gain per app: ``table`` float32 (apps, K); unknown apps get ``default`` (K,)."""

    apps: tuple[str, ...]
    table: F32
    default: F32

    def gains(self, requests: Requests) -> F32:
        """Return the gains, (n, K)."""
        place = {a: i for i, a in enumerate(self.apps)}
        at = np.fromiter((place.get(a, len(self.apps)) for a in requests.app), np.int64, len(requests))
        return np.vstack([self.table, self.default])[at]

    def take(self, columns: NDArray[np.int64]) -> TableRule:
        """Keep the candidates at ``columns``."""
        return TableRule(self.apps, self.table[:, columns], self.default[columns])


@dataclass(frozen=True, eq=False)
class LengthRule:
    """Gain linear in ln(1 + input tokens): ``intercept`` and ``slope`` float32 (K,)."""

    intercept: F32
    slope: F32

    def gains(self, requests: Requests) -> F32:
        """Return the gains, (n, K)."""
        size = np.log1p(requests.input_tokens).astype(np.float32)
        return self.intercept + size[:, None] * self.slope

    def take(self, columns: NDArray[np.int64]) -> LengthRule:
        """Keep the candidates at ``columns``."""
        return LengthRule(self.intercept[columns], self.slope[columns])
