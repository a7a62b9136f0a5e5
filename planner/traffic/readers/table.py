"""Any CSV, Parquet or JSON table: columns named as ours are taken as they are, others by ``mapping``."""

from __future__ import annotations

from collections.abc import Sequence

from planner.traffic.mapping import mapped
from planner.traffic.reader import Options, Reader, Record, Row

_REQUIRED = ("request_id", "timestamp", "model")


def _sniff(sample: Sequence[Record]) -> str | None:
    return "planner's own column names request_id, timestamp, model" if all(n in sample[0] for n in _REQUIRED) else None


def _convert(record: Record, options: Options) -> Row:
    return mapped(record, options.mapping, own_names=True)


READER = Reader(
    "table",
    "any table with request_id, timestamp and model, or with mapping={'request_id': COLUMN, 'timestamp': COLUMN, 'model': COLUMN}",
    _sniff,
    _convert,
)
