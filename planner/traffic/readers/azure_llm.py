"""Azure LLM inference traces (2023, 2024, and the multimodal one of 2025): arrival times and token counts, no text."""

from __future__ import annotations

from collections.abc import Sequence

from planner.traffic.reader import Options, Reader, Record, Row
from planner.traffic.values import Rejected, count, micros

_NEEDED = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")


def _sniff(sample: Sequence[Record]) -> str | None:
    return f"columns {', '.join(_NEEDED)}" if all(n in sample[0] for n in _NEEDED) else None


def _convert(record: Record, options: Options) -> Row:
    context, generated = count(record["ContextTokens"], "ContextTokens"), count(record["GeneratedTokens"], "GeneratedTokens")
    if context is None or generated is None:
        raise Rejected("no token counts")
    images = count(record.get("NumImages"), "NumImages")
    return {
        "timestamp": micros(record["TIMESTAMP"], "TIMESTAMP"),
        "model": "unknown",
        "input_tokens": context,
        "output_tokens": generated,
        "modalities": "text,image" if images else "text",
    }


READER = Reader(
    "azure_llm",
    "a CSV with the columns TIMESTAMP, ContextTokens, GeneratedTokens",
    _sniff,
    _convert,
    ("model 'unknown': the trace names none (set it with mapping={'model': '=NAME'})", "times without a zone are UTC"),
)
