"""What every change is computed from: the log's rows, what they cost, and what may be assumed about their apps.

In: Traffic, a price book, Apps. Out: a Context with the logged State, keys of texts and prefixes, and the one function
that turns a State into money. Knows nothing of any particular change.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from planner.comparison.of_part import Untold, untold
from planner.errors import PriceError
from planner.prices import PriceBook, on_date
from planner.schema import EVIDENCE
from planner.simulation import WEEK
from planner.simulation.drawn import held
from planner.stats import weakest
from planner.text.prints import Prefixes
from planner.traffic import Traffic
from planner.traffic.apps import Apps
from planner.traffic.prints import prints_of
from planner.traffic.reasons import earlier_calls
from planner.traffic.rows import Rows, load_rows
from planner.traffic.sampling import Spread, spread_of, units_of
from planner.units import DAYS_PER_MONTH

__all__ = ["Context", "State", "context_of"]

Progress: TypeAlias = Callable[[int, int], None]
Rowset: TypeAlias = NDArray[np.int64]
#: How long an answer takes where the log does not say [ms]: assumed, and long.
UNTIMED_MS = 30_000.0
_ASSUMED = EVIDENCE.index("assumed")
_MORE = ("finish_reason", "has_tools", "modalities", "stream", "session_id")


@dataclass(frozen=True, eq=False)
class State:
    """What ``n`` requests send: columns of length n; ``called`` is False where no provider is called."""

    provider: NDArray[np.object_]
    model: NDArray[np.object_]
    tier: NDArray[np.object_]
    tokens: NDArray[np.int64]
    called: NDArray[np.bool_]

    def take(self, rows: Rowset) -> State:
        """Return the state of ``rows``."""
        return State(self.provider[rows], self.model[rows], self.tier[rows], self.tokens[rows], self.called[rows])

    def put(self, rows: Rowset, **columns: Any) -> State:
        """Return this state with ``columns`` of ``rows`` replaced."""
        changed = {}
        for name, values in columns.items():
            copy = getattr(self, name).copy()
            copy[rows] = values
            changed[name] = copy
        return replace(self, **changed)


@dataclass(frozen=True, eq=False)
class Context:
    """A log at one price date.

    Parameters
    ----------
    rows: its columns. logged: what was sent. apps: what may be assumed.
    at: the price date, or ``simulation.AS_LOGGED``.
    spend_pusd: (n,) what each row costs as logged; 0 where it was not billed or has no price.
    priced: (n,) where it has one. unpriced: why not, most requests first, and how many each of these rows stands for.
    start_ms, ready_ms: (n,) arrival and end since the first arrival [ms].
    text_key: (n,) key of the text, 0 without whole text. request_key: with app, model and parameters.
    prefixes: leading blocks; all empty (size 0) when the log has neither text nor blocks.
    aside: rows of the source that reading set aside. with_text: how texts that were not copied are had, empty where there are none.
    units: (n,) codes of what a sample draws whole; None where every row stands for itself.
    spread: of the log that this sample was drawn from, None where it is not known. untold: what a part of a log cannot tell.
    single: (n,) neither streamed nor in a session of several.
    finish: (n,) finish reason. tools: (n,) tools were offered. text_only: (n,) no image or audio in the prompt.
    """

    rows: Rows
    logged: State
    apps: Apps
    book: PriceBook
    at: dt.date | str
    spend_pusd: NDArray[np.int64]
    priced: NDArray[np.bool_]
    unpriced: Mapping[str, NDArray[np.float64]]
    start_ms: NDArray[np.int64]
    ready_ms: NDArray[np.int64]
    request_key: NDArray[np.uint64]
    prefixes: Prefixes
    finish: NDArray[np.object_]
    tools: NDArray[np.bool_]
    text_only: NDArray[np.bool_]
    single: NDArray[np.bool_]
    aside: int
    with_text: str
    units: NDArray[np.int64] | None
    spread: Spread | None
    untold: Untold

    @property
    def per_month(self) -> float:
        """Factor from the log's period to a month."""
        return DAYS_PER_MONTH / self.rows.days

    @property
    def evidence(self) -> str:
        """The best evidence that a monthly figure of this log can have."""
        week = "estimated" if self.rows.days >= WEEK else "assumed"
        return weakest(week, *(EVIDENCE[code] for code in np.unique(self.rows.evidence)))

    @property
    def date(self) -> dt.date:
        """The day at which rules and catalogues are read."""
        return self.at if isinstance(self.at, dt.date) else self.book.date

    @property
    def thin(self) -> str:
        """Why what this sample's log spent has no interval, in words; empty where it may have one."""
        return "" if self.spread is None else self.spread.thin(self.spread.effective)

    def holding(self, rows: Rowset, pusd: NDArray[np.int64]) -> str:
        """Say why the total of ``pusd`` over ``rows`` has no interval in this sample, by those who hold the spend of their apps."""
        if self.spread is None or not self.spread.apps:
            return self.thin
        names = self.rows.app.values
        amount = np.bincount(self.rows.app.codes[rows], pusd, len(names)) * [self.spread.times.get(app, 1.0) for app in names]
        return self.spread.thin(held(amount, np.array([self.spread.apps.get(app, self.spread.effective) for app in names])))

    @cached_property
    def open(self) -> NDArray[np.bool_]:
        """Which rows a change may touch: users' own, sent to a provider, with a price."""
        return self.rows.steerable & self.priced

    @cached_property
    def timed(self) -> bool:
        """Whether every row that ended well says how long it took."""
        return not bool(np.isnan(self.rows.latency_ms[self.ok & self.open]).any())

    @cached_property
    def ok(self) -> NDArray[np.bool_]:
        """Which rows ended well."""
        ended: NDArray[np.bool_] = self.rows.status == 0
        return ended

    def price(self, state: State, rows: Rowset) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
        """Return what ``state``, the state of ``rows``, costs [pUSD], which of them have a price, and where its rate is assumed."""
        arrived = self.rows.timestamp[rows]
        when = arrived if isinstance(self.at, str) else on_date(self.at, arrived)
        found = self.book.price(state.provider, state.model, state.tier, state.tokens, when)
        return np.where(state.called, found.cost_pusd, 0), (found.reason == 0) | ~state.called, (found.evidence == _ASSUMED) & state.called

    def app_rows(self, app: str, among: NDArray[np.bool_]) -> Rowset:
        """Return the rows of ``app`` in ``among``."""
        return np.flatnonzero((self.rows.app.codes == self.rows.app.code(app)) & among)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The apps of users' own requests, by name."""
        return tuple(sorted({self.rows.app.values[i] for i in np.unique(self.rows.app.codes[self.rows.steerable])}))

    def groups(self, rows: Rowset) -> list[tuple[str, str, Rowset]]:
        """Split ``rows`` by (provider, model) as logged."""
        width = len(self.rows.model.values)
        pair = self.rows.provider.codes[rows].astype(np.int64) * width + self.rows.model.codes[rows]
        found = np.unique(pair)
        return [(self.rows.provider.values[p // width], self.rows.model.values[p % width], rows[pair == p]) for p in found.tolist()]

    def resolve(self, provider: str, model: str) -> tuple[str, str] | None:
        """Return the price book's ids of a logged provider and model, None when it knows them not."""
        try:
            return self.book.resolve(model, provider or None)
        except PriceError:
            return None


def context_of(traffic: Traffic, book: PriceBook, apps: Apps, at: dt.date | str, progress: Progress | None) -> Context:
    """Load what changes are computed from; text is read once and only its keys are kept (beside the log)."""
    rows = load_rows(traffic)
    more = traffic.arrow(*_MORE)
    state = State(rows.provider.decode(), rows.model.decode(), rows.tier.decode(), rows.tokens, rows.billable)
    prints = prints_of(traffic, progress)
    since = (rows.timestamp - rows.timestamp.min()).astype("timedelta64[us]").astype(np.int64) // 1_000
    unpriced = np.zeros(len(rows), bool)
    ready = since + np.maximum(np.nan_to_num(rows.latency_ms, nan=UNTIMED_MS).astype(np.int64), 1)
    bare = Context(
        rows, state, apps, book, at, np.zeros(len(rows), np.int64), ~unpriced, {}, since, ready, prints.request, prints.prefixes,
        more["finish_reason"].to_numpy(zero_copy_only=False),
        more["has_tools"].to_numpy(zero_copy_only=False).astype(bool),
        pc.equal(more["modalities"], "text").to_numpy(zero_copy_only=False).astype(bool),
        _single(more),
        int(traffic.meta.get("quarantined", 0)) - earlier_calls(traffic.meta.get("reasons", {})),
        traffic.with_text,
        units_of(traffic) if (rows.weight != 1).any() else None,
        spread_of(traffic),
        untold(traffic),
    )  # fmt: skip
    return _priced(bare)


def _single(table: pa.Table) -> NDArray[np.bool_]:
    session = table["session_id"].to_pandas()
    streamed = table["stream"].to_numpy(zero_copy_only=False).astype(bool)
    alone: NDArray[np.bool_] = ~streamed & ~(session.notna() & session.duplicated(keep=False)).to_numpy()
    return alone


def _priced(bare: Context) -> Context:
    when = bare.rows.timestamp if isinstance(bare.at, str) else on_date(bare.at, bare.rows.timestamp)
    state = bare.logged
    found = bare.book.price(bare.rows.provider, bare.rows.model, bare.rows.tier, state.tokens, when)
    priced = (found.reason == 0) & state.called
    reason = np.where(state.called, found.reason, 0)
    lacking = {found.reasons[i]: bare.rows.weight[reason == i] for i in np.unique(reason[reason != 0])}
    unpriced = dict(sorted(lacking.items(), key=lambda reason: -reason[1].sum()))
    return replace(bare, spend_pusd=np.where(state.called, found.cost_pusd, 0), priced=priced, unpriced=unpriced)
