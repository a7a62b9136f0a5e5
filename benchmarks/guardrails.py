"""Guardrails on simulated rollouts: how often an app without fault is stopped, and after how many requests one with a fault is.

In: rates of bad answers of either arm, the share that is routed. Out: a line a scenario: the share of rollouts in which an alarm came, with
looks after every request at all five guardrails and all scales, and how many requests it took. The counts are simulated in numpy;
whether they are an alarm is asked of the production's own ``judged``, wherever a bound on the evidence does not rule one out.
Where requests come in sessions the counts are divided by the design effect that an export measures, on a simulated log of the same kind.
Run: ``python -m benchmarks.guardrails --json``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

from benchmarks.guardrails_scenarios import CLUSTERS, COUNTS, FAULTS, MARGINS, NULLS, RATES, STALES, WEAKER, Scenario
from planner.bundle.gateway_effects import Answers, design_effects
from planner.router.guard_bounds import Count
from planner.router.guard_rule import DRIFT, ENDS, LEAST, LEVEL, NONE_LEFT, STALE, Chances, chances, judged
from planner.router.rollout import Guardrail
from planner.router.tallies import SCALES

#: Rollouts of a scenario.
PATHS = 2_000
#: Steps to the least evidence, by thirds, and how far below an alarm production is asked; looks that are taken at once.
_THIRDS, _SLACK, _CHUNK = 20, 0.05, 50

F64 = NDArray[np.float64]
Ints = NDArray[np.int64]


def simulate(scenario: Scenario, paths: int = PATHS, seed: int = 0) -> Ints:
    """Return the request after which each of ``paths`` rollouts is stopped, shape (paths,); −1 where it never is."""
    rng = np.random.default_rng(seed)
    return np.array([_stopped(scenario, rng) for _ in range(paths)])


def _stopped(scenario: Scenario, rng: np.random.Generator) -> int:
    """Simulate one rollout; return the number of the request at which the first guardrail stops it, else −1."""
    total = scenario.requests
    session, effects = _sessions(scenario, total, rng), _effects(scenario, rng)
    routed = (rng.random(session[-1] + 1) < scenario.share)[session]
    places, alone = [np.flatnonzero(routed), np.flatnonzero(~routed)], scenario.share == 1
    ends = {scale: [round(effects[0] * answers) for answers in ENDS[scale]] for scale in ENDS}
    windows = {scale: _windows(places, *ends[scale], alone) if scale in ENDS else [0] for scale in SCALES}
    first = total
    for metric in range(5):
        bad = _bad(scenario, session, _rates(scenario, metric, routed), rng)
        counted = np.flatnonzero(rng.random(total) < COUNTS[metric])
        arms = np.stack([routed[counted], ~routed[counted]])
        n, hits = arms.cumsum(axis=1), (arms & bad[counted]).cumsum(axis=1)
        n, hits = np.pad(n, ((0, 0), (1, 0))), np.pad(hits, ((0, 0), (1, 0)))
        for scale, begins in windows.items():
            edges = np.searchsorted(counted, [*begins, total]).tolist()
            for k, (low, high) in enumerate(pairwise(edges), 1):
                base, part = slice(low, low + 1), slice(low + 1, high + 1)
                guardrail = Guardrail(float(MARGINS[metric]), float(RATES[metric]), design_effect=effects[metric])
                at = _alarm(n[:, part] - n[:, base], hits[:, part] - hits[:, base], guardrail, chances(scale, k, 5), alone)
                if at is not None:
                    first = min(first, int(counted[low + at]))
                    break
    return first + 1 if first < total else -1


def _sessions(scenario: Scenario, total: int, rng: np.random.Generator) -> Ints:
    """Return the number of the session of each request."""
    if not scenario.spread:
        return np.arange(total) // scenario.session
    sizes = rng.geometric(1 / scenario.session, total)
    return np.repeat(np.arange(total), sizes)[:total]


def _bad(scenario: Scenario, session: Ints, rates: F64 | float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw which answers are bad."""
    fate, own = rng.random(session[-1] + 1)[session], rng.random(len(session))
    return np.asarray(np.where(rng.random(len(session)) < scenario.together, fate, own) < rates)


def _effects(scenario: Scenario, rng: np.random.Generator) -> list[float]:
    """Measure the design effect of each guardrail on a log of one app, as an export does."""
    if not scenario.logged:
        return [1.0] * 5
    session = _sessions(scenario, scenario.logged, rng)
    found = []
    for metric in range(5):
        counted, bad = rng.random(len(session)) < COUNTS[metric], _bad(scenario, session, float(RATES[metric]), rng)
        units = np.unique(session[counted], return_inverse=True)[1]
        found.append(round(design_effects({"": Answers(bad[counted], units)})[""], 2))
    return found


def _rates(scenario: Scenario, metric: int, routed: NDArray[np.bool_]) -> F64:
    at = np.arange(len(routed))
    incident = scenario.incident[metric] * ((at >= 0.4 * len(at)) & (at < 0.6 * len(at)))
    usual = RATES[metric] + scenario.risen[metric] + incident
    return np.asarray(usual + scenario.excess[metric] * (routed & (at >= scenario.since)), np.float64)


def _windows(places: Sequence[Ints], least: int, both: int, alone: bool) -> list[int]:
    """Return the requests before which a window begins; each ends as ``ended`` says. ``places`` are the requests of either arm."""
    begins = [0]
    while True:
        last = [np.searchsorted(p, begins[-1]) + least - 1 for p in places[: 1 if alone else 2]]
        if any(k >= len(p) for k, p in zip(last, places, strict=False)):
            return begins
        full = max(int(p[k]) for k, p in zip(last, places, strict=False)) + 1
        begins.append(max(full, begins[-1] + both))


def _alarm(answers: Ints, bad: Ints, guardrail: Guardrail, most: Chances, alone: bool) -> int | None:
    """Return the first look, of those after each answer, that is an alarm; ``answers`` and ``bad`` are (arms, looks).

    The evidence is at most the likelihood ratio at any one pair of rates: where that is too little, it need not be computed.
    """
    margin, base = guardrail.margin, guardrail.baseline or 0.0
    n, hits = answers / guardrail.effect, bad / guardrail.effect
    above = hits[0] * n[1] - hits[1] * n[0] > margin * n[0] * n[1]
    none = (n[1] == 0) & (hits[0] > margin * n[0])
    looks = np.flatnonzero((above | none) & (bad[0] >= LEAST))
    if not len(looks):
        return None
    looks = looks[_enough(_ratio, n[:, looks], hits[:, looks], margin, base, most, alone)]
    for first in range(0, len(looks), _CHUNK):
        some = looks[first : first + _CHUNK]
        for at in some[_enough(_least, n[:, some], hits[:, some], margin, base, most, alone)].tolist():
            arms = [Count(int(answers[arm, at]), int(bad[arm, at])) for arm in (0, 1)]
            if judged(arms[0], arms[1], guardrail, most, alone=alone):
                return int(at)
    return None


def _enough(bound: Callable[..., F64], n: F64, hits: F64, margin: float, base: float, most: Chances, alone: bool) -> NDArray[np.bool_]:
    """Say of each look whether ``bound`` may be enough for an alarm."""
    near = bound(n, hits, margin, base, 1e-9, base + DRIFT) >= -log(most.alpha) - _SLACK
    far = bound(n, hits, margin, base, base + DRIFT, 1 - margin - 1e-9) >= -log(most.stale) - _SLACK
    return np.asarray(near & (far | ((n[1] == 0) & (alone | (n[0] >= NONE_LEFT)))))


def _ratio(n: F64, hits: F64, margin: float, base: float, low: float, high: float) -> F64:
    """Return the logarithm of how much likelier each look is at the rates that were seen than at some pair ``margin`` apart."""
    pooled = np.clip((hits.sum(axis=0) - margin * n[0]) / np.maximum(n.sum(axis=0), 1), low, high)
    seen = np.clip(hits / np.maximum(n, 1), 1e-9, 1 - 1e-9)
    found = _likelihood(n, hits, seen) - _likelihood(n, hits, np.stack([pooled + margin, pooled]))
    return np.asarray(found.sum(axis=0), np.float64)


def _least(n: F64, hits: F64, margin: float, base: float, low: float, high: float) -> F64:
    """Return the least log e of each look against the others' rates from ``low`` to ``high``, by other code than production's."""
    any_rate = _mixture(n, hits, 0.5, 0.5)
    other = np.logaddexp(any_rate[1], _mixture(n[1], hits[1], 100 * base + 0.5, 100 * (1 - base) + 0.5)) - 2 * log(2)

    def at(rate: F64) -> F64:
        own = np.logaddexp(any_rate[0], _mixture(n[0], hits[0], 1_000 * (rate + margin), 1_000 * (1 - rate - margin)))
        return np.asarray(own + other - _likelihood(n, hits, np.stack([rate + margin, rate])).sum(axis=0), np.float64)

    a, b = np.full(n.shape[1], low), np.full(n.shape[1], high)
    for _ in range(_THIRDS):
        third, two = (2 * a + b) / 3, (a + 2 * b) / 3
        left = at(third) < at(two)
        a, b = np.where(left, a, third), np.where(left, two, b)
    return at((a + b) / 2)


def _mixture(n: F64, hits: F64, a: F64 | float, b: F64 | float) -> F64:
    return np.asarray(betaln(hits + a, n - hits + b) - betaln(a, b), np.float64)


def _likelihood(n: F64, hits: F64, rate: F64) -> F64:
    return np.asarray(hits * np.log(rate) + (n - hits) * np.log1p(-rate), np.float64)


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
    clusters = [line(s, max(args.paths // 4, 20), args.seed) for s in CLUSTERS]
    stales = [line(s, args.paths, args.seed) for s in STALES]
    weaker = [line(s, max(args.paths // 40, 20), args.seed) for s in WEAKER]
    faults = [line(s, max(args.paths // 10, 20), args.seed) for s in FAULTS]
    stated = {"stated_false_alarm_rate": LEVEL, "stated_more_where_stale": STALE}
    report = stated | {"evidence": "measured on simulated rollouts", "no_fault": nulls, "no_fault_stale_log": stales, "fault": faults}
    report |= {"no_fault_whole_sessions": clusters, "fault_whole_sessions": weaker}
    if args.json:
        print(json.dumps(report, indent=1))
    else:
        more_far = f"{STALE:.0%} more for each guardrail of which the log is off by over {100 * DRIFT:.0f} points"
        print(f"An app without fault may be stopped with probability {LEVEL:.0%}, and {more_far}.")
        for row in (*nulls, *clusters, *stales, *faults, *weaker):
            told = f"; after {row['requests_p50']:,} requests, 95 % after {row['requests_p95']:,}" if row["stopped"] else ""
            print(f"{row['scenario']}: stopped {row['stopped']:.2%} of {row['rollouts']:,}{told}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
