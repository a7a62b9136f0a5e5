"""How often intervals cover where users share a cache, and what is asked has shocks that all of them feel.

In: a number of worlds. Out: for saving, its share of the cost, p95 and its difference to the log: how often the interval holds the
truth, its width, and how often none was given; beside it the saving's interval by users alone, which takes them to be independent, and
how often logs of nine days are refused. Run as a part of ``python -m benchmarks.coverage``.

A world is a log of 28 days. Its users are a sample of about 300 of a population whose volumes follow Zipf's law with exponent ½, so
that days matter beside users. Part of their requests, another one for each user, are out of 2,000 standing questions, Zipf too; others
are asked once. Every third day something happens (a viral question, an incident): all users ask one new question on top of what they
ask anyway, by 5 to 30 % of the day's volume, half as often on the next day and half of that on the third. Days have a volume and a
speed of their own. The plan keeps answers for six hours (``ExactCache``), for whoever asks.

The truth is what to expect of such a month: the mean over 1,000 others, each with users and days of its own and a cache that is empty at
its beginning, walked through request by request here, apart from the planner.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import expit

from benchmarks.coverage_common import F64, MONDAY, PRICED, WEEK, book, bounds, score, stored
from planner.outcomes import Outcomes
from planner.policies import ExactCache, Plan
from planner.simulation import Simulation, World, run
from planner.stats import Estimate

MODEL = "gpt-5.4"
USERS, REQUESTS_A_DAY, DAYS, FEW_DAYS, STANDING = 300, 214, 28, 9, 2_000
#: How long an answer is served [s], and how long that takes [ms].
TTL_S, HIT_MS = 6 * 3_600, 5.0
#: What happens on a day: how often, how much is asked about it as a share of the usual volume, and on the days after.
EVENTS_A_DAY, LEAST, MOST = 0.3, 0.05, 0.3
FADES = np.array([1.0, 0.5, 0.25])
#: Standard deviations: log input of a question; a user's log odds of asking a standing one, log input and log latency; a day's log volume
#: and log latency.
QUESTION, HABIT, USER_INPUT, USER_SPEED, DAY_VOLUME, DAY_SPEED = 0.8, 0.8, 0.4, 0.3, 0.15, 0.1
#: Months that make the truth; of their latencies, one in so many.
MONTHS, THINNED = 1_000, 5
DAY_US, _TYPICAL = 86_400_000_000, np.log(1_500)


@dataclass(frozen=True)
class Month:
    """``n`` requests in order of arrival: user, time since Monday [µs], question, tokens, and how long the answer took."""

    user: NDArray[np.int64]
    at_us: NDArray[np.int64]
    question: NDArray[np.int64]
    input: NDArray[np.int64]
    output: NDArray[np.int64]
    latency_ms: F64

    def __len__(self) -> int:
        return len(self.user)


@cache
def standing() -> tuple[F64, F64]:
    """Return the log input of the standing questions, the same in every world, and their popularity, cumulated."""
    popularity = np.cumsum(1 / np.arange(1, STANDING + 1))
    return _TYPICAL + QUESTION * np.random.default_rng(5).normal(size=STANDING), popularity / popularity[-1]


def events(rng: np.random.Generator, days: int) -> F64:
    """Return how much is asked about each event on each day, as a share of the usual volume, (days, events).

    What happened before the first day is still asked about.
    """
    ahead = len(FADES) - 1
    born = np.repeat(np.arange(days + ahead), rng.poisson(EVENTS_A_DAY, days + ahead))
    size, share = rng.uniform(LEAST, MOST, len(born)), np.zeros((days + 2 * ahead, len(born)))
    for after, left in enumerate(FADES):
        share[born + after, np.arange(len(born))] = size * left
    return share[ahead : days + ahead]


def month(seed: tuple[int, int], days: int = DAYS) -> Month:
    """Draw users, days, events and requests."""
    rng = np.random.default_rng(seed)
    inputs, popularity = standing()
    rank = rng.integers(1, USERS + 1, rng.poisson(USERS))
    rate = REQUESTS_A_DAY / USERS / np.mean(np.arange(1, USERS + 1) ** -0.5) / rank**0.5
    volume = np.resize(WEEK, days) * np.exp(DAY_VOLUME * rng.normal(size=days) - DAY_VOLUME**2 / 2)
    share = events(rng, days)
    user, day = _each(rng.poisson(np.outer(rate, volume)))
    asker, cell = _each(rng.poisson(np.outer(rate, (volume[:, None] * share).ravel())))
    of, n = share.shape[1], len(user)
    stands = rng.random(n) < expit(HABIT * rng.normal(size=len(rank)))[user]
    question = np.where(stands, np.searchsorted(popularity, rng.random(n)), STANDING + of + np.arange(n))
    own = _TYPICAL + (USER_INPUT * rng.normal(size=len(rank)))[user] + QUESTION * rng.normal(size=n)
    asked = np.where(stands, inputs[np.minimum(question, STANDING - 1)], own)
    asked = np.append(asked, (_TYPICAL + QUESTION * rng.normal(size=of))[cell % max(of, 1)])
    user, day, question = np.append(user, asker), np.append(day, cell // max(of, 1)), np.append(question, STANDING + cell % max(of, 1))
    answer = np.log(300) + 0.2 * (asked - _TYPICAL) + 0.5 * rng.normal(size=len(user))
    speed = (USER_SPEED * rng.normal(size=len(rank)))[user] + (DAY_SPEED * rng.normal(size=days))[day]
    slow = np.log(2_000) + speed + 0.5 * (answer - np.log(300)) + 0.5 * rng.normal(size=len(user))
    at_us = day * DAY_US + rng.integers(0, DAY_US, len(user))
    order = np.argsort(at_us, kind="stable")
    tokens = (np.rint(np.maximum(np.exp(x), 1)).astype(np.int64)[order] for x in (asked, answer))
    return Month(user[order], at_us[order], question[order], *tokens, np.exp(slow)[order])


def _each(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return row and column of each that is counted."""
    rows, columns = np.indices(counts.shape)
    return np.repeat(rows.ravel(), counts.ravel()), np.repeat(columns.ravel(), counts.ravel())


def hits(made: Month) -> NDArray[np.bool_]:
    """Say which requests the cache answers; an answer is kept from its completion on, and a question under way is asked again."""
    until: dict[int, float] = {}
    coming: dict[int, list[float]] = {}
    found = np.zeros(len(made), bool)
    again = np.flatnonzero(np.bincount(made.question)[made.question] > 1)
    columns = (x[again].tolist() for x in (made.question, made.at_us, made.latency_ms))
    for i, question, now, took in zip(again.tolist(), *columns, strict=True):
        ready = [done for done in coming.get(question, ()) if done <= now]
        if ready:
            until[question] = max(ready) + TTL_S * 1e6
            coming[question] = [done for done in coming[question] if done > now]
        found[i] = now < until.get(question, 0.0)
        if not found[i]:
            coming.setdefault(question, []).append(now + took * 1e3)
    return found


def usd(made: Month) -> F64:
    """Return what each request costs [USD] where it is answered by the model."""
    rates = book().quote(MODEL, at=PRICED).usd_per_mtok
    return np.asarray((made.input * rates["input_tokens"] + made.output * rates["output_tokens"]) / 1e6)


@cache
def truth() -> dict[str, float]:
    """Return what every estimate aims at, from months of their own."""
    saved, cost, planned, logged = 0.0, 0.0, [], []
    for k in range(MONTHS):
        made = month((k, 23))
        hit, dollars = hits(made), usd(made)
        saved, cost = saved + float(dollars[hit].sum()), cost + float(dollars.sum())
        planned.append(np.where(hit, HIT_MS, made.latency_ms)[::THINNED])
        logged.append(made.latency_ms[::THINNED])
    slow, slow_logged = (float(np.quantile(np.concatenate(x), 0.95)) for x in (planned, logged))
    return {"saving": saved / MONTHS, "saving_share": saved / cost, "p95": slow, "p95_difference": slow - slow_logged}


def estimates(seed: int, days: int = DAYS) -> dict[str, Estimate]:
    """Write one world's log as a reader would, and simulate the plan."""
    made = month((seed, 22), days)
    keys = pa.array(np.char.add("q", made.question.astype(str)))
    when = MONDAY + made.at_us.astype("timedelta64[us]")
    with tempfile.TemporaryDirectory() as folder:
        traffic = stored(Path(folder), made.user, when, MODEL, made.input, made.output, made.latency_ms, cache_key=keys)
        found = run(World(traffic, Outcomes(), book(), PRICED, seed=seed), Plan((ExactCache(ttl_s=TTL_S, hit_ms=HIT_MS),), "cache"))
    alone = Simulation("alone", replace(found.summary, header=replace(found.summary.header, shared=False)))
    return {
        "saving": found.saving(),
        "saving_share": found.saving_share(),
        "p95": found.latency(0.95),
        "p95_difference": found.latency_difference(0.95),
        "saving_by_users_alone": alone.saving(),
    }


def measure(worlds: int, jobs: int) -> dict[str, dict[str, float]]:
    """Return one object for each estimate; of logs of nine days, a tenth as many, the share that is refused an interval."""
    found, aims = bounds(estimates, worlds, jobs), truth()
    few = bounds(partial(estimates, days=FEW_DAYS), max(worlds // 10, 1), jobs)
    judged = {name: score(found[name], aims[name.removesuffix("_by_users_alone")]) for name in found}
    for name in aims:
        judged[f"{name}_of_{FEW_DAYS}_days"] = {"refused": float(np.isnan(few[name][:, 1]).mean()), "worlds": len(few[name])}
    return judged
