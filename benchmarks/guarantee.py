"""How often a certified floor is broken, and how much of the possible saving a certificate reaches.

In: graded answers. A third of the units trains a router once; the others are the population. Out: one object per calibration
size n, from many calibration sets drawn from the population with replacement, each certified anew. Run:
``python -m benchmarks.guarantee --data DIR --json``, or ``--labels FILE --reference MODEL``.

``violation_rate``: share of the sets whose certified τ loses more than ε on the population. ``saving``: mean saving of the
certified τ on the population. ``saving_vs_attainable``: over the largest saving of any τ whose population mean loss + z · σ/√n is at
most ε, z = 1.645: what a test that knows σ certifies in every second set. ``saving_vs_clairvoyant``: over the largest saving of any τ
with a population loss of at most ε. ``z_test`` has both rates for the same sequence under the asymptotic test, which promises
nothing. With ``clusters``, units are groups of so many rows, made so that the loss at the clairvoyant τ has the stated ICC; σ is
then that of unit means. Fewer units than about 3 / ε certify nothing by any test that is valid for every distribution: a unit in 1/ε that
loses everything would hardly be seen; σ knows nothing of it, so that "attainable" is out of reach there. Standard errors are over
the sets.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from benchmarks.routing.data import Data, pose
from benchmarks.routing_quality import PUBLIC, read_costs
from planner.errors import InputError, PlannerError
from planner.labels import read_labels
from planner.router import Scores, steps
from planner.stats.betting import fixed_sequence
from planner.stats.draws import key, uniform
from planner.training.guarantee import outcomes, sequence
from planner.training.judge import Judged
from planner.training.learn import learn

F64 = NDArray[np.float64]
Z = 1.645
SIZES, SETS = (1_000, 2_500, 5_000), 2_000
CLUSTER, ICC = 20, 0.1
#: Values of τ among which the attainable and the clairvoyant one are sought.
_DENSE = 2_000


@dataclass(frozen=True, eq=False)
class World:
    """Loss (N, T) and cost (N, T) of the population at the τ to test, and at many τ; ``moment`` (T,) is what training expects."""

    loss: F64
    saving: F64
    dense_loss: F64
    dense_saving: F64
    moment: F64


def world(data: Data, floor: float, seed: int = 0) -> World:
    """Train on a third of the units; lay out the population's losses at every τ."""
    fit, rest = _thirds(data, seed)
    requests = data.requests["all"]
    rows = (requests.take(fit), data.gain[fit], data.weight[fit], data.unit[fit])
    learned = learn(*rows, data.reference, seed, quality=data.quality[fit])
    trained, fitted = _judged(data, fit), _scores(data, fit, learned.oof)
    population, scores = _judged(data, rest), _scores(data, rest, learned.scorer.gains(requests.take(rest)))
    taus = sequence(trained, fitted, floor=floor)
    thresholds = steps(scores.gains, scores.cost_usd, scores.feasible, population.reference)[0]
    dense = np.unique(thresholds[np.isfinite(thresholds)])
    dense = dense[np.unique(np.linspace(0, len(dense) - 1, _DENSE).astype(int))]
    expected = np.square(floor - outcomes(trained, fitted, taus)[0]).mean(0)
    return World(*_losses(population, scores, taus), *_losses(population, scores, dense), expected)


def _thirds(data: Data, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    train = uniform(seed, key(str(u) for u in data.unit), "third") < 1 / 3
    return np.flatnonzero(train & data.whole), np.flatnonzero(~train & data.whole)


def _judged(data: Data, at: NDArray[np.int64]) -> Judged:
    home = np.full(len(at), data.reference)
    return Judged(data.quality[at], data.cost[at], np.ones(len(at)), data.unit[at].astype(str), home)


def _scores(data: Data, at: NDArray[np.int64], gains: NDArray[Any]) -> Scores:
    n, home = len(at), np.full(len(at), data.reference)
    rates = np.broadcast_to(data.rates, gains.shape)
    return Scores(gains.astype(np.float32), rates, np.ones(gains.shape, bool), np.zeros(n, np.int8), home)


def _losses(rows: Judged, scores: Scores, taus: F64) -> tuple[F64, F64]:
    loss, cost = outcomes(rows, scores, taus)
    home = np.take_along_axis(rows.cost_usd, rows.reference[:, None], axis=1).mean()
    return loss, 1 - cost.mean(0) / home


def measure(made: World, n: int, sets: int, floor: float, delta: float, seed: int, clusters: int = 0, icc: float = 0.0) -> dict[str, Any]:
    """Certify ``sets`` calibration sets of ``n`` rows, drawn singly or in clusters."""
    groups = clustered(made, floor, clusters, icc, seed) if clusters else np.arange(len(made.loss))[:, None]
    loss, dense = made.loss[groups].mean(1), made.dense_loss[groups].mean(1)
    drawn, mean = n // groups.shape[1], dense.mean(0)
    bound = mean + Z * dense.std(0) / np.sqrt(drawn)
    attainable, clairvoyant = (max(made.dense_saving[b <= floor].max(initial=0.0), 0.0) for b in (bound, mean))
    moment = made.moment * ((1 + (clusters - 1) * icc) / clusters if clusters else 1)
    kept = {"betting": np.zeros(sets, np.int64), "z_test": np.zeros(sets, np.int64)}
    squares = np.square(floor - loss)
    for s, draw in enumerate(_draws(len(groups), drawn, sets, seed)):
        kept["betting"][s] = _certified(loss, draw, floor, delta, moment)
        times = np.bincount(draw, minlength=len(groups)) / drawn
        gain = floor - times @ loss
        passes = gain >= Z * np.sqrt(np.maximum(times @ squares - gain**2, 0) / drawn)
        kept["z_test"][s] = len(passes) if passes.all() else passes.argmin()
    risky = np.concatenate([[False], loss.mean(0) > floor])
    saved = np.concatenate([[0.0], made.saving])
    lines = {name: _line(risky[count], saved[count], attainable, clairvoyant) for name, count in kept.items()}
    return {
        "n": n,
        **({"clusters": clusters, "icc": icc} if clusters else {}),
        **lines["betting"],
        "attainable": round(float(attainable), 4),
        "clairvoyant": round(float(clairvoyant), 4),
        "z_test": {k: lines["z_test"][k] for k in ("violation_rate", "saving_vs_attainable")},
        "floor": floor,
        "delta": delta,
        "sets": sets,
        "taus": len(made.saving),
    }


def _certified(loss: F64, draw: NDArray[np.int64], floor: float, delta: float, moment: F64, at_once: int = 32) -> int:
    """Return how many τ pass in a row; losses are laid out a few τ at a time."""
    count = 0
    for first in range(0, loss.shape[1], at_once):
        part = slice(first, first + at_once)
        passed = int((fixed_sequence(floor - loss[:, part][draw], 1 - floor, delta, moment[part]) <= delta).sum())
        count += passed
        if passed < loss[:, part].shape[1]:
            break
    return count


def _draws(population: int, drawn: int, sets: int, seed: int) -> Iterator[NDArray[np.int64]]:
    rng = np.random.default_rng([seed, population, drawn])
    return (rng.integers(0, population, drawn) for _ in range(sets))


def _line(broken: NDArray[np.bool_], saved: F64, attainable: float, clairvoyant: float) -> dict[str, Any]:
    rate, mean = float(broken.mean()), float(saved.mean())
    return {
        "violation_rate": round(rate, 4),
        "violation_se": round(float(np.sqrt(rate * (1 - rate) / len(broken))), 4),
        "saving": round(mean, 4),
        "saving_vs_attainable": round(mean / attainable, 4) if attainable else None,
        "saving_vs_clairvoyant": round(mean / clairvoyant, 4) if clairvoyant else None,
        "nothing_certified": round(float((saved == 0).mean()), 4),
    }


def clustered(made: World, floor: float, size: int, icc: float, seed: int) -> NDArray[np.int64]:
    """Return rows in groups of ``size``, (G, size): neighbours in the order of loss plus noise, as much noise as gives the ICC."""
    fine = np.flatnonzero(made.dense_loss.mean(0) <= floor)
    loss = made.dense_loss[:, fine[-1]] if len(fine) else made.dense_loss[:, -1]
    noise = np.random.default_rng(seed).normal(size=len(loss))
    whole = len(loss) // size * size

    def grouped(pull: float) -> NDArray[np.int64]:
        return np.argsort(pull * loss + noise, kind="stable")[:whole].reshape(-1, size)

    if not loss.any():
        return grouped(0.0)
    pull = brentq(lambda x: correlation(loss[grouped(x)]) - icc, 0.0, 20.0, xtol=1e-3)
    return np.random.default_rng(seed + 1).permuted(grouped(pull), axis=1)


def correlation(groups: F64) -> float:
    """One-way intraclass correlation of (G, size) values (Shrout & Fleiss, 1979, case 1)."""
    size = groups.shape[1]
    between, within = size * groups.mean(1).var(ddof=1), groups.var(1, ddof=1).mean()
    return float((between - within) / (between + (size - 1) * within))


def run(data: Data, sizes: Sequence[int], sets: int, floor: float, delta: float, seed: int) -> list[dict[str, Any]]:
    """Return one object per size, then one per size with clusters."""
    made = world(data, floor, seed)
    lines = []
    for clusters, icc in ((0, 0.0), (CLUSTER, ICC)):
        for n in sizes:
            print(f"{data.name}: n = {n}, clusters of {clusters or 1}", file=sys.stderr)
            lines.append({"dataset": data.name, **measure(made, n, sets, floor, delta, seed, clusters, icc)})
    return lines


def datasets(options: argparse.Namespace) -> list[Data]:
    """Return the data that the options name: MMLU of the public ones, or a file."""
    if options.labels:
        costs: Mapping[str, float] | None = read_costs(options.costs) if options.costs else None
        return [pose(read_labels(options.labels), options.labels.stem, reference=options.reference, costs=costs)]
    name = "routellm_mmlu"
    path = options.data / f"{name}.parquet"
    if not path.is_file():
        raise InputError(
            f"no {path}", "a folder with the public label files, as tests/README.md lists them", "pass --data DIR or --labels FILE"
        )
    return [pose(read_labels(path), name, reference=PUBLIC[name])]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the measurement, as JSON with ``--json``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--reference")
    parser.add_argument("--costs", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--sets", type=int, default=SETS)
    parser.add_argument("--floor", type=float, default=0.02)
    parser.add_argument("--delta", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    try:
        lines = [x for d in datasets(options) for x in run(d, options.sizes, options.sets, options.floor, options.delta, options.seed)]
    except PlannerError as error:
        sys.exit(str(error))
    print(json.dumps(lines, indent=1) if options.json else "\n".join("  ".join(f"{k} {v}" for k, v in x.items()) for x in lines))


if __name__ == "__main__":
    main()
