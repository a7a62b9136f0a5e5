"""Calibration of predicted quality on labels: every model's, and that of whichever model the router picks.

In: a label file, or the folder of public benchmarks. Out: a line a dataset, share of traffic moved and model: calibration error
beside that of a perfectly calibrated model, Brier skill, and predicted beside realised quality, on out-of-fold rows, and the
value of the plan on requests whose labels nobody used, corrected by those that judge.
Run: ``python -m benchmarks.calibration (--labels FILE --reference M | --data DIR) --json``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.labels import Labels, read_labels
from planner.outcomes.quality import fit_quality
from planner.router import LinearScorer, choose
from planner.training import learn, pose
from planner.training.calibration import calibration
from planner.training.problem import Problem

FILES = {"mmlu": "routellm_mmlu.parquet", "nine models": "llmrouter_train.parquet"}
#: Levels of τ at which the router picks.
TAUS = (-0.05, 0.0, 0.05, 0.15)


def ranked(labels: Labels) -> dict[str, float]:
    """Return a stated ranking of costs for labels without any: the better a model, the dearer; each twice the one before."""
    order = np.argsort(labels.quality().mean(0))
    return {labels.models[code]: 2.0**place for place, code in enumerate(order)}


def measure(name: str, labels: Labels, reference: str | None = None, seed: int = 0) -> pd.DataFrame:
    """Return the lines of one dataset: fitted on half of the units; a quarter corrects; the last quarter is traffic."""
    problem = pose(labels, reference=reference, cost=ranked(labels), seed=seed)
    fit, corrects = problem.part == "fit", problem.part == "judge"
    learned = learn(
        problem.requests.take(fit),
        problem.gain[fit],
        problem.weight[fit],
        problem.unit[fit],
        problem.reference_code,
        seed,
        quality=problem.quality[fit],
    )
    if not isinstance(learned.scorer, LinearScorer):
        raise TypeError(f"the learned router scores with {type(learned.scorer).__name__}, not with features")
    model = fit_quality(problem, learned.scorer, fit, seed)
    rest = np.flatnonzero(~fit)
    fresh, gains = model.predict(problem.requests.take(rest)), learned.scorer.gains(problem.requests.take(rest))
    lines = []
    for tau in TAUS:
        at = np.flatnonzero(fit)
        own = _held(problem, at, model.oof, learned.oof, tau, None, seed)
        new = _held(problem, rest, fresh, gains, tau, corrects[rest], seed)
        lines.append(own.assign(rows="out of fold", tau=tau))
        lines.append(new.assign(rows="fresh", tau=tau))
    return pd.concat(lines).reset_index().assign(dataset=name)


def _held(
    problem: Problem,
    at: NDArray[np.int64],
    predicted: NDArray[np.float32],
    gains: NDArray[Any],
    tau: float,
    corrects: NDArray[np.bool_] | None,
    seed: int,
) -> pd.DataFrame:
    everywhere = np.ones(gains.shape, bool)
    codes = choose(gains, problem.cost_usd[at], everywhere, problem.reference_code, tau)
    found = calibration(
        problem.quality[at], predicted, problem.weight[at], problem.unit[at], problem.models, codes, corrects=corrects, seed=seed
    )
    return found.table.assign(moved=float((codes != problem.reference_code).mean()))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--reference")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    files = {args.labels.stem: args.labels} if args.labels else {n: args.data / f for n, f in FILES.items()}
    table = pd.concat([measure(n, read_labels(f), args.reference, args.seed) for n, f in files.items()], ignore_index=True)
    print(json.dumps(table.to_dict("records"), indent=1) if args.json else table.round(4).to_string())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
