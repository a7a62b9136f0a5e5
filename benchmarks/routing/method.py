"""What a row of the benchmark is: a name, the inputs it may see, and how it is fitted to one outer fold.

In: Data and a Task. Out: Fitted gains, cross-fitted on the training rows (operating points are chosen on them) and predicted on
the test rows. Tuning is one function, the same budget for every peer. Knows nothing of metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.routing.data import Data
from benchmarks.routing.folds import Task

__all__ = ["Fitted", "Method", "filled", "to_gains", "tuned"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
#: From (rows that fit, rows to predict, settings) to predictions for each setting, (settings, rows, K).
Run = Callable[[I64, I64, Sequence[Any]], Sequence[F64]]


@dataclass(frozen=True, eq=False)
class Fitted:
    """Gains over the reference: ``inside`` (train, K) cross-fitted, ``outside`` (test, K); ``chosen`` says what tuning chose.

    ``decide`` predicts the gains of one row from its text, for timing; None where nothing is computed from the text.
    """

    inside: F64
    outside: F64
    chosen: Mapping[str, Any] = field(default_factory=dict)
    decide: Callable[[int], object] | None = None


@dataclass(frozen=True, eq=False)
class Method:
    """One row: ``role`` is planner, peer, rule or bound."""

    name: str
    inputs: str
    role: str
    fit: Callable[[Data, Task], Fitted]
    needs_embedding: bool = False


def tuned(data: Data, task: Task, run: Run, grid: Sequence[Any], scores: bool = False) -> tuple[F64, F64, Any]:
    """Return cross-fitted and test gains at the setting whose gains predict left-out inner folds best, and that setting.

    ``scores`` says that ``run`` gives scores instead of gains: a line per model brings them to gains, fitted on the cross-fitted
    scores of the training rows.
    """
    gain, weight = data.gain[task.train], data.weight[task.train]
    parts = [(out, run(task.train[fit], task.train[out], grid)) for fit, out in task.inside]
    place = np.argsort(np.concatenate([out for out, _ in parts]))
    oof = [np.concatenate([found[g] for _, found in parts])[place] for g in range(len(grid))]
    lines = [to_gains(o, gain, weight) if scores else None for o in oof]
    inside = [o if line is None else _apply(o, line) for o, line in zip(oof, lines, strict=True)]
    best = int(np.argmin([_error(i, gain, weight) for i in inside]))
    (outside,) = run(task.train, task.test, [grid[best]])
    line = lines[best]
    return inside[best], outside if line is None else _apply(outside, line), grid[best]


def _error(predicted: F64, gain: F64, weight: F64) -> float:
    known = ~np.isnan(gain)
    return float((np.where(known, weight[:, None], 0) * np.square(np.nan_to_num(gain - predicted))).sum())


def to_gains(score: F64, gain: F64, weight: F64) -> F64:
    """Return intercept and slope per model, (2, K), of gain on its score (its own column, or the only one)."""
    wide = np.broadcast_to(score, gain.shape)
    mass = np.where(np.isnan(gain), 0.0, weight[:, None])
    total = np.maximum(mass.sum(0), 1e-300)
    mx, my = (mass * wide).sum(0) / total, (mass * np.nan_to_num(gain)).sum(0) / total
    spread = (mass * (wide - mx) ** 2).sum(0)
    slope = np.divide((mass * (wide - mx) * (np.nan_to_num(gain) - my)).sum(0), spread, out=np.zeros(len(mx)), where=spread > 1e-12)
    return np.stack([my - slope * mx, slope])


def _apply(score: F64, line: F64) -> F64:
    found: F64 = line[0] + score * line[1]
    return found


def filled(values: F64, weight: F64) -> F64:
    """Return ``values`` (n, K) with each missing cell at its column's weighted mean."""
    known = ~np.isnan(values)
    mean = (weight[:, None] * np.nan_to_num(values)).sum(0) / np.maximum((weight[:, None] * known).sum(0), 1e-300)
    return np.where(known, values, mean)
