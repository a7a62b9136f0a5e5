"""Do the simulator's 95 % intervals cover? Thousands of generated worlds, each simulated as a user's log would be.

In: a number of worlds. Out: for saving, quality difference, p95 and its difference to the log: how often the interval holds the
truth, its width beside that of a statistician who knows the estimate's true spread, and how often no interval was given; under
``shared`` the same where users share a cache (``coverage_shared``). Run: ``python -m benchmarks.coverage --jobs 2 --json``.

A world is a log of 28 days. Its users are a sample: about 400 of a population whose volumes follow Zipf's law (the k-th of 400 ranks
asks 1/k as much as the first), each with effects on tokens, difficulty and latency; every day has effects of its own, and every
weekday a volume. 3,000 requests are labelled, of which a quarter corrects predicted quality. The plan sends requests with
short prompts to a smaller model.

The truth is the population's, days included: the saving to be expected of a log of this length, and per request the mean difference
of quality and the p95 of latency. It comes from four million single requests, each of a user and a day of its own.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from benchmarks import coverage_shared
from benchmarks.coverage_common import F64, MONDAY, PRICED, WEEK, book, bounds, score, stored
from planner.labels import Labels
from planner.outcomes import Outcomes
from planner.outcomes.model import Holdout, Quality
from planner.outcomes.ratios import sample_ratios
from planner.policies import Block, Intents, Plan
from planner.policies.base import sent_to
from planner.router import Requests
from planner.simulation import World, run
from planner.stats import Estimate
from planner.traffic import Traffic

USERS, REQUESTS, DAYS, LABELS, JUDGED = 400, 10_000, 28, 3_000, 750
MODELS = ("gpt-5.4", "gpt-5.4-mini")
#: Input of what the plan moves [tokens]: two thirds of all.
SHORT = 1_150
#: Standard deviation of what users and days do to log tokens, difficulty and log latency; and of a day's log volume.
USER, DAY, DAY_VOLUME = np.array([0.5, 0.6, 0.3]), np.array([0.05, 0.1, 0.1]), 0.15
#: Single requests that make the truth, and how many at a time.
POPULATION, PIECE = 4_000_000, 500_000


@dataclass(frozen=True)
class Short:
    """The plan's lever: what has a short prompt goes to the smaller model."""

    key = "short"
    phase = "row"
    needs = ("input_tokens",)
    writes = ("model",)
    apps = None
    uses = (MODELS[1],)

    def apply(self, block: Block, intents: Intents) -> Intents:
        """Move by the input alone, which is known before the answer."""
        return sent_to(intents, block.rows.tokens[:, 0] < SHORT, np.zeros(1, np.int64), MODELS[1:])

    def payload(self) -> dict[str, Any]:
        """Plain values."""
        return {"kind": "short", "below": SHORT}

    def words(self) -> str:
        """Say what it does."""
        return f"send prompts of fewer than {SHORT} tokens to {MODELS[1]}"


@dataclass(frozen=True)
class Asked:
    """``n`` requests and what both models would do with them: columns of shape (n,), or (n, 2) for the two."""

    input: NDArray[np.int64]
    output: NDArray[np.int64]
    latency_ms: F64
    quality: F64
    predicted: F64


def ask(rng: np.random.Generator, effects: F64) -> Asked:
    """Draw one request for each row of ``effects`` (n, 3): the sum of its user's and its day's.

    Both models are slow by the same law, each with a draw of its own. The prediction of quality knows difficulty in part, and is
    four points too high for the smaller model.
    """
    n = len(effects)
    tokens = np.exp(np.log(800) + effects[:, 0] + 0.8 * rng.normal(size=n))
    answer = np.exp(np.log(250) + 0.5 * effects[:, 0] + 0.7 * rng.normal(size=n))
    other = 1.15 * answer * np.exp(0.4 * rng.normal(size=n) - 0.08)
    hard = effects[:, 1] + 0.3 * np.log(tokens / 800) + rng.normal(size=n)
    slow = np.log(2_000) + effects[:, 2] + 0.3 * np.log(tokens / 800)
    right = expit(np.column_stack([1.8 - 0.4 * hard, 1.4 - 1.1 * hard]))
    seen = 0.7 * hard + 0.5 * rng.normal(size=n)
    return Asked(
        input=np.rint(np.maximum(tokens, 1)).astype(np.int64),
        output=np.rint(np.maximum(np.column_stack([answer, other]), 1)).astype(np.int64),
        latency_ms=np.exp(slow[:, None] + 0.5 * rng.normal(size=(n, 2))) * [1.0, 0.45],
        quality=(rng.random((n, 2)) < right).astype(float),
        predicted=expit(np.column_stack([1.7 - 0.4 * seen, 1.6 - 0.9 * seen])),
    )


@dataclass(frozen=True)
class Log:
    """One world: its requests, and the user and arrival of each."""

    asked: Asked
    user: NDArray[np.int64]
    timestamp: NDArray[np.datetime64]


def world(seed: int) -> Log:
    """Draw users, days and requests. The number of users is random, as is that of the requests of each."""
    rng = np.random.default_rng([seed, 20])
    rank = rng.integers(1, USERS + 1, rng.poisson(USERS))
    rate = REQUESTS / USERS / np.mean(1 / np.arange(1, USERS + 1)) / rank
    volume = np.tile(WEEK, DAYS // 7) * np.exp(DAY_VOLUME * rng.normal(size=DAYS) - DAY_VOLUME**2 / 2) / DAYS
    counts = rng.poisson(np.outer(rate, volume))
    user, day = (np.repeat(np.indices(counts.shape)[axis].ravel(), counts.ravel()) for axis in (0, 1))
    effects = (rng.normal(size=(len(rank), 3)) * USER)[user] + (rng.normal(size=(DAYS, 3)) * DAY)[day]
    second = rng.integers(0, 86_400, len(user))
    return Log(ask(rng, effects), user, MONDAY + day * np.timedelta64(1, "D") + second * np.timedelta64(1, "s"))


@cache
def truth() -> dict[str, float]:
    """Return what every estimate aims at, from the population itself."""
    saved, better, planned, logged = 0.0, 0.0, [], []
    rates = [book().quote(m, at=PRICED).usd_per_mtok for m in MODELS]
    rng = np.random.default_rng(7)
    for _ in range(POPULATION // PIECE):
        asked = ask(rng, rng.normal(size=(PIECE, 3)) * np.hypot(USER, DAY))
        moved = asked.input < SHORT
        usd = [(asked.input * r["input_tokens"] + asked.output[:, k] * r["output_tokens"]) / 1e6 for k, r in enumerate(rates)]
        saved += float((usd[0] - usd[1])[moved].sum())
        better += float((asked.quality[:, 1] - asked.quality[:, 0])[moved].sum())
        logged.append(asked.latency_ms[:, 0])
        planned.append(np.where(moved, asked.latency_ms[:, 1], asked.latency_ms[:, 0]))
    slow, slow_logged = (float(np.quantile(np.concatenate(x), 0.95)) for x in (planned, logged))
    return {
        "saving": saved / POPULATION * REQUESTS,
        "quality_difference": better / POPULATION,
        "p95": slow,
        "p95_difference": slow - slow_logged,
    }


def estimates(seed: int) -> dict[str, Estimate]:
    """Write one world's log as a reader would, fit what labels tell, and simulate the plan."""
    made, rng = world(seed), np.random.default_rng([seed, 21])
    labelled = np.sort(rng.choice(len(made.user), LABELS, replace=False))
    judged = np.sort(rng.choice(labelled, JUDGED, replace=False))
    with tempfile.TemporaryDirectory() as folder:
        traffic = written(made, Path(folder))
        opened = World(traffic, Outcomes(), book(), PRICED, seed=seed)
        ratios, samples = sample_ratios(labels(made, labelled), opened.rows.bucket[labelled])
        measured, predicted = made.asked.quality.astype(np.float32), made.asked.predicted.astype(np.float32)
        held = Holdout(
            opened.rows.take(judged), Requests.of(["[]"] * JUDGED), Quality(MODELS, measured[judged]), Quality(MODELS, predicted[judged])
        )
        told = replace(
            opened.outcomes,
            ratios=ratios,
            samples=samples,
            providers={MODELS[1]: "openai"},
            predicted=Quality(MODELS, predicted),
            holdout=held,
        )
        found = run(World(traffic, told, book(), PRICED, seed=seed), Plan((Short(),), "short prompts"))
    return {
        "saving": found.saving(),
        "quality_difference": found.quality_difference(),
        "p95": found.latency(0.95),
        "p95_difference": found.latency_difference(0.95),
    }


def written(made: Log, folder: Path) -> Traffic:
    """Return the log as Traffic."""
    asked = made.asked
    return stored(folder, made.user, made.timestamp, MODELS[0], asked.input, asked.output[:, 0], asked.latency_ms[:, 0])


def labels(made: Log, at: NDArray[np.int64]) -> Labels:
    """Return the answers of both models to the requests ``at``, graded."""
    ids = [f"r{i}" for i in at]
    each = [
        pd.DataFrame(
            {
                "request_id": ids,
                "model": model,
                "quality": made.asked.quality[at, k],
                "grader": "exact",
                "input_tokens": made.asked.input[at],
                "output_tokens": made.asked.output[at, k],
                "latency_ms": made.asked.latency_ms[at, k],
            }
        )
        for k, model in enumerate(MODELS)
    ]
    return Labels.of(pd.DataFrame({"request_id": ids, "app": "default"}), pd.concat(each, ignore_index=True))


def measure(worlds: int, jobs: int) -> dict[str, dict[str, float]]:
    """Return one object for each estimate."""
    found, aims = bounds(estimates, worlds, jobs), truth()
    return {name: score(found[name], aims[name]) for name in found}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=2_000)
    parser.add_argument("--shared-worlds", type=int, default=1_000)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    found, shared = measure(args.worlds, args.jobs), coverage_shared.measure(args.shared_worlds, args.jobs)
    if args.json:
        print(json.dumps({**found, "shared": shared}, indent=1))
    else:
        rows = {**found, **{f"shared {name}": one for name, one in shared.items()}}
        print(pd.DataFrame(rows).T.to_string(float_format="{:.4g}".format))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
