"""Rows as a reader made them → one Arrow table that keeps every promise of ``schema.TRAFFIC``, and what broke one.

In: rows (dicts by column, times in µs, None for absent). Out: the table of the sound ones, their positions, and per
unsound row the first reason. The laws are checked here once for all formats: required values, known words, plausible
times, token buckets that are not negative and sum to what the source says. Knows nothing of files or formats.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from planner.schema import EVIDENCE, STATUSES, TEXT_STATES, TOKEN_BUCKETS, TRAFFIC
from planner.traffic.reader import CALL_ID, TOTALS, Row
from planner.traffic.values import shown

__all__ = ["assemble"]

#: More tokens than any call can hold; larger counts are damage, and their sums could overflow.
_MOST_TOKENS = 1_000_000_000
_FIRST, _LAST = (round(datetime(y, 1, 1, tzinfo=UTC).timestamp() * 1e6) for y in (2000, 2100))
#: Required columns → what stands in for a value until its row is left out.
_REQUIRED = {"request_id": "", "timestamp": pa.scalar(_FIRST, pa.timestamp("us", tz="UTC")), "model": ""}
_ALLOWED = {"status": STATUSES, "text_state": TEXT_STATES, "purpose": ("user", "overhead"), "evidence": EVIDENCE}
_WORDS = {name: pa.array(allowed) for name, allowed in _ALLOWED.items()}
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
_SCHEMA = TRAFFIC.arrow()
_TYPES = {f.name: f.type for f in _SCHEMA} | dict.fromkeys(TOTALS, pa.int64())
_DEFAULTS = {c.name: pa.scalar(c.default, _TYPES[c.name]) for c in TRAFFIC.columns}
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
    for name, blank in _REQUIRED.items():
        if columns[name].null_count:
            reasons.note(columns[name].is_null(), _says(f"no {name}"))
            columns[name] = columns[name].fill_null(blank)
    whole = [columns[n] if n in columns else pa.repeat(default, len(rows)) for n, default in _DEFAULTS.items()]
    table = pa.Table.from_arrays(whole, schema=_SCHEMA)
    _check_values(table, columns, reasons)
    _check_tokens(table, columns, reasons)
    keep = np.array([i for i in range(len(rows)) if i not in reasons] if reasons else range(len(rows)), dtype=np.int64)
    return (table.take(pa.array(keep)) if reasons else table), keep, dict(reasons)


def _turned(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """Return rows as columns: the required ones, and those that any row names."""
    columns: dict[str, list[Any]] = {name: [] for name in _BLANK}
    named = set(_REQUIRED)
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
        named.update(names)
    return {n: v for n, v in columns.items() if n in named and n != CALL_ID}


def _column(name: str, values: list[Any], reasons: _Reasons) -> pa.Array:
    """Return a column, with its default where there is nothing."""
    try:
        column = pa.array(values, _TYPES[name])
    except _UNFIT:
        column = pa.array([_fitting(name, v, i, reasons) for i, v in enumerate(values)], _TYPES[name])
    default = _DEFAULTS.get(name)
    return column.fill_null(default) if column.null_count and default is not None and default.is_valid else column


def _fitting(name: str, value: Any, position: int, reasons: _Reasons) -> Any:
    try:
        pa.array([value], _TYPES[name])
    except _UNFIT:
        reasons.setdefault(position, f"{name} is {shown(value)}, which is no {_TYPES[name]}")
        return None
    return value


def _check_values(table: pa.Table, columns: Mapping[str, pa.Array], reasons: _Reasons) -> None:
    """Note what breaks a law of single values; those of a column that no row names are its default, which keeps them."""
    times = columns["timestamp"].cast(pa.int64()).to_numpy()
    reasons.note((times < _FIRST) | (times >= _LAST), lambda i: f"timestamp {_when(times[i])} is not between 2000 and 2100: wrong unit?")
    for name, allowed in _ALLOWED.items():
        if name in columns:
            known = pc.is_in(columns[name], _WORDS[name])
            reasons.note(pc.invert(known), _shows(table, name, f"not one of {', '.join(allowed)}"))
    for name, (low, high) in _RANGES.items():
        if name in columns and columns[name].null_count < len(table):
            values = columns[name].cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
            with np.errstate(invalid="ignore"):
                wrong = ~np.asarray(columns[name].is_null()) & ~((values >= low) & (values <= high) & (values < math.inf))
            reasons.note(wrong, _shows(table, name, f"not from {low:g} to {high:g}"))


def _check_tokens(table: pa.Table, columns: Mapping[str, pa.Array], reasons: _Reasons) -> None:
    for name in TOKEN_BUCKETS:
        if name in columns:
            values = table[name].to_numpy()
            reasons.note((values < 0) | (values > _MOST_TOKENS), _shows(table, name, f"not from 0 to {_MOST_TOKENS}"))
    for total, buckets in zip(TOTALS, (TOKEN_BUCKETS[:4], TOKEN_BUCKETS[4:]), strict=True):
        if total in columns:
            said = columns[total].fill_null(-1).to_numpy()
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
