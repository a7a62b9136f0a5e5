"""Parts: one plan over a log of any size, part after part, in the memory of one.

In: what ``simulate`` takes, and how many rows begin in a part. Out: the same Summary, byte for byte, as of the log opened whole. Parts
may run on other machines, and a run that was interrupted goes on after the last finished part. Knows nothing of estimates.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from importlib.metadata import version
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError
from planner.outcomes import Outcomes
from planner.policies import Plan
from planner.prices import PriceBook
from planner.simulation.cut import Cut, cut
from planner.simulation.facts import NOTHING, Facts, Part, facts_of, together
from planner.simulation.kept import Kept
from planner.simulation.replay import in_order, over, ready
from planner.simulation.shared import covered_blocks
from planner.simulation.summarise import summarise
from planner.simulation.summary import Summary, SummaryHeader, merge
from planner.simulation.world import World, edited, send, unmeasured
from planner.traffic import Traffic

if TYPE_CHECKING:
    from planner.simulation.under_way import UnderWay

__all__ = ["ROWS", "check_parts", "divisible", "summary_of"]

#: Rows that begin in a part.
ROWS = 125_000
#: Levers that gather requests, or compare each with all others: the rows of a part are not enough for them.
_WHOLE = ("batch", "micro_batch", "semantic_cache")
#: Levers whose state outlives every request.
_LASTING = ("exact_cache", "prompt_cache", "rate_limit")
_NONE: NDArray[np.uint64] = np.zeros(0, np.uint64)


@dataclass(frozen=True, eq=False)
class Job:
    """One plan over one log, cut: all that its parts share.

    Known once all parts were looked at: ``facts``, ``recurring`` and ``models``, as ``facts.Part`` has them, and all Summaries' ``header``.
    """

    traffic: Traffic
    plan: Plan
    outcomes: Outcomes
    book: PriceBook
    at: dt.date | str
    by: tuple[str, ...]
    seed: int
    cut: Cut
    facts: Facts = NOTHING
    recurring: NDArray[np.uint64] = field(default_factory=lambda: _NONE)
    models: tuple[str, ...] = ()
    header: SummaryHeader | None = None

    @property
    def lasting(self) -> bool:
        """Whether what one part leaves behind matters to the next one: caches, limits, budgets that all requests share."""
        budgets = any(lever.budget is not None for lever in self.plan.of_key("retry"))
        return budgets or any(lever.key in _LASTING for lever in self.plan.levers)

    def about(self, rows: int) -> dict[str, Any]:
        """Return what tells this run, in parts of about ``rows`` rows, from others, in plain values."""
        return {
            "planner": version("llm-traffic-planner"),
            "traffic": self.traffic.hash,
            "plan": self.plan.hash,
            "outcomes": self.outcomes.hash,
            "prices": f"{self.book.name} {self.book.said(self.at)}",
            "by": list(self.by),
            "seed": self.seed,
            "rows": rows,
        }

    def world(self, k: int, before: UnderWay | None = None) -> World:
        """Open the rows that begin in part ``k``, and those that were under way ``before``."""
        every = self.cut.positions[k] if before is None else np.union1d(self.cut.positions[k], before.carry.row)
        fresh = np.ones(len(every), bool) if before is None else ~np.isin(every, before.carry.row, assume_unique=True)
        part = Part(every, fresh, self.facts, self.recurring, self.models)
        return World(self.traffic, self.outcomes, self.book, self.at, self.by, self.seed, part=part)


def divisible(plan: Plan) -> bool:
    """Say whether ``plan`` can be played in parts: none of its levers gathers requests or compares each with all others."""
    return not any(lever.key in _WHOLE for lever in plan.levers)


def check_parts(traffic: Traffic, plan: Plan, rows: int = ROWS) -> None:
    """Raise InputError where ``summary_of`` would: before anything is fitted."""
    if rows < 1:
        raise InputError(f"parts of {rows} rows", "at least 1", f"by default {ROWS:,}")
    if not len(traffic):
        raise InputError(f"{traffic.folder} with no rows", "at least one request", "look at the quarantine of planner read")
    for lever in plan.levers:
        if lever.key in _WHOLE:
            raise InputError(
                f"{lever.key} in parts of the log",
                "levers that do not look at all requests at once",
                "simulate it whole, in the shell: planner compare",
            )


def summary_of(
    traffic: Traffic,
    plan: Plan,
    outcomes: Outcomes,
    book: PriceBook,
    at: dt.date | str,
    by: tuple[str, ...] = ("app",),
    seed: int = 0,
    *,
    rows: int = ROWS,
    keep: Path | None = None,
    client: Any = None,
    progress: Callable[[int, int], None] | None = None,
) -> Summary:
    """Play ``plan`` over ``traffic`` in parts in which about ``rows`` rows begin.

    Parameters
    ----------
    keep: a folder in which every finished part stays: the same call goes on from there, and gives the same bytes.
    client: a ``distributed.Client``; parts run at the same time there, unless the plan has state that spans users: what a cache holds
        depends on all that came before, so that they run one after another.
    progress: called with rows done and in all.

    Raises
    ------
    InputError: a plan that is not ``divisible``, fewer than one row, and a folder that keeps another run.
    """
    check_parts(traffic, plan, rows)
    parts = cut(traffic, rows)
    seen = replace(NOTHING, last=parts.last)
    job = Job(replace(traffic, folder=traffic.folder.resolve()), plan, outcomes, book, at, by, seed, parts, seen)
    kept = Kept.open(keep, job.about(rows)) if keep else None
    return reduce(merge, _told(_played(job, kept, client), job.cut, progress))


def _told(played: Iterable[tuple[int, Summary]], parts: Cut, progress: Callable[[int, int], None] | None) -> Iterator[Summary]:
    """Yield the sums of each part, and say how many rows are done."""
    done, total = 0, sum(map(len, parts.positions))
    for k, summary in played:
        done += len(parts.positions[k])
        if progress:
            progress(done, total)
        yield summary


@dataclass(frozen=True, eq=False)
class Survey:
    """What one part tells the others: facts of its rows, the models they are sent to, its prompt blocks, and those of them that recur."""

    facts: Facts
    models: tuple[str, ...]
    blocks: NDArray[np.uint64]
    recurring: NDArray[np.uint64]


def surveyed(job: Job, k: int) -> Survey:
    """Look at the rows that begin in part ``k``."""
    world, plan = job.world(k), job.plan
    facts, at = facts_of(world.rows), in_order(world.rows, world.rows.steerable)
    if not world.stateful(plan):
        return Survey(facts, (), _NONE, _NONE)
    sent = send(world.rows, world.intents(plan, world.block))
    models = tuple(sent.values[code] for code in np.unique(sent.codes[at]))
    if not plan.of_key("prompt_cache"):
        return Survey(facts, models, _NONE, _NONE)
    keys, often = np.unique(covered_blocks(world, plan, at).keys, return_counts=True)
    return Survey(facts, models, keys, keys[often > 1])


def known(job: Job, surveys: Iterable[Survey]) -> Job:
    """Return the job with what the ``surveys`` of all its parts come to."""
    facts, models, once, recurring = [], set[str](), _NONE, _NONE
    for seen in surveys:
        facts.append(seen.facts)
        models |= {*seen.models}
        again = seen.blocks[np.isin(seen.blocks, once, assume_unique=True)]
        once, recurring = np.union1d(once, seen.blocks), np.union1d(recurring, np.concatenate([seen.recurring, again]))
    job = replace(job, facts=together(facts), recurring=recurring, models=tuple(sorted(models)))
    return replace(job, header=job.world(0).header(job.plan))


def played(job: Job, k: int, before: UnderWay | None) -> tuple[Summary, UnderWay | None]:
    """Play part ``k`` after what was under way ``before`` it; return its sums, and what is under way when the next one begins."""
    from planner.simulation.events.carry import FOREVER_US, part  # numba is slow to import, and plans without state do without it
    from planner.simulation.under_way import UnderWay

    world, plan = job.world(k, before), job.plan
    assert job.header is not None
    held, header = world.labelled if k == 0 else None, job.header
    labelled = send(held.rows, world.intents(plan, held)) if held else None
    if not world.stateful(plan):
        return summarise(world, header, world.played(plan), labelled), before
    intents = world.intents(plan, world.block)
    sent, rows = send(world.rows, intents), edited(world.rows, intents)
    begun = ready(world, plan, intents, sent, rows)
    until = job.cut.until_us(k, job.facts.start) if job.lasting else None
    happened, carry = part(begun.events, begun.names, before.carry if before else None, FOREVER_US if until is None else until)
    replayed, answers = over(world, plan, begun, happened, sent, rows, before.answers if before else None)
    done = np.ones(len(rows), bool)
    done[begun.at] = happened.done_us >= 0
    side = unmeasured(replayed.side, intents.variant >= 0)
    summary = summarise(world, header, side, labelled, np.flatnonzero(done))
    return summary, UnderWay.of(carry, begun.names.row, answers, before) if job.lasting else None


def _played(job: Job, kept: Kept | None, client: Any) -> Iterator[tuple[int, Summary]]:
    """Play all parts that are not kept yet; yield each with its number as it is there."""
    every = range(len(job.cut))
    done = [k for k in every if kept and kept.has(k)]
    if job.lasting and done != list(range(len(done))):
        done = list(takewhile(lambda k: k in done, every))
    for k in done:
        yield k, kept.summary(k)  # type: ignore[union-attr]
    left = [k for k in every if k not in done]
    if left:
        if client is not None:
            read_once(job)
        surveys = _here(surveyed, job, every) if client is None else client.gather(_there(client, surveyed, job, every))
        job = known(job, surveys)
        run = _one_after_another if job.lasting or client is None else _at_once
        yield from run(job, left, kept, client)


def read_once(job: Job) -> None:
    """Read what text says, which is stored beside the log, before many workers would each read all of it."""
    world = job.world(0)
    world.intents(job.plan, world.block)
    if job.plan.of_key("exact_cache") or job.plan.of_key("prompt_cache"):
        _ = world.prints


def _one_after_another(job: Job, left: Sequence[int], kept: Kept | None, client: Any) -> Iterator[tuple[int, Summary]]:
    under_way = kept.under_way(left[0]) if kept and job.lasting and left[0] else None
    there = None if client is None else client.scatter(job, broadcast=True, hash=False)
    for k in left:
        summary, under_way = (
            played(job, k, under_way) if client is None else client.submit(played, there, k, under_way, pure=False).result()
        )
        if kept:
            kept.add(k, summary, under_way)
        yield k, summary


def _at_once(job: Job, left: Sequence[int], kept: Kept | None, client: Any) -> Iterator[tuple[int, Summary]]:
    from distributed import as_completed

    futures = _there(client, played, job, left, None)
    number = {future.key: k for future, k in zip(futures, left, strict=True)}
    for future, (summary, _) in as_completed(futures, with_results=True):
        if kept:
            kept.add(number[future.key], summary, None)
        yield number[future.key], summary


def _here(function: Callable[..., Any], job: Job, parts: Iterable[int]) -> Iterator[Any]:
    return (function(job, k) for k in parts)


def _there(client: Any, function: Callable[..., Any], job: Job, parts: Iterable[int], *more: Any) -> list[Any]:
    """Return a future for each part; the job is sent to every worker once."""
    shared = client.scatter(job, broadcast=True, hash=False)
    return [client.submit(function, shared, k, *more, pure=False) for k in parts]
