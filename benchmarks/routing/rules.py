"""The rows every router has to be held against: bounds, single models, mixes, and rules without a model of language.

In: Data and a Task. Out: Fitted. Knows nothing of metrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.routing.data import Data
from benchmarks.routing.folds import Task
from benchmarks.routing.method import Fitted, Method, tuned

__all__ = ["RULES"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
#: Rows of the overall mean with which a domain's mean is mixed.
_PRIORS = (0.0, 3.0, 10.0, 30.0, 100.0)


def _oracle(data: Data, task: Task) -> Fitted:
    """The true gains: what nobody can know beforehand."""
    gain = np.nan_to_num(data.gain, nan=-1.0)
    return Fitted(gain[task.train], gain[task.test])


def _mean_gain(data: Data, task: Task) -> Fitted:
    """The same gains for every request: mixing single models at random is all that is left."""
    gain, weight = data.gain[task.train], data.weight[task.train]
    mean = (weight[:, None] * np.nan_to_num(gain)).sum(0) / np.maximum((weight[:, None] * ~np.isnan(gain)).sum(0), 1e-300)
    return Fitted(np.tile(mean, (len(task.train), 1)), np.tile(mean, (len(task.test), 1)))


def _length(data: Data, task: Task) -> Fitted:
    """A polynomial of gain in ln(1 + input tokens)."""
    x = np.log1p(data.requests["text"].input_tokens).astype(float)

    def run(fit: I64, out: I64, grid: Sequence[int]) -> list[F64]:
        return [_polynomial(x[fit], data.gain[fit], data.weight[fit], x[out], degree) for degree in grid]

    inside, outside, degree = tuned(data, task, run, (1, 2, 3))
    return Fitted(inside, outside, {"degree": degree})


def _polynomial(x: F64, gain: F64, weight: F64, at: F64, degree: int) -> F64:
    middle, scale = x.mean(), max(float(x.std()), 1e-9)
    design, wanted = (np.vander(np.clip((v - middle) / scale, -4, 4), degree + 1) for v in (x, at))
    columns = []
    for y in gain.T:
        root = np.sqrt(np.where(np.isnan(y), 0.0, weight))
        columns.append(wanted @ np.linalg.lstsq(design * root[:, None], np.nan_to_num(y) * root, rcond=None)[0])
    return np.column_stack(columns)


def _table(data: Data, task: Task) -> Fitted:
    """The mean gain of each domain, drawn towards the overall mean."""

    def run(fit: I64, out: I64, grid: Sequence[float]) -> list[F64]:
        return [means(data.domain[fit], data.gain[fit], data.weight[fit], data.domains, prior)[data.domain[out]] for prior in grid]

    inside, outside, prior = tuned(data, task, run, _PRIORS)
    return Fitted(inside, outside, {"prior_rows": prior})


def means(code: I64, gain: F64, weight: F64, count: int, prior: float) -> F64:
    """Return the mean gain of each of ``count`` codes, mixed with ``prior`` rows of the overall mean, (count, K)."""
    known = np.where(np.isnan(gain), 0.0, weight[:, None])
    value = known * np.nan_to_num(gain)
    overall = value.sum(0) / np.maximum(known.sum(0), 1e-300)
    sums, mass = (np.stack([np.bincount(code, column, count) for column in x.T], axis=1) for x in (value, known))
    prior = max(prior, 1e-9) * float(weight.mean())
    found: F64 = (sums + prior * overall) / (mass + prior)
    return found


def _row(name: str, role: str, fit: Any, inputs: str = "text") -> Method:
    return Method(name, inputs, role, fit)


RULES = (
    _row("oracle", "bound", _oracle),
    _row("random_mix", "mix", _mean_gain),
    _row("length", "rule", _length),
    _row("domain_table", "rule", _table, "all"),
)
