"""What more labels would bring: the router fitted again on parts of the rows that fitted it.

In: a Training. Out: per number of labels and method, how much better than a coin it routes. Every size is drawn several times,
whole units each time, and judged on the same rows, which never fit. Knows nothing of files or figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.router import Requests, Router
from planner.router.state import Scorer
from planner.stats.draws import key, uniform
from planner.training.judge import Judged, curve
from planner.training.learn import learn
from planner.training.methods import judged
from planner.training.problem import Problem
from planner.training.result import Training
from planner.training.rules import fit_length, fit_table

__all__ = ["held_rows", "learning_curve", "lift"]

F64 = NDArray[np.float64]
Progress = Callable[[str, float], None]


def lift(found: pd.DataFrame, rows: Judged) -> float:
    """Return how much better than a coin at equal cost a router's curve is, averaged from its cheapest point to the reference.

    Parameters
    ----------
    found: ``quality`` and ``usd_per_1k`` over τ, as from :func:`planner.training.judge.curve`.
    rows: the rows it was judged on.

    The coin is between the curve's cheapest point and the reference. For two models and equal costs of every request this is
    (APGR − ½) times the gap between them.
    """
    best = found.sort_values(["usd_per_1k", "quality"]).drop_duplicates("usd_per_1k", keep="last")
    cost, quality = best["usd_per_1k"].to_numpy(), best["quality"].to_numpy()
    home = float(1000 * np.average(np.take_along_axis(rows.cost_usd, rows.reference[:, None], 1)[:, 0], weights=rows.weight))
    inside = cost <= home
    cost, quality = cost[inside], quality[inside]
    if len(cost) < 2 or cost[-1] <= cost[0]:
        return 0.0
    coin = np.interp(cost, cost[[0, -1]], quality[[0, -1]])
    return float(np.trapezoid(quality - coin, cost) / (cost[-1] - cost[0]))


def learning_curve(
    training: Training, sizes: Sequence[int] | None = None, draws: int = 5, seed: int = 0, progress: Progress | None = None
) -> pd.DataFrame:
    """Return ``labels, method, lift, low, high, draws``: the mean over draws, and the range that holds 80 % of them.

    ``sizes`` are numbers of labelled rows that fit, by default from 100 doubling up to all there are.
    """
    problem = training.problem
    fit = problem.rows("fit")
    wanted = [s for s in (sizes or _doubling(len(fit))) if s <= len(fit)]
    rows, requests = held_rows(problem, training.router)
    lines = []
    for done, size in enumerate(wanted):
        for draw in range(draws if size < len(fit) else 1):
            at = _drawn(problem, fit, size, seed + draw)
            for name, scorer in _scorers(problem, at, seed).items():
                router = replace(training.router, scorer=scorer)
                lines.append((size, name, lift(curve(rows, router.scores(requests, problem.day)), rows)))
        if progress:
            progress(f"{size:,} labels", (done + 1) / len(wanted))
    table = pd.DataFrame(lines, columns=["labels", "method", "lift"])
    spread = table.groupby(["labels", "method"], sort=False)["lift"]
    return pd.DataFrame(
        {"lift": spread.mean(), "low": spread.quantile(0.1), "high": spread.quantile(0.9), "draws": spread.size()}
    ).reset_index()


def _doubling(rows: int) -> list[int]:
    return [*(100 * 2**i for i in range(20) if 100 * 2**i < 0.8 * rows), rows]


def held_rows(problem: Problem, router: Router) -> tuple[Judged, Requests]:
    """Return the fully labelled rows that did not fit, against ``router``'s references, and their requests."""
    keep = np.flatnonzero((problem.part != "fit") & problem.whole)
    return judged(problem, keep, router), problem.requests.take(keep)


def _drawn(problem: Problem, fit: NDArray[np.int64], size: int, seed: int) -> NDArray[np.int64]:
    """Return about ``size`` of the rows at ``fit``, whole units of them."""
    place = uniform(seed, key(problem.unit[fit].astype(object)), "learning curve")
    return np.sort(fit[np.argsort(place, kind="stable")[:size]])


def _scorers(problem: Problem, at: NDArray[np.int64], seed: int) -> dict[str, Scorer]:
    """Fit the learned scorer and the rules that have a threshold on the rows ``at``."""
    part, gain, weight = problem.requests.take(at), problem.gain[at], problem.weight[at]
    return {
        "learned": learn(part, gain, weight, problem.unit[at], problem.reference_code, seed, quality=problem.quality[at]).scorer,
        "per app": fit_table(part, gain, weight),
        "length": fit_length(part, gain, weight),
    }
