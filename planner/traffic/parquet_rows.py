"""Parquet → its rows in batches that any process may open.

In: a path. Out: batches in order, each with all that its rows hold: no dictionary of the whole file, no times that only pandas could write
where Arrow can. Knows nothing of log formats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from planner.errors import InputError

__all__ = ["MAGIC", "Batch", "batches"]

#: How a Parquet file begins.
MAGIC = b"PAR1"
_ROWS = 2_048


class Batch(NamedTuple):
    """Rows of a Parquet file, and the number of the first."""

    first: int
    rows: pa.RecordBatch

    @property
    def is_plain(self) -> bool:
        """Whether Arrow can write them without pandas, which other processes do not load: nanoseconds it cannot."""
        return not any("[ns" in str(column.type) for column in self.rows.columns)


def batches(path: Path, done: Callable[[int], None] | None = None) -> Iterator[Batch]:
    """Yield the rows of a file; ``done(bytes)`` hears how far into it reading is. InputError for a damaged one."""
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowException as error:
        raise InputError(f"{path}: a damaged Parquet file ({error})", "a whole one", "write it again") from error
    number, size = 0, path.stat().st_size
    for batch in file.iter_batches(_ROWS):
        yield Batch(number + 1, _decoded(batch))
        number += len(batch)
        if done:
            done(size * number // max(file.metadata.num_rows, 1))


def _decoded(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return rows without dictionaries, each of which holds the words of many batches, and times in µs where that loses nothing."""
    for place, (name, column) in enumerate(zip(batch.schema.names, batch.columns, strict=True)):
        if isinstance(column, pa.DictionaryArray):
            batch = batch.set_column(place, name, column.dictionary_decode())
        elif pa.types.is_timestamp(column.type) and column.type.unit == "ns":
            with suppress(pa.ArrowInvalid):  # nanoseconds that are not whole µs
                batch = batch.set_column(place, name, column.cast(pa.timestamp("us", column.type.tz)))
    return batch
