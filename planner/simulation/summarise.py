"""From the two sides of every request to the integers of a Summary.

In: a world and the sides of one plan. Out: its Summary. Weights, qualities and money become integers per request before
anything is added, so the order and the split of the rows leave no trace. Knows nothing of levers or estimates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from planner.outcomes import Holdout
from planner.schema import EVIDENCE, TOKEN_BUCKETS
from planner.simulation.noise import PARTS
from planner.simulation.side import Side, unlike
from planner.simulation.summary import (
    BINS_PER_DECADE,
    DAILY,
    DECADES,
    FINE_PER_COARSE,
    LABELLED,
    MEASURES,
    MICRO,
    NANO,
    TIMES,
    Summary,
    SummaryHeader,
    add_up,
    count_up,
    latency_bin,
)
from planner.simulation.world import World
from planner.stats import BLOCKS, BUCKETS, blocks
from planner.traffic.rows import Coded, Rows

__all__ = ["labelled_values", "paired_values", "part_costs", "summarise", "weigh_cost"]

#: For each of ``summary.TIMES``, positions of rows and the bin of each.
Timed: TypeAlias = Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]
_DAILY = [MEASURES.index(n) for n in ("requests_micro", "cost_difference_pusd", "cost_pusd")]


def summarise(
    world: World,
    header: SummaryHeader,
    side: Side,
    sent_labelled: Coded | None,
    at: NDArray[np.int64] | None = None,
    *,
    by_day: bool | None = None,
) -> Summary:
    """Add up one plan's side, beside the logged one, per group × bucket (× evidence), and per group × day if so asked.

    Of all rows, or those ``at`` these positions alone; ``by_day`` is whether users share state unless said.
    """
    by_day = header.shared if by_day is None else by_day
    rows, logged = world.rows, world.logged
    if at is not None:
        rows, logged, side = rows.take(at), logged.take(at), side.take(at)
    side, place, groups = unlike(side, logged), world.place(rows), len(world.groups)
    shape = (groups, BUCKETS)
    labelled = np.zeros((*shape, len(LABELLED)), np.int64)
    held = world.outcomes.holdout
    if held is not None and sent_labelled is not None:
        labelled = add_up(labelled_values(held, sent_labelled), (world.place(held.rows), held.rows.bucket), shape)
    measures, pairs = _measures(rows, side, logged), paired_values(rows, side, logged)
    timed = _timed(rows, side, logged)
    days = (groups, BLOCKS if by_day else 0)
    cell = (place, blocks(rows.timestamp))
    return Summary(
        header,
        world.groups,
        sums=add_up(measures, (place, rows.bucket, side.evidence.astype(np.int64)), (*shape, len(EVIDENCE))),
        paired=add_up(pairs, (place, rows.bucket), shape),
        labelled=labelled,
        latency=_fine(rows, timed, place, groups),
        latency_buckets=_coarse(rows, timed, (place, rows.bucket), shape),
        exposure=_exposure(world, rows, side, place),
        samples=world.samples,
        daily=add_up(np.hstack([measures[:, _DAILY], pairs]), cell, days) if by_day else np.zeros((*days, len(DAILY)), np.int64),
        latency_daily=_coarse(rows, timed if by_day else (), cell, days),
    )


def _exposure(world: World, rows: Rows, side: Side, place: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sum the cost of moved requests by group, pair of models and part [pUSD]."""
    pair = world.pair(rows, side.model)
    on = pair >= 0
    return add_up(part_costs(rows, side)[on], (place[on], pair[on]), (len(world.groups), len(world.samples)))


def part_costs(rows: Rows, side: Side) -> NDArray[np.int64]:
    """Weighted cost of each request's input, answer and reasoning [pUSD], (n, noise.PARTS)."""
    return np.column_stack([weigh_cost(rows.weight, side.parts_pusd[:, i]) for i in range(len(PARTS))])


def _whole(weight: NDArray[np.float64], values: NDArray[Any] | float, unit: int = 1) -> NDArray[np.int64]:
    """Weighted values in integers of 1/unit; exact for whole weights and values."""
    whole: NDArray[np.int64] = np.rint(weight * np.asarray(values, float) * unit).astype(np.int64)
    return whole


def _measures(rows: Rows, side: Side, logged: Side) -> NDArray[np.int64]:
    """One column per ``summary.MEASURES``; money and calls are everybody's, requests and failures the users' own."""
    w = rows.weight
    asked = np.where(rows.demand, w, 0.0)
    return np.column_stack(
        [
            np.ones(len(rows), np.int64),
            _whole(asked, np.ones(len(rows)), MICRO),
            _whole(w, side.calls),
            *(_whole(w, side.tokens[:, i]) for i in range(len(TOKEN_BUCKETS))),
            weigh_cost(w, side.cost_pusd),
            weigh_cost(w, side.cost_pusd) - weigh_cost(w, logged.cost_pusd),
            _whole(asked, side.outcome != 0, MICRO),
            _whole(w, ~side.priced, MICRO),
            _whole(asked, (side.outcome == 0) & (side.calls == 0), MICRO),
        ]
    )


def weigh_cost(weight: NDArray[np.float64], cost_pusd: NDArray[np.int64]) -> NDArray[np.int64]:
    """Weighted pUSD; unweighted logs keep their integers untouched."""
    return cost_pusd if np.all(weight == 1.0) else np.rint(weight * cost_pusd).astype(np.int64)


def paired_values(rows: Rows, side: Side, logged: Side) -> NDArray[np.int64]:
    """One column per ``summary.PAIRED``; quality counts only where both sides are predicted."""
    w = rows.weight
    known = np.isfinite(side.quality) & np.isfinite(logged.quality) & rows.steerable
    q, q_logged = np.where(known, side.quality, 0.0), np.where(known, logged.quality, 0.0)
    changed = side.model.differs(logged.model)
    difference = q - q_logged
    masks = (difference > 0, known & (difference == 0), difference < 0, changed, side.unmeasured & rows.steerable)
    return np.column_stack([_whole(w, known, MICRO), _whole(w, q, NANO), _whole(w, q_logged, NANO), *(_whole(w, m, MICRO) for m in masks)])


def labelled_values(held: Holdout, sent: Coded) -> NDArray[np.int64]:
    """One column per ``summary.LABELLED``: weight and weighted (measured − predicted), under the plan and as logged."""
    w = held.rows.weight
    sides = [(held.measured.of(names), held.predicted.of(names)) for names in (sent, held.rows.model)]
    known = np.logical_and.reduce([np.isfinite(x) for pair in sides for x in pair])
    residuals = [_whole(w, np.where(known, measured - predicted, 0.0), NANO) for measured, predicted in sides]
    return np.column_stack([known.astype(np.int64), _whole(w, known, MICRO), *residuals])


def _timed(rows: Rows, side: Side, logged: Side) -> Timed:
    """For each of ``summary.TIMES``, which of the users' requests were answered in a known time, and the bin of that time."""
    found = []
    for one, name in ((side, "latency_ms"), (logged, "latency_ms"), (side, "perceived_ms"), (logged, "perceived_ms")):
        ms = getattr(one, name)
        seen = np.flatnonzero(rows.demand & (ms > 0) & np.isfinite(ms) & (one.outcome == 0))
        found.append((seen, latency_bin(ms[seen])))
    return found


def _fine(rows: Rows, timed: Timed, place: NDArray[np.int64], groups: int) -> NDArray[np.int64]:
    """Log-histograms per group, (groups, TIMES, bins)."""
    width = BINS_PER_DECADE * DECADES
    found = [count_up(_whole(rows.weight[seen], 1.0, MICRO), (place[seen], bins), (groups, width)) for seen, bins in timed]
    return np.stack(found, axis=1)


def _coarse(rows: Rows, timed: Timed, cell: tuple[NDArray[np.int64], ...], shape: tuple[int, int]) -> NDArray[np.int64]:
    """Log-histograms with wider bins per group × cell, (groups, cells, TIMES, coarse bins)."""
    width = BINS_PER_DECADE * DECADES // FINE_PER_COARSE
    out = np.zeros((*shape, len(TIMES), width), np.int64)
    for i, (seen, bins) in enumerate(timed):
        at = (*(c[seen] for c in cell), bins // FINE_PER_COARSE)
        out[:, :, i] = count_up(_whole(rows.weight[seen], 1.0, MICRO), at, (*shape, width))
    return out
