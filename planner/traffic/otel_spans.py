"""OTLP JSON → one flat record per span, and which spans are calls of a model.

In: export requests as OpenTelemetry's file exporters write them (one a line, many spans each). Out: per span its attributes over those
of its resource, by name and by the conventions' name for the same, beside the span's own fields; spans that are no calls are set aside
with the reason. Many tools put a span around the call they make, with the same usage: the innermost span with usage is the call.
Children end first, so that a bounded memory of what lies around the calls met so far is enough. Knows nothing of columns.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

import orjson

from planner.traffic.reader import Record
from planner.traffic.records import BOM, Found, parsed
from planner.traffic.values import word

__all__ = ["INPUT_TOKENS", "OUTPUT_TOKENS", "VOCABULARIES", "kind_of", "opened", "vocabularies"]

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
_PLAIN = frozenset({"stringValue", "intValue", "boolValue", "doubleValue", "bytesValue"})
_DAMAGE = (LookupError, TypeError, ValueError, AttributeError, RecursionError)
#: Spans around calls that are remembered; a trace is over long before so many others have ended.
_REMEMBERED = 1 << 17


def opened(pairs: Iterator[tuple[str, Found]]) -> Iterator[tuple[str, Found]]:
    """Yield the spans of every export request, calls with their flat record, others with the reason why they are none."""
    around: dict[str, None] = {}
    for name, found in pairs:
        if found.value is None:
            yield name, found
            continue
        try:
            spans = list(_spans(found.value))
        except _DAMAGE:
            yield name, Found(found.line, found.raw, None, "resourceSpans, scopeSpans and spans are not the lists that OTLP has")
            continue
        if not spans:
            yield name, Found(found.line, found.raw, None, _without_spans(found.value))
            continue
        source = found.raw if isinstance(found.raw, bytes) else found.value
        size = len(source) // len(spans) + 1
        flat = [_flat(span, resource) for span, resource in spans]
        _remember(around, [r for r in flat if r])
        for place, ((span, _), record) in enumerate(zip(spans, flat, strict=True)):
            why = "a span whose attributes are no list of keys and values" if record is None else _no_call(record, around)
            if why:
                yield name, Found(found.line, _dumped(span), None, why)
            else:
                yield name, Found(found.line, partial(_span_at, source, place), record, size=size)


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


def _no_call(record: Record, around: Mapping[str, None]) -> str:
    call, kind = kind_of(record)
    if not call:
        return f"a span of {word(kind)}: no call of a model" if kind else "a span without a model's name and usage: no call of a model"
    return "a span around a call that has a span of its own, which is counted" if _key(record, "spanId") in around else ""


def _remember(around: dict[str, None], records: Sequence[Record]) -> None:
    """Add to ``around`` every span above a call with usage, or above a span that is known to lie around one."""
    above = {_key(r, "spanId"): _key(r, "parentSpanId") for r in records if r.get("parentSpanId")}
    met: set[str] = set()
    for record in records:
        key = _key(record, "spanId")
        if key in above and (key in around or (_has_usage(record) and kind_of(record)[0])):
            up: str | None = above[key]
            while up is not None and up not in met:
                met.add(up)
                up = above.get(up)
    around.update(dict.fromkeys(met))
    if len(around) > _REMEMBERED:
        for key in list(islice(around, len(around) - _REMEMBERED // 2)):
            del around[key]


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
        events = [_event(e) for e in span.get("events") or ()]
    except _DAMAGE:
        return None
    for other in sorted(record.keys() & _SAME.keys(), key=_RANK.__getitem__):
        if record[other] is not None and record[other] != "":
            record.setdefault(_SAME[other], record[other])
    for name in ("traceId", "spanId", "parentSpanId", "name", "startTimeUnixNano", "endTimeUnixNano", "status"):
        record[name] = span.get(name)
    record["events"] = events
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


def _span_at(source: bytes | dict[str, Any], place: int) -> bytes:
    """Return one span of an export request as JSON; held is the request's text, which is far smaller than what is decoded from it."""
    value = parsed(source.removeprefix(BOM))[0] if isinstance(source, bytes) else source
    return _dumped(next(islice(_spans(value or {}), place, None))[0])


def _dumped(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except (TypeError, ValueError):  # numbers beyond 64 bits, lone surrogates
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")
