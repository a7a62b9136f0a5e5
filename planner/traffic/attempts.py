"""Logs with one record a call → one row a request, with its attempts counted.

In: converted rows in log order, some with a ``call_id`` that all calls of one request share. Out: per request its last
successful call, or its last; ``attempts``, arrival and latency span all its calls; the other failed calls are set aside
with the reason. A failed call waits for one block of records, so that a later call of the same request is met. Knows
nothing of formats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from planner.schema import QUARANTINE
from planner.traffic.reader import Row
from planner.traffic.reasons import COUNTED
from planner.traffic.records import Raw, raw_text

__all__ = ["Item", "is_failed", "quarantined", "settle"]


@dataclass(slots=True)
class Item:
    """One record on its way: where and how it stood in the file, its row, and the reason when it is set aside instead."""

    file: str
    line: int
    raw: Raw
    row: Row
    reason: str = ""
    waited: bool = False


def settle(items: list[Item], last: bool) -> tuple[list[Item], list[Item]]:
    """Return (items that are decided, failed calls that wait for the next block; none when this is the ``last``)."""
    waiting = set()
    for group in _groups(items):
        calls = sorted(group, key=lambda i: (not is_failed(i), _end(i.row)))
        final, earlier = calls[-1], [c for c in calls[:-1] if is_failed(c)]
        if earlier:
            _merge(final, earlier)
        elif is_failed(final) and not final.waited and not last:
            final.waited = True
            waiting.add(id(final))
    return [i for i in items if id(i) not in waiting], [i for i in items if id(i) in waiting]


def _groups(items: list[Item]) -> list[list[Item]]:
    """Gather the calls of every request of which a call failed."""
    groups: dict[str, list[Item]] = {i.row["call_id"]: [] for i in items if i.row.get("call_id") and is_failed(i)}
    if groups:
        for item in items:
            call = item.row.get("call_id")
            if call in groups and item.row.get("timestamp") is not None:
                groups[call].append(item)
    return [g for g in groups.values() if g]


def is_failed(item: Item) -> bool:
    """Say whether a call was made and failed."""
    return bool(item.row) and item.row.get("status", "ok") != "ok"


def _merge(final: Item, earlier: list[Item]) -> None:
    """Count the ``earlier`` calls into the ``final`` one and set them aside."""
    row = final.row
    start, end = min(c.row["timestamp"] for c in [*earlier, final]), _end(row)
    if row.get("ttft_ms") is not None:
        row["ttft_ms"] += (row["timestamp"] - start) / 1000
    row["attempts"] = max(row.get("attempts") or 1, 1 + sum(c.row.get("attempts") or 1 for c in earlier))
    row["timestamp"], row["latency_ms"] = start, (end - start) / 1000
    for call in earlier:
        call.row, call.reason = {}, f"an earlier attempt of request {row['request_id']!r}, {COUNTED}"


def _end(row: Row) -> float:
    return float(row["timestamp"] + 1000 * (row.get("latency_ms") or 0.0))


def quarantined(items: Sequence[Item]) -> pa.Table:
    """Return items that are set aside as a table of ``schema.QUARANTINE``."""
    columns = {
        "file": [_encodable(i.file) for i in items],
        "line": [i.line for i in items],
        "reason": [_encodable(i.reason) for i in items],
        "raw": [raw_text(i.raw) for i in items],
    }
    return pa.table(columns, schema=QUARANTINE.arrow())


def _encodable(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode()
