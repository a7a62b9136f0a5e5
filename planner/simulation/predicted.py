"""Predicted: between what the bill of other requests lies, if they come as those of the log came.

In: a world, a plan, and how many requests are ahead. Out: their bill as an Estimate with a prediction interval. Knows nothing of what
then happened, nor of a price list, models or users that change between the log and the requests ahead.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from planner.errors import InputError
from planner.policies import Plan
from planner.schema import EVIDENCE
from planner.simulation import noise
from planner.simulation.intervals import bucket_requests
from planner.simulation.simulate import checked, told
from planner.simulation.summarise import weigh_cost
from planner.simulation.summary import DAILY, MICRO
from planner.simulation.world import World
from planner.stats import LAGS, Estimate, influence
from planner.units import PUSD_PER_USD

__all__ = ["predicted_bill"]

_DAY_SUMS = [DAILY.index(n) for n in ("cost_pusd", "requests_micro")]


def predicted_bill(world: World, plan: Plan, requests: float, level: float = 0.95) -> Estimate:
    """Return the bill of ``requests`` other requests of users under ``plan`` [USD], with the interval that a new bill lies in.

    Parameters
    ----------
    world: the opened log. plan: what is done with its requests and with those ahead.
    requests: how many are ahead, above 0, spread over days as densely as those of the log. level: of the interval.

    Raises InputError for ``requests`` that are not above 0 and for a log without users' requests. No interval is given with fewer than ten
    effective clusters, of a sample that is too thin, nor for a plan whose requests share state: there the cost of each depends on how many
    there are.

    Notes
    -----
    With n requests in the log of mean cost θ̂, and m requests ahead of mean cost θ', Var(log θ' − log θ̂) = (E + V n / m) / θ̂².
    E is the variance of θ̂ with the labels behind its token ratios, V that of traffic alone; both over users (delete-one-bucket jackknife:
    Shao & Tu, *The Jackknife and Bootstrap*, 1995, §1.1) and over days, what both share, single requests, counted once (Cameron, Gelbach &
    Miller, *JBES* 29, 2011); never less than over users alone. The interval is m θ̂ exp(± t √Var), with Student's t at the degrees of
    freedom of the larger of the two: of logarithms, since users and days multiply what a request costs. Users who ask in both periods
    bring their manner to both, which makes it too wide, never too narrow.

    Examples
    --------
    >>> import planner
    >>> from planner.outcomes import Outcomes
    >>> book = planner.PriceBook.load()
    >>> world = World(planner.load_sample()[0], Outcomes(), book, book.date)
    >>> bill = predicted_bill(world, planner.Plan(), 10_000)
    >>> bill.low < bill.value < bill.high
    True
    """
    if not requests > 0:
        raise InputError(f"requests={requests}", "more than 0")
    checked(world, plan)
    side, rows, shared = world.played(plan), world.rows, world.header(plan).shared
    simulation = told(world, plan, side, shared=True)
    summary = simulation.summary
    parts = summary.measure("cost_pusd").sum(axis=0)
    asked = bucket_requests(summary, None)
    n = float(asked.sum()) / MICRO
    if not n:
        raise InputError("a log without users' requests", "at least one", "look at the quarantine of planner read")
    mean = float(parts.sum()) / n
    value, evidence = mean * requests / PUSD_PER_USD, next((e for e, p in zip(EVIDENCE[::-1], parts[::-1], strict=True) if p), EVIDENCE[0])
    said = f"{summary.header.price_book} prices of {summary.header.price_date}"
    if shared:
        return Estimate(value, evidence=evidence, n=round(n), source=f"{said}; no interval where requests share state")
    if simulation.thin:
        return Estimate(value, evidence=evidence, n=round(n), source=f"{said}; {simulation.thin}")
    exposure = summary.exposure.astype(object).sum(axis=0)
    moved = noise.shift(summary.samples, exposure)

    def means(s: NDArray[Any]) -> NDArray[np.float64]:
        """Cost of a request, its token ratios resampled with their labels, and as they are."""
        asked = np.maximum(s[:, 1], 1.0) / MICRO
        return np.asarray(np.column_stack([s[:, 0] + moved(s[:, 2:]), s[:, 0]]) / asked[:, None])

    cost = summary.measure("cost_pusd").sum(axis=1).astype(float)
    sums = np.column_stack([cost, asked, noise.columns(summary.samples)])
    users = influence(sums, means, noise.clusters(asked, summary.samples, exposure))
    if not users.enough:
        return Estimate(value, evidence=evidence, n=round(n), source=f"{said}; too few {summary.header.cluster_unit}s for an interval")
    per_day = summary.daily.sum(axis=0)[:, _DAY_SUMS].astype(float)
    days = influence(per_day, lambda s: s[:, :1] / (np.maximum(s[:, 1:], 1.0) / MICRO), per_day[:, 1], lags=LAGS)
    single = np.square(weigh_cost(rows.weight, side.cost_pusd) - mean * np.where(rows.demand, rows.weight, 0.0)).sum() / n**2
    by_day = float(days.variance[0]) if days.enough else 0.0
    estimated, sampled = (float(v) + max(by_day - float(single), 0.0) for v in users.variance)
    freedom = float(days.freedom[0] if by_day > users.variance[0] else users.freedom[0])
    reach = float(stdtrit(max(freedom, 1.0), 0.5 + level / 2)) * np.sqrt(estimated + sampled * n / requests) / max(mean, 1e-300)
    return Estimate(value, value * float(np.exp(-reach)), value * float(np.exp(reach)), evidence, n=round(n), source=said)
