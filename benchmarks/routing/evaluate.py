"""One method on one dataset: fitted fold by fold, judged on pooled rows that fitted nothing.

In: Data, folds, a Method. Out: an Outcome with every metric, as it is and under bootstrap weights of the groups, which are the
same for every method and repeat, so that differences of two Outcomes are paired. Knows nothing of how a method works.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from benchmarks.routing import frontier, metrics
from benchmarks.routing.data import Data
from benchmarks.routing.ensemble import Kept, keep
from benchmarks.routing.folds import Task
from benchmarks.routing.method import Fitted, Method

__all__ = ["Outcome", "Setting", "diff_metric", "evaluate", "single"]

F64 = NDArray[np.float64]
#: Prompts on which one decision is timed.
_TIMED = 50
_SHARES = (25, 50, 75)
#: The share of the best single model's cost at which quality is held against that model's.
_CHEAPER = 0.6


@dataclass(frozen=True)
class Setting:
    """Outer folds of each repeat, bootstrap replicates and their seed."""

    folds: Sequence[Sequence[Task]]
    bootstrap: int = 1000
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Outcome:
    """``value`` of every metric and its bootstrap ``draws``; ``decision_us`` for one request; what tuning chose."""

    name: str
    inputs: str
    role: str
    value: Mapping[str, float]
    draws: Mapping[str, F64] = field(default_factory=dict, repr=False)
    decision_us: float | None = None
    seconds: float = 0.0
    chosen: Sequence[Mapping[str, Any]] = ()
    note: str = ""

    def interval(self, metric: str, less: Outcome | None = None) -> tuple[float, float, float]:
        """Return the metric, or its difference to that of ``less``, with the 95 % percentile interval."""
        value = self.value[metric] - (less.value[metric] if less else 0.0)
        draws = self.draws[metric] - (less.draws[metric] if less else 0.0)
        known = draws[~np.isnan(draws)]
        low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
        return float(value), float(low), float(high)


@dataclass(frozen=True, eq=False)
class _Repeat:
    """Pooled rows of one repeat: the weak model's gains (n,), cost and quality at each budget (n, T), and at equal quality (n,)."""

    gain: F64
    cost: NDArray[np.float32]
    quality: NDArray[np.float32]
    matched_cost: F64
    matched_quality: F64


def diff_metric(data: Data) -> str:
    """Return the metric in which methods are compared: APGR for two models, AIQ for more."""
    return "apgr" if data.k == 2 else "aiq"


def evaluate(
    data: Data,
    method: Method,
    setting: Setting,
    each: Callable[[], object] = lambda: None,
    run: Callable[..., Any] | None = None,
    kept: Kept | None = None,
) -> list[Outcome]:
    """Fit and judge ``method``; a planner's row comes with its cost-matched shuffle.

    With more than two models it comes a third time, its gains decided as freely as a peer's.

    ``each`` is called after every fold; ``run`` maps a function over tasks, in this process when None. ``kept`` gathers what an
    ensemble is made of.
    """
    start = time.perf_counter()
    flat = [t for repeat in setting.folds for t in repeat]
    fitted = [method.fit(data, flat[0])]
    each()
    micro = _timed(fitted[0], flat[0])
    for found in (run or map)(lambda t: replace(method.fit(data, t), decide=None), flat[1:]):
        fitted.append(found)
        each()
    seconds = time.perf_counter() - start
    if kept is not None:
        for task, one in zip(flat, fitted, strict=True):
            keep(kept, method, task, one)
    ends = np.cumsum([0, *map(len, setting.folds)])
    pooled = [_pooled(data, method, f, fitted[a:b]) for f, a, b in zip(setting.folds, ends[:-1], ends[1:], strict=True)]
    value, draws = _judged(data, [own for own, _ in pooled], setting)
    chosen = [f.chosen for f in fitted if f.chosen]
    outcomes = [Outcome(method.name, method.inputs, method.role, value, draws, micro, seconds, chosen)]
    shuffled = [dealt for _, dealt in pooled if dealt is not None]
    if shuffled:
        outcomes.append(Outcome(f"shuffle_{method.name}", method.inputs, "mix", *_judged(data, shuffled, setting)))
    return outcomes


def _timed(fitted: Fitted, task: Task) -> float | None:
    """Return the median time of one decision [µs]."""
    if fitted.decide is None:
        return None
    times = []
    for row in task.test[:_TIMED].tolist():
        begun = time.perf_counter()
        fitted.decide(row)
        times.append(time.perf_counter() - begun)
    return float(np.median(times) * 1e6)


def budgets(data: Data) -> F64:
    """Return the budgets of the frontier, and last one without a limit."""
    paid = data.cost[data.whole].mean(0)
    return np.append(np.linspace(paid.min(), paid.max(), frontier.BUDGETS), np.inf)


def _pooled(data: Data, method: Method, folds: Sequence[Task], fitted: Sequence[Fitted]) -> tuple[_Repeat, _Repeat | None]:
    """Bring the folds of one repeat together; beside a planner's row, the same models' shares dealt at random."""
    n, limits = len(data), budgets(data)
    gain = np.full(n, np.nan)
    walked, mixed = ([np.full((n, len(limits)), np.nan, np.float32) for _ in range(2)] for _ in range(2))
    matched = [np.full(n, np.nan) for _ in range(2)]
    for task, found in zip(folds, fitted, strict=True):
        rows, inner = task.test, data.whole[task.train]
        known = task.train[inner]
        gain[rows] = data.spared(found.outside) if data.k == 2 and method.role != "mix" else 0.0
        fit = (data.rates, data.cost[known], data.quality[known], data.weight[known], data.reference)
        points = frontier.corners(found.inside[inner], *fit)
        own = (points, found.outside, data.rates, data.cost[rows], data.quality[rows], data.reference)
        walked[0][rows], walked[1][rows] = frontier.walk(*own, limits)
        best = float(np.average(data.quality[known], axis=0, weights=data.weight[known]).max())
        matched[0][rows], matched[1][rows] = frontier.at_quality(*own, best)
        dealt = frontier.shares(points, found.outside, data.rates, data.reference, limits)
        mixed[0][rows], mixed[1][rows] = data.cost[rows] @ dealt.T, data.quality[rows] @ dealt.T
    own_rows = _Repeat(gain, walked[0], walked[1], *matched)
    return own_rows, _Repeat(np.zeros(n), mixed[0], mixed[1], *matched) if method.role == "planner" else None


def _judged(data: Data, repeats: Sequence[_Repeat], setting: Setting) -> tuple[dict[str, float], dict[str, F64]]:
    """Return every metric as the mean over repeats, and its draws."""
    judge = _Judge(data, repeats)
    value = judge(np.ones((1, judge.groups)))
    parts = [judge(w) for w in metrics.replicates(judge.groups, setting.bootstrap, setting.seed)]
    draws = {m: np.concatenate([p[m] for p in parts]) if parts else np.zeros(0) for m in value}
    return {m: float(v[0]) for m, v in value.items()} | _curve(data, repeats), draws


def group_sums(unit: NDArray[np.int64], weight: F64, columns: F64) -> F64:
    """Return the weighted sum of ``columns`` (n, c) over each group, (groups, c)."""
    member = sparse.csr_matrix((weight, (unit, np.arange(len(unit)))))
    return np.asarray(member @ columns, float)


class _Judge:
    """Sums per group, made once; called with weights of groups (R, groups) it returns every metric, (R,)."""

    def __init__(self, data: Data, repeats: Sequence[_Repeat]) -> None:
        rows = np.flatnonzero(data.whole)
        _, self._unit = np.unique(data.unit[rows], return_inverse=True)
        self.groups = int(self._unit.max()) + 1
        self._weight = data.weight[rows]
        self._two = data.k == 2
        self._models = len(data.models)
        if self._two:
            self._lost = data.lost[rows]
            self._by = [metrics.rank(r.gain[rows]) for r in repeats]
        self._single = self._sums(np.column_stack([np.ones(len(rows)), data.cost[rows], data.quality[rows]]))
        self._frontier = [
            self._sums(np.column_stack([r.cost[rows], r.quality[rows], r.matched_cost[rows], r.matched_quality[rows]])) for r in repeats
        ]

    def _sums(self, columns: F64) -> F64:
        return group_sums(self._unit, self._weight, columns)

    def __call__(self, weights: F64) -> dict[str, F64]:
        single = weights @ self._single
        total, k = single[:, :1], self._models
        cost, quality = single[:, 1 : 1 + k] / total, single[:, 1 + k :] / total
        found = [self._repeat(weights @ sums / total, cost, quality) for sums in self._frontier]
        mean = {m: np.mean([f[m] for f in found], axis=0) for m in found[0]}
        mean["apgr"] = np.full(len(weights), np.nan)
        if self._two:
            mass = weights[:, self._unit] * self._weight
            mean["apgr"] = np.mean([metrics.apgr(by, self._lost, mass) for by in self._by], axis=0)
        return mean

    def _repeat(self, sums: F64, cost: F64, quality: F64) -> dict[str, F64]:
        t = frontier.BUDGETS + 1
        paid, got = np.maximum.accumulate(sums[:, :t], axis=1), sums[:, t : 2 * t]
        ends = list(zip(cost.min(1).tolist(), cost.max(1).tolist(), strict=True))
        best = quality.argmax(1)
        best_quality, best_cost = (np.take_along_axis(x, best[:, None], 1)[:, 0] for x in (quality, cost))
        found = {"aiq": np.array([metrics.aiq(c, q, *e) for c, q, e in zip(paid, got, ends, strict=True)])}
        for s in _SHARES:
            found[f"quality_at_{s}"] = np.array([metrics.quality_at(c, q, s / 100, *e) for c, q, e in zip(paid, got, ends, strict=True)])
        reached = [metrics.cost_at(c, q, w) for c, q, w in zip(paid, got, best_quality, strict=True)]
        found["cost_at_best_single"] = np.array(reached) / np.maximum(best_cost, 1e-300)
        cheaper = [metrics.quality_under(c, q, _CHEAPER * b) for c, q, b in zip(paid, got, best_cost, strict=True)]
        found["quality_diff_at_60"] = np.array(cheaper) - best_quality
        found["quality_max"] = got[:, -1]
        found["matched_cost_share"] = sums[:, -2] / np.maximum(best_cost, 1e-300)
        found["matched_quality_diff"] = sums[:, -1] - best_quality
        return found


def _curve(data: Data, repeats: Sequence[_Repeat]) -> dict[str, float]:
    """Return CPT(50 %) and CPT(80 %) in percent of the requests, the mean over repeats."""
    if data.k != 2:
        return {"cpt50": np.nan, "cpt80": np.nan}
    rows = np.flatnonzero(data.whole)
    curves = [metrics.pgr(metrics.rank(r.gain[rows]), data.lost[rows], data.weight[rows]) for r in repeats]
    return {f"cpt{p}": 100 * float(np.mean([metrics.cpt(c, p / 100) for c in curves])) for p in (50, 80)}


def single(data: Data, name: str, code: int, setting: Setting) -> Outcome:
    """Return the row of one model for everything: quality and cost, no curve."""
    rows = np.flatnonzero(data.whole)
    unit = np.unique(data.unit[rows], return_inverse=True)[1]
    groups = int(unit.max()) + 1
    sums = group_sums(unit, data.weight[rows], np.column_stack([np.ones(len(rows)), data.cost[rows], data.quality[rows]]))

    def judge(weights: F64) -> dict[str, F64]:
        found = weights @ sums
        cost, quality = found[:, 1 : 1 + data.k] / found[:, :1], found[:, 1 + data.k :] / found[:, :1]
        best = quality.argmax(1)
        paid = cost[:, code] / np.maximum(np.take_along_axis(cost, best[:, None], 1)[:, 0], 1e-300)
        return {"quality_max": quality[:, code], "matched_cost_share": paid, "matched_quality_diff": quality[:, code] - quality.max(1)}

    value = {m: float(v[0]) for m, v in judge(np.ones((1, groups))).items()}
    parts = [judge(w) for w in metrics.replicates(groups, setting.bootstrap, setting.seed)]
    return Outcome(name, "text", "single", value, {m: np.concatenate([p[m] for p in parts]) if parts else np.zeros(0) for m in value})
