"""The rollouts that ``benchmarks.guardrails`` simulates: without a fault, with one, in sessions, beside a log that is off.

In: nothing. Out: scenarios, and the usual rates that they start from. Knows nothing of how they are simulated or judged.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from planner.router.rollout import GUARDRAILS

#: Usual rates of GUARDRAILS, the margins of ``planner export``, and how often an answer counts in each: not all have a schema or a thumb.
RATES = np.array([0.01, 0.05, 0.02, 0.01, 0.1])
MARGINS = np.array([0.02, 0.03, 0.02, 0.02, 0.05])
COUNTS = np.array([1.0, 1.0, 1.0, 0.3, 0.05])

F64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scenario:
    """Rollouts of one kind.

    Parameters
    ----------
    name: what is simulated. requests: of each rollout. share: that is routed.
    excess: (5,) what is added to the rates of routed answers from request ``since`` on.
    incident: (5,) what is added to the rates of both arms in the middle fifth.
    risen: (5,) what is added to the rates of both arms all the time, of which the log knows nothing.
    session: requests that share an arm and, with probability ``together``, their fate; ``spread``: on average, else each time.
    logged: requests of the log by which the design effects are measured; without any they are 1, as where a rollout says none.
    """

    name: str
    requests: int
    share: float
    excess: F64 = field(default_factory=lambda: np.zeros(5))
    since: int = 0
    session: int = 1
    together: float = 0.0
    spread: bool = False
    logged: int = 0
    risen: F64 = field(default_factory=lambda: np.zeros(5))
    incident: F64 = field(default_factory=lambda: np.zeros(5))


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
#: Sessions of different lengths that fail as a whole, in both arms alike, judged by the design effects of a log of 10,000 requests.
CLUSTERS = tuple(
    Scenario(f"both arms alike, sessions of {k} that fail whole{many}", 30_000, share, session=k, together=1.0, spread=True, logged=10_000)
    for k in (10, 20)
    for share, many in ((0.5, ""), (0.95, ", 95 % routed"))
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


#: How power falls with the sessions that fail as a whole: errors beyond the usual.
WEAKER = tuple(
    Scenario(
        f"errors +{points} points, sessions of {k} that fail whole{many}",
        200_000 if points < 30 else 40_000,
        share,
        more(error=points),
        session=k,
        together=1.0,
        spread=True,
        logged=10_000,
    )
    for k in (1, 10, 20)
    for points in (5, 10, 30)
    for share, many in ((0.5, ""), (0.95, ", 95 % routed"))
)
