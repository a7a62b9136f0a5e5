"""From the event levers of a plan to the arrays the event phase is given.

In: a plan's levers, the requests they speak of, and the streams of their draws. Out: retries, caches and limits as
``events.inputs`` describes them, and per request its timeout and hedge. Knows nothing of outcomes, calls or money.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.policies import Plan
from planner.schema import STATUSES
from planner.simulation.events.inputs import Limits, Retries
from planner.stats import draws
from planner.traffic.rows import Coded

__all__ = ["DRAWS", "assigned", "limits", "per_request", "retries"]

#: Calls of one request on one lane that have draws of their own; later ones repeat the last.
DRAWS = 16
US_PER_MS = 1_000


def assigned(found: Sequence[Any], app: Coded) -> NDArray[np.int64]:
    """Return which of ``found`` each request's app is under, −1: none; a lever without apps speaks of all that no other names.

    >>> from types import SimpleNamespace as Lever
    >>> assigned([Lever(apps=None), Lever(apps=("b",))], Coded(np.array([0, 1, 0]), ("a", "b"))).tolist()
    [0, 1, 0]
    """
    table = np.full(max(len(app.values), 1), -1, np.int64)
    for i, lever in sorted(enumerate(found), key=lambda pair: pair[1].apps is not None):
        for code, name in enumerate(app.values):
            if lever.apps is None or name in lever.apps:
                table[code] = i
    return np.asarray(table[app.codes])


def per_request(found: Sequence[Any], app: Coded, field: str, otherwise: float = 0.0) -> NDArray[np.float64]:
    """Return ``field`` of the lever that each request is under."""
    values = np.array([*(float(getattr(lever, field)) for lever in found), otherwise])
    return np.asarray(values[assigned(found, app)])


def retries(plan: Plan, app: Coded, seed: int) -> Retries:
    """Return a policy for every pair of a retry and a fallback lever, either of which may be none; who has none never tries again."""
    found, falls = plan.of_key("retry"), plan.of_key("fallback")
    pairs = [(a, b) for a in (*found, None) for b in (*falls, None)]
    chosen, nexts = [a for a, _ in pairs], [b for _, b in pairs]
    own, fall = assigned(found, app) % (len(found) + 1), assigned(falls, app) % (len(falls) + 1)
    policy = own * (len(falls) + 1) + fall

    def number(name: str, otherwise: float, factor: float = 1.0) -> NDArray[np.float64]:
        values = [otherwise if r is None or getattr(r, name) is None else getattr(r, name) * factor for r in chosen]
        return np.array(values, float)

    return Retries(
        policy=policy.astype(np.int16),
        most=np.array([[0 if r is None else r.retries.get(kind, 0) for kind in STATUSES] for r in chosen], np.int64).reshape(
            -1, len(STATUSES)
        ),
        fallback=np.array([f is not None and kind in f.kinds for f in nexts for kind in STATUSES], bool).reshape(-1, len(STATUSES)),
        base_us=number("base_ms", 0, US_PER_MS).astype(np.int64),
        most_us=number("most_ms", 0, US_PER_MS).astype(np.int64),
        factor=number("factor", 1),
        jitter=number("jitter", 0),
        stream=np.array([draws.constants(seed, f"jitter/{k}") for k in range(DRAWS)], np.uint64),
        retry_after=number("retry_after", 0).astype(bool),
        budget=number("budget", np.inf),
        budget_most=np.full(len(chosen), 10.0),
        deadline_us=number("deadline_ms", 0, US_PER_MS).astype(np.int64),
    )


def limits(plan: Plan, models: Sequence[str], providers: Sequence[str]) -> Limits:
    """Return the quota of each lane: that of its model, else of its provider, else none."""
    quotas = {name: quota for lever in plan.of_key("rate_limit") for name, quota in lever.limits.items()}
    names = list(quotas)
    code = [names.index(m) if m in quotas else names.index(p) if p in quotas else -1 for m, p in zip(models, providers, strict=True)]
    rows = [[np.inf if x is None else float(x) for x in quotas[n]] for n in names]
    return Limits(np.array(code, np.int16), np.array(rows, float).reshape(-1, 3))
