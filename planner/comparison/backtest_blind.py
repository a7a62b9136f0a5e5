"""Requests without their outcomes: what is given of them, and output as the first period has it.

In: the rows of a whole log, which of them are of the first period, and outcome models fitted there. Out: the same requests with their
arrival, user, app, model and size of the prompt as logged, and all else drawn from answers of the first period. The logged outcome of
a request enters nothing. Knows nothing of levers or prices.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from planner.outcomes import Outcomes
from planner.stats import draws
from planner.traffic.rows import Coded, Rows

__all__ = ["ASSUMED", "MIN_DONORS", "OWN", "RATIO", "Blind", "Donors", "donors_of"]

Ints = NDArray[np.int64]
#: Fewer answers than this of an app by a model do not show how long they are.
MIN_DONORS = 30
#: Whose answers stand for those of a request: of its app and model; of its app by another model, times a ratio; of others, as they are.
OWN, RATIO, ASSUMED = range(3)


@dataclass(frozen=True, eq=False)
class Cell:
    """One app on one model: ``tokens`` (d, 6) of answers that stand for its own, whose they are, and how its input was split.

    ``split`` (4,) is the share of each input bucket in the first period.
    """

    tokens: Ints
    source: int
    split: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Blind:
    """``rows`` without outcomes, and ``source`` int8 (n,): OWN, RATIO or ASSUMED."""

    rows: Rows
    source: NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Donors:
    """What the first period tells of every app and model of the log.

    Parameters
    ----------
    rows: the whole log; their outcomes are not read. cell: (n,) positions in ``cells``.
    failed: int64 (apps, 6) mean tokens that were billed of a request that failed.
    """

    rows: Rows
    cell: Ints
    cells: tuple[Cell, ...]
    failed: Ints

    def draw(self, seed: int) -> Blind:
        """Return the requests without outcomes, each with the output of an answer drawn for it.

        A prompt whose size was not logged, as of most requests that failed, is as long as that answer's.
        """
        rows, u = self.rows, draws.uniform(seed, self.rows.key, "donor")
        tokens, source = np.zeros_like(rows.tokens), np.zeros(len(rows), np.int8)
        given = rows.tokens[:, :4].sum(axis=1)
        for code, cell in enumerate(self.cells):
            own = np.flatnonzero(self.cell == code)
            drawn = cell.tokens[(u[own] * len(cell.tokens)).astype(np.int64)]
            whole = np.where(given[own] > 0, given[own], drawn[:, :4].sum(axis=1))
            tokens[own, 1:4] = np.rint(whole[:, None] * cell.split[1:])
            tokens[own, 0] = whole - tokens[own, 1:4].sum(axis=1)
            most = np.where(np.isnan(rows.max_tokens[own]), np.inf, rows.max_tokens[own])
            tokens[own, 4] = np.minimum(drawn[:, 4], most)
            tokens[own, 5] = drawn[:, 5]
            source[own] = cell.source
        everyone, n = rows.demand, len(rows)
        unknown = np.full(n, np.nan)
        bare = replace(rows, tokens=tokens, billable=everyone, steerable=everyone, latency_ms=unknown, ttft_ms=unknown)
        return Blind(replace(bare, status=np.zeros(n, np.int8), attempts=np.ones(n, np.int64)), source)


def donors_of(rows: Rows, first: NDArray[np.bool_], outcomes: Outcomes) -> Donors:
    """Collect what the rows of the ``first`` period (n,) tell; ``outcomes`` must be fitted on nothing else of the log."""
    width = len(rows.model.values)
    pairs, cell = np.unique(rows.app.codes.astype(np.int64) * width + rows.model.codes, return_inverse=True)
    answered = first & rows.steerable & (rows.status == 0) & (rows.tokens.sum(axis=1) > 0)
    cells = tuple(_cell(rows, answered, p // width, p % width, outcomes) for p in pairs.tolist())
    lost = first & rows.steerable & (rows.status > 0)
    failed = np.zeros((len(rows.app.values), 6), np.int64)
    for code in np.unique(rows.app.codes[lost]):
        failed[code] = np.rint(rows.tokens[lost & (rows.app.codes == code)].mean(axis=0))
    return Donors(rows, cell.astype(np.int64), cells, failed)


def _cell(rows: Rows, answered: NDArray[np.bool_], app: int, model: int, outcomes: Outcomes) -> Cell:
    of_app, of_model = answered & (rows.app.codes == app), answered & (rows.model.codes == model)
    own = of_app & of_model
    if own.sum() >= MIN_DONORS:
        return Cell(rows.tokens[own], OWN, _split(rows.tokens[own]))
    counts = np.bincount(rows.model.codes[of_app], minlength=len(rows.model.values))
    main = int(counts.argmax())
    if counts[main] >= MIN_DONORS:
        part = rows.take(of_app & (rows.model.codes == main))
        sent = Coded(np.zeros(len(part), np.int32), (rows.model.values[model],))
        tokens, _, which = outcomes.tokens(part, sent)
        return Cell(tokens, RATIO if (which >= 0).any() else ASSUMED, _split(np.zeros((1, 6))))
    others = next((where for where in (of_model, of_app, answered) if where.sum() >= MIN_DONORS), answered)
    tokens = rows.tokens[others] if others.any() else np.zeros((1, 6), np.int64)
    return Cell(tokens, ASSUMED, _split(np.zeros((1, 6))))


def _split(tokens: NDArray[np.int64 | np.float64]) -> NDArray[np.float64]:
    """Return the share of each input bucket; all of it in the first where nothing is known."""
    total = tokens[:, :4].sum(axis=0).astype(float)
    return total / total.sum() if total.sum() else np.array([1.0, 0, 0, 0])
