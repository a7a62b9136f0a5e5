"""Langfuse observations by camelCase names: the table's export (CSV, JSON, JSONL) and the API's ``/observations`` pages.

Scores stand in columns of their own; which of them is a quality from 0 to 1, where more is better, only the owner knows.
"""

from __future__ import annotations

from collections.abc import Sequence

from planner.traffic import langfuse
from planner.traffic.reader import Options, Reader, Record, Row
from planner.traffic.values import dig, number, unjson

_SIGNS = ("traceId", "startTime", "type", "usageDetails", "modelParameters", "statusMessage", "completionStartTime", "promptName", "level")


def _sniff(sample: Sequence[Record]) -> str | None:
    seen = [n for n in _SIGNS if any(n in r for r in sample)]
    if not ({"traceId", "startTime", "type"} <= set(seen) and len(seen) >= 5):
        return None
    scores = sorted(set().union(*(langfuse.score_columns(r) for r in sample)))
    return f"Langfuse observations: keys {', '.join(seen)}" + (f"; scores {', '.join(scores)}" if scores else "")


def _convert(record: Record, options: Options) -> Row:
    row = langfuse.columns(record, options)
    score = number(dig(unjson(record["quality"]), "0"), "the score quality") if "quality" in record else None
    return row if score is None else {**row, "quality": score, "quality_source": "Langfuse score quality"}


READER = Reader(
    "langfuse_export",
    "Langfuse observations (keys id, traceId, type, startTime, usageDetails, ...)",
    _sniff,
    _convert,
    (
        "a score called quality is taken as one; for any other name it: mapping={'quality': 'NAME.0'}, with *FACTOR to bring it to 0 to 1",
        "an observation at level ERROR failed; its kind is read from the exception's name or status in its message, else transport",
    ),
    langfuse.APP_SOURCES,
)
