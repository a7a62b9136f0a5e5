"""Every method on the rows that neither fitted nor certified: the table, the curves, the verdict, and the harm a month.

In: routers at their own τ, and the problem. Out: an Appraisal. Chooses nothing that a later step would use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from planner.router import Router
from planner.training.harm import Harm, harm
from planner.training.judge import Judged, curve, judge, mixed, onehot, oracle
from planner.training.methods import judged_rows
from planner.training.problem import Problem
from planner.training.split import PARTS
from planner.training.verdict import Verdict, verdict

__all__ = ["Appraisal", "appraise"]


@dataclass(frozen=True, eq=False)
class Appraisal:
    """``table`` of all methods, ``curves`` over τ, ``verdict``; ``harm`` of the learned router, None where no log tells the volume."""

    table: pd.DataFrame
    curves: pd.DataFrame
    verdict: Verdict
    harm: Harm | None


def appraise(
    problem: Problem,
    routers: Mapping[str, Router],
    fit_rows: Judged,
    *,
    floor: float,
    hoped_tau: float,
    usd_per_label: float,
    per_month: Mapping[str, float] | None = None,
) -> Appraisal:
    """Judge ``routers`` on the fully labelled rows of the part ``judge``; ``per_month`` are requests by app."""
    rows, whole = judged_rows(problem, "judge", routers["learned"])
    part = problem.requests.take(problem.rows("judge"))
    k, home = len(problem.models), problem.reference_code
    scores = {name: r.scores(part, problem.day).take(whole) for name, r in routers.items()}
    codes = {name: routers[name].choose(s)[0] for name, s in scores.items()}
    shares = {name: onehot(c, k) for name, c in codes.items()}
    cheap = int(np.average(rows.cost_usd, axis=0, weights=rows.weight).argmin())
    spent = float(np.average((shares["learned"] * rows.cost_usd).sum(1), weights=rows.weight))
    shuffled = np.tile(np.average(shares["learned"], axis=0, weights=rows.weight), (len(whole), 1))
    compared = {"reference": onehot(rows.reference, k), **shares}
    compared |= {"random mix": mixed(rows, cheap, home, spent), "shuffled": shuffled, "oracle": oracle(rows)}
    curves = [curve(rows, scores[n]).assign(method=n) for n in ("learned", "per app", "length")]
    price = None if np.isnan(usd_per_label) else usd_per_label / PARTS["judge"]
    use = verdict(rows, scores, routers, fit_rows, floor=floor, hoped_tau=hoped_tau, usd_per_label=price)
    named = np.array(part.app)[whole]
    volume = dict(per_month or {})
    loss = rows.quality_of(rows.reference) - rows.quality_of(codes["learned"])
    wrong = harm(loss, named, rows.weight, rows.unit, volume) if set(volume) & set(named.tolist()) else None
    return Appraisal(judge(rows, compared, problem.models), pd.concat(curves, ignore_index=True), use, wrong)
