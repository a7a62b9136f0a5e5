"""Sweep: one lever at several settings over one log, everything else alike.

In: an opened world, a lever, and the values of one of its fields (or several plans). Out: a row a setting: money, latency, failures,
the calls that were made by purpose, answers from the cache, refusals, and batches that come too late. Where the correlation of two
calls' times is assumed, hedges are played at each of the three that are shown. Knows nothing of which setting is best.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import pandas as pd

from planner.errors import InputError, did_you_mean
from planner.outcomes.alike import ASSUMED_AT, Alike
from planner.policies import Lever, Plan, Retry
from planner.policies.base import FAILURES
from planner.schema import PURPOSES
from planner.simulation.replay import LIMITED, Replay
from planner.simulation.result import Simulation
from planner.simulation.simulate import checked, told
from planner.simulation.world import World

__all__ = ["TURNAROUND_HOURS", "Sweep", "retries", "sweep"]

#: How long a provider takes over a batch once it has it [h]: no log says, so misses are counted at each of these; assumed.
TURNAROUND_HOURS = (0, 1, 6)
_US_PER_HOUR = 3_600_000_000


@dataclass(frozen=True, eq=False)
class Sweep:
    """The field ``varied`` of ``lever`` at several values, in ``scope``: the lever's app where it has one, else all.

    ``table`` has a row a value (and a ``correlation``, NaN where none is assumed), the first, ``as logged``, without the lever:
    ``label``, ``value`` (a number, or the position); USD a month with ``saving_low``, ``saving_high`` and ``evidence``, of a sample also
    ``usd_low`` and ``usd_high``, and then ``sample`` says so; ``p50_ms`` to ``p99_ms`` and ``latency_evidence``; ``failure_share`` and
    ``hit_share`` of the requests; ``calls``, ``calls_…`` by purpose and ``refused_share`` per request; with a batch ``misses_…h``, the
    share of its requests that come too late if the provider takes so long, and ``waited_h``, the mean time until an answer if it takes
    none.
    """

    lever: Lever
    varied: str
    scope: str
    prices: str
    requests: int
    table: pd.DataFrame = field(repr=False)
    sample: str = ""

    @property
    def text(self) -> str:
        """What the settings do, from the first to the last, in words."""
        rows = self.table[self.table["label"] != "as logged"]
        said = [f"{self.lever.key} in {self.scope}, {self.varied} {a} to {b}:" for a, b in [rows["label"].iloc[[0, -1]]]]
        for name, words, scale in (
            ("saving_usd_per_month", "saving a month [USD]", 1.0),
            ("p99_ms", "p99 [s]", 1e-3),
            ("calls", "calls", 1),
        ):
            low, high = (float(x) * scale for x in (rows[name].min(), rows[name].max()))
            said.append(f"{words} {low:,.2f} to {high:,.2f};")
        return " ".join(said).rstrip(";") + f"{self.sample and f', {self.sample}'}. {self.prices}."

    def _repr_html_(self) -> str:
        table = self.table.to_html(index=False, float_format="{:,.4g}".format)
        return f"<p class='mathjax_ignore'>{html.escape(self.text)}</p>{table}"


def sweep(
    world: World,
    lever: Lever,
    name: str,
    values: Sequence[Any] | Mapping[Any, Any],
    *,
    beside: Sequence[Lever] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Sweep:
    """Play ``lever`` with its field ``name`` at each of ``values``.

    Parameters
    ----------
    world: the log, opened. lever: a dataclass of settings. values: or what to call each → the value.
    beside: levers that are on all the time. progress: called with the plans played so far and in all.

    Raises InputError for no values and for a field that the lever has not; each value is checked as the lever's own.
    """
    named = values if isinstance(values, Mapping) else {v: v for v in values}
    known = [f.name for f in fields(lever)]  # type: ignore[arg-type]
    if name not in known:
        raise InputError(f"field {name!r} of {lever.key}", f"one of {', '.join(known)}", did_you_mean(name, known))
    if not named:
        raise InputError(f"no values of {lever.key} {name}", "at least one")
    plans = {label: Plan((*beside, replace(lever, **{name: value})), str(label)) for label, value in named.items()}  # type: ignore[type-var]
    return _swept(world, lever, name, plans, progress)


def retries(world: World, lever: Retry, *, progress: Callable[[int, int], None] | None = None) -> Sweep:
    """Play ``lever`` beside no retries at all, its most of each kind of failure alone, and as many blind retries."""
    none, most = dict.fromkeys(FAILURES, 0), max(lever.retries.values())
    if not most:
        raise InputError("retries of no kind", "at least one kind with a count above 0")
    settings = {"none": none, **{kind: {**none, kind: most} for kind in FAILURES}, "by kind": {**none, **lever.retries}}
    plans = {label: Plan((replace(lever, retries=counts),), label) for label, counts in settings.items()}
    plans["blind"] = Plan((Retry.blind(most, apps=lever.apps),), "blind")
    return _swept(world, lever, "retries", plans, progress)


def _swept(world: World, lever: Lever, name: str, plans: Mapping[Any, Plan], progress: Callable[[int, int], None] | None) -> Sweep:
    for plan in plans.values():
        checked(world, plan)
    group = _group(world, lever)
    worlds = list(_worlds(world, lever))
    rows: list[dict[str, Any]] = []
    done = 0
    for correlation, opened in worlds:
        for i, (label, plan) in enumerate({"as logged": Plan(), **plans}.items()):
            if i or not rows:
                rows.append(
                    {"label": str(label), "value": _number(label, i), "correlation": correlation} | _row(opened, plan, group, lever)
                )
                done += 1
                if progress:
                    progress(done, len(worlds) * len(plans) + 1)
    rows[0] |= {"value": np.nan, "correlation": np.nan}
    scope = "all apps" if group is None else str(world.groups[group][0])
    logged = told(world, Plan(), world.logged)
    sample = "" if logged.drawn is None else logged.drawn.source(group)
    prices = f"{world.book.name} prices of {world.book.said(world.at)}"
    return Sweep(lever, name, scope, prices, round(logged.requests(group)), pd.DataFrame(rows), sample)


def _number(label: Any, position: int) -> float:
    return float(label) if isinstance(label, int | float) else float(position)


def _group(world: World, lever: Lever) -> int | None:
    """Return the group that the lever's figures are read from: its app's, if it has one alone and groups are apps."""
    alone = lever.apps is not None and len(lever.apps) == 1 and world.by == ("app",)
    return world.groups.index((lever.apps[0],)) if alone and lever.apps else None


def _worlds(world: World, lever: Lever) -> Iterator[tuple[float, World]]:
    """Yield the worlds to play in: those of a hedge differ in the correlation where it is assumed or stated."""
    latency, stated = world.outcomes.latency, getattr(lever, "correlation", None)
    if lever.key != "hedge" or latency is None or (stated is None and latency.alike.source != "assumed"):
        yield np.nan, world
        return
    for value in ASSUMED_AT if stated is None else (stated,):
        alike = replace(latency, alike=Alike(value, None, None, 0, "assumed"))
        yield (
            value,
            World(world.traffic, replace(world.outcomes, latency=alike), world.book, world.at, world.by, world.seed, world.progress),
        )


def _row(world: World, plan: Plan, group: int | None, lever: Lever) -> dict[str, Any]:
    found = world.replayed(plan) if plan.levers else None
    side = world.logged if found is None else found.side
    simulation = told(world, plan, side)
    return _read(simulation, group) | _counts(world, side.calls, found, group, lever)


def _read(simulation: Simulation, group: int | None) -> dict[str, Any]:
    cost, saving = simulation.cost(group), simulation.saving(group)
    month, slow = simulation.per_month, simulation.latency(0.99, group)
    ends = (np.nan if x is None else x * month for x in (saving.low, saving.high, cost.low, cost.high))
    low, high, usd_low, usd_high = ends
    return {
        "usd_per_month": cost.value * month,
        **({} if simulation.drawn is None else {"usd_low": usd_low, "usd_high": usd_high}),
        "saving_usd_per_month": saving.value * month,
        "saving_low": low,
        "saving_high": high,
        "evidence": saving.evidence,
        **{f"p{p}_ms": simulation.summary.latency_quantile(p / 100, group) for p in (50, 95, 99)},
        "latency_evidence": slow.evidence,
        "failure_share": simulation.failures(group),
    }


def _counts(world: World, calls: Any, found: Replay | None, group: int | None, lever: Lever) -> dict[str, Any]:
    """Count what was done, per request of the scope that reaches a provider as logged."""
    rows = world.rows
    inside = rows.steerable if group is None else rows.steerable & (world.place(rows) == group)
    weight = np.where(inside, rows.weight, 0.0)
    total = max(float(weight.sum()), 1e-9)
    out: dict[str, Any] = {"calls": float((weight * calls).sum()) / total}
    if found is None:
        return out
    happened, mine = found.happened, weight[found.at]
    of_call = mine[found.calls.row]
    made = {p: float(of_call[found.calls.purpose == code].sum()) / total for code, p in enumerate(PURPOSES)}
    out |= {f"calls_{p}": share for p, share in made.items() if share or p == "main"}
    out["hit_share"] = float(mine[happened.source >= 0].sum()) / total
    out["refused_share"] = float(mine[happened.row[(happened.kind == LIMITED) & (happened.drawn < 0)]].sum()) / total
    for hours in TURNAROUND_HOURS if lever.key == "batch" else ():
        late = lever.misses(happened.arrived_us, happened.done_us + hours * _US_PER_HOUR)  # type: ignore[attr-defined]
        covered = np.isin(rows.app.codes[found.at], [rows.app.code(a) for a in lever.apps or ()])
        out[f"misses_{hours}h"] = float(mine[late & covered].sum()) / max(float(mine[covered].sum()), 1e-9)
        out["waited_h"] = float((mine * (happened.done_us - happened.arrived_us))[covered].sum() / mine[covered].sum() / _US_PER_HOUR)
    return out
