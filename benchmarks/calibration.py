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

from benchmarks.verdict import tau_at
from planner.labels import Labels, read_labels
from planner.outcomes.quality import fit_quality
from planner.router import LinearScorer, Scores, choose
from planner.training import learn, pose
from planner.training.calibration import calibration
from planner.training.problem import Problem

FILES = {"mmlu": "routellm_mmlu.parquet", "nine models": "llmrouter_train.parquet"}
#: Shares of the requests that leave the reference where the router picks.
SHARES = (0.1, 0.3, 0.6, 0.9)


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
    for share in SHARES:
        at = np.flatnonzero(fit)
        own = _held(problem, at, model.oof, learned.oof, share, None, seed)
        new = _held(problem, rest, fresh, gains, share, corrects[rest], seed)
        lines.append(own.assign(rows="out of fold", share=share))
        lines.append(new.assign(rows="fresh", share=share))
    return pd.concat(lines).reset_index().assign(dataset=name)


def _held(
    problem: Problem,
    at: NDArray[np.int64],
    predicted: NDArray[np.float32],
    gains: NDArray[Any],
    share: float,
    corrects: NDArray[np.bool_] | None,
    seed: int,
) -> pd.DataFrame:
    home = np.full(len(at), problem.reference_code)
    able, stays = np.ones(gains.shape, bool), np.zeros(len(at), np.int8)
    scores = Scores(gains.astype(np.float32), problem.cost_usd[at], able, stays, home)
    codes = choose(scores.gains, scores.cost_usd, able, home, tau_at(scores, share))
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
