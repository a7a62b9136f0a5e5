"""Waterfall: what each lever of a plan brings, in a stated order, alone, and last.

In: a world, a plan, and the order in which its levers are put in. Out: a step for each lever, of which the steps in order add up to the
whole plan to the integer; what the lever saves on its own and what the plan would lose without it stand beside it, for no order is the
true one. Differences are taken on the buckets that plans share, never on their point values. Knows nothing of how levers work.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from planner.comparison.contrast import improves, saves, slows
from planner.comparison.noninferiority import unmeasured
from planner.comparison.plays import Plays
from planner.errors import InputError, did_you_mean
from planner.policies import Plan
from planner.prices.money import spanned
from planner.schema import EVIDENCE
from planner.simulation import Simulation, World
from planner.stats import Estimate

__all__ = ["Step", "Waterfall", "between", "lever_names", "part", "places", "waterfall"]


#: Why one lever has intervals of different width.
_DAYS = "Beside levers whose users share state, as a cache, days count as well as users: so 'last' is less sure than 'alone' may be."


@dataclass(frozen=True, eq=False)
class Step:
    """One lever: ``saving`` [USD of the log's period], ``quality`` and ``p95_ms`` are what it adds to the levers before it.

    ``alone`` is what it saves as the only lever, ``last`` what the whole plan saves more than without it.
    """

    lever: str
    words: str
    saving: Estimate
    quality: Estimate
    p95_ms: Estimate
    alone: Estimate
    last: Estimate


@dataclass(frozen=True, eq=False)
class Waterfall:
    """Steps in the stated order, from ``logged`` to ``planned``; ``assumed`` names levers whose effect on answers no label measured."""

    steps: tuple[Step, ...]
    logged: Simulation = field(repr=False)
    planned: Simulation = field(repr=False)
    assumed: tuple[str, ...] = ()

    @property
    def table(self) -> pd.DataFrame:
        """One row per lever in order and one for the whole plan: USD a month with intervals, quality, and p95."""
        rows = [_row(s.lever, s.saving, s.quality, s.p95_ms, self._month) | _also(s, self._month) for s in self.steps]
        planned = self.planned
        whole = _row("all", planned.saving(), planned.quality_difference(), planned.latency_difference(), self._month)
        return pd.DataFrame([*rows, whole])

    @property
    def text(self) -> str:
        """What each lever brings, in order, alone and last, in words."""
        start, end = (_monthly(s.cost(), self._month) for s in (self.logged, self.planned))
        order = ", then ".join(s.lever for s in self.steps)
        head = f"'{self.planned.name}' takes {start} a month to {end}. In the order {order}:"
        lines = [
            f"{s.lever}: {self._said(s.saving)} in this place, {self._said(s.alone)} alone, {self._said(s.last)} last." for s in self.steps
        ]
        if self.planned.summary.header.shared and len(self.steps) > 1:
            lines.append(_DAYS)
        lines += [f"What '{words}' does to answers is assumed to be nothing: no label measured it." for words in self.assumed]
        return "\n".join([head, *lines])

    def _repr_html_(self) -> str:
        body: str = self.table.to_html(index=False, float_format="{:,.4g}".format)
        return f"{body}<p class='mathjax_ignore'>{html.escape(self.text).replace(chr(10), '<br>')}</p>"

    @property
    def _month(self) -> float:
        return self.logged.per_month

    def _said(self, saving: Estimate) -> str:
        return between(saving, self._month)


def waterfall(
    world: World,
    plan: Plan,
    *,
    order: Sequence[str] | None = None,
    plays: Plays | None = None,
    progress: Callable[[int], None] | None = None,
) -> Waterfall:
    """Put the levers of ``plan`` in one after the other.

    Parameters
    ----------
    world: the log, opened. plan: at least one lever.
    order: names of the levers as ``lever_names`` gives them; default the plan's own order. However they are put in, the levers of the
        row phase are always applied as the plan has them.
    plays: simulations made before in this world. progress: called with the number of simulations made.

    Raises InputError for an empty plan, and for an order that does not name every lever once.
    """
    names, at = lever_names(plan), places(plan, order)
    played = plays or Plays(world, [plan], progress)
    whole, none = frozenset(at), frozenset[int]()

    def play(kept: Iterable[int]) -> Simulation:
        return played(part(plan, kept))

    steps, before = [], none
    for i in at:
        here, earlier = play(before | {i}), play(before)
        steps.append(
            Step(
                lever=names[i],
                words=plan.levers[i].words(),
                saving=saves([(1, here), (-1, earlier)]),
                quality=improves([(1, here), (-1, earlier)]),
                p95_ms=slows(here, earlier),
                alone=play({i}).saving(),
                last=saves([(1, play(whole)), (-1, play(whole - {i}))]),
            )
        )
        before |= {i}
    return Waterfall(tuple(steps), play(none), played(plan), unmeasured(world, plan))


def places(plan: Plan, order: Sequence[str] | None = None) -> list[int]:
    """Return the positions of the plan's levers in the order in which they are put in; InputError as ``waterfall`` raises it.

    >>> from planner.policies import Hedge, Plan, Timeout
    >>> places(Plan((Hedge(800), Timeout(9_000))), ["timeout", "hedge"])
    [1, 0]
    """
    names = lever_names(plan)
    if not names:
        raise InputError(f"plan {plan.name!r} without levers", "at least one", "a waterfall shows what levers bring")
    at = [_position(name, names) for name in (names if order is None else order)]
    if sorted(at) != [*range(len(names))]:
        raise InputError(f"order {', '.join(order or ())}", f"each of {', '.join(names)} once")
    return at


def part(plan: Plan, kept: Iterable[int]) -> Plan:
    """Return the plan with the levers at ``kept`` alone, in the plan's own order."""
    inside = {*kept}
    return Plan(tuple(lever for i, lever in enumerate(plan.levers) if i in inside), plan.name if inside else "as logged")


def lever_names(plan: Plan) -> list[str]:
    """Return what each lever is called: its key, with its apps where the plan has several of it.

    >>> from planner.policies import Hedge, Plan, Timeout
    >>> lever_names(Plan((Hedge(800, apps=("chat",)), Hedge(900, apps=("docs", "faq")), Timeout(9_000))))
    ['hedge (chat)', 'hedge (docs, faq)', 'timeout']
    """
    several = {lever.key for lever in plan.levers if len(plan.of_key(lever.key)) > 1}
    return [f"{x.key} ({', '.join(x.apps or ('all',))})" if x.key in several else x.key for x in plan.levers]


def between(saving: Estimate, factor: float = 1.0) -> str:
    """Write an amount of money with its interval, or say that it has none.

    >>> between(Estimate(-12.5, -20.0, -5.0, "estimated")), between(Estimate(3.0), 2.0)
    ('−$12.50 [−$20.00, −$5.00]', '$6.00 (no interval)')
    """
    value, *limits = (f"{'−' if x < 0 else ''}${abs(x * factor):,.2f}" for x in (saving.value, saving.low, saving.high) if x is not None)
    if not limits:
        return f"{value} (no interval)"
    return value if limits[0] == limits[1] else f"{value} [{', '.join(limits)}]"


def _position(name: str, names: Sequence[str]) -> int:
    if name not in names:
        raise InputError(f"lever {name!r}", f"one of {', '.join(names)}", did_you_mean(name, names))
    return names.index(name)


def _row(lever: str, saving: Estimate, quality: Estimate, slower: Estimate, month: float) -> dict[str, Any]:
    return {
        "lever": lever,
        **_scaled("saving", saving, month),
        "evidence": saving.evidence,
        **{f"saving_{name}": saving.shares.get(name, 0.0) * month for name in EVIDENCE},
        "quality": quality.value,
        "quality_low": quality.low,
        "quality_high": quality.high,
        "p95_ms": slower.value,
        "p95_low": slower.low,
        "p95_high": slower.high,
    }


def _monthly(cost: Estimate, month: float) -> str:
    low, high = (None if x is None else x * month for x in (cost.low, cost.high))
    return spanned(cost.value * month, low, high, "${:,.2f}".format)


def _also(step: Step, month: float) -> dict[str, Any]:
    return {**_scaled("alone", step.alone, month), **_scaled("last", step.last, month)}


def _scaled(name: str, estimate: Estimate, factor: float) -> dict[str, float | None]:
    low, high = (None if x is None else x * factor for x in (estimate.low, estimate.high))
    return {f"{name}_usd_per_month": estimate.value * factor, f"{name}_low": low, f"{name}_high": high}
