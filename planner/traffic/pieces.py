"""Some consecutive records of one file → rows in columns, and what must be looked at one by one.

In: lines of a file, or records; a reader and its options. Out: a Piece: the rows that no other record can change, as one Arrow table that
keeps every promise of ``schema.TRAFFIC``, and all else as items: what was refused, what is unsound, failed calls that a later call of the
same request may succeed. It hangs on nothing but its input, so that any process may make it. Knows nothing of what came before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from planner.schema import EVIDENCE
from planner.traffic.assemble import assemble
from planner.traffic.attempts import Item
from planner.traffic.mapping import mapped
from planner.traffic.nests import AROUND, Around, Nest
from planner.traffic.opening import Input, Only, Opened, numbered
from planner.traffic.privacy import OPEN, Door
from planner.traffic.reader import ASSUMED, CALL_ID, Options, Reader, Row
from planner.traffic.records import JOINED, Found, raw_of
from planner.traffic.values import Rejected

__all__ = ["Again", "Converter", "Piece", "innermost"]

_DAMAGE = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Piece:
    """``n`` consecutive records of ``file``.

    Parameters
    ----------
    sources, sizes: (n,) which line or record of the input each stood in, and its size [bytes].
    table: the k rows that no other record can change. at: (k,) their places among the n. calls: (k,) what all calls of one request share,
        where the log says it.
    items: the others, by place.
    nests: how records lie in each other, with the place of the first of them. joined: how many records more were parts of others.
    text_left: how many had texts that stayed outside.
    """

    file: str
    sources: NDArray[np.int64]
    sizes: NDArray[np.int64]
    table: pa.Table
    at: NDArray[np.int64]
    calls: pa.Array | None
    items: dict[int, Item]
    nests: list[tuple[int, Nest]]
    joined: int = 0
    text_left: int = 0

    def __len__(self) -> int:
        return len(self.sources)


@dataclass(frozen=True, slots=True)
class Converter:
    """What ``reader`` makes of parts of files, without the texts that stay outside the ``door``."""

    reader: Reader
    options: Options
    door: Door = OPEN

    def __call__(self, file: str, given: Input, one_by_one: bool = False) -> Piece:
        """Return the piece of ``given``, a part of ``file``; every record of it is an item when ``one_by_one``."""
        items: dict[int, Item] = {}
        rows: list[Row] = []
        settled: list[int] = []
        sources: list[int] = []
        sizes: list[int] = []
        nests: list[tuple[int, Nest]] = []
        joined = text_left = 0
        for source, every, nest in self._opened(given):  # one at a time: what is decoded stays in the processor's cache
            if nest is not None:
                nests.append((len(sizes), nest))
            for line, raw, value, problem, size in every:
                if problem == JOINED:
                    joined += 1
                    continue
                row, reason = self._row(value, problem)
                if not reason:
                    if not self.door.text:
                        text_left += self.door.leave(row)
                    if "request_id" not in row:
                        row["request_id"] = f"{file}:{line}"
                    if row.pop(ASSUMED, False):
                        row["evidence"] = EVIDENCE[-1]
                if reason or one_by_one or _may_change(row):
                    items[len(sizes)] = Item(file, line, raw, row, reason)
                else:
                    settled.append(len(sizes))
                    rows.append(row)
                sources.append(source)
                sizes.append(size or (0 if callable(raw) else len(raw)))
        table, kept, unsound = assemble(rows)
        calls = [rows[i].get(CALL_ID) for i in kept.tolist()]
        piece = Piece(
            file,
            np.array(sources, np.int64),
            np.array(sizes, np.int64),
            table,
            np.array(settled, np.int64)[kept],
            pa.array(calls, pa.string()) if any(calls) else None,
            items,
            nests,
            joined,
            text_left,
        )
        again = Again(self, piece, given)
        items.update((settled[i], again(settled[i])) for i in unsound)
        return piece

    def _opened(self, given: Input) -> Iterator[tuple[int, Iterable[Opened], Nest | None]]:
        """Yield the lines or records of ``given`` by number, each with the records in it and how they lie in each other."""
        opens = self.reader.opens
        for source, every in numbered(given):
            if opens is None:
                yield source, every, None
            else:
                yield from ((source, *opens(Found(*record))) for record in every)

    def _row(self, value: dict[str, Any] | None, problem: str) -> tuple[Row, str]:
        """Return what a record says, or why it says nothing."""
        if value is None:
            return {}, problem
        try:
            row = self.reader.convert(value, self.options)
            if self.options.mapping and self.reader.name != "table":
                row |= mapped(value, self.options.mapping)
        except Rejected as error:
            return {}, str(error)
        except _DAMAGE as error:
            return {}, _missing(value, error) or f"{type(error).__name__}: {error}"
        return row, ""


class Again:
    """The records of a piece once more, each as an item by its place; ``given`` is what the piece was made of."""

    def __init__(self, convert: Converter, piece: Piece, given: Input) -> None:
        self._convert, self._piece, self._only = convert, piece, Only(given)

    def __call__(self, place: int) -> Item:
        """Return the item at ``place``."""
        source = int(self._piece.sources[place])
        before = int(np.searchsorted(self._piece.sources, source))
        return self._convert(self._piece.file, self._only(source), one_by_one=True).items[place - before]


def _missing(record: dict[str, Any], error: Exception) -> str:
    """Say which field a record lacks that its format has: a word of ours, since it is nowhere in the record; "" for any other error.

    >>> _missing({"id": 1}, KeyError("model")), _missing({"id": "model"}, KeyError("model")), _missing({}, ValueError("model"))
    ('no model', '', '')
    """
    key = error.args[0] if isinstance(error, KeyError) and error.args else None
    own = isinstance(key, str) and key.isascii() and key.casefold() not in repr(record).casefold()
    return f"no {key}" if own else ""


def _may_change(row: Row) -> bool:
    """Say whether other calls of the same request decide what becomes of this one."""
    return bool(row.get(CALL_ID)) and row.get("status", "ok") != "ok"


def innermost(piece: Piece, around: Around, again: Callable[[int], Item]) -> Piece:
    """Return ``piece`` with the calls that lie around others set aside; ``again`` gives the record at a place."""
    outer = [first + place for first, nest in piece.nests for place in sorted(around.met(nest))]
    if not outer:
        return piece
    items, sizes = dict(piece.items), piece.sizes.copy()
    for place in outer:
        found = piece.items.get(place) or again(place)
        raw = raw_of(found.raw)
        items[place], sizes[place] = Item(found.file, found.line, raw, {}, AROUND), len(raw)
    inner = ~np.isin(piece.at, outer)
    calls = None if piece.calls is None else piece.calls.filter(pa.array(inner))
    return replace(piece, sizes=sizes, table=piece.table.filter(pa.array(inner)), at=piece.at[inner], calls=calls, items=items)
