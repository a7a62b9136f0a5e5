"""Pieces in log order → what is accepted and what is set aside, counted.

In: blocks of pieces. Out: rows and quarantine in a TrafficWriter, and what the header says of them. Here is all that hangs on what came
before: attempts of one request that meet, ids that come again, the same calls twice, counts. Knows nothing of files or formats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import islice
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from planner.traffic.assemble import assemble
from planner.traffic.attempts import Item, is_failed, quarantined, settle
from planner.traffic.handle import TrafficWriter
from planner.traffic.join_twice import Twice
from planner.traffic.pieces import Piece
from planner.traffic.privacy import Door
from planner.traffic.reader import CALL_ID
from planner.traffic.reasons import Reasons
from planner.traffic.seen import Seen
from planner.traffic.values import shown

__all__ = ["Acceptance", "Share"]

_LISTED_FILES = 1_000


@dataclass(frozen=True)
class Share:
    """The records from place ``start`` up to ``stop`` of ``piece``; ``again`` gives the record at a place of the piece as an item."""

    piece: Piece
    start: int
    stop: int
    again: Callable[[int], Item]

    @cached_property
    def rows(self) -> slice:
        """Which rows of the piece's table are of this share."""
        return slice(*np.searchsorted(self.piece.at, (self.start, self.stop)).tolist())

    @cached_property
    def table(self) -> pa.Table:
        """The settled rows."""
        return self.piece.table[self.rows]

    @cached_property
    def at(self) -> NDArray[np.int64]:
        """Their places, counted from the share's beginning."""
        return self.piece.at[self.rows] - self.start

    def calls(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """Return which of the settled rows are calls of the requests ``ids``."""
        if self.piece.calls is None or not ids:
            return np.zeros(0, np.int64)
        return np.flatnonzero(pc.is_in(self.piece.calls[self.rows], pa.array(ids)).to_numpy(zero_copy_only=False))

    def items(self) -> dict[int, Item]:
        """Return what is not settled, by place in the share."""
        return {p - self.start: item for p, item in self.piece.items.items() if self.start <= p < self.stop}

    def item(self, place: int) -> Item:
        """Return the record at ``place`` as an item, settled or not."""
        return self.again(place + self.start)


#: A share, where it begins in its block, and which rows of its table are settled.
_Settled: TypeAlias = tuple[Share, int, NDArray[np.int64]]


@dataclass(slots=True)
class Acceptance:
    """What a running reading has accepted and set aside, in ``writer``, as it passes the ``door``."""

    writer: TrafficWriter
    door: Door = field(default_factory=Door)
    rows_done: Callable[[int], None] | None = None
    accepted: int = 0
    joined: int = 0
    text_left: int = 0
    per_file: dict[str, list[int]] = field(default_factory=dict)
    first: datetime | None = None
    last: datetime | None = None
    twice: Twice = field(default_factory=Twice)
    _seen: Seen = field(default_factory=Seen)
    _waiting: list[Item] = field(default_factory=list)
    _reasons: Reasons = field(default_factory=Reasons)

    def add(self, shares: Sequence[Share], last: bool = False) -> None:
        """Take the next block; failed calls of requests that may go on wait for the next one, unless this is the ``last``."""
        items, offsets = dict(enumerate(self._waiting)), []
        offset = len(items)
        for share in shares:
            offsets.append(offset)
            items |= {offset + place: item for place, item in share.items().items()}
            offset += share.stop - share.start
        settled = self._unsettled(items, shares, offsets)
        ordered = sorted(items.items())
        decided, self._waiting = settle([item for _, item in ordered], last)
        if decided or any(len(rows) for _, _, rows in settled):
            waiting = set(map(id, self._waiting))
            self._store({place: item for place, item in ordered if id(item) not in waiting}, settled)

    def _unsettled(self, items: dict[int, Item], shares: Sequence[Share], offsets: Sequence[int]) -> list[_Settled]:
        """Move to ``items`` the settled calls of requests of which another call failed; return (share, offset, its other rows)."""
        failed = list({item.row[CALL_ID]: None for item in items.values() if item.row.get(CALL_ID) and is_failed(item)})
        settled = []
        for share, offset in zip(shares, offsets, strict=True):
            moved = share.calls([call for call in failed if isinstance(call, str)])
            items |= {offset + place: share.item(place) for place in share.at[moved].tolist()}
            settled.append((share, offset, np.delete(np.arange(len(share.at)), moved)))
        return settled

    def _store(self, items: dict[int, Item], settled: Sequence[_Settled]) -> None:
        """Store what is decided: sound rows that are met for the first time are accepted, all others quarantined."""
        rows = {place: item for place, item in items.items() if not item.reason}
        table, kept, wrong = assemble([item.row for item in rows.values()])
        at = list(rows)
        for place, reason in wrong.items():
            rows[at[place]].reason = reason
        table, places = _in_order([(table, np.array(at, np.int64)[kept]), *(_taken(*s) for s in settled)])
        again = self._seen.repeated(table["request_id"].to_pylist())
        for place in places[again].tolist():
            item = items[place] = items.get(place) or _item_at(place, settled)
            item.reason = f"request_id {shown(item.row['request_id'], 80)} again; the first one is kept"
        sound = table.filter(pa.array(~again)) if again.any() else table
        sound = self.door.rows(sound)
        if not self.door.is_open:
            for item in items.values():
                item.raw, item.reason = "", self.door.reason(item.reason)
        self.writer.accept(sound)
        self.twice.add(sound)
        self._span(sound)
        aside = [item for _, item in sorted(items.items()) if item.reason]
        if aside:
            self.writer.quarantine(quarantined(aside))
        self._count(aside)
        own = np.isin(places[~again], np.array(list(items), np.int64))
        for place in places[~again][own].tolist():
            self.per_file[items[place].file][0] += 1
        offsets = np.array([offset for _, offset, _ in settled], np.int64)
        share_of = np.searchsorted(offsets, places[~again][~own], "right") - 1
        for (share, _, _), n in zip(settled, np.bincount(share_of, minlength=len(settled)).tolist(), strict=True):
            self.per_file[share.piece.file][0] += n
        self.accepted += len(sound)
        if self.rows_done:
            self.rows_done(self.accepted + len(self._reasons))

    def _count(self, aside: Iterable[Item]) -> None:
        for item in aside:
            self.per_file[item.file][1] += 1
            self._reasons.add(item.reason)

    def _span(self, table: pa.Table) -> None:
        """Widen first and last arrival by those of accepted rows."""
        if len(table):
            times = pc.min_max(table["timestamp"])
            low, high = times["min"].as_py(), times["max"].as_py()
            self.first, self.last = min(self.first or low, low), max(self.last or high, high)

    def explain(self) -> str:
        """Say why nothing was accepted."""
        if not self._reasons:
            return "no records"
        return f"none of {len(self._reasons)} records could be accepted ({self._reasons.first})"

    def meta(self) -> dict[str, Any]:
        """Return what was counted, as the header holds it."""
        return {
            "first": self.first.isoformat() if self.first else None,
            "last": self.last.isoformat() if self.last else None,
            "joined": self.joined,
            "text_left": self.text_left,
            "file_count": len(self.per_file),
            "files": {name: {"accepted": a, "quarantined": q} for name, (a, q) in islice(self.per_file.items(), _LISTED_FILES)},
            "reasons": self._reasons.told(),
        }


def _in_order(parts: Sequence[tuple[pa.Table, NDArray[np.int64]]]) -> tuple[pa.Table, NDArray[np.int64]]:
    """Return tables as one whose rows stand in the order of their places, and the places."""
    places = np.concatenate([p for _, p in parts])
    table = pa.concat_tables([t for t, p in parts if len(p)] or [parts[0][0]]).combine_chunks()
    order = np.argsort(places, kind="stable")
    return (table, places) if (order == np.arange(len(order))).all() else (table.take(pa.array(order)), places[order])


def _taken(share: Share, offset: int, rows: NDArray[np.int64]) -> tuple[pa.Table, NDArray[np.int64]]:
    """Return the settled rows of a share, and their places in its block."""
    whole = len(rows) == len(share.at)
    return share.table if whole else share.table.take(pa.array(rows)), offset + share.at[rows]


def _item_at(place: int, settled: Sequence[_Settled]) -> Item:
    share, offset, _ = next(s for s in reversed(settled) if s[1] <= place)
    return share.item(place - offset)
