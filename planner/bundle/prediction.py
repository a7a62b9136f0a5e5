"""Prediction: what the plan is expected to do, written down before it is turned on.

In: a world, a plan and the router it routes by. Out: plain values for a manifest, read by ``planner verify``, ``drift`` and
``preflight``. Knows nothing of files.

Keys, of everything and under ``apps`` of each app: ``usd_per_month`` and ``usd_per_1k`` {log, plan} [USD at ``prices``],
``saving_usd_per_month``, ``saving_share``, ``quality_difference`` (an estimate: value, low, high, evidence, n, source; null is unknown),
``failure_share``, ``p95_of_all_ms`` {log, plan} (of all requests, one that fails being never answered; null where more than 5 % fail),
``requests``, ``requests_per_month``, ``changed_share``, ``mix`` {log, plan} of model → share; and ``routing``, null where the plan has no
other lever: the same from ``usd_per_month`` to ``requests_per_month`` of the plan against itself without its route, which is then ``log``,
the log itself; only this can be seen between those who are routed and those whom a lot keeps, who have the other levers too.
Of a sample, from which all is estimated, also ``usd_per_month_limits`` {log, plan} (low and high; null where there are none).
Of everything only: ``router`` (version), ``plan`` {name, hash, levers, words}, ``log`` {traffic, from, to, days, rows, cluster_unit, seed},
``prices`` {book, date, rates}, ``peaks`` model → {rpm, input_tpm, output_tpm} → {log, plan} (the busiest 60 seconds; empty of a sample,
which does not show what came together), ``used`` (share of requests with tools, json_object, json_schema, stream, max_tokens), and
``profile`` (``bundle.profile``).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from planner.bundle.profile import profile
from planner.comparison.contrast import improves
from planner.errors import PriceError
from planner.policies import Plan
from planner.router import Router
from planner.simulation import Simulation, World, run
from planner.simulation.side import Side
from planner.simulation.simulate import checked, told
from planner.simulation.summary import DAILY, MEASURES
from planner.stats import Estimate
from planner.traffic.rows import Coded, Rows

__all__ = ["Load", "busiest", "peaks", "predict"]

_WINDOW_US, _P95 = 60_000_000, 0.95
#: Of n requests: the model that answers, calls made (n,), and tokens of all of them (n, 6).
Load: TypeAlias = tuple[Coded, NDArray[np.int64], NDArray[np.int64]]


def predict(world: World, plan: Plan, router: Router) -> dict[str, Any]:
    """Simulate ``plan`` in ``world``, which is grouped by app, and return what it is expected to do.

    Raises what ``simulate`` raises: NeedsError, PriceError.
    """
    checked(world, plan)
    side, rows = world.played(plan), world.rows
    others = Plan(tuple(lever for lever in plan.levers if lever.key != "route"), f"{plan.name} without route")
    logged, planned = run(world, Plan()), told(world, plan, side)
    kept = run(world, others, shared=planned.summary.header.shared) if others.levers else None
    groups = [g for g in range(len(planned.summary.groups)) if planned.requests(g)]
    named = [planned.summary.groups[g][0] for g in groups]
    return {
        **_money(logged, planned, None),
        "routing": kept and _routing(kept, planned, None),
        "mix": _mix(rows, side, rows.demand),
        "apps": {
            app: {
                **_money(logged, planned, g),
                "routing": kept and _routing(kept, planned, g),
                "mix": _mix(rows, side, rows.demand & (rows.app.codes == rows.app.code(app))),
            }
            for app, g in zip(named, groups, strict=True)
        },
        "router": router.version,
        "plan": {
            "name": plan.name,
            "hash": plan.hash,
            "levers": [lever.key for lever in plan.levers],
            "words": [lever.words() for lever in plan.levers],
        },
        "log": {
            "traffic": world.traffic.hash,
            "from": f"{rows.timestamp.min()}Z",
            "to": f"{rows.timestamp.max()}Z",
            "days": world.facts.days,
            "rows": len(rows),
            "cluster_unit": rows.cluster_unit,
            "seed": world.seed,
        },
        "prices": {"book": world.book.name, "date": world.book.said(world.at), "rates": _rates(world, side)},
        "peaks": peaks(rows, {"log": _load(world.logged), "plan": _load(side)}) if planned.drawn is None else {},
        "used": _used(world),
        "profile": profile(world.traffic, router),
    }


def _load(side: Side) -> Load:
    return side.model, side.calls, side.tokens


def _money(logged: Simulation, planned: Simulation, group: int | None) -> dict[str, Any]:
    p95 = {"log": _p95(planned, group, "latency_logged_ms", logged.failures(group)), "plan": _p95(planned, group)}
    return _beside(logged, planned, planned.saving(group), planned.quality_difference(group), group) | {
        "saving_share": _estimate(planned.saving_share(group)),
        "changed_share": planned.changed(group),
        "p95_of_all_ms": p95,
    }


def _routing(kept: Simulation, planned: Simulation, group: int | None) -> dict[str, Any]:
    """Return what ``planned`` brings beyond ``kept``, the same plan without its route; quality is unknown where that of either is."""
    unknown = [found for found in (one.quality_difference(group) for one in (planned, kept)) if math.isnan(found.value)]
    quality = unknown[0] if unknown else improves([(1, planned), (-1, kept)], group)
    alone = _over(kept, planned)
    return _beside(kept, planned, alone.saving(group), quality, group) | {
        "saving_share": _estimate(alone.saving_share(group)),
        "p95_of_all_ms": {"log": _p95(kept, group), "plan": _p95(planned, group)},
    }


def _over(kept: Simulation, planned: Simulation) -> Simulation:
    """Return ``planned`` with the cost of ``kept`` in place of the log's."""
    own, base = planned.summary, kept.summary
    sums, daily = own.sums.copy(), own.daily.copy()
    for array, of_base, names in ((sums, base.sums, MEASURES), (daily, base.daily, DAILY)):
        cost = names.index("cost_pusd")
        array[..., names.index("cost_difference_pusd")] = array[..., cost] - of_base[..., cost]
    drawn = None if planned.drawn is None else planned.drawn.beside(kept.drawn)
    return Simulation(planned.name, replace(own, sums=sums, daily=daily, exposure=own.exposure - base.exposure), drawn)


def _beside(before: Simulation, planned: Simulation, saving: Estimate, quality: Estimate, group: int | None) -> dict[str, Any]:
    """Return what ``planned`` comes to beside what was ``before``."""
    requests, month = planned.requests(group), planned.per_month
    found = {"log": before.cost(group), "plan": planned.cost(group)}
    cost = {who: one.value for who, one in found.items()}
    limits = {who: None if one.low is None else [_times(one.low, month), _times(one.high, month)] for who, one in found.items()}
    return {
        "requests": requests,
        "requests_per_month": requests * month,
        "usd_per_month": {who: usd * month for who, usd in cost.items()},
        **({} if planned.drawn is None else {"usd_per_month_limits": limits}),
        "usd_per_1k": {who: 1_000 * usd / requests if requests else None for who, usd in cost.items()},
        "saving_usd_per_month": _estimate(_scaled(saving, month)),
        "quality_difference": _estimate(quality),
        "failure_share": {"log": before.failures(group), "plan": planned.failures(group)},
    }


def _p95(simulation: Simulation, group: int | None, name: str = "latency_ms", failures: float | None = None) -> float | None:
    """Return p95 of all requests [ms] from the latencies of those answered: a higher quantile of them, the more fail."""
    answered = 1 - (simulation.failures(group) if failures is None else failures)
    return _number(simulation.summary.latency_quantile(_P95 / answered, group, name)) if answered > _P95 else None


def _scaled(found: Estimate, factor: float) -> Estimate:
    return replace(found, value=found.value * factor, low=_times(found.low, factor), high=_times(found.high, factor), shares={})


def _estimate(found: Estimate) -> dict[str, Any]:
    values = {"value": _number(found.value), "low": _number(found.low), "high": _number(found.high)}
    return values | {"evidence": found.evidence, "n": found.n, "source": found.source}


def _number(value: float | None) -> float | None:
    """Return a JSON number; what is none becomes null."""
    return None if value is None or not math.isfinite(value) else float(value)


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _mix(rows: Rows, side: Side, mine: NDArray[np.bool_]) -> dict[str, dict[str, float]]:
    """Return the share of the users' own requests that each model answers."""
    found = {}
    for who, model in (("log", rows.model), ("plan", side.model)):
        weight = np.bincount(model.codes[mine], rows.weight[mine], len(model.values))
        shares = weight / max(weight.sum(), 1e-12)
        found[who] = {name: float(s) for name, s in sorted(zip(model.values, shares.tolist(), strict=True)) if s}
    return found


def peaks(rows: Rows, loads: Mapping[str, Load]) -> dict[str, dict[str, dict[str, float]]]:
    """Return the calls, input tokens and output tokens of the busiest 60 seconds of each model, by the name of each load.

    Of rows that stand for themselves alone. A request's calls and tokens count at the model that answered it, when it arrived.
    """
    at = (rows.timestamp - np.datetime64(0, "us")).astype("timedelta64[us]").astype(np.int64)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for who, (model, calls, tokens) in loads.items():
        amounts = {"rpm": calls, "input_tpm": tokens[:, :4].sum(1), "output_tpm": tokens[:, 4:].sum(1)}
        for code in np.unique(model.codes[calls > 0]).tolist():
            mine = (calls > 0) & (model.codes == code)
            own = found.setdefault(model.values[code], {name: dict.fromkeys(loads, 0.0) for name in amounts})
            for name, amount in amounts.items():
                own[name][who] = busiest(at[mine], amount[mine])
    return dict(sorted(found.items()))


def busiest(at_us: NDArray[np.int64], amount: NDArray[Any]) -> float:
    """Return the largest sum of ``amount`` within any 60 seconds; times in whole microseconds, in any order.

    >>> busiest(np.array([0, 30_000_000, 60_000_000, 200_000_000]), np.array([1, 2, 4, 5]))
    6.0
    """
    order = np.argsort(at_us, kind="stable")
    times, total = at_us[order], np.concatenate([[0.0], np.cumsum(amount[order], dtype=float)])
    end = np.searchsorted(times, times + _WINDOW_US, side="left")
    return float((total[end] - total[np.arange(len(times))]).max(initial=0.0))


def _rates(world: World, side: Side) -> dict[str, dict[str, Any]]:
    """Return the standard rates of every model of the log and of the plan that has any."""
    day = world.at if isinstance(world.at, dt.date) else world.book.date
    served = dict(zip(world.rows.model.decode(), world.rows.provider.decode(), strict=True)) | dict(world.outcomes.providers)
    found = {}
    for model in sorted({*world.rows.model.values, *side.model.values} - {""}):
        try:
            rates = world.book.quote(model, served.get(model) or None, at=day)
        except PriceError:
            continue
        above = [[tokens, dict(usd)] for tokens, usd in rates.above]
        fee = {"usd_per_request": rates.usd_per_request, "above": above}
        found[model] = {"provider": rates.provider, "usd_per_mtok": dict(rates.usd_per_mtok), **fee}
    return found


def _used(world: World) -> Mapping[str, float]:
    """Return the share of the users' own requests that use each feature of a provider."""
    frame = world.traffic.frame("has_tools", "response_format", "stream", "max_tokens")
    weight = np.where(world.rows.steerable, world.rows.weight, 0.0)
    flags = {
        "tools": frame["has_tools"],
        "json_object": frame["response_format"] == "json_object",
        "json_schema": frame["response_format"] == "json_schema",
        "stream": frame["stream"],
        "max_tokens": frame["max_tokens"].notna(),
    }
    return {name: float(np.dot(flag.to_numpy(bool), weight) / max(weight.sum(), 1e-12)) for name, flag in flags.items()}
