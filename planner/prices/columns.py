"""Columns: strings and times in whatever shape they come, as codes and microseconds.

In: a string, a sequence, a pandas or Coded column. Out: integer codes with their few distinct values. Knows nothing of
what the strings mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from planner.errors import InputError, PriceError
from planner.traffic.rows import Coded

__all__ = ["Strings", "coded", "on_date", "pairs", "stated", "times_us"]

Strings: TypeAlias = "str | Sequence[str | None] | pd.Series[Any] | pd.Categorical | Coded | pa.ChunkedArray | NDArray[np.object_] | None"

#: No catalogue has a rate for a language model before; a plan cannot be priced earlier.
EARLIEST = date(2020, 1, 1)


def coded(values: Strings, n: int, what: str) -> Coded:
    """Return ``values`` as codes; one string for all rows has no codes (length 0). A null is the value ``""``."""
    if values is None or isinstance(values, str):
        return Coded(np.zeros(0, np.int32), (values or "",))
    if isinstance(values, Coded):
        out = values
    else:
        encoded = values if isinstance(values, pa.ChunkedArray) else pa.array(values, from_pandas=True)
        encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
        if not pa.types.is_dictionary(encoded.type):
            encoded = (encoded.cast(pa.string()) if pa.types.is_null(encoded.type) else encoded).dictionary_encode()
        names = tuple(map(str, encoded.dictionary.to_pylist()))
        out = Coded(encoded.indices.fill_null(len(names)).to_numpy(zero_copy_only=False), (*names, ""))
    if len(out.codes) != n:
        raise InputError(f"{len(out.codes)} values of {what} for {n} rows", "one for every row, or a single string")
    return out


def pairs(columns: Sequence[Coded]) -> tuple[NDArray[np.int64] | None, list[tuple[str, ...]]]:
    """Combine ``columns``: one code per row (None: all rows alike) and the combinations that occur.

    >>> pairs([Coded(np.array([0, 1, 0]), ("a", "b")), Coded(np.zeros(0, np.int32), ("x",))])
    (array([0, 1, 0]), [('a', 'x'), ('b', 'x')])
    """
    code: NDArray[np.int64] | None = None
    combos: list[tuple[str, ...]] = [()]
    for column in columns:
        if not len(column.codes):
            combos = [(*c, column.values[0]) for c in combos]
            continue
        joint = column.codes.astype(np.int64) if code is None else code * len(column.values) + column.codes
        present, code = _compress(joint, len(combos) * len(column.values))
        combos = [(*combos[i // len(column.values)], column.values[i % len(column.values)]) for i in present.tolist()]
    return code, combos


def _compress(codes: NDArray[np.int64], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct codes, rising, and every row's position among them."""
    if size > 4 * len(codes) + 65_536:
        return np.unique(codes, return_inverse=True)
    seen = np.zeros(size, bool)
    seen[codes] = True
    return np.flatnonzero(seen), (np.cumsum(seen) - 1).take(codes)


def times_us(at: Any, n: int) -> NDArray[np.int64] | int:
    """Return UTC times as [µs since 1970]: one for all rows, or n; a time without a zone is UTC, NaT the smallest integer.

    >>> times_us(date(1970, 1, 2), 5)
    86400000000
    """
    if at is pd.NaT or (isinstance(at, np.datetime64) and np.isnat(at)):
        return int(np.iinfo(np.int64).min)
    if isinstance(at, np.datetime64):
        at = at.astype("datetime64[us]").item()
    if isinstance(at, datetime):
        at = at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at
    if isinstance(at, date):
        return int(np.datetime64(at, "us").astype(np.int64))
    series = pd.Series(at) if not isinstance(at, np.ndarray) else at
    if isinstance(series, pd.Series):
        series = pd.to_datetime(series, utc=True).dt.tz_localize(None).to_numpy()
    if series.dtype.kind != "M" or len(series) != n:
        raise InputError(f"times {series.dtype} of length {len(series)}", f"one UTC date or time, or {n} of them")
    return series.astype("datetime64[us]").astype(np.int64)


def stated(at: Any) -> Any:
    """Return ``at``, one stated date or time of prices; PriceError when it is before EARLIEST.

    >>> stated(date(1999, 1, 1))
    Traceback (most recent call last):
        ...
    planner.errors.PriceError: Got prices of 1999-01-01; expected a date from 2020-01-01 on, the earliest with any price. State a later one.
    """
    day = pd.Timestamp(at) if isinstance(at, date | np.datetime64) and not pd.isna(at) else None
    if day is not None and day.date() < EARLIEST:
        raise PriceError(f"prices of {day:%Y-%m-%d}", f"a date from {EARLIEST} on, the earliest with any price", "state a later one")
    return at


def on_date(day: date, timestamps: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """Move ``timestamps`` (UTC) to ``day``, keeping the time of day: what a plan at one date passes as ``at``.

    PriceError when ``day`` is before EARLIEST.

    A bare date means midnight, which for a provider with daily windows (DeepSeek) is off-peak for every row.

    >>> on_date(date(2026, 11, 9), np.array(["2026-09-01T06:30"], "datetime64[us]"))
    array(['2026-11-09T06:30:00.000000'], dtype='datetime64[us]')
    """
    times = timestamps.astype("datetime64[us]")
    moved: NDArray[np.datetime64] = np.datetime64(stated(day), "us") + (times - times.astype("datetime64[D]"))
    return moved
