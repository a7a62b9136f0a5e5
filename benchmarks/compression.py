"""Answer retention of context compression: whether the answer is still in the context after it was cut to half its tokens.

In: questions on contexts whose answer stands in the context: the project's own, the sample log's, or a user's file. Out: a line a
dataset, method and ratio: the share of questions whose answer (normalised as SQuAD's evaluation does) is still there, its interval over
contexts, and how far ``planner`` is ahead, paired. Retention is measured; that a model then answers as well is not.
Run: ``python -m benchmarks.compression [--qa FILE] --json``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.compression_data import OWN, Case, holds, own, read_cases
from benchmarks.compression_peers import PEERS, Compressor
from planner.errors import InputError
from planner.stats import draws
from planner.text.ranking import rank_to_budget
from planner.text.tokens import count_tokens

__all__ = ["METHODS", "RATIOS", "main", "measure"]

METHODS: Mapping[str, Compressor] = {"planner": rank_to_budget, **PEERS}
RATIOS = (1.5, 2.0, 3.0, 4.0)
_REPLICATES = 2_000


def measure(name: str, cases: Sequence[Case], ratios: Sequence[float] = RATIOS, methods: Sequence[str] = tuple(METHODS)) -> pd.DataFrame:
    """Return ``dataset, method, ratio, questions, retention, low, high, ahead, ahead_low, ahead_high, tokens_per_s``.

    ``ahead`` is planner's retention less the method's on the same questions. A context within the budget of the exact tokenizer, or
    the method is wrong: RuntimeError.
    """
    sizes = count_tokens([c.context for c in cases])
    weights = _replicates([c.group for c in cases])
    rows: list[dict[str, Any]] = []
    for ratio in ratios:
        kept = {}
        for method in methods:
            kept[method], seconds = _kept(METHODS[method], cases, (sizes / ratio).astype(np.int64), method)
            share = _interval(kept[method], weights)
            row = {"dataset": name, "method": method, "ratio": ratio, "questions": len(cases)}
            row |= dict(zip(("retention", "low", "high"), share, strict=True))
            if "planner" in kept:
                row |= dict(zip(("ahead", "ahead_low", "ahead_high"), _interval(kept["planner"] - kept[method], weights), strict=True))
            rows.append({**row, "tokens_per_s": float(sizes.sum() / seconds)})
    return pd.DataFrame(rows)


def _kept(method: Compressor, cases: Sequence[Case], budgets: NDArray[np.int64], name: str) -> tuple[NDArray[np.float64], float]:
    start = time.process_time()
    made = [method(c.context, c.question, b) for c, b in zip(cases, budgets.tolist(), strict=True)]
    seconds = time.process_time() - start
    if (count_tokens(made) > budgets).any():
        raise RuntimeError(f"{name} went over its budget")
    return np.array([holds(text, c.answers) for text, c in zip(made, cases, strict=True)], float), seconds


def _replicates(groups: Sequence[str]) -> NDArray[np.float64]:
    """Return the bootstrap's weights of every question, (replicates, questions): contexts are drawn, with all their questions."""
    code = np.unique(np.array(groups, object), return_inverse=True)[1]
    n = int(code.max()) + 1
    drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=_REPLICATES)
    return drawn[:, code].astype(float)


def _interval(values: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the mean and its 95 % percentile interval over ``weights``."""
    means = weights @ values / weights.sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(values.mean()), float(low), float(high)


def _sampled(cases: list[Case], most: int) -> list[Case]:
    """Keep ``most`` cases at random, the same whatever the order of the file."""
    if len(cases) <= most:
        return cases
    order = np.argsort(draws.uniform(0, draws.key(f"{c.question}\x1f{c.context}" for c in cases), "sample"))
    return [cases[i] for i in sorted(order[:most].tolist())]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--qa", type=Path, action="append", help="SQuAD's or HotpotQA's JSON, or lines with question, context, answers")
    parser.add_argument("--ratio", type=float, action="append", help="how many times fewer tokens; default 1.5, 2, 3 and 4")
    parser.add_argument("--methods", nargs="+", choices=tuple(METHODS), default=tuple(METHODS))
    parser.add_argument("--max-questions", type=int, default=2_000)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    try:
        sets = {p.stem: read_cases(p) for p in args.qa} if args.qa else {n: own(n) for n in OWN}
        for name, cases in sets.items():
            if not cases:
                raise InputError(f"{name} with no question whose answer stands in its context", "at least one")
    except (InputError, OSError) as error:
        parser.error(str(error))
    parts = [measure(n, _sampled(c, args.max_questions), args.ratio or RATIOS, args.methods) for n, c in sets.items()]
    table = pd.concat(parts, ignore_index=True)
    print(json.dumps(table.to_dict("records"), indent=1) if args.json else table.round(4).to_string(index=False))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
