"""The bill of a month that the planner has not seen, and whether it lies in the interval that the planner stated before.

In: a number of runs. Out: ``coverage``: how often the bill lies in its 95 % prediction interval, where one was given; beside it how often
that was too low or too high, or refused for too few users, its width as a share of the bill, and the mean of each part of the gap
[USD]. Run: ``python -m benchmarks.closed_loop_predictive --json``.

A run has two months of a generated world (``coverage``): users of a heavy-tailed population, days with effects of their own, lognormal
tokens. The planner gets the first month's log, which one model answered, and for 3,000 of its requests the other model's answers. It
simulates a plan that sends short prompts to the smaller model, and is told how many requests the second month has. That month has other
users and days; both models' answers are drawn by the true law, the plan routes them, and they are priced to the pico-dollar. The gap
between that bill and the simulated one is split (``followup.gap``); its parts must add up to the integer.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm.auto import tqdm

from benchmarks.coverage import LABELS, MODELS, SHORT, Log, Short, labels, world, written
from benchmarks.coverage_common import PRICED, book
from planner.followup.gap import PARTS, split_gap
from planner.outcomes import Outcomes
from planner.outcomes.ratios import sample_ratios
from planner.policies import Plan
from planner.schema import TOKEN_BUCKETS
from planner.simulation import World
from planner.simulation.predicted import predicted_bill
from planner.stats import Estimate
from planner.units import PUSD_PER_USD

PLAN = Plan((Short(),), "short prompts")
#: The second month begins where the first one ends.
_MONTH = np.timedelta64(28, "D")


@dataclass(frozen=True)
class Run:
    """``stated`` before the second month, what its ``bill`` was [pUSD], and ``parts`` of the gap to the first month's simulated one."""

    stated: Estimate
    bill: int
    parts: dict[str, int]


def one(seed: int, run: int) -> Run:
    """Live through two months."""
    code = 2 * (1_000_000 * seed + run)
    first, second = world(code), world(code + 1)
    with tempfile.TemporaryDirectory() as folder:
        opened = fitted(first, Path(folder), code)
        stated = predicted_bill(opened, PLAN, len(second.user))
        simulated = opened.played(PLAN)
        before = table(first.timestamp, simulated.model.decode(), simulated.tokens, simulated.cost_pusd)
    after = served(second)
    gap = split_gap(before, after, book()).iloc[-1]
    bill, parts = int(after["cost_pusd"].sum()), {name: int(gap[f"{name}_pusd"]) for name in PARTS}
    if sum(parts.values()) != bill - int(before["cost_pusd"].sum()):
        raise AssertionError("the parts of the gap do not add up to it")
    return Run(stated, bill, parts)


def fitted(made: Log, folder: Path, seed: int) -> World:
    """Open the first month as a user would: its log, and what the labels tell of the other model's tokens."""
    labelled = np.sort(np.random.default_rng([seed, 22]).choice(len(made.user), LABELS, replace=False))
    opened = World(written(made, folder), Outcomes(), book(), PRICED, seed=seed)
    ratios, samples = sample_ratios(labels(made, labelled), opened.rows.bucket[labelled])
    told = replace(opened.outcomes, ratios=ratios, samples=samples, providers={MODELS[1]: "openai"})
    return World(opened.traffic, told, book(), PRICED, seed=seed)


def served(made: Log) -> pd.DataFrame:
    """Return the second month as it was served: each request by the model that the plan says, answered by the true law."""
    asked = made.asked
    to = (asked.input < SHORT).astype(np.int64)
    tokens = np.zeros((len(to), len(TOKEN_BUCKETS)), np.int64)
    tokens[:, TOKEN_BUCKETS.index("input_tokens")] = asked.input
    tokens[:, TOKEN_BUCKETS.index("output_tokens")] = asked.output[np.arange(len(to)), to]
    model = np.array(MODELS, object)[to]
    return table(made.timestamp + _MONTH, model, tokens, book().price("openai", model, "standard", tokens, PRICED).cost_pusd)


def table(
    timestamp: NDArray[np.datetime64], model: NDArray[np.object_], tokens: NDArray[np.int64], cost_pusd: NDArray[np.int64]
) -> pd.DataFrame:
    """Lay a month out as ``split_gap`` reads it."""
    frame = pd.DataFrame(tokens, columns=list(TOKEN_BUCKETS))
    when = pd.Series(timestamp).dt.tz_localize("UTC")
    return frame.assign(app="default", provider="openai", model=model, timestamp=when, status="ok", cost_pusd=cost_pusd)


def predictive(runs: int, seed: int, progress: Callable[[int, int], object] | None = None) -> dict[str, Any]:
    """Return how often the bill lies in its interval; ``progress`` is called with runs done and in all."""
    found = []
    for run in range(runs):
        found.append(one(seed, run))
        if progress:
            progress(run + 1, runs)
    usd = np.array([r.bill / PUSD_PER_USD for r in found])
    value, low, high = np.array([(r.stated.value, r.stated.low, r.stated.high) for r in found], float).T
    given = np.isfinite(low)
    return {
        "coverage": float(((low <= usd) & (usd <= high))[given].mean()),
        "runs": runs,
        "too_low": float((high < usd)[given].mean()),
        "too_high": float((low > usd)[given].mean()),
        "refused": float(1 - given.mean()),
        "median_width": float(np.median(((high - low) / value)[given])),
        "mean_bill_usd": float(usd.mean()),
        "mean_stated_usd": float(value.mean()),
        "gap": {name: sum(r.parts[name] for r in found) / runs / PUSD_PER_USD for name in PARTS},
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    with tqdm(total=options.runs, desc="months", disable=options.json) as bar:
        found = predictive(options.runs, options.seed, lambda done, total: bar.update(done - bar.n))
    print(json.dumps(found, indent=1) if options.json else "\n".join(f"{k}: {v}" for k, v in found.items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
