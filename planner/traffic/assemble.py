"""Rows as a reader made them → one Arrow table that keeps every promise of ``schema.TRAFFIC``, and what broke one.

In: rows (dicts by column, times in µs, None for absent). Out: the table of the sound ones, their positions, and per
unsound row the first reason. The laws are checked here once for all formats: required values, known words, plausible
times, token buckets that are not negative and sum to what the source says. Knows nothing of files or formats.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from planner.schema import STATUSES, TEXT_STATES, TOKEN_BUCKETS, TRAFFIC
from planner.traffic.contract import complete
from planner.traffic.reader import CALL_ID, TOTALS, Row

__all__ = ["assemble"]

#: More tokens than any call can hold; larger counts are damage, and their sums could overflow.
_MOST_TOKENS = 1_000_000_000
_FIRST, _LAST = (round(datetime(y, 1, 1, tzinfo=UTC).timestamp() * 1e6) for y in (2000, 2100))
_REQUIRED = {"request_id": "", "timestamp": _FIRST, "model": ""}
_ALLOWED = {"status": STATUSES, "text_state": TEXT_STATES, "purpose": ("user", "overhead")}
#: Column → (lowest, highest) where it is present.
_RANGES = {
    "latency_ms": (0.0, math.inf),
    "ttft_ms": (0.0, math.inf),
    "source_cost_usd": (0.0, math.inf),
    "quality": (0.0, 1.0),
    "weight": (5e-324, math.inf),
    "attempts": (1, 1_000_000),
    "turn": (0, 2**31 - 1),
    "max_tokens": (0, 2**62),
}
_TYPES = {f.name: f.type for f in TRAFFIC.arrow()} | dict.fromkeys(TOTALS, pa.int64())
#: A row without anything, its columns in the order in which they are assembled; and how many rows are turned at a time, so that they
#: stay in the processor's cache.
_BLANK: Row = dict.fromkeys((*sorted(_TYPES), CALL_ID))
_TURNED_ROWS = 256
_UNFIT = (pa.ArrowException, TypeError, ValueError, OverflowError)


class _Reasons(dict[int, str]):
    """Position → why that row cannot be accepted; the first reason stands."""

    def note(self, wrong: Any, reason: Callable[[int], str]) -> None:
        """Add ``reason(i)`` for every position where the mask ``wrong`` is set."""
        for i in np.flatnonzero(np.asarray(wrong)).tolist():
            if i not in self:
                self[i] = reason(i)


def assemble(rows: Sequence[Row]) -> tuple[pa.Table, NDArray[np.int64], dict[int, str]]:
    """Return (table of sound rows, their positions in ``rows``, position → reason for the others)."""
    reasons = _Reasons()
    columns = {n: _column(n, values, reasons) for n, values in _turned(rows).items()}
    totals = {n: columns.pop(n) for n in TOTALS if n in columns}
    for name, blank in _REQUIRED.items():
        reasons.note(columns[name].is_null(), _says(f"no {name}"))
        columns[name] = pc.fill_null(columns[name], pa.scalar(blank, pa.int64()).cast(_TYPES[name]) if name == "timestamp" else blank)
    table = complete(pa.table(columns), TRAFFIC)
    _check_values(table, reasons)
    _check_tokens(table, totals, reasons)
    keep = np.array([i for i in range(len(rows)) if i not in reasons], dtype=np.int64)
    return (table if len(keep) == len(rows) else table.take(pa.array(keep))), keep, dict(reasons)


def _turned(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """Return rows as columns: the required ones, and those that hold anything."""
    columns: dict[str, list[Any]] = {name: [] for name in _BLANK}
    for start in range(0, len(rows), _TURNED_ROWS):
        some = rows[start : start + _TURNED_ROWS]
        names = tuple(some[0])
        if any(tuple(row) != names for row in some):
            some = [{**_BLANK, **row} for row in some]
            names = max(map(tuple, some), key=len)
        if unknown := sorted({*names} - _BLANK.keys()):
            raise KeyError(f"a reader gave columns that the traffic table does not have: {', '.join(unknown)}")
        for name, values in zip(names, zip(*map(dict.values, some), strict=True), strict=True):
            columns[name].extend(values)
        for name in _BLANK.keys() - {*names}:
            columns[name].extend([None] * len(some))
    return {n: v for n, v in columns.items() if n in _REQUIRED or (n != CALL_ID and v.count(None) < len(v))}


def _column(name: str, values: list[Any], reasons: _Reasons) -> pa.Array:
    try:
        return pa.array(values, _TYPES[name])
    except _UNFIT:
        return pa.array([_fitting(name, v, i, reasons) for i, v in enumerate(values)], _TYPES[name])


def _fitting(name: str, value: Any, position: int, reasons: _Reasons) -> Any:
    try:
        pa.array([value], _TYPES[name])
    except _UNFIT:
        reasons.setdefault(position, f"{name} is {value!r:.60}, which is no {_TYPES[name]}")
        return None
    return value


def _check_values(table: pa.Table, reasons: _Reasons) -> None:
    times = table["timestamp"].cast(pa.int64()).to_numpy()
    reasons.note((times < _FIRST) | (times >= _LAST), lambda i: f"timestamp {_when(times[i])} is not between 2000 and 2100: wrong unit?")
    for name, allowed in _ALLOWED.items():
        wrong = pc.invert(pc.is_in(table[name], pa.array(allowed)))
        reasons.note(wrong, _shows(table, name, f"not one of {', '.join(allowed)}"))
    for name, (low, high) in _RANGES.items():
        values = table[name].cast(pa.float64(), safe=False).to_numpy()
        with np.errstate(invalid="ignore"):
            wrong = ~np.asarray(table[name].is_null()) & ~((values >= low) & (values <= high) & (values < math.inf))
        reasons.note(wrong, _shows(table, name, f"not from {low:g} to {high:g}"))


def _check_tokens(table: pa.Table, totals: dict[str, pa.Array], reasons: _Reasons) -> None:
    for name in TOKEN_BUCKETS:
        values = table[name].to_numpy()
        reasons.note((values < 0) | (values > _MOST_TOKENS), _shows(table, name, f"not from 0 to {_MOST_TOKENS}"))
    for total, buckets in zip(TOTALS, (TOKEN_BUCKETS[:4], TOKEN_BUCKETS[4:]), strict=True):
        if total in totals:
            said = pc.fill_null(totals[total], -1).to_numpy(zero_copy_only=False)
            summed = np.sum([table[b].to_numpy() for b in buckets], axis=0)
            reasons.note((said >= 0) & (said != summed), _differs(total.split("_")[1], summed, said))


def _says(sentence: str) -> Callable[[int], str]:
    return lambda _: sentence


def _shows(table: pa.Table, name: str, expected: str) -> Callable[[int], str]:
    return lambda i: f"{name} is {table[name][i].as_py()!r}, {expected}"


def _differs(what: str, summed: NDArray[Any], said: NDArray[Any]) -> Callable[[int], str]:
    return lambda i: f"the {what} token buckets sum to {summed[i]}, the source says {said[i]}"


def _when(micros: Any) -> str:
    try:
        return datetime.fromtimestamp(int(micros) / 1e6, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return f"{micros} µs"
