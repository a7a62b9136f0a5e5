"""Spans in OTLP JSON, or as Phoenix exports them → one flat record per span, and which spans are calls of a model.

In: export requests as OpenTelemetry's file exporters write them (one a line, many spans each), or single spans. Out: per span its
attributes over those of its resource, by name and by the conventions' name for the same, beside the span's own fields; spans that are no
calls are set aside with the reason. Many tools put a span around the call they make, with the same usage: the innermost span with usage is
the call (``nests``). Knows nothing of columns.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

import orjson

from planner.traffic import phoenix
from planner.traffic.nests import AROUND, Around, Nest
from planner.traffic.reader import Record
from planner.traffic.records import BOM, Found, parsed
from planner.traffic.values import word

__all__ = ["INPUT_TOKENS", "OUTPUT_TOKENS", "VOCABULARIES", "kind_of", "opened", "spans_of", "vocabularies"]

#: What a span's kind is called → the words for a call; the conventions' own, OpenInference's, Langfuse's, OpenLLMetry's and LiteLLM's.
_LITELLM = ("completion", "embedding", "responses", "text_completion", "anthropic_messages")
_KINDS: Mapping[str, frozenset[str]] = {
    "gen_ai.operation.name": frozenset(
        {"chat", "generate_content", "text_completion", "embeddings", *_LITELLM, *(f"a{name}" for name in _LITELLM)}
    ),
    "openinference.span.kind": frozenset({"llm", "embedding"}),
    "langfuse.observation.type": frozenset({"generation", "embedding"}),
    "llm.request.type": frozenset({"chat", "rerank", *_LITELLM, *(f"a{name}" for name in _LITELLM)}),
    "traceloop.span.kind": frozenset(),
}
INPUT_TOKENS, OUTPUT_TOKENS = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
#: The conventions' name, or one of ours where they have none → what others call the same, the first that is there counts.
_OTHERS: Mapping[str, Sequence[str]] = {
    INPUT_TOKENS: ("gen_ai.usage.prompt_tokens", "llm.token_count.prompt", "llm.usage.prompt_tokens"),
    OUTPUT_TOKENS: ("gen_ai.usage.completion_tokens", "llm.token_count.completion", "llm.usage.completion_tokens"),
    "gen_ai.usage.total_tokens": ("llm.usage.total_tokens", "llm.token_count.total"),
    "gen_ai.usage.cache_read.input_tokens": (
        *("gen_ai.usage.cache_read_input_tokens", "gen_ai.usage.input_tokens.cached", "llm.token_count.prompt_details.cache_read"),
        *("gen_ai.usage.details.cache_read_tokens", "gen_ai.usage.details.cached_tokens"),
    ),
    "gen_ai.usage.cache_creation.input_tokens": (
        *("gen_ai.usage.cache_creation_input_tokens", "gen_ai.usage.input_tokens.cache_write"),
        *("llm.token_count.prompt_details.cache_write", "gen_ai.usage.details.cache_write_tokens"),
    ),
    "gen_ai.usage.reasoning.output_tokens": (
        *("gen_ai.usage.reasoning_tokens", "gen_ai.usage.output_tokens.reasoning", "llm.token_count.completion_details.reasoning"),
        *("llm.usage.reasoning_tokens", "gen_ai.usage.details.reasoning_tokens"),
    ),
    "gen_ai.usage.cost": ("litellm.cost.total", "gen_ai.cost.total_cost", "llm.cost.total", "llm.response.cost"),
    "gen_ai.provider.name": ("llm.provider", "gen_ai.system", "llm.system"),
    "gen_ai.response.model": ("llm.response.model",),
    "gen_ai.request.model": ("llm.model_name",),
    "gen_ai.conversation.id": ("session.id", "langfuse.session.id", "traceloop.association.properties.session_id"),
    "gen_ai.request.stream": ("llm.is_streaming", "litellm.request.streaming"),
    "gen_ai.response.time_to_first_chunk": ("gen_ai.server.time_to_first_token",),
    "gen_ai.tool.definitions": ("llm.tools.0.tool.json_schema", "llm.request.functions.0.name", "litellm.request.tools.declared"),
    "openai.response.service_tier": (
        *("gen_ai.openai.response.service_tier", "openai.request.service_tier", "gen_ai.openai.request.service_tier"),
    ),
    "user.id": (
        *("enduser.id", "langfuse.user.id", "litellm.end_user.id", "metadata.user_api_key_end_user_id", "llm.user"),
        "traceloop.association.properties.user_id",
    ),
    "litellm.team.alias": ("metadata.user_api_key_team_alias",),
    "tag.tags": ("langfuse.trace.tags",),
}
_SAME = {other: name for name, others in _OTHERS.items() for other in others}
_RANK = {other: rank for rank, other in enumerate(_SAME)}
_USAGE = (INPUT_TOKENS, OUTPUT_TOKENS, "langfuse.observation.usage_details")
#: Beginnings of attribute names → whose they are.
VOCABULARIES = {"gen_ai.": "gen_ai.*", "llm.": "llm.*", "openinference.": "OpenInference's", "langfuse.": "Langfuse's"}
#: The fields of a span itself that a record has.
_OWN = ("traceId", "spanId", "parentSpanId", "name", "startTimeUnixNano", "endTimeUnixNano", "status")
_PLAIN = frozenset({"stringValue", "intValue", "boolValue", "doubleValue", "bytesValue"})
_DAMAGE = (LookupError, TypeError, ValueError, AttributeError, RecursionError)


def opened(pairs: Iterator[tuple[str, Found]]) -> Iterator[tuple[str, Found]]:
    """Yield the spans of every export request, calls with their flat record, others with the reason why they are none."""
    around = Around()
    for name, request in pairs:
        spans, nest = spans_of(request)
        if nest is None:
            yield from ((name, found) for found in spans)
            continue
        wraps = around.met(nest)
        for place, found in enumerate(spans):
            yield name, found._replace(value=None, problem=AROUND) if place in wraps else found


def spans_of(request: Found) -> tuple[list[Found], Nest | None]:
    """Return the spans of one export request, and how they lie in each other; what lies around a call is not known of one request alone."""
    line, raw, value = request.line, request.raw, request.value
    if value is None:
        return [request], None
    if "resourceSpans" not in value and phoenix.is_span(value):
        return _one(request, value)
    try:
        spans = list(_spans(value))
    except _DAMAGE:
        return [Found(line, raw, None, "resourceSpans, scopeSpans and spans are not the lists that OTLP has")], None
    if not spans:
        return [Found(line, raw, None, _without_spans(value))], None
    source = value if isinstance(raw, str | dict) else raw
    size = (request.size or (0 if callable(raw) else len(raw))) // len(spans) + 1
    flat = [_flat(span, resource) for span, resource in spans]
    found: list[Found] = []
    calls: dict[int, str] = {}
    for place, ((span, _), record) in enumerate(zip(spans, flat, strict=True)):
        why = "a span whose attributes are no list of keys and values" if record is None else _no_call(record)
        if record is None or why:
            found.append(Found(line, _dumped(span), None, why))
        else:
            calls[place] = _key(record, "spanId")
            found.append(Found(line, partial(_span_at, source, place), record, size=size))
    return found, _nest([r for r in flat if r], calls)


def _one(request: Found, span: Mapping[str, Any]) -> tuple[list[Found], Nest | None]:
    """Return the span that a record is, and where it lies."""
    try:
        record = _named(phoenix.flat(span))
    except _DAMAGE:
        return [Found(request.line, request.raw, None, "a span whose attributes are nested too deeply")], None
    why = _no_call(record)
    found = Found(request.line, request.raw, None, why) if why else request._replace(value=record)
    return [found], _nest([record], {} if why else {0: _key(record, "spanId")})


def vocabularies(value: Mapping[str, Any]) -> set[str]:
    """Return whose names the spans of one export request use; empty where it holds no spans."""
    try:
        names = [a["key"] for span, _ in _spans(value) for a in span.get("attributes") or ()]
        return {whose for start, whose in VOCABULARIES.items() if any(n.startswith(start) for n in names)}
    except _DAMAGE:
        return set()


def kind_of(record: Record) -> tuple[bool, str]:
    """Say whether a span is a call of a model, and what it is called.

    Without a word for its kind, it is one when it has a model and token counts.

    >>> kind_of({"gen_ai.operation.name": "chat"}), kind_of({"openinference.span.kind": "AGENT"})
    ((True, 'chat'), (False, 'AGENT'))
    """
    for name, calls in _KINDS.items():
        kind = record.get(name)
        if kind:
            return str(kind).lower() in calls, str(kind)
    return ("gen_ai.response.model" in record or "gen_ai.request.model" in record) and _has_usage(record), ""


def _has_usage(record: Record) -> bool:
    return any(name in record for name in _USAGE)


def _no_call(record: Record) -> str:
    call, kind = kind_of(record)
    if call:
        return ""
    return f"a span of {word(kind)}: no call of a model" if kind else "a span without a model's name and usage: no call of a model"


def _nest(records: Sequence[Record], calls: dict[int, str]) -> Nest:
    within = [r for r in records if r.get("parentSpanId")]
    counted = {_key(r, "spanId") for r in within if _has_usage(r) and kind_of(r)[0]}
    return Nest({_key(r, "spanId"): _key(r, "parentSpanId") for r in within}, counted, calls)


def _key(record: Record, which: str) -> str:
    return f"{record.get('traceId')}:{record.get(which)}"


def _spans(value: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield (span, attributes of its resource)."""
    for group in value.get("resourceSpans") or ():
        resource: dict[str, Any] = {}
        _attributes((group.get("resource") or {}).get("attributes"), resource)
        for scope in group.get("scopeSpans") or ():
            for span in scope.get("spans") or ():
                if not isinstance(span, dict):
                    raise TypeError("a span is no object")
                yield span, resource


def _without_spans(value: Mapping[str, Any]) -> str:
    held = next((what for key, what in (("resourceMetrics", "metrics"), ("resourceLogs", "log records")) if key in value), "nothing")
    return f"an export request with {held}, but no spans"


def _flat(span: Mapping[str, Any], resource: Mapping[str, Any]) -> dict[str, Any] | None:
    record = dict(resource)
    try:
        _attributes(span.get("attributes"), record)
        events = [_event(e) for e in listed] if (listed := span.get("events")) else []
    except _DAMAGE:
        return None
    _named(record)
    record |= zip(_OWN, map(span.get, _OWN), strict=True)
    record["events"] = events
    return record


def _named(record: dict[str, Any]) -> dict[str, Any]:
    """Return ``record`` with what others call something under the conventions' name, too."""
    if not _SAME.keys().isdisjoint(record):
        for other in sorted(record.keys() & _SAME.keys(), key=_RANK.__getitem__):
            if record[other] is not None and record[other] != "":
                record.setdefault(_SAME[other], record[other])
    return record


def _event(event: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"event": str(event.get("name")), "at": event.get("timeUnixNano")}
    _attributes(event.get("attributes"), found)
    return found


def _attributes(listed: Any, into: dict[str, Any]) -> None:
    for attribute in listed or ():
        key = attribute["key"]
        if type(key) is not str:
            raise TypeError("a key that is no text")
        for kind, value in attribute["value"].items():
            into[key] = value if kind in _PLAIN else _nested(kind, value)


def _nested(kind: str, value: Any) -> Any:
    """Return a list or an object as Python's."""
    if kind == "kvlistValue":
        found: dict[str, Any] = {}
        _attributes(value.get("values"), found)
        return found
    if kind != "arrayValue":
        raise ValueError(f"a value of the kind {kind}")
    return [v if k in _PLAIN else _nested(k, v) for inner in value.get("values") or () for k, v in inner.items()]


def _span_at(source: bytes | dict[str, Any] | Callable[[], bytes], place: int) -> bytes:
    """Return one span of an export request as JSON; held is the request's text, which is far smaller than what is decoded from it."""
    held = source() if callable(source) else source
    value = parsed(held.removeprefix(BOM))[0] if isinstance(held, bytes) else held
    return _dumped(next(islice(_spans(value or {}), place, None))[0])


def _dumped(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except (TypeError, ValueError):  # numbers beyond 64 bits, lone surrogates
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")
