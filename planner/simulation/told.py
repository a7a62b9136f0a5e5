"""Told: the answers of requests, as much of each as it takes to account for those who are served the same answer.

In: what happened, and the lanes it happened on. Out: one row a request; rows of requests long done can stand behind those of the ones
that may be served by them. Knows nothing of prices or of how an answer is found again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.schema import PURPOSES
from planner.simulation.events.inputs import Happened

__all__ = ["Told", "source_of", "told"]

_ESCALATION = PURPOSES.index("escalation")


@dataclass(frozen=True, eq=False)
class Told:
    """The answers of ``n`` requests.

    Parameters
    ----------
    names: what ``lane`` counts. lane: int64 (n,) whose answer it is; of the first lane where none answered.
    last: int64 (n,) the same, but of the last call where none answered.
    gate: int64 (n,) the gate that read it as a first answer, −1 none. again: bool (n,) another model was asked after that.
    evidence: int8 (n,) the weakest of all that stands behind it. key: uint64 (n,) of the question; equal keys are the same question.
    """

    names: tuple[str, ...]
    lane: NDArray[np.int64]
    last: NDArray[np.int64]
    gate: NDArray[np.int64]
    again: NDArray[np.bool_]
    evidence: NDArray[np.int8]
    key: NDArray[np.uint64]

    def take(self, at: NDArray[np.int64]) -> Told:
        """Return the answers at these positions."""
        columns: dict[str, Any] = {name: values[at] for name, values in vars(self).items() if name != "names"}
        return replace(self, **columns)

    def before(self, after: Told) -> Told:
        """Return the answers of ``after`` and then these, under the names of ``after``; a lane that it does not have is −1."""
        code = np.array([*(after.names.index(name) if name in after.names else -1 for name in self.names), -1], np.int64)
        mine: dict[str, Any] = {**vars(self), "lane": code[self.lane], "last": code[self.last]}
        columns: dict[str, Any] = {name: np.concatenate([v, mine[name]]) for name, v in vars(after).items() if name != "names"}
        return replace(after, **columns)


def told(
    names: tuple[str, ...],
    happened: Happened,
    first: NDArray[np.int16],
    gated: NDArray[np.int64],
    evidence: NDArray[np.int8],
    key: NDArray[np.uint64],
) -> Told:
    """Return what each request's own calls came to; ``first`` is its first lane, ``gated`` the gate that reads answers from there."""
    n, answered = len(first), happened.answer >= 0
    lanes = happened.lane.astype(np.int64) if len(happened.lane) else np.zeros(1, np.int64)
    last = np.zeros(n, np.int64)
    np.maximum.at(last, happened.row, np.arange(len(happened.row)))
    lane = np.where(answered, lanes[np.maximum(happened.answer, 0)], first)
    return Told(
        names,
        lane,
        np.where(answered, lane, lanes[last]),
        np.where(answered & (lane == first), gated, -1),
        np.isin(np.arange(n), happened.row[happened.purpose == _ESCALATION]),
        evidence,
        key,
    )


def source_of(happened: Happened) -> NDArray[np.int64]:
    """Return whose answer each request was told: its own, unless it was served another's."""
    return np.where(happened.source >= 0, happened.source, np.arange(len(happened.source)))
