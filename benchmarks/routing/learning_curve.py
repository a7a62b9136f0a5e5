"""How quality grows with the number of labels: the planner beside the cheap peers, over many draws.

In: Data, Methods, label counts, draws. Out: one object per method and count: the mean over draws with its interval, and the
paired difference to the best peer. A draw takes a fifth of the groups to judge and some of the rest to learn from; draws share
rows, so that the intervals are those of the draws, not of other data. Knows nothing of how methods work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from benchmarks.routing import frontier, metrics
from benchmarks.routing.data import Data
from benchmarks.routing.evaluate import diff_metric
from benchmarks.routing.folds import Task, task
from benchmarks.routing.method import Fitted, Method

__all__ = ["CHEAP", "SIZES", "draw", "learning_curve", "score", "text"]

F64 = NDArray[np.float64]
SIZES = (200, 500, 1_000, 2_000, 5_000, 10_000)
#: Methods that are fitted in seconds, by the beginning of their names.
CHEAP = ("planner", "length", "domain_table", "tfidf_ridge", "knn_minilm")
_TEST = 0.2


def learning_curve(
    data: Data,
    methods: Sequence[Method],
    sizes: Sequence[int] = SIZES,
    draws: int = 30,
    seed: int = 0,
    each: Callable[[], object] = lambda: None,
) -> list[dict[str, Any]]:
    """Return the lines of every count that the rows allow."""
    found: list[dict[str, Any]] = []
    for size in (s for s in sizes if s <= (1 - _TEST) * len(data)):
        values: dict[str, list[float]] = {m.name: [] for m in methods}
        for number in range(draws):
            given = draw(data, size, seed + number)
            for method in methods:
                values[method.name].append(score(data, method, given, method.fit(data, given)))
                each()
        found += _lines(data, methods, size, {n: np.array(v) for n, v in values.items()})
    return found


def draw(data: Data, size: int, seed: int) -> Task:
    """Return a task that trains on ``size`` rows of whole groups (the last one cut) and tests on a fifth of all groups."""
    place = np.random.default_rng([seed, 7]).permutation(data.unit.max() + 1)[data.unit]
    held = place < _TEST * (data.unit.max() + 1)
    order = np.argsort(place, kind="stable")
    train = order[~held[order]][:size]
    return task(np.sort(train), np.flatnonzero(held), data.unit, seed)


def score(data: Data, method: Method, given: Task, fitted: Fitted) -> float:
    """Return APGR for two models, AIQ for more, on the test rows of one task."""
    inner, outer = data.whole[given.train], data.whole[given.test]
    rows, gains = given.test[outer], fitted.outside[outer]
    if data.k == 2:
        by = metrics.rank(data.spared(gains) * (method.role != "mix"))
        return float(metrics.apgr(by, data.lost[rows], data.weight[None, rows])[0])
    known = given.train[inner]
    fit = (data.rates, data.cost[known], data.quality[known], data.weight[known], data.reference)
    points = frontier.corners(fitted.inside[inner], *fit)
    single, share = data.cost[rows].mean(0), data.weight[rows] / data.weight[rows].sum()
    limits = np.linspace(single.min(), single.max(), frontier.BUDGETS)
    paid, got = frontier.walk(points, gains, data.rates, data.cost[rows], data.quality[rows], data.reference, limits)
    return metrics.aiq(np.maximum.accumulate(share @ paid), share @ got, float(single.min()), float(single.max()))


def _lines(data: Data, methods: Sequence[Method], size: int, values: dict[str, F64]) -> list[dict[str, Any]]:
    lines = []
    for method in methods:
        own = values[method.name]
        line: dict[str, Any] = {"dataset": data.name, "method": method.name, "inputs": method.inputs, "labels": size, "draws": len(own)}
        line |= {"metric": diff_metric(data)} | _interval("mean", own)
        seen = ("text", "all") if method.inputs == "all" else ("text",)
        peers = [m.name for m in methods if m.role != "planner" and m.inputs in seen]
        if method.role == "planner" and peers:
            best = max(peers, key=lambda n: float(np.mean(values[n])))
            line |= {"best_peer": best} | _interval("diff_to_best_peer", own - values[best])
        lines.append(line)
    return lines


def _interval(name: str, values: F64) -> dict[str, Any]:
    """Return the mean with Student's 95 % interval; no interval from one draw."""
    mean, n = float(values.mean()), len(values)
    half = float(stdtrit(n - 1, 0.975) * values.std(ddof=1) / np.sqrt(n)) if n > 1 else np.nan
    numbers = {name: mean, f"{name}_low": mean - half, f"{name}_high": mean + half}
    return {k: round(v, 5) if np.isfinite(v) else None for k, v in numbers.items()}


def text(lines: Sequence[dict[str, Any]]) -> str:
    """Return the lines as a table: a row a method, a column a label count."""
    parts = []
    for name in dict.fromkeys(line["dataset"] for line in lines):
        own = [line for line in lines if line["dataset"] == name]
        sizes = list(dict.fromkeys(line["labels"] for line in own))
        parts.append(f"{name}: {own[0]['metric']}, mean of {own[0]['draws']} draws\n{'labels':<20}" + "".join(f"{s:>10,}" for s in sizes))
        for method in dict.fromkeys(line["method"] for line in own):
            row = [line["mean"] for line in own if line["method"] == method]
            parts.append(f"{method:<20}" + "".join(f"{'–' if v is None else format(v, '.4f'):>10}" for v in row))
    return "\n".join(parts)
