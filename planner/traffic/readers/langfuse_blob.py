"""Langfuse's export to blob storage: observations by snake_case names, as JSON, JSONL or CSV."""

from __future__ import annotations

from collections.abc import Sequence

from planner.traffic import langfuse
from planner.traffic.reader import Options, Reader, Record, Row

_SIGNS = ("trace_id", "start_time", "type", "usage_details", "model_parameters", "provided_model_name", "completion_start_time")


#: snake_case → camelCase.
_NAMES = {"".join(f"_{c.lower()}" if c.isupper() else c for c in name): name for name in langfuse.FIELDS}


def _sniff(sample: Sequence[Record]) -> str | None:
    seen = [n for n in _SIGNS if any(n in r for r in sample)]
    fits = {"trace_id", "start_time", "type"} <= set(seen) and len(seen) >= 5
    return f"Langfuse observations in blob storage: keys {', '.join(seen)}" if fits else None


def _convert(record: Record, options: Options) -> Row:
    return langfuse.columns({_NAMES.get(name, name): value for name, value in record.items()}, options)


READER = Reader(
    "langfuse_blob",
    "Langfuse observations as blob storage gets them (keys id, trace_id, type, start_time, usage_details, ...)",
    _sniff,
    _convert,
    ("an observation at level ERROR failed; its kind is read from the exception's name or status in its message, else transport",),
    langfuse.APP_SOURCES,
)
