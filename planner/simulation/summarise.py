"""From the two sides of every request to the integers of a Summary.

In: a world and the sides of one plan. Out: its Summary. Weights, qualities and money become integers per request before
anything is added, so the order and the split of the rows leave no trace. Knows nothing of levers or estimates.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.outcomes import Holdout
from planner.schema import EVIDENCE, TOKEN_BUCKETS
from planner.simulation.noise import PARTS
from planner.simulation.side import Side
from planner.simulation.summary import BINS_PER_DECADE, DECADES, LABELLED, MICRO, NANO, Summary, SummaryHeader, add_up, latency_bin
from planner.simulation.world import World
from planner.stats import BUCKETS
from planner.traffic.rows import Coded, Rows

__all__ = ["labelled_values", "paired_values", "part_costs", "summarise", "weigh_cost"]


def summarise(world: World, header: SummaryHeader, side: Side, sent_labelled: Coded | None) -> Summary:
    """Add up one plan's side, beside the logged one, per group × bucket (× evidence)."""
    rows, logged = world.rows, world.logged
    place = world.place(rows)
    shape = (len(world.groups), BUCKETS)
    labelled = np.zeros((*shape, len(LABELLED)), np.int64)
    held = world.outcomes.holdout
    if held is not None and sent_labelled is not None:
        labelled = add_up(labelled_values(held, sent_labelled), (world.place(held.rows), held.rows.bucket), shape)
    return Summary(
        header,
        world.groups,
        sums=add_up(_measures(rows, side, logged), (place, rows.bucket, side.evidence.astype(np.int64)), (*shape, len(EVIDENCE))),
        paired=add_up(paired_values(rows, side, logged), (place, rows.bucket), shape),
        labelled=labelled,
        latency=_latency(rows, side, place, len(world.groups)),
        exposure=_exposure(world, side, place),
        samples=world.samples,
    )


def _exposure(world: World, side: Side, place: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sum the cost of moved requests by group, pair of models and part [pUSD]."""
    pair = world.pair(side.model)
    on = pair >= 0
    return add_up(part_costs(world.rows, side)[on], (place[on], pair[on]), (len(world.groups), len(world.samples)))


def part_costs(rows: Rows, side: Side) -> NDArray[np.int64]:
    """Weighted cost of each request's input, answer and reasoning [pUSD], (n, noise.PARTS)."""
    return np.column_stack([weigh_cost(rows.weight, side.parts_pusd[:, i]) for i in range(len(PARTS))])


def _whole(weight: NDArray[np.float64], values: NDArray[Any], unit: int = 1) -> NDArray[np.int64]:
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
    masks = (difference > 0, known & (difference == 0), difference < 0, changed)
    return np.column_stack([_whole(w, known, MICRO), _whole(w, q, NANO), _whole(w, q_logged, NANO), *(_whole(w, m, MICRO) for m in masks)])


def labelled_values(held: Holdout, sent: Coded) -> NDArray[np.int64]:
    """One column per ``summary.LABELLED``: weight and weighted (measured − predicted), under the plan and as logged."""
    w = held.rows.weight
    sides = [(held.measured.of(names), held.predicted.of(names)) for names in (sent, held.rows.model)]
    known = np.logical_and.reduce([np.isfinite(x) for pair in sides for x in pair])
    residuals = [_whole(w, np.where(known, measured - predicted, 0.0), NANO) for measured, predicted in sides]
    return np.column_stack([known.astype(np.int64), _whole(w, known, MICRO), *residuals])


def _latency(rows: Rows, side: Side, place: NDArray[np.int64], groups: int) -> NDArray[np.int64]:
    """Log-histogram of the latencies of the users' answered requests, weighted, per group."""
    seen = rows.demand & np.isfinite(side.latency_ms) & (side.latency_ms > 0) & (side.outcome == 0)
    bins = (place[seen], latency_bin(side.latency_ms[seen]))
    counts = _whole(rows.weight[seen], np.ones(int(seen.sum())))[:, None]
    return add_up(counts, bins, (groups, BINS_PER_DECADE * DECADES))[..., 0]
