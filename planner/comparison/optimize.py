"""Optimize: the cheapest plan within limits of quality, latency and failures, searched on one period and reported on a later one.

In: the two worlds, a space of plans, limits. Out: the plan, what it did where it was searched, and what it does where it was not; the
second is the claim. A space that is small enough is tried whole. Otherwise SciPy's differential evolution searches it: whole numbers and
constraints are its own (Storn & Price, *J. Global Optim.* 11, 1997; Lampinen, *CEC* 2002), it is BSD-licensed, kept, offline and already
installed, and at one seed it asks for the same plans in the same order, so that a journal of numbers is all it takes to go on after a
kill. Knows nothing of how a plan is simulated.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import Bounds, NonlinearConstraint, differential_evolution

from planner.comparison.noninferiority import statement
from planner.comparison.optimize_journal import Journal, Measured, measure
from planner.comparison.optimize_space import Space
from planner.comparison.waterfall import between
from planner.errors import InputError
from planner.policies import Plan
from planner.prices.money import spanned
from planner.simulation import Simulation, World, run
from planner.simulation.simulate import checked

__all__ = ["Limits", "Optimised", "optimize"]

Progress = Callable[[int, int], None]
#: Generations without a new plan are quick; this many end a search that has nothing new to ask.
_GENERATIONS = 200
_REFUSED = 1e18


@dataclass(frozen=True)
class Limits:
    """What a plan must surely keep to: by the unfavourable end of its 95 % interval.

    Parameters
    ----------
    floor: quality one is willing to lose against the log, 0 to 1; None: any.
    p95_ms: of the time until the answer is there; None: any.
    more_failures: share of requests that may fail beyond those that failed in the log: a request that fails costs little.
    """

    floor: float | None = 0.02
    p95_ms: float | None = None
    more_failures: float = 0.001

    def __post_init__(self) -> None:
        if self.floor is not None and not 0 <= self.floor <= 1:
            raise InputError(f"floor {self.floor}", "quality one is willing to lose, 0 to 1")
        if self.p95_ms is not None and not self.p95_ms > 0:
            raise InputError(f"p95 limit {self.p95_ms} ms", "milliseconds above 0")
        if not 0 <= self.more_failures <= 1:
            raise InputError(f"more failures {self.more_failures}", "a share of requests, 0 to 1")

    def spare(self, found: Measured) -> NDArray[np.float64]:
        """Return how far the plan is inside each limit, as a share of it; below 0 is outside, what is unknown is −1."""
        slow = found.p95_ms if found.p95_high is None else found.p95_high
        spare = [
            None if found.more_failures is None else self.more_failures - found.more_failures,
            1.0 if self.floor is None else None if found.quality_low is None else found.quality_low + self.floor,
            1.0 if self.p95_ms is None else None if slow is None else 1 - slow / self.p95_ms,
        ]
        return np.array([-1.0 if x is None else x for x in spare])

    def short(self, found: Measured) -> tuple[str, ...]:
        """Say of each limit that the plan is not surely inside how far it is outside at worst."""
        said = (
            (found.more_failures, "{:.2%} more failures, where {:.2%} are the limit", self.more_failures),
            (found.quality_low, "a quality of {:+.4f} at worst, where {:+.4f} is the limit", -(self.floor or 0.0)),
            (
                found.p95_ms if found.p95_high is None else found.p95_high,
                "a p95 of {:,.0f} ms at worst, where {:,.0f} is the limit",
                self.p95_ms,
            ),
        )
        names = ("failures", "quality", "p95")
        outside = zip(self.spare(found) < 0, names, said, strict=True)
        return tuple(f"a {name} that is not known" if x is None else words.format(x, y) for out, name, (x, words, y) in outside if out)

    def allow(self, found: Measured) -> bool:
        """Say whether a plan is within all limits."""
        return not found.refused and bool((self.spare(found) >= 0).all())

    @property
    def words(self) -> str:
        """Say the limits."""
        said = [
            *([] if self.floor is None else [f"loses at most {self.floor:g} of quality"]),
            *([] if self.p95_ms is None else [f"has a p95 of at most {self.p95_ms:,g} ms"]),
            f"fails at most {self.more_failures:.2%} of requests more than the log",
        ]
        return " and ".join([", ".join(said[:-1]), said[-1]] if said[:-1] else said)


@dataclass(frozen=True, eq=False)
class Optimised:
    """``plan`` is the cheapest that was allowed where it was searched, None without one.

    ``searched`` and ``reported`` are its simulations on the earlier and on the later period, ``holds`` whether it keeps to the limits on
    the later one too. ``whole``: every plan of the space was tried. ``nearest``: where none was allowed, the plan that misses its limits
    by least, and those limits, in words.
    """

    plan: Plan | None
    searched: Simulation | None = field(repr=False)
    reported: Simulation | None = field(repr=False)
    holds: bool
    limits: Limits
    size: int
    whole: bool
    _trials: pd.DataFrame = field(repr=False)
    nearest: str = ""

    @property
    def table(self) -> pd.DataFrame:
        """One row per plan that was simulated, cheapest first: what stands in each place, its numbers there, and whether it was allowed."""
        return self._trials

    @property
    def text(self) -> str:
        """What was found, what it does on the later period, and whether that keeps to the limits."""
        tried = f"all {self.size:,}" if self.whole else f"{len(self._trials):,} of {self.size:,}"
        head = f"Of {tried} plans, searched on the earlier period:"
        if self.plan is None or self.searched is None or self.reported is None:
            return " ".join([f"{head} none {self.limits.words}, surely. Keep today's.", self.nearest]).rstrip()
        words = "; ".join(lever.words() for lever in self.plan.levers) or "the log as it is"
        before, after = (between(s.saving(), s.per_month) for s in (self.searched, self.reported))
        lines = [f"{head} the cheapest that surely {self.limits.words} is: {words}."]
        lines.append(f"On the later period, which chose nothing, it saves {after} a month; where it was chosen it seemed {before}.")
        if self.limits.floor is not None:
            lines.append(statement(self.plan.name, self.reported.quality_difference(), self.limits.floor, "the log of that period"))
        lines += [said for said in (self.searched.thin or self.searched.rough,) if said]
        lines.append(f"It {'keeps' if self.holds else 'does not surely keep'} to all limits there.")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        body: str = self.table.to_html(index=False, float_format="{:,.4g}".format)
        return f"<p class='mathjax_ignore'>{html.escape(self.text).replace(chr(10), '<br>')}</p>{body}"


class _SpentError(Exception):
    """The search has asked for as many plans as it may."""


class _Search:
    """Plans by choice, each simulated once, none beyond ``most``."""

    def __init__(self, world: World, space: Space, journal: Journal, most: int, progress: Progress | None) -> None:
        self.world, self.space, self.journal, self.most, self.progress = world, space, journal, most, progress
        self.found: dict[tuple[int, ...], Measured] = {}
        logged = run(world, Plan())
        self._logged, self.drawn = logged.failures(), logged.drawn

    def __call__(self, picks: Iterable[Any]) -> Measured:
        key = tuple(round(float(x)) for x in picks)
        if key not in self.found:
            if len(self.found) >= self.most:
                raise _SpentError
            self.found[key] = self._measured(key)
            if self.progress:
                self.progress(len(self.found), min(self.most, len(self.space)))
        return self.found[key]

    def _measured(self, picks: tuple[int, ...]) -> Measured:
        try:
            plan = self.space.plan(picks)
        except InputError as error:
            return Measured(refused=str(error))
        known = self.journal.get(plan.hash)
        if known is None:
            known = self._simulated(plan)
            self.journal.add(plan.hash, known)
        return known

    def _simulated(self, plan: Plan) -> Measured:
        try:
            return measure(self.world, plan, self._logged)
        except InputError as error:  # levers that are sound each, and ask one cache to be two things
            return Measured(refused=str(error))


def optimize(
    early: World,
    late: World,
    space: Space,
    limits: Limits | None = None,
    *,
    journal: str | Path | None = None,
    evaluations: int = 200,
    seed: int = 0,
    progress: Progress | None = None,
) -> Optimised:
    """Find the cheapest plan of ``space`` within ``limits`` on ``early``, and say what it does on ``late``.

    Parameters
    ----------
    early, late: worlds of the same log, the second after the first (``optimize_periods.periods``).
    journal: file that keeps every simulated plan; a search that was killed goes on from it, and ends with the same plan.
    evaluations: plans to simulate at most, at least 20.
    progress: called with plans known so far and at most.

    Raises InputError for periods that overlap, and for a journal about something else; what ``planner.simulate`` raises for a lever.
    """
    limits = limits or Limits()
    if evaluations < 20:
        raise InputError(f"{evaluations} evaluations", "at least 20")
    if _first(late) <= _last(early):
        raise InputError(f"a search until {_last(early)} and a report from {_first(late)}", "a report on a later period")
    for place in space.options:
        checked(early, Plan(tuple(lever for lever in place if lever is not None)[:1]))
    search = _Search(early, space, Journal(None if journal is None else Path(journal), early), evaluations, progress)
    whole = len(space) <= evaluations
    if whole:
        for picks in product(*map(range, space.sizes)):
            search(picks)
    else:
        _evolve(search, limits, seed)
    allowed = {picks: m.usd for picks, m in search.found.items() if limits.allow(m) and m.usd is not None}
    best = min(allowed, key=lambda picks: (allowed[picks], picks), default=None)
    plan = None if best is None else space.plan(best)
    searched, reported = (None, None) if plan is None else (run(early, plan), run(late, plan))
    holds = plan is not None and limits.allow(measure(late, plan, run(late, Plan()).failures()))
    nearest = _nearest(search, limits) if plan is None else ""
    return Optimised(plan, searched, reported, holds, limits, len(space), whole, _trials(search, limits), nearest)


def _evolve(search: _Search, limits: Limits, seed: int) -> None:
    """Let differential evolution ask until it has nothing new to ask, or may not."""
    sizes = np.array(search.space.sizes)
    free = np.flatnonzero(sizes > 1)

    def picks(x: NDArray[np.float64]) -> NDArray[np.int64]:
        whole = np.zeros(len(sizes), np.int64)
        whole[free] = np.rint(x)
        return whole

    def usd(x: NDArray[np.float64]) -> float:
        found = search(picks(x)).usd
        return _REFUSED if found is None else found

    def spare(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return limits.spare(search(picks(x)))

    rng = np.random.default_rng(seed)
    first = rng.integers(0, sizes[free], (max(8, min(5 * len(free), search.most // 4)), len(free))).astype(float)
    first[0], first[1] = 0, sizes[free] - 1
    try:
        differential_evolution(
            usd,
            Bounds(np.zeros(len(free)), sizes[free] - 1.0),
            init=first,
            integrality=np.ones(len(free), bool),
            constraints=NonlinearConstraint(spare, 0, np.inf),
            maxiter=_GENERATIONS,
            polish=False,
            rng=rng,
        )
    except _SpentError:
        return


def _nearest(search: _Search, limits: Limits) -> str:
    """Name the plan that is outside its limits by the smallest share of one, of equals the cheapest, and the limits that it misses."""
    tried = {picks: m for picks, m in search.found.items() if not m.refused and m.usd is not None}
    if not tried:
        return ""
    best = max(tried, key=lambda p: (float(limits.spare(tried[p]).min()), -(tried[p].usd or 0.0)))
    words = "; ".join(lever.words() for lever in search.space.plan(best).levers) or "the log as it is"
    return f"Nearest is: {words}; it would cost {_usd(tried[best])} a month, and has {', '.join(limits.short(tried[best]))}."


def _usd(found: Measured) -> str:
    return spanned(found.usd or 0.0, found.usd_low, found.usd_high, "${:,.2f}".format)


def _trials(search: _Search, limits: Limits) -> pd.DataFrame:
    rows = [{**search.space.words(p), **asdict(m), "allowed": limits.allow(m)} for p, m in search.found.items()]
    found = pd.DataFrame(rows).sort_values("usd", kind="stable", ignore_index=True)
    return found.drop(columns=["usd_low", "usd_high"]) if search.drawn is None else found


def _first(world: World) -> np.datetime64:
    return np.datetime64(world.rows.timestamp[world.rows.weight > 0].min())


def _last(world: World) -> np.datetime64:
    return np.datetime64(world.rows.timestamp[world.rows.weight > 0].max())
