"""Frontier: what every level τ of a router's family costs and is worth, in one pass.

In: a world and a router. Out: integer sums per hash bucket at every τ of a grid, exactly what one simulation at that τ
would sum, and their reading as a table with intervals. A request changes its model at most once per candidate, so sorting
the switches once replaces a simulation per point. Knows nothing of prices or text.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.outcomes import Outcomes
from planner.policies import Plan, Route
from planner.prices import PriceBook
from planner.prices.money import spanned
from planner.router import Router, Scores, steps
from planner.schema import EVIDENCE
from planner.simulation import noise
from planner.simulation.accounting import price_date
from planner.simulation.drawn import Drawn, drawn_of
from planner.simulation.flows import Switches, tau_grid
from planner.simulation.intervals import quality_shift
from planner.simulation.side import Side, unlike
from planner.simulation.summarise import labelled_values, paired_values, part_costs, weigh_cost
from planner.simulation.summary import LABELLED, MICRO, PAIRED, SummaryHeader, add_up
from planner.simulation.world import World
from planner.stats import BUCKETS, jackknife
from planner.traffic import Traffic
from planner.traffic.rows import Coded, Rows
from planner.units import DAYS_PER_MONTH, PUSD_PER_USD

__all__ = ["Frontier", "frontier", "trace"]


@dataclass(frozen=True, eq=False)
class Frontier:
    """A router's family over one log: ``t`` levels τ, ascending, the first −∞ (every request on its reference).

    Parameters
    ----------
    tau: (t,).
    cost_difference: (buckets, t, 3) [pUSD] against the log, by the evidence of the calls. paired: (buckets, t, PAIRED + LABELLED).
    logged_cost: (buckets,) [pUSD]. requests: (buckets,) [10⁻⁶].
    exposure: (t, P, noise.PARTS) [pUSD]. samples: (P, buckets, ratios.SAMPLED); see ``simulation.noise``.
    shares: (t, K) share of steerable requests on each of ``candidates``.
    drawn: what a sample tells, None of a log that is whole. moved: (t, groups) the cost difference in each group of a sample [pUSD].
    app: the only app looked at; None for the whole log.
    """

    header: SummaryHeader = field(repr=False)
    candidates: tuple[str, ...]
    tau: NDArray[np.float64] = field(repr=False)
    cost_difference: NDArray[np.int64] = field(repr=False)
    paired: NDArray[np.int64] = field(repr=False)
    logged_cost: NDArray[np.int64] = field(repr=False)
    requests: NDArray[np.int64] = field(repr=False)
    exposure: NDArray[np.int64] = field(repr=False)
    samples: NDArray[np.int64] = field(repr=False)
    shares: NDArray[np.float64] = field(repr=False)
    drawn: Drawn | None = field(default=None, repr=False)
    moved: NDArray[np.int64] | None = field(default=None, repr=False)
    app: str | None = None

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per τ: money per month and quality against the log, each with its 95 % interval, and the shares."""
        month = DAYS_PER_MONTH / self.header.days
        moved, levels = noise.shift(self.samples, self.exposure), len(self.tau)
        sums = np.hstack([self.cost_difference.sum(axis=2), noise.columns(self.samples)])

        def saved(s: NDArray[Any]) -> NDArray[np.float64]:
            return np.asarray(-(s[:, :levels] + moved(s[:, levels:])) * (month / PUSD_PER_USD))

        money = jackknife(sums, saved, noise.clusters(self.requests, self.samples, self.exposure), extensive=True)
        parts = self.cost_difference.astype(float).sum(axis=0) * (-month / PUSD_PER_USD)
        changed = self.paired[..., PAIRED.index("changed_micro")].astype(float).sum(axis=0)
        labels = self.paired[..., len(PAIRED) + LABELLED.index("label_weight_micro")]
        quality = jackknife(self.paired, quality_shift, np.column_stack([self.requests, labels[:, 0]]))
        told = np.where(changed == 0, 0.0, np.where(labels.any(), 1.0, np.nan))
        logged = self.logged_cost.astype(float).sum() / PUSD_PER_USD * month
        columns: dict[str, Any] = {
            "tau": self.tau,
            "usd_per_month": logged - money.value,
            "saving_usd_per_month": money.value,
            "saving_low": np.where(self._silent, np.nan, money.low),
            "saving_high": np.where(self._silent, np.nan, money.high),
            "saving_estimated": parts[:, 1],
            "saving_assumed": parts[:, 2],
            "saving_share": money.value / logged if logged else np.zeros(len(self.tau)),
            "quality_difference": np.where(changed == 0, 0.0, quality.value),
            "quality_low": quality.low * told,
            "quality_high": quality.high * told,
            "changed_share": changed / max(float(self.requests.sum()), 1.0),
        }
        return pd.DataFrame(columns | {f"share {m}": self.shares[:, k] for k, m in enumerate(self.candidates)})

    @property
    def _silent(self) -> NDArray[np.bool_]:
        """Say at which levels a sample does not tell how far the saving may be off, (t,)."""
        if self.drawn is None or self.moved is None:
            return np.zeros(len(self.tau), bool)
        return np.array([not level.any() or bool(self.drawn.thin(level)) for level in self.moved])

    @property
    def as_logged(self) -> pd.Series:
        """The row of ``table`` that changes nothing: no τ and no shares, the log as it is."""
        first = self.table.iloc[0]
        own = [n for n in first.index if n != "tau" and not n.startswith("share ")]
        return pd.Series(dict.fromkeys(own, 0.0) | {"usd_per_month": first["usd_per_month"] + first["saving_usd_per_month"]})

    def for_floor(self, floor: float) -> int | None:
        """Return the level that saves most among those surely above ``−floor``, as a position; None when none of them saves.

        The lower bound of the 95 % interval must clear it. It is read off many levels at once, hence exploratory: a
        certified floor is fixed beforehand. Without labels there is no bound, and so no level.
        """
        rows = self.table
        fine = rows["quality_low"].to_numpy() >= -floor
        saving = np.where(fine, rows["saving_usd_per_month"].to_numpy(), -np.inf)
        return int(saving.argmax()) if saving.max() > 0 else None

    def at(self, tau: float) -> int:
        """Return the position of the last level up to ``tau``; the router's own τ is one of them."""
        return int(np.searchsorted(self.tau, tau, side="right")) - 1

    @property
    def text(self) -> str:
        """What the family saves at three floors, in words."""
        whose = "the log" if self.drawn is None else "a sample of the log"
        head = f"Exploratory, estimated on {whose} at {self.header.price_book} prices of {self.header.price_date}: "
        if self.table["quality_low"].isna().all():
            return head + "no floor can be read off, because no label tells the quality of another model."
        return head + "; ".join(map(self._at_floor, (0.0, 0.01, 0.02))) + "."

    def _at_floor(self, floor: float) -> str:
        level = self.for_floor(floor)
        points = f"a loss of at most {100 * floor:g} points"
        if level is None:
            return f"no level that saves has its 95 % interval within {points}"
        row = self.table.iloc[level]
        saved = spanned(row["saving_usd_per_month"], row["saving_low"], row["saving_high"], "${:,.0f}".format)
        sure = "" if np.isfinite(row["saving_low"]) else ", no interval"
        return f"{points} saves {saved} a month ({row['saving_share']:.0%}{sure})"

    def _repr_html_(self) -> str:
        body: str = self.table.iloc[::10].to_html(index=False, float_format="{:,.4g}".format)
        return f"<p class='mathjax_ignore'>{html.escape(self.text)}</p>{body}"


def frontier(
    traffic: Traffic,
    router: Router,
    *,
    outcomes: Outcomes | None = None,
    book: PriceBook | None = None,
    at: Any = None,
    app: str | None = None,
    points: int = 101,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Frontier:
    """Return what each level of ``router``'s family, its own τ among them, would have cost and been worth on ``traffic``.

    ``app`` looks at the requests of one app alone; ``progress`` is called while the router reads the log; the other parameters are
    those of :func:`planner.simulate`.
    """
    book = book or PriceBook.load()
    return trace(
        World(traffic, outcomes or Outcomes(), book, price_date(book, at), seed=seed, progress=progress), router, app=app, points=points
    )


def trace(world: World, router: Router, *, app: str | None = None, points: int = 101) -> Frontier:
    """Trace ``router``'s family in an opened world: what the lab does whenever the candidates or the app change."""
    route = Route(router)
    inside = _inside(world.rows, app)
    rows = world.rows.take(inside)
    scores = world.block.scores(router)
    steered = route.steered(world.block, scores) & inside
    sides = [unlike(world.side(sent), world.logged) for sent in _each(world.rows, router, steered)]
    moves = _switches(scores.take(inside), steered[inside], points, router.tau)
    values = np.stack([_values(world, side)[inside] for side in sides], axis=1)
    sums = moves.by_bucket(rows.bucket, values)
    parts = np.stack([part_costs(world.rows, side)[inside] for side in sides], axis=1)
    pairs = np.stack([world.pair(world.rows, side.model)[inside] for side in sides], axis=1)
    asked = np.rint(np.where(rows.demand, rows.weight, 0.0) * MICRO).astype(np.int64)
    logged = add_up(np.column_stack([weigh_cost(rows.weight, world.logged.cost_pusd[inside]), asked]), (rows.bucket,), (BUCKETS,))
    kinds = len(EVIDENCE)
    drawn = drawn_of(world, world.logged, Plan((route,)))
    place, groups = np.broadcast_to(world.place(rows)[:, None], values.shape[:2]), len(world.groups)
    return Frontier(
        header=world.header(Plan((route,))),
        candidates=router.candidates,
        tau=moves.grid,
        cost_difference=sums[..., :kinds],
        paired=np.concatenate([sums[..., kinds:], _labelled(world, route, app, moves.grid)], axis=-1),
        logged_cost=logged[:, 0],
        requests=logged[:, 1],
        exposure=moves.by_cell(parts, pairs, len(world.samples)),
        samples=world.samples,
        shares=_shares(moves, asked * steered[inside], len(router.candidates)),
        moved=None if drawn is None else moves.by_cell(values[..., :kinds].sum(axis=2, keepdims=True), place, groups)[..., 0],
        drawn=drawn,
        app=app,
    )


def _inside(rows: Rows, app: str | None) -> NDArray[np.bool_]:
    return np.ones(len(rows), bool) if app is None else rows.app.decode() == app


def _switches(scores: Scores, steered: NDArray[np.bool_], levels: int | NDArray[np.float64], also: float = np.inf) -> Switches:
    """Return the switches of every request, along so many levels and one more, or a given grid; what is not steered never switches."""
    thresholds, codes = steps(scores.gains, scores.cost_usd, scores.feasible, scores.home)
    thresholds = np.where(steered[:, None], thresholds, np.inf)
    grid = tau_grid(thresholds, levels, also) if isinstance(levels, int) else levels
    return Switches(scores.home, thresholds, codes, grid)


def _each(rows: Rows, router: Router, steered: NDArray[np.bool_]) -> list[Coded]:
    """For each candidate, the log with every steered request sent to it."""
    names = tuple(dict.fromkeys((*rows.model.values, *router.candidates)))
    return [Coded(np.where(steered, names.index(m), rows.model.codes).astype(np.int32), names) for m in router.candidates]


def _values(world: World, side: Side) -> NDArray[np.int64]:
    """Per request: cost difference to the log [pUSD] in the column of its evidence, then the columns of PAIRED."""
    logged, weight = world.logged, world.rows.weight
    cost = weigh_cost(weight, side.cost_pusd) - weigh_cost(weight, logged.cost_pusd)
    by_evidence = np.where(side.evidence[:, None] == np.arange(len(EVIDENCE)), cost[:, None], 0)
    return np.column_stack([by_evidence, paired_values(world.rows, side, logged)])


def _labelled(world: World, route: Route, app: str | None, grid: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the LABELLED sums at every τ, (buckets, t, 4): zeros without labels."""
    held, block = world.outcomes.holdout, world.labelled
    if held is None or block is None:
        return np.zeros((BUCKETS, len(grid), len(LABELLED)), np.int64)
    inside = _inside(held.rows, app)
    scores = block.scores(route.router)
    steered = route.steered(block, scores) & inside
    values = np.stack([labelled_values(held, sent)[inside] for sent in _each(held.rows, route.router, steered)], axis=1)
    return _switches(scores.take(inside), steered[inside], grid).by_bucket(held.rows.bucket[inside], values)


def _shares(moves: Switches, steered: NDArray[np.int64], candidates: int) -> NDArray[np.float64]:
    """Share of steered requests, given as weights, on each candidate at every τ, (t, K)."""
    each = np.broadcast_to(np.arange(candidates), (len(steered), candidates))
    weights = np.broadcast_to(steered[:, None, None], (len(steered), candidates, 1))
    return np.asarray(moves.by_cell(weights, each, candidates)[..., 0] / max(int(steered.sum()), 1))
