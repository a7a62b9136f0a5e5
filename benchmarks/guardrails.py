"""Guardrails on simulated rollouts: how often an app without fault is stopped, and after how many requests one with a fault is.

In: rates of bad answers of either arm, the share that is routed. Out: a line a scenario: the share of rollouts in which an alarm came, with
looks after every request at all five guardrails and all scales, and how many requests it took. The counts are simulated in numpy;
whether they are an alarm is asked of the production's own ``judged``, wherever a bound on the evidence does not rule one out.
Run: ``python -m benchmarks.guardrails --json``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

from planner.router.guard_bounds import Count
from planner.router.guard_rule import DRIFT, ENDS, LEAST, LEVEL, NONE_LEFT, STALE, Chances, chances, judged
from planner.router.rollout import GUARDRAILS, Guardrail
from planner.router.tallies import SCALES

#: Usual rates of GUARDRAILS, the margins of ``planner export``, and how often an answer counts in each: not all have a schema or a thumb.
RATES = np.array([0.01, 0.05, 0.02, 0.01, 0.1])
MARGINS = np.array([0.02, 0.03, 0.02, 0.02, 0.05])
COUNTS = np.array([1.0, 1.0, 1.0, 0.3, 0.05])
PATHS = 2_000
#: Steps to the least evidence, by thirds, and how far below an alarm production is asked; looks that are taken at once.
_THIRDS, _SLACK, _CHUNK = 20, 0.05, 50

F64 = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Scenario:
    """Rollouts of one kind.

    Parameters
    ----------
    name: what is simulated. requests: of each rollout. share: that is routed.
    excess: (5,) what is added to the rates of routed answers from request ``since`` on.
    incident: (5,) what is added to the rates of both arms in the middle fifth.
    risen: (5,) what is added to the rates of both arms all the time, of which the log knows nothing.
    session: requests that share an arm and, with probability ``together``, their fate.
    """

    name: str
    requests: int
    share: float
    excess: F64 = field(default_factory=lambda: np.zeros(5))
    since: int = 0
    session: int = 1
    together: float = 0.0
    risen: F64 = field(default_factory=lambda: np.zeros(5))
    incident: F64 = field(default_factory=lambda: np.zeros(5))


def simulate(scenario: Scenario, paths: int = PATHS, seed: int = 0) -> Ints:
    """Return the request after which each of ``paths`` rollouts is stopped, shape (paths,); −1 where it never is."""
    rng = np.random.default_rng(seed)
    return np.array([_stopped(scenario, rng) for _ in range(paths)])


def _stopped(scenario: Scenario, rng: np.random.Generator) -> int:
    """Simulate one rollout; return the number of the request at which the first guardrail stops it, else −1."""
    total = scenario.requests
    session = np.arange(total) // scenario.session
    routed = (rng.random(session[-1] + 1) < scenario.share)[session]
    places, alone = [np.flatnonzero(routed), np.flatnonzero(~routed)], scenario.share == 1
    windows = {scale: _windows(places, *ENDS[scale], alone) if scale in ENDS else [0] for scale in SCALES}
    first = total
    for metric in range(5):
        fate, own = rng.random(session[-1] + 1)[session], rng.random(total)
        bad = np.where(rng.random(total) < scenario.together, fate, own) < _rates(scenario, metric, routed)
        counted = np.flatnonzero(rng.random(total) < COUNTS[metric])
        arms = np.stack([routed[counted], ~routed[counted]])
        n, hits = arms.cumsum(axis=1), (arms & bad[counted]).cumsum(axis=1)
        n, hits = np.pad(n, ((0, 0), (1, 0))), np.pad(hits, ((0, 0), (1, 0)))
        for scale, begins in windows.items():
            edges = np.searchsorted(counted, [*begins, total]).tolist()
            for k, (low, high) in enumerate(pairwise(edges), 1):
                base, part = slice(low, low + 1), slice(low + 1, high + 1)
                at = _alarm(n[:, part] - n[:, base], hits[:, part] - hits[:, base], metric, chances(scale, k, 5), alone)
                if at is not None:
                    first = min(first, int(counted[low + at]))
                    break
    return first + 1 if first < total else -1


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


def _alarm(n: Ints, hits: Ints, metric: int, most: Chances, alone: bool) -> int | None:
    """Return the first look, of those after each answer, that is an alarm; ``n`` and ``hits`` are (arms, looks).

    The evidence is at most the likelihood ratio at any one pair of rates: where that is too little, it need not be computed.
    """
    margin, base = float(MARGINS[metric]), float(RATES[metric])
    above = hits[0] * n[1] - hits[1] * n[0] > margin * n[0] * n[1]
    none = (n[1] == 0) & (hits[0] > margin * n[0])
    looks = np.flatnonzero((above | none) & (hits[0] >= LEAST))
    if not len(looks):
        return None
    looks = looks[_enough(_ratio, n[:, looks], hits[:, looks], margin, base, most, alone)]
    for first in range(0, len(looks), _CHUNK):
        some = looks[first : first + _CHUNK]
        for at in some[_enough(_least, n[:, some], hits[:, some], margin, base, most, alone)].tolist():
            arms = [Count(int(n[arm, at]), int(hits[arm, at])) for arm in (0, 1)]
            if judged(arms[0], arms[1], Guardrail(margin, base), most, alone=alone):
                return int(at)
    return None


def _enough(bound: Callable[..., F64], n: Ints, hits: Ints, margin: float, base: float, most: Chances, alone: bool) -> NDArray[np.bool_]:
    """Say of each look whether ``bound`` may be enough for an alarm."""
    near = bound(n, hits, margin, base, 1e-9, base + DRIFT) >= -log(most.alpha) - _SLACK
    far = bound(n, hits, margin, base, base + DRIFT, 1 - margin - 1e-9) >= -log(most.stale) - _SLACK
    return np.asarray(near & (far | ((n[1] == 0) & (alone | (n[0] >= NONE_LEFT)))))


def _ratio(n: Ints, hits: Ints, margin: float, base: float, low: float, high: float) -> F64:
    """Return the logarithm of how much likelier each look is at the rates that were seen than at some pair ``margin`` apart."""
    pooled = np.clip((hits.sum(axis=0) - margin * n[0]) / np.maximum(n.sum(axis=0), 1), low, high)
    seen = np.clip(hits / np.maximum(n, 1), 1e-9, 1 - 1e-9)
    found = _likelihood(n, hits, seen) - _likelihood(n, hits, np.stack([pooled + margin, pooled]))
    return np.asarray(found.sum(axis=0), np.float64)


def _least(n: Ints, hits: Ints, margin: float, base: float, low: float, high: float) -> F64:
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


def _mixture(n: Ints, hits: Ints, a: F64 | float, b: F64 | float) -> F64:
    return np.asarray(betaln(hits + a, n - hits + b) - betaln(a, b), np.float64)


def _likelihood(n: Ints, hits: Ints, rate: F64) -> F64:
    return np.asarray(hits * np.log(rate) + (n - hits) * np.log1p(-rate), np.float64)


def more(**points: float) -> F64:
    """Return what is added to each rate, by the names of GUARDRAILS [percentage points].

    >>> more(error=5).tolist()
    [0.05, 0.0, 0.0, 0.0, 0.0]
    """
    return np.array([points.get(name, 0.0) / 100 for name in GUARDRAILS])


#: What a log may not know, up to DRIFT: slow answers 5 → 15 %, invalid JSON 1 → 10 %. Beyond: errors 1 → 31 %, slow answers 5 → 25 %.
RISEN, FAR = more(slow=10, schema=9), more(error=30, slow=20)
NULLS = (
    Scenario("both arms alike", 10_000, 0.5),
    Scenario("both arms alike, 10 % routed", 10_000, 0.1),
    Scenario("both arms alike, 95 % routed", 10_000, 0.95),
    Scenario("routed worse by exactly the margins", 10_000, 0.5, MARGINS),
    Scenario("routed worse by exactly the margins, 95 % routed", 10_000, 0.95, MARGINS),
    Scenario("both arms alike, five times as bad for a while", 10_000, 0.5, incident=4 * RATES),
    Scenario("both arms alike, sessions of 5 that share half of their fate", 10_000, 0.5, session=5, together=0.5),
    Scenario("both arms alike, sessions of 5 that share half of their fate, 95 % routed", 10_000, 0.95, session=5, together=0.5),
    Scenario("both arms alike, 10 points worse than the log, 95 % routed", 10_000, 0.95, risen=RISEN),
    Scenario("both arms alike, half as bad as the log, 95 % routed", 10_000, 0.95, risen=-RATES / 2),
    Scenario("10 points worse than the log, all routed", 10_000, 1.0, risen=RISEN),
)
#: Rollouts without a fault in which two guardrails' rates are further above the log's than DRIFT.
STALES = (
    Scenario("both arms alike, errors +30 and slow +20 points", 10_000, 0.5, risen=FAR),
    Scenario("both arms alike, errors +30 and slow +20 points, 95 % routed", 10_000, 0.95, risen=FAR),
    Scenario("both arms alike, errors +30 and slow +20 points, 99 % routed", 20_000, 0.99, risen=FAR),
    Scenario("both arms alike, errors +30 and slow +20 points for a while, 95 % routed", 10_000, 0.95, incident=FAR),
    Scenario("both arms alike, errors +99 points, 95 % routed", 10_000, 0.95, risen=more(error=99)),
    Scenario(
        "both arms alike, errors +30 and slow +20 points, sessions as above, 95 % routed", 10_000, 0.95, session=5, together=0.5, risen=FAR
    ),
)
FAULTS = (
    *(Scenario(f"errors +{k} points", 20_000, 0.5, more(error=k)) for k in (3, 5, 10, 30)),
    Scenario("errors +5 points, 10 % routed", 40_000, 0.1, more(error=5)),
    Scenario("errors +30 points, 10 % routed", 20_000, 0.1, more(error=30)),
    Scenario("errors +5 points, 95 % routed", 40_000, 0.95, more(error=5)),
    Scenario("errors +10 points, 95 % routed", 20_000, 0.95, more(error=10)),
    Scenario("errors +30 points, 95 % routed", 20_000, 0.95, more(error=30)),
    Scenario("errors +60 points, 95 % routed", 20_000, 0.95, more(error=60)),
    Scenario("errors +5 points, all routed", 20_000, 1.0, more(error=5)),
    Scenario("errors +30 points, all routed", 20_000, 1.0, more(error=30)),
    Scenario("errors +5 points after 20,500 good requests", 40_500, 0.5, more(error=5), since=20_500),
    Scenario("errors +30 points after 20,500 good requests, 95 % routed", 30_500, 0.95, more(error=30), since=20_500),
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
    stales = [line(s, args.paths, args.seed) for s in STALES]
    faults = [line(s, max(args.paths // 10, 20), args.seed) for s in FAULTS]
    stated = {"stated_false_alarm_rate": LEVEL, "stated_more_where_stale": STALE}
    report = stated | {"evidence": "measured on simulated rollouts", "no_fault": nulls, "no_fault_stale_log": stales, "fault": faults}
    if args.json:
        print(json.dumps(report, indent=1))
    else:
        more_far = f"{STALE:.0%} more for each guardrail of which the log is off by over {100 * DRIFT:.0f} points"
        print(f"An app without fault may be stopped with probability {LEVEL:.0%}, and {more_far}.")
        for row in (*nulls, *stales, *faults):
            told = f"; after {row['requests_p50']:,} requests, 95 % after {row['requests_p95']:,}" if row["stopped"] else ""
            print(f"{row['scenario']}: stopped {row['stopped']:.2%} of {row['rollouts']:,}{told}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
