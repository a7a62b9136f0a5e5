"""Calls that their callers gave up, after a timeout or by leaving: each counts once, as a failure or by how long calls take.

In: the calls of a log, and which of them timed out. Out: a GivenUp. In ``latency`` such a call is a time that was only exceeded, in
``failures`` a failure; what it is in a simulation depends on who sets the limit. Where a plan has a timeout of its own, that limit and the
latency drawn for a call say who is given up, and the log's own cases are no failures: ``kept`` says how many stay. Where it has none,
the log's limits stay in force unseen: they are failures, as often as they were logged. Knows nothing of rates, hours or sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from planner.schema import STATUSES
from planner.traffic.rows import Rows

__all__ = ["LEFT", "GivenUp", "fit_given_up"]

F64 = NDArray[np.float64]
#: The kind of calls whose callers left, a position in ``STATUSES[1:]``.
LEFT = STATUSES.index("cancelled") - 1


@dataclass(frozen=True, eq=False)
class GivenUp:
    """Calls that were given up.

    Parameters
    ----------
    timed_out: model → share of its failures of each kind that were timeouts of the caller, (5,); "" of any other.
    left_ms: how long callers waited who left without a timeout [ms], ascending.
    """

    timed_out: Mapping[str, F64]
    left_ms: F64 = field(repr=False)

    def kept(self, model: str, limit_ms: float | None) -> F64:
        """Return the share of the failures of each kind, (5,), that stay where a plan gives calls up after ``limit_ms`` (None: never).

        None of the timeouts do: the plan's takes their place. Of callers who left, those do who left sooner than that.

        >>> half = GivenUp({"": np.array([0.5, 0, 0, 0, 0])}, np.array([800.0, 1_200.0]))
        >>> half.kept("gpt-5", None).tolist(), half.kept("gpt-5", 1_000).tolist()
        ([1.0, 1.0, 1.0, 1.0, 1.0], [0.5, 1.0, 1.0, 1.0, 0.5])
        """
        if limit_ms is None:
            return np.ones(len(STATUSES) - 1)
        share = 1 - self.timed_out.get(model, self.timed_out[""])
        if len(self.left_ms):
            share[LEFT] *= np.searchsorted(self.left_ms, limit_ms) / len(self.left_ms)
        return np.asarray(share)


def fit_given_up(rows: Rows, timed_out: NDArray[np.bool_]) -> GivenUp:
    """Fit on the calls of a log that reached a provider; of ``timed_out`` (n,) no answer came in time."""
    shape = (len(rows.model.values), len(STATUSES))
    ended, gave_up = np.zeros(shape), np.zeros(shape)
    np.add.at(ended, (rows.model.codes, rows.status), 1)
    np.add.at(gave_up, (rows.model.codes[timed_out], rows.status[timed_out]), 1)
    shares = np.vstack([gave_up, gave_up.sum(axis=0)]) / np.maximum(np.vstack([ended, ended.sum(axis=0)]), 1)
    left = (rows.status == 1 + LEFT) & ~timed_out & (rows.latency_ms > 0)
    waited = rows.latency_ms[left] / np.maximum(rows.attempts[left], 1)
    return GivenUp(dict(zip((*rows.model.values, ""), shares[:, 1:], strict=True)), np.sort(waited))
