"""Spans as Phoenix exports them → flat records as ``otel_spans`` makes of OTLP.

In: a row of Phoenix's dataframe of spans, as JSON, CSV or Parquet, or a span of its REST API. Out: the span's attributes by OpenInference's
flat names, however the export nests or prints them, beside its own fields by OTLP's names. Knows nothing of which spans are calls.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from planner.traffic.values import unjson

__all__ = ["flat", "is_span"]

#: Attributes that are lists or objects; in a CSV they are printed as Python prints them, and metadata is JSON in JSON.
_NESTED = frozenset({"llm.input_messages", "llm.output_messages", "llm.tools", "tag.tags", "metadata", "llm.prompt_template.variables"})
_ATTRIBUTES = "attributes."
_DAMAGE = (ValueError, TypeError, SyntaxError, MemoryError, RecursionError)


def is_span(value: Mapping[str, Any]) -> bool:
    """Say whether a record is a span as Phoenix exports one.

    >>> is_span({"context": {"span_id": "a"}, "span_kind": "LLM"}), is_span({"context.span_id": "a", "span_kind": "LLM"}), is_span({})
    (True, True, False)
    """
    context = value.get("context")
    return "span_kind" in value and ("context.span_id" in value or (isinstance(context, dict) and "span_id" in context))


def flat(span: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flat record of a span; what is null in it is left out, since a dataframe has every column for every span.

    >>> said = [{"message.role": "user", "message.content": "Hi"}]
    >>> row = {"context.span_id": "a", "span_kind": "LLM", "attributes.llm.input_messages": said, "attributes.llm.model_name": "gpt-5"}
    >>> {k: v for k, v in flat(row).items() if v and k.startswith("llm")}
    {'llm.input_messages.0.message.role': 'user', 'llm.input_messages.0.message.content': 'Hi', 'llm.model_name': 'gpt-5'}
    """
    record: dict[str, Any] = {}
    for name, value in _attributes(span):
        _spread(name, _opened(value) if name in _NESTED else value, record)
    if (kind := span.get("span_kind")) and kind != "UNKNOWN":
        record.setdefault("openinference.span.kind", kind)
    context = span.get("context")
    if not isinstance(context, dict):
        context = {"trace_id": span.get("context.trace_id"), "span_id": span.get("context.span_id")}
    return record | {
        "traceId": context.get("trace_id"),
        "spanId": context.get("span_id"),
        "parentSpanId": span.get("parent_id"),
        "name": span.get("name"),
        "startTimeUnixNano": span.get("start_time"),
        "endTimeUnixNano": span.get("end_time"),
        "status": {"code": 2 if span.get("status_code") == "ERROR" else 1},
        "events": [_event(e) for e in listed if isinstance(e, dict)] if isinstance(listed := _opened(span.get("events")), list) else [],
    }


def _attributes(span: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the attributes by name: of an object of theirs, or of the columns that are called after it."""
    held = span.get("attributes")
    if isinstance(held, dict):
        yield from held.items()
    else:
        yield from ((name.removeprefix(_ATTRIBUTES), value) for name, value in span.items() if name.startswith(_ATTRIBUTES))


def _opened(value: Any) -> Any:
    """Return a list or an object that is written as text, as JSON or as Python prints it; anything else as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    found = unjson(value)
    if isinstance(found, str):
        try:
            return ast.literal_eval(value)
        except _DAMAGE:
            return value
    return found


def _spread(name: str, value: Any, into: dict[str, Any]) -> None:
    """Write ``value`` under ``name``, an object's fields and a list's objects under names of their own."""
    if isinstance(value, dict):
        for key, inner in value.items():
            _spread(f"{name}.{key}", inner, into)
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        for place, inner in enumerate(value):
            _spread(f"{name}.{place}", inner, into)
    elif value is not None and value != "" and value == value:  # NaN is a dataframe's null
        into[name] = value


def _event(event: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"event": str(event.get("name")), "at": event.get("timestamp")}
    attributes = event.get("attributes")
    return found | attributes if isinstance(attributes, dict) else found
