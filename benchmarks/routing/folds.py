"""Who is fitted on what: outer folds, repeated, and inner folds within the training rows; groups are never split.

In: codes of groups and a seed. Out: Tasks, each with the rows that train, the rows that test, and the inner fold of each
training row. Knows nothing of methods.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.training.ridge import fold_of

__all__ = ["INNER", "OUTER", "Task", "tasks"]

#: Outer folds judge, inner folds tune.
OUTER, INNER = 5, 3
I64 = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Task:
    """One outer fold: positions of the rows to fit and to test, the fit rows' inner folds, and a seed of its own."""

    train: I64
    test: I64
    inner: I64
    seed: int

    @property
    def inside(self) -> Iterator[tuple[I64, I64]]:
        """Yield positions within ``train`` that fit and that are left out, for each inner fold."""
        for fold in np.unique(self.inner):
            yield np.flatnonzero(self.inner != fold), np.flatnonzero(self.inner == fold)


def tasks(unit: I64, repeats: int = 3, seed: int = 0) -> list[list[Task]]:
    """Return the outer folds of each repeat (scikit-learn's GroupKFold, shuffled).

    >>> [len(t.test) for t in tasks(np.arange(10), repeats=1)[0]]
    [2, 2, 2, 2, 2]
    """
    return [_repeat(unit, seed + 1000 * r) for r in range(repeats)]


def _repeat(unit: I64, seed: int) -> list[Task]:
    fold = fold_of(unit, OUTER, seed)
    return [task(np.flatnonzero(fold != f), np.flatnonzero(fold == f), unit, seed + int(f)) for f in np.unique(fold)]


def task(train: I64, test: I64, unit: I64, seed: int) -> Task:
    """Return one task with its inner folds."""
    return Task(train, test, fold_of(unit[train], INNER, seed), seed)
