"""Guardrails on simulated rollouts: how often an app without fault is stopped, and after how many requests one with a fault is.

In: rates of bad answers of either arm, the share that is routed. Out: a line a scenario: the share of rollouts in which an alarm came, with
looks after every request at all five guardrails and both scales, and how many requests it took. The counts are simulated in numpy;
whether they are an alarm is asked of the production's own ``judged``, wherever a bound on the evidence does not rule one out.
Run: ``python -m benchmarks.guardrails --json``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import log, pi
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

from planner.router.guard_bounds import Count
from planner.router.guard_windows import spent
from planner.router.guardrails import DRIFT, LEAST, LEVEL, WINDOW, judged
from planner.router.rollout import GUARDRAILS, Guardrail
from planner.router.tallies import SCALES

#: Usual rates of GUARDRAILS, the margins of ``planner export``, and how often an answer counts in each: not all have a schema or a thumb.
RATES = np.array([0.01, 0.05, 0.02, 0.01, 0.1])
MARGINS = np.array([0.02, 0.03, 0.02, 0.02, 0.05])
COUNTS = np.array([1.0, 1.0, 1.0, 0.3, 0.05])
PATHS = 2_000

F64 = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Scenario:
    """Rollouts of one kind.

    Parameters
    ----------
    name: what is simulated. requests: of each rollout. share: that is routed.
    excess: (5,) what is added to the rates of routed answers from request ``since`` on.
    factor: what multiplies the rates of both arms in the middle fifth: an incident.
    risen: (5,) what is added to the rates of both arms, of which the log knows nothing.
    session: requests that share an arm and, with probability ``together``, their fate.
    """

    name: str
    requests: int
    share: float
    excess: F64 = field(default_factory=lambda: np.zeros(5))
    since: int = 0
    factor: float = 1.0
    session: int = 1
    together: float = 0.0
    risen: F64 = field(default_factory=lambda: np.zeros(5))


def simulate(scenario: Scenario, paths: int = PATHS, seed: int = 0) -> Ints:
    """Return the request after which each of ``paths`` rollouts is stopped, shape (paths,); −1 where it never is."""
    rng = np.random.default_rng(seed)
    return np.array([_stopped(scenario, rng) for _ in range(paths)])


def _stopped(scenario: Scenario, rng: np.random.Generator) -> int:
    """Simulate one rollout; return the number of the request at which the first guardrail stops it, else −1."""
    total = scenario.requests
    session = np.arange(total) // scenario.session
    routed = (rng.random(session[-1] + 1) < scenario.share)[session]
    windows = _windows(routed)
    first = total
    for metric in range(5):
        fate, own = rng.random(session[-1] + 1)[session], rng.random(total)
        bad = np.where(rng.random(total) < scenario.together, fate, own) < _rates(scenario, metric, routed)
        counted = np.flatnonzero(rng.random(total) < COUNTS[metric])
        arms = np.stack([routed[counted], ~routed[counted]])
        n, hits = arms.cumsum(axis=1), (arms & bad[counted]).cumsum(axis=1)
        n, hits = np.pad(n, ((0, 0), (1, 0))), np.pad(hits, ((0, 0), (1, 0)))
        tests = [(0, len(counted), _alpha(1), True)]
        edges = np.searchsorted(counted, [0, *windows, total])
        tests += [(low, high, _alpha(k), False) for k, (low, high) in enumerate(pairwise(edges.tolist()), 1)]
        for low, high, alpha, alone in tests:
            base, part = slice(low, low + 1), slice(low + 1, high + 1)
            at = _alarm(n[:, part] - n[:, base], hits[:, part] - hits[:, base], metric, alpha, alone)
            first = first if at is None else min(first, int(counted[low + at]))
    return first + 1 if first < total else -1


def _rates(scenario: Scenario, metric: int, routed: NDArray[np.bool_]) -> F64:
    at = np.arange(len(routed))
    incident = np.where((at >= 0.4 * len(at)) & (at < 0.6 * len(at)), scenario.factor, 1.0)
    usual = (RATES[metric] + scenario.risen[metric]) * incident
    return np.asarray(usual + scenario.excess[metric] * (routed & (at >= scenario.since)), np.float64)


def _windows(routed: NDArray[np.bool_]) -> list[int]:
    """Return the requests before which a window begins, but for the first: after the smaller arm has WINDOW answers."""
    places, ends = [np.flatnonzero(routed), np.flatnonzero(~routed)], [0]
    while True:
        last = [np.searchsorted(p, ends[-1]) + WINDOW - 1 for p in places]
        if any(k >= len(p) for k, p in zip(last, places, strict=True)):
            return ends[1:]
        ends.append(max(int(p[k]) for k, p in zip(last, places, strict=True)) + 1)


def _alpha(number: int) -> float:
    return LEVEL / len(SCALES) / 5 * spent(number)


def _alarm(n: Ints, hits: Ints, metric: int, alpha: float, alone: bool) -> int | None:
    """Return the first look, of those after each answer, that is an alarm; ``n`` and ``hits`` are (arms, looks).

    The evidence is at most what it is at any one pair of rates: where that is too little, production need not be asked.
    """
    margin, base = float(MARGINS[metric]), float(RATES[metric])
    both, limit = n[1] > 0, base + margin + DRIFT
    above = np.where(both, hits[0] * n[1] - hits[1] * n[0] > margin * n[0] * n[1], alone & (hits[0] > limit * n[0]))
    looks = np.flatnonzero(above & (hits[0] >= LEAST))
    (n0, n1), (h0, h1), both = n[:, looks], hits[:, looks], both[looks]
    pooled = np.clip((h0 + h1 - margin * n0) / (n0 + n1), 1e-9, 1 - margin - 1e-9)
    found = _mixture(n0, h0) - _likelihood(n0, h0, np.where(both, pooled + margin, limit))
    found += np.where(both, _mixture(n1, h1) - _likelihood(n1, h1, pooled), 0.0)
    for at in looks[found >= -log(alpha)].tolist():
        arms = [Count(int(n[arm, at]), int(hits[arm, at])) for arm in (0, 1)]
        if judged(arms[0], arms[1], Guardrail(margin, base), alpha, alone=alone):
            return int(at)
    return None


def _mixture(n: Ints, hits: Ints) -> F64:
    return np.asarray(betaln(hits + 0.5, n - hits + 0.5) - log(pi), np.float64)


def _likelihood(n: Ints, hits: Ints, rate: F64) -> F64:
    return np.asarray(hits * np.log(rate) + (n - hits) * np.log1p(-rate), np.float64)


def more(**points: float) -> F64:
    """Return what is added to each rate, by the names of GUARDRAILS [percentage points].

    >>> more(error=5).tolist()
    [0.05, 0.0, 0.0, 0.0, 0.0]
    """
    return np.array([points.get(name, 0.0) / 100 for name in GUARDRAILS])


#: What a log cannot know: slow answers 5 → 15 %, invalid JSON 1 → 10 %.
RISEN = more(slow=10, schema=9)
NULLS = (
    Scenario("both arms alike", 10_000, 0.5),
    Scenario("both arms alike, 10 % routed", 10_000, 0.1),
    Scenario("both arms alike, 95 % routed", 10_000, 0.95),
    Scenario("routed worse by exactly the margins", 10_000, 0.5, MARGINS),
    Scenario("both arms alike, five times as bad for a while", 10_000, 0.5, factor=5.0),
    Scenario("both arms alike, sessions of 5 that share half of their fate", 10_000, 0.5, session=5, together=0.5),
    Scenario("both arms alike, 10 points worse than the log, 95 % routed", 10_000, 0.95, risen=RISEN),
    Scenario("10 points worse than the log, all routed", 10_000, 1.0, risen=RISEN),
)
FAULTS = (
    *(Scenario(f"errors +{k} points", 20_000, 0.5, more(error=k)) for k in (3, 5, 10, 30)),
    Scenario("errors +5 points, 10 % routed", 40_000, 0.1, more(error=5)),
    Scenario("errors +5 points, 95 % routed", 40_000, 0.95, more(error=5)),
    Scenario("errors +30 points, 95 % routed", 20_000, 0.95, more(error=30)),
    Scenario("errors +5 points, all routed", 20_000, 1.0, more(error=5)),
    Scenario("errors +30 points, all routed", 20_000, 1.0, more(error=30)),
    Scenario("errors +5 points after 20,000 good requests", 40_000, 0.5, more(error=5), since=20_000),
    Scenario("slow +10 points", 20_000, 0.5, more(slow=10)),
    Scenario("invalid JSON +10 points, of 30 % that ask for it", 20_000, 0.5, more(schema=10)),
    Scenario("thumbs down +20 points, of 5 % that have one", 40_000, 0.5, more(thumbs_down=20)),
)


def line(scenario: Scenario, paths: int, seed: int) -> Mapping[str, Any]:
    """Return what a table shows of a scenario; requests are counted from where the fault begins, over both arms."""
    found = simulate(scenario, paths, seed)
    late = found[found > scenario.since] - scenario.since
    early = int(((found >= 0) & (found <= scenario.since)).sum())
    told = {f"requests_p{q}": int(np.quantile(late, q / 100, method="higher")) if len(late) else None for q in (50, 95)}
    return {"scenario": scenario.name, "rollouts": paths, "stopped": len(late) / paths, "stopped_before": early / paths, **told}


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paths", type=int, default=PATHS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    nulls = [line(s, args.paths, args.seed) for s in NULLS]
    faults = [line(s, max(args.paths // 10, 20), args.seed) for s in FAULTS]
    report = {"stated_false_alarm_rate": LEVEL, "evidence": "measured on simulated rollouts", "no_fault": nulls, "fault": faults}
    if args.json:
        print(json.dumps(report, indent=1))
    else:
        print(f"An app without fault may be stopped with probability {LEVEL:.0%}.")
        for row in (*nulls, *faults):
            told = f"; after {row['requests_p50']:,} requests, 95 % after {row['requests_p95']:,}" if row["stopped"] else ""
            print(f"{row['scenario']}: stopped {row['stopped']:.2%} of {row['rollouts']:,}{told}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
