"""World: one log, one set of outcome models, one price date: what every plan of a comparison shares.

In: traffic, outcomes, prices. Out: for any plan, its two sides per request (as planned and as logged): calls, cost, and
predicted quality, for the log and for the held-out labelled requests. Knows nothing of estimates or intervals.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from planner.errors import InputError
from planner.outcomes import Calls, Outcomes, requests_of
from planner.outcomes.ratios import SAMPLED
from planner.policies import Block, Intents, Plan
from planner.prices import PriceBook, Priced
from planner.schema import EVIDENCE
from planner.simulation.accounting import AS_LOGGED, price_calls, refuse_unpriced
from planner.simulation.facts import Facts, Part, facts_of
from planner.simulation.replay import Replay, replay
from planner.simulation.side import Side, settled
from planner.simulation.summary import SummaryHeader
from planner.stats import BUCKETS
from planner.traffic import Traffic
from planner.traffic.derived import Piece
from planner.traffic.prints import Prints, prints_of
from planner.traffic.rows import Coded, Rows, load_rows
from planner.traffic.sampling import units_of

__all__ = ["World"]

#: Prompts read at a time.
_PIECE = 4_096
#: Levers whose state spans users: what one of them asks changes what another one pays.
SHARED = ("exact_cache", "semantic_cache", "prompt_cache", "rate_limit")
GROUPABLE = ("app", "model", "provider", "tier")


class World:
    """Open once, simulate many plans: the log's columns, its own side and router scores are loaded the first time only.

    ``progress`` is called with requests read so far and in all, whenever a router must read the log's text. ``between`` (from, before)
    plays the requests that arrive in that time alone: caches are cold at its start. ``part`` opens some rows of the log alone;
    ``outcomes`` are those of all of it.
    """

    def __init__(
        self,
        traffic: Traffic,
        outcomes: Outcomes,
        book: PriceBook,
        at: dt.date | str,
        by: tuple[str, ...] = ("app",),
        seed: int = 0,
        progress: Callable[[int, int], None] | None = None,
        between: tuple[np.datetime64, np.datetime64] | None = None,
        part: Part | None = None,
    ) -> None:
        unknown = [c for c in by if c not in GROUPABLE]
        if unknown:
            raise InputError(f"by={unknown[0]!r}", f"any of {', '.join(GROUPABLE)}")
        self.progress, self.between, self.part, self._fitted = progress, between, part, outcomes
        self.outcomes = outcomes if part is None else outcomes.at(part.positions)
        self.traffic, self.book, self.at, self.by, self.seed = traffic, book, at, by, seed

    @cached_property
    def rows(self) -> Rows:
        """The log's columns."""
        rows = load_rows(self.traffic, None if self.part is None else self.part.positions)
        if not len(rows):
            raise InputError(f"{self.traffic.folder} with no rows", "at least one request", "look at the quarantine of planner read")
        return rows if self.between is None else within(rows, *self.between)

    @cached_property
    def facts(self) -> Facts:
        """What every part must know of the whole log."""
        return facts_of(self.rows) if self.part is None else self.part.facts

    @cached_property
    def block(self) -> Block:
        """The log as levers read it."""
        read = partial(requests_of, self.traffic, progress=self.progress)  # nothing that knows the world: it could not be let go of
        stored = partial(_derived, self.traffic, None if self.part is None else self.part.positions)
        return Block(self.rows, self.day, read, partial(_prompts, self.traffic, self.progress), stored)

    @property
    def day(self) -> str:
        """The ISO date on which models are taken to be available: that of the prices, or of the log's last request."""
        return str(self.facts.last.astype("datetime64[D]")) if self.at == AS_LOGGED else str(self.at)

    @cached_property
    def labelled(self) -> Block | None:
        """The held-out labelled requests as levers read them; None without labels."""
        held = self.outcomes.holdout
        return Block(held.rows, self.day, lambda unit: iter((held.requests,))) if held else None

    @cached_property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The names of all groups of the log and of the held-out labels, sorted."""
        held = self.outcomes.holdout
        return tuple(sorted({*group_names(self.rows, self.by)[1], *(group_names(held.rows, self.by)[1] if held else ())}))

    @cached_property
    def units(self) -> NDArray[np.int64]:
        """Codes of what a sample of the log draws whole, (n,), of a log that is opened whole."""
        return units_of(self.traffic)

    def place(self, rows: Rows) -> NDArray[np.int64]:
        """Return the position in ``groups`` of each of ``rows``."""
        code, names = group_names(rows, self.by)
        return np.array([self.groups.index(n) for n in names], np.int64)[code]

    @cached_property
    def samples(self) -> NDArray[np.int64]:
        """The sums behind the token ratios of all pairs of models, in the order of ``pair``: (P, buckets, ratios.SAMPLED)."""
        found = [self.outcomes.samples[key] for key in sorted(self.outcomes.samples)]
        return np.stack(found) if found else np.zeros((0, BUCKETS, len(SAMPLED)), np.int64)

    def pair(self, rows: Rows, sent: Coded) -> NDArray[np.int64]:
        """Return which ratio each row's tokens rest on, a position in ``samples``; −1 where it stays or no label tells."""
        return self.outcomes.tokens(rows, sent)[2]

    @cached_property
    def logged(self) -> Side:
        """The empty plan: every request as observed."""
        return self.side(self.rows.model)

    def intents(self, plan: Plan, block: Block) -> Intents:
        """Run the row phase: what each request of ``block`` would send; labelled requests are only told their model."""
        intents = Intents.as_logged(len(block.rows))
        for lever in plan.row_levers:
            if block is not self.labelled or "model" in lever.writes:
                intents = lever.apply(block, intents)
        return intents

    def played(self, plan: Plan) -> Side:
        """Play ``plan``: what happens to every request of the log."""
        if not plan.levers:
            return self.logged
        intents = self.intents(plan, self.block)
        sent, rows = send(self.rows, intents), edited(self.rows, intents)
        side = replay(self, plan, intents, sent, rows).side if self.stateful(plan) else self.side(sent, rows)
        return unmeasured(side, intents.variant >= 0)

    def stateful(self, plan: Plan) -> bool:
        """Say whether requests must happen one after another under ``plan``, and whether there are any."""
        waits = any(lever.phase == "event" or lever.key in ("batch", "cascade", "micro_batch") for lever in plan.levers)
        return waits and bool(self.rows.steerable.any())

    def replayed(self, plan: Plan) -> Replay:
        """Let the requests happen one after another under ``plan``: its calls, beside the side that they come to."""
        intents = self.intents(plan, self.block)
        found = replay(self, plan, intents, send(self.rows, intents), edited(self.rows, intents))
        return replace(found, side=unmeasured(found.side, intents.variant >= 0))

    @cached_property
    def prints(self) -> Prints:
        """What requests share: keys of whole questions, and the leading blocks of prompts."""
        return prints_of(self.traffic, self.progress, None if self.part is None else self.part.positions)

    @cached_property
    def acts(self) -> NDArray[np.bool_]:
        """Say which requests offer tools, so that their answers may act."""
        table = self.traffic.arrow("has_tools") if self.part is None else self.traffic.take(self.part.positions, "has_tools")
        return np.asarray(table["has_tools"].to_numpy(zero_copy_only=False), bool)

    def side(self, sent: Coded, rows: Rows | None = None) -> Side:
        """Answer and price every request as sent: to its model, and as ``rows`` say, by default as logged.

        A request whose tier the other model does not sell stays as logged; a model without any price is a PriceError. What
        has no price as logged is in no figure on either side.
        """
        rows = rows or self.rows
        calls, priced = self._priced(rows, sent)
        stuck = sent.differs(rows.model) & rows.billable & (priced.reason != 0)
        if stuck.any():
            refuse_unpriced(priced, stuck & (rows.tier.codes == rows.tier.code("standard")))
            sent = kept(sent, rows.model, stuck)
            calls, priced = self._priced(rows, sent)
        return settled(calls, priced, rows, self.has_price, self.outcomes.quality(sent), self.outcomes.latency)

    def _priced(self, rows: Rows, sent: Coded) -> tuple[Calls, Priced]:
        calls = self.outcomes.calls(rows, sent, self.seed)
        return calls, price_calls(calls, rows, self.book, self.at)

    @cached_property
    def has_price(self) -> NDArray[np.bool_]:
        """Say which requests have a price as logged, or needed none."""
        priced: NDArray[np.bool_] = self._priced(self.rows, self.rows.model)[1].reason == 0
        return priced | ~self.rows.billable

    def header(self, plan: Plan) -> SummaryHeader:
        """Say what a Summary of ``plan`` in this world is about."""
        return SummaryHeader(
            traffic=self.traffic.hash if self.between is None else f"{self.traffic.hash} {'/'.join(map(str, self.between))}",
            plan=plan.hash,
            outcomes=self._fitted.hash,
            price_book=self.book.name,
            price_date=self.book.said(self.at),
            seed=self.seed,
            cluster_unit=self.rows.cluster_unit,
            group_by=self.by,
            days=self.facts.days,
            shared=any(lever.key in SHARED for lever in plan.levers),
        )


def within(rows: Rows, start: np.datetime64, end: np.datetime64) -> Rows:
    """Return ``rows``, all of them, of which those outside of [start, end) ask for nothing, send nothing and weigh nothing."""
    inside = (rows.timestamp >= start) & (rows.timestamp < end)
    if not inside.any():
        raise InputError(f"no request from {start} to before {end}", f"some of {rows.timestamp.min()} to {rows.timestamp.max()}")
    said = {name: getattr(rows, name) & inside for name in ("billable", "steerable", "demand")}
    return replace(rows, weight=np.where(inside, rows.weight, 0.0), **said)


def _derived(traffic: Traffic, at: NDArray[np.int64] | None, name: str, make: Callable[[], Iterable[Piece]]) -> dict[str, NDArray[Any]]:
    """Return what is kept beside the log, of the rows ``at`` these positions, or of all."""
    found = traffic.derived(name, make)
    return found if at is None else {key: values[at] for key, values in found.items()}


def _prompts(traffic: Traffic, progress: Callable[[int, int], None] | None) -> Iterator[list[str | None]]:
    """Stream the messages of a log as they are stored, None where the text is not whole."""
    done = 0
    for batch in traffic.batches(("messages", "text_state"), _PIECE):
        yield pc.if_else(pc.equal(batch["text_state"], "full"), batch["messages"], None).to_pylist()
        done += len(batch)
        if progress:
            progress(done, len(traffic))


def send(rows: Rows, intents: Intents) -> Coded:
    """Return the model each row is sent to: the logged one where nothing is intended."""
    return chosen(rows.model, intents.model, intents.models)


def unmeasured(side: Side, varied: NDArray[np.bool_]) -> Side:
    """Return ``side`` with what a changed prompt does to answers left open: their quality unknown, their cost assumed."""
    if not varied.any():
        return side
    evidence = np.where(varied, EVIDENCE.index("assumed"), side.evidence).astype(np.int8)
    quality = np.where(varied, np.nan, side.quality)
    return replace(side, quality=quality, unmeasured=side.unmeasured | varied, evidence=evidence)


def edited(rows: Rows, intents: Intents) -> Rows:
    """Return the rows with the tier, the input tokens and the wish for a stream that are sent.

    What is removed leaves the plain input first, then what was written to a prompt cache, then what was read from it.
    """
    tokens, tier, streamed = rows.tokens, rows.tier, rows.streamed
    if intents.removed.any():
        tokens, left = tokens.copy(), intents.removed.copy()
        for bucket in (0, 2, 3, 1):
            gone = np.minimum(tokens[:, bucket], left)
            tokens[:, bucket] -= gone
            left -= gone
    if (intents.tier >= 0).any():
        tier = chosen(tier, intents.tier, intents.tiers)
    if (intents.stream >= 0).any():
        streamed = np.where(intents.stream >= 0, intents.stream > 0, streamed)
    same = tokens is rows.tokens and tier is rows.tier and streamed is rows.streamed
    return rows if same else replace(rows, tokens=tokens, tier=tier, streamed=streamed)


def chosen(logged: Coded, codes: NDArray[np.int32], values: tuple[str, ...]) -> Coded:
    """Return ``values[codes]``, and the logged one where the code is −1."""
    names = tuple(dict.fromkeys((*logged.values, *values)))
    mapped = np.array([names.index(v) for v in values] or [0], np.int32)
    return Coded(np.where(codes >= 0, mapped[np.maximum(codes, 0)], logged.codes).astype(np.int32), names)


def kept(sent: Coded, logged: Coded, where: NDArray[np.bool_]) -> Coded:
    """Return ``sent`` with the logged model again at ``where``."""
    names = tuple(dict.fromkeys((*sent.values, *logged.values)))
    back = np.array([names.index(v) for v in logged.values], np.int32)
    return Coded(np.where(where, back[logged.codes], sent.codes).astype(np.int32), names)


def group_names(rows: Rows, by: tuple[str, ...]) -> tuple[NDArray[np.int64], list[tuple[str, ...]]]:
    """Return the group of every row as a position in the list of the groups that occur."""
    columns: list[Coded] = [getattr(rows, name) for name in by]
    shape = tuple(len(c.values) for c in columns)
    flat = np.ravel_multi_index(tuple(c.codes for c in columns), shape) if by else np.zeros(len(rows), np.int64)
    present, inverse = np.unique(flat, return_inverse=True)
    positions = zip(*np.unravel_index(present, shape), strict=True) if by else ((),) * len(present)
    return inverse, [tuple(c.values[i] for c, i in zip(columns, position, strict=True)) for position in positions]
