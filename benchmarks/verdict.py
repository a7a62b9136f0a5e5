"""How often the verdict is right, where the truth is known: made-up labels, the whole way from prompts to the verdict.

In: a number of runs a world. Out: how often each kind was said: where grades have nothing to do with prompts, where prompt length
alone matters, and where words do by a planted effect, in standard errors of the closest comparison; and, without prompts, the
true error of the one-sided 2.5 % bounds for few and binary grades, beside that of the jackknife alone.
Run: ``python -m benchmarks.verdict --runs 200 --json``.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.labels import Labels
from planner.router import AlwaysRule, Scores, lookup, steps
from planner.stats.resample import BUCKETS, jackknife
from planner.training import Judged, Problem, learn, pose, split
from planner.training.equal_cost import Mix, compare
from planner.training.judge import onehot
from planner.training.methods import judged_rows, methods
from planner.training.verdict import KINDS, Verdict, verdict

F64 = NDArray[np.float64]
COST = {"large": 20.0, "middle": 5.0, "small": 1.0}
COMMON = ("please", "the", "my", "order", "about", "with", "number", "today", "report", "for", "and", "of", "our", "which", "then")
EASY, HARD = ("greet", "thank", "spell", "list", "repeat", "name"), ("prove", "derive", "integrate", "refactor", "diagnose", "reconcile")
#: Worlds of one kind share this many sets of prompts; grades and the split are drawn anew in every run.
SETS = 4


@dataclass(frozen=True, eq=False)
class World:
    """Prompts with their apps, and the true expected quality of each model's answers, (n, models)."""

    texts: Sequence[str]
    apps: Sequence[str]
    models: tuple[str, ...]
    truth: F64

    @cached_property
    def problem(self) -> Problem:
        """The problem as posed, with one draw of the grades."""
        ids = [f"r{i:05d}" for i in range(len(self.texts))]
        messages = [json.dumps([{"role": "user", "content": t}]) for t in self.texts]
        items = pd.DataFrame({"request_id": ids, "app": self.apps, "messages": messages})
        grades = self.grades(0)
        parts = [pd.DataFrame({"request_id": ids, "model": m, "quality": grades[:, k]}) for k, m in enumerate(self.models)]
        labels = Labels.of(items, pd.concat(parts, ignore_index=True))
        return pose(labels, reference="large", cost={m: COST[m] for m in self.models})

    def grades(self, seed: int) -> F64:
        """Draw right or wrong for every answer."""
        return (np.random.default_rng(seed).random(self.truth.shape) < self.truth).astype(float)

    def drawn(self, seed: int) -> Problem:
        """Return the problem with grades and parts of this seed."""
        columns = [self.models.index(m) for m in self.problem.models]
        return replace(self.problem, quality=self.grades(seed)[:, columns], part=split(self.problem.unit, seed))


def words_matter(n: int, seed: int, effect: float, models: tuple[str, ...]) -> World:
    """In four of ten prompts a hard word costs the small model ``effect`` and the middle one half of it; apps say a little."""
    rng = np.random.default_rng(seed)
    hard = rng.random(n) < 0.4
    texts = [" ".join(rng.permutation([*rng.choice(COMMON, 8), *rng.choice(HARD if h else EASY, 2), str(i)])) for i, h in enumerate(hard)]
    apps = np.where(rng.random(n) < np.where(hard, 0.6, 0.4), "maths", "chat").tolist()
    loss = {"large": 0.02, "middle": effect / 2, "small": effect}
    return World(texts, apps, models, np.column_stack([0.9 - hard * loss[m] for m in models]))


def shuffled(n: int, seed: int, effect: float, models: tuple[str, ...]) -> World:
    """The same prompts, apps and grades on average, but no prompt says anything of its grades."""
    world = words_matter(n, seed, effect, models)
    return replace(world, truth=np.random.default_rng(seed + 10**6).permutation(world.truth))


def length_matters(n: int, seed: int, effect: float, models: tuple[str, ...]) -> World:
    """Quality falls with the length of the prompt, along a curve, the sooner the smaller the model; words say nothing."""
    rng = np.random.default_rng(seed)
    size = np.clip(rng.lognormal(3.2, 0.8, n), 4, 300).astype(int)
    texts = [" ".join([*rng.choice(COMMON, s), str(i)]) for i, s in enumerate(size)]
    place = {"large": 9.0, "middle": 4.0, "small": 3.2}
    truth = np.column_stack([0.9 - effect / (1 + np.exp(-3 * (np.log(size) - place[m]))) for m in models])
    return World(texts, np.where(rng.random(n) < 0.5, "maths", "chat").tolist(), models, truth)


@dataclass(frozen=True, eq=False)
class Run:
    """A verdict, and the true advantage over the closest simpler method, in the standard errors seen."""

    found: Verdict
    effect: float


def decide(world: World, seed: int, floor: float = 0.05, share: float = 0.5) -> Run:
    """Learn, fit the rules and judge; ``share`` of the requests leave the reference at every τ, so that something is routed."""
    problem = world.drawn(seed)
    fit = problem.rows("fit")
    part, quality = problem.requests.take(fit), problem.quality[fit]
    learned = learn(part, problem.gain[fit], problem.weight[fit], problem.unit[fit], problem.reference_code, seed, quality=quality)
    found, fit_rows = methods(problem, learned, {}, frozenset(), floor, seed)
    routers = {name: m.router.with_tau(tau_at(m.fitted, share)) for name, m in found.items() if not isinstance(m.router.scorer, AlwaysRule)}
    rows, whole = judged_rows(problem, "judge", routers["learned"])
    at = problem.rows("judge")[whole]
    scores = {name: r.scores(problem.requests.take(at), problem.day) for name, r in routers.items()}
    true = world.truth[at][:, [world.models.index(m) for m in problem.models]]
    seen, truth = (verdict(r, scores, routers, fit_rows, floor=floor) for r in (rows, replace(rows, quality=true)))
    return Run(seen, _effect(seen.table, truth.table))


def tau_at(scores: Scores, share: float) -> float:
    """Return the τ at which nearest to ``share`` of the requests have left their reference."""
    thresholds, codes = steps(scores.gains, scores.cost_usd, scores.feasible, scores.home)
    finite = np.unique(thresholds[np.isfinite(thresholds)])
    tried = finite[np.unique(np.linspace(0, len(finite) - 1, 201).astype(int))]
    moved = np.array([(lookup(thresholds, codes, scores.home, tau) != scores.home).mean() for tau in tried])
    return float(tried[np.abs(moved - share).argmin()])


def _effect(seen: pd.DataFrame, truth: pd.DataFrame) -> float:
    """Return the smallest true advantage of the learned router in standard errors."""
    both = seen[seen["method"] == "learned"].merge(truth[truth["method"] == "learned"], on="vs", suffixes=("", "_true"))
    se = (both["diff"] - both["low"]) / 1.96
    return float((both["diff_true"] / se.where(se > 0)).min())


def said(make: Callable[..., World], runs: int, n: int, effect: float, models: tuple[str, ...] = tuple(COST)) -> dict[str, Any]:
    """Return how often each kind was said, and the mean planted effect."""
    worlds = [make(n, s, effect, models) for s in range(SETS)]
    found = [decide(worlds[seed % SETS], seed) for seed in range(runs)]
    count = Counter(r.found.kind for r in found)
    planted = float(np.nanmean([r.effect for r in found]))
    return {"world": make.__name__, "n": n, "models": len(models), "runs": runs, **{k: count[k] for k in KINDS}, "effect_se": planted}


#: What is right for the dear model, and of those and of the others, what is right for the cheap one.
GRADES = {"two of three": (0.81, 0.78, 0.27), "nearly all": (0.97, 0.96, 0.3), "as good": (0.8, 0.875, 0.5)}


def bound_error(grades: str, n: int, moved: float, runs: int, seed: int = 0) -> dict[str, Any]:
    """Return how often the lower bound is above 0 where requests are moved at random, with both standard errors and with one."""
    rng = np.random.default_rng(seed)
    dear, right, wrong = GRADES[grades]
    passed = np.zeros(2)
    for _ in range(runs):
        good = rng.random(n) < dear
        quality = np.column_stack([rng.random(n) < np.where(good, right, wrong), good]).astype(float)
        unit = np.array([f"{seed} {i}" for i in rng.integers(0, 2**40, n)])
        rows = Judged(quality, np.tile([1.0, 20.0], (n, 1)), np.ones(n), unit, np.ones(n, np.int64))
        own = onehot((rng.random(n) >= moved).astype(int), 2)
        mix = Mix("coin", onehot(np.zeros(n, int), 2), onehot(np.ones(n, int), 2))
        passed += (compare("", own, [mix], rows)["low"].iloc[0] > 0, _alone(own, rows) > 0)
    return {"grades": grades, "rows": n, "moved": moved, "runs": runs, "error": passed[0] / runs, "error_jackknife_alone": passed[1] / runs}


def _alone(own: F64, rows: Judged) -> float:
    """Return the lower bound by the jackknife alone."""
    bucket, cost = rows.bucket, own[:, 1]
    parts = (np.ones(len(own)), (own * rows.quality).sum(1), cost, rows.quality[:, 0], rows.quality[:, 1])
    sums = np.column_stack([np.bincount(bucket, x, BUCKETS) for x in parts])

    def gain(s: F64) -> F64:
        p = s[..., 2] / s[..., 0]
        found: F64 = (s[..., 1] - (1 - p) * s[..., 3] - p * s[..., 4]) / s[..., 0]
        return found

    return float(jackknife(sums, gain, sums[:, 0]).low)


#: World, labels, effect, models: what the three requirements are measured on.
WORLDS: tuple[tuple[Callable[..., World], int, float, tuple[str, ...]], ...] = (
    (shuffled, 600, 0.6, ("large", "middle", "small")),
    (shuffled, 600, 0.6, ("large", "small")),
    (length_matters, 600, 0.7, ("large", "middle", "small")),
    (length_matters, 600, 0.7, ("large", "small")),
    (words_matter, 2_400, 0.75, ("large", "middle", "small")),
    (words_matter, 800, 0.62, ("large", "small")),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--bound-runs", type=int, default=4_000)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    verdicts = [said(make, args.runs, n, effect, models) for make, n, effect, models in WORLDS]
    bounds = [bound_error(g, n, moved, args.bound_runs) for g in GRADES for n in (100, 250, 1_000) for moved in (0.1, 0.5, 0.9)]
    if args.json:
        print(json.dumps({"verdicts": verdicts, "bounds": bounds}, indent=1))
    else:
        print(pd.DataFrame(verdicts).round(2).to_string(index=False), pd.DataFrame(bounds).round(4).to_string(index=False), sep="\n\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
