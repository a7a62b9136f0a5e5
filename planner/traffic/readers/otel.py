"""OpenTelemetry's GenAI spans: OTLP JSON as exporters and collectors write it, current and legacy names, OpenInference, Phoenix's exports.

Spans of the Langfuse SDK are read as Langfuse's observations. The conventions know no cost; LiteLLM's and OpenInference's names of it are
read. What is in a log record instead of a span (messages as log events) is not joined.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from planner.traffic import langfuse
from planner.traffic.failures import failure_kind
from planner.traffic.litellm import app_of, tags_of
from planner.traffic.otel_spans import INPUT_TOKENS, OUTPUT_TOKENS, opened, spans_of, vocabularies
from planner.traffic.otel_text import text_columns
from planner.traffic.phoenix import is_span
from planner.traffic.providers import provider_name
from planner.traffic.reader import Options, Reader, Record, Row
from planner.traffic.repeating import repeating
from planner.traffic.shapes import exclusive, first, request_columns, service_tier, usage_columns
from planner.traffic.usage import inclusive
from planner.traffic.values import as_json, count, dig, flag, micros, milliseconds, number, text, unjson

_PARTS = ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.reasoning.output_tokens")
_MODEL = ("litellm.provider.model", "gen_ai.response.model", "gen_ai.request.model")
#: Events with the moment of the first token: OpenInference's and OpenLLMetry's.
_FIRST_TOKEN_EVENTS = ("First Token Stream Event", "llm.content.completion.chunk")
_PRINTED_CHARS = 4_096
_FORMATS = {"json": "json_object", "text": "text"}


def _sniff(sample: Sequence[Record]) -> str | None:
    spans = [r for r in sample if "resourceSpans" in r]
    if not spans:
        exported = any(map(is_span, sample))
        return "spans as Phoenix exports them (context.span_id, span_kind, attributes)" if exported else None
    names = sorted(set().union(*map(vocabularies, spans)))
    return f"OTLP JSON (resourceSpans) with names {', '.join(names) or 'of other conventions'}"


def _convert(record: Record, options: Options) -> Row:
    kind, _, name = (options.app_from or "").partition(":")
    app_from = None if kind == "attribute" else options.app_from
    if "langfuse.observation.type" in record:
        row = {**langfuse.columns(_observation(record), Options()), "app": _app(record, app_from)}
    else:
        row = _columns(record, app_from)
    if kind == "attribute":
        row["app"] = text(record.get(name)) or "default"
    return row


def _columns(record: Record, app_from: str | None) -> Row:
    start, end = _micros(record, "startTimeUnixNano"), _micros(record, "endTimeUnixNano")
    ttft = _first_token_ms(record, start)
    settings = _settings(record, app_from)
    return {
        **settings,
        "request_id": text(record["spanId"]),
        "timestamp": start,
        "latency_ms": milliseconds(start, end, "endTimeUnixNano − startTimeUnixNano"),
        "ttft_ms": ttft,
        "stream": settings["stream"] or ttft is not None,
        "user": text(record.get("user.id")),
        "session_id": text(record.get("gen_ai.conversation.id")),
        "source_cost_usd": number(record.get("gen_ai.usage.cost"), "cost"),
        **text_columns(record),
        **_asked(record),
        **_tokens(record),
        **_outcome(record),
    }


def _repeated(record: Record, app_from: str | None) -> Row:
    """Return what does not hang on texts, times and counts."""
    asked = unjson(record["llm.invocation_parameters"])
    wanted = text(dig(asked, "model"))
    tags = tags_of(record["tag.tags"])
    return {
        **(request_columns(asked) if asked else {}),
        "stream": bool(flag(record["gen_ai.request.stream"], "stream")),
        "model": _model(record) or wanted,  # a failed span of OpenInference names none
        "model_requested": wanted or text(record["gen_ai.request.model"]),
        "provider": provider_name(record["gen_ai.provider.name"]),
        "prompt_version": _prompt_version(record),
        "purpose": "overhead" if record["litellm.request.purpose"] else "user",
        "tags": as_json(tags) if tags else None,
        "app": _app(record, app_from),
    }


def _asked(record: Record) -> Row:
    """Return what attributes say was asked for, where they say it."""
    get = record.get
    row: Row = {}
    if (limit := count(get("gen_ai.request.max_tokens"), "gen_ai.request.max_tokens")) is not None:
        row["max_tokens"] = limit
    if get("gen_ai.tool.definitions"):
        row["has_tools"] = True
    if (form := get("gen_ai.output.type")) and (shape := _FORMATS.get(str(form))):
        row["response_format"] = shape
    if effort := text(get("gen_ai.request.reasoning_effort")):
        row["reasoning_effort"] = effort
    if tier := service_tier(get("openai.response.service_tier")):
        row["service_tier"] = tier
    return row


def _tokens(record: Record) -> Row:
    """Return the exclusive buckets; the conventions' counts hold cached, written and reasoning tokens, unless the span's total differs."""
    get = record.get
    prompt, completion = count(get(INPUT_TOKENS), INPUT_TOKENS), count(get(OUTPUT_TOKENS), OUTPUT_TOKENS)
    if prompt is None and completion is None:
        return {}
    read, written, thought = [0 if (held := get(name)) is None else count(held, name) or 0 for name in _PARTS]
    total = count(get("gen_ai.usage.total_tokens"), "gen_ai.usage.total_tokens")
    prompt, completion = inclusive(prompt or 0, completion or 0, read + written, thought, total)
    if not (read or written or thought) and (whole := _printed(get("metadata.usage_object"))):
        return usage_columns(prompt, completion, whole)
    return exclusive(prompt, completion, read, written, 0, thought)


def _printed(value: Any) -> dict[str, Any]:
    """Return the usage that LiteLLM's own integration writes as Python prints it, where its span has no attributes for the details.

    >>> _printed("{'prompt_tokens': 6, 'prompt_tokens_details': {'cached_tokens': 4}}")["prompt_tokens_details"]
    {'cached_tokens': 4}
    """
    if not isinstance(value, str) or len(value) > _PRINTED_CHARS:
        return {}
    try:
        found = ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _outcome(record: Record) -> Row:
    """Return status and error class: a span failed where its status or ``error.type`` says so."""
    named = text(record.get("error.type"))
    if named is None and dig(record["status"], "code") not in (2, "STATUS_CODE_ERROR"):
        return {"status": "ok"}
    raised = next((e.get("exception.type") for e in record["events"] if e.get("event") == "exception"), None)
    code = first(record.get("litellm.provider.error.code"), record.get("http.response.status_code"), named)
    name = text(raised) if named in (None, "_OTHER") or named.isdecimal() else named
    return {"status": failure_kind(name, code), "error_class": name or named}


def _model(record: Record) -> str | None:
    """Return the model that answered; LiteLLM's says with a provider before it where a call was sent to."""
    model = next((found for name in _MODEL if (found := text(record.get(name)))), None)
    provider, _, name = (text(record.get("litellm.provider.model")) or "").partition("/")
    return name if name and provider_name(provider) == provider_name(record.get("gen_ai.provider.name")) else model


def _prompt_version(record: Record) -> str | None:
    parts = (text(record.get("gen_ai.prompt.name")), text(record.get("llm.prompt_template.version")))
    return ":".join(p for p in parts if p) or None


def _first_token_ms(record: Record, start: int | None) -> float | None:
    seconds = number(record.get("gen_ai.response.time_to_first_chunk"), "gen_ai.response.time_to_first_chunk")
    if seconds is not None:
        return seconds * 1000
    if not record["events"]:
        return None
    at = next((e.get("at") for e in record["events"] if e.get("event") in _FIRST_TOKEN_EVENTS), None)
    return milliseconds(start, _nanos(at, "the first token's time"), "first token − startTimeUnixNano")


def _micros(record: Record, name: str) -> int | None:
    return _nanos(record[name], name)


def _nanos(value: Any, name: str) -> int | None:
    """Return µs of OTLP's time, nanoseconds as text."""
    return int(value) // 1000 if isinstance(value, str) and value.isdecimal() else micros(value, name)


def _app(record: Record, app_from: str | None) -> str:
    """Return the app: by default an ``app:``, ``team:`` or ``service:`` tag, else LiteLLM's team, else the resource's service."""
    service = text(record.get("service.name"))
    service = None if service is None or service.startswith("unknown_service") else service
    if app_from == "service":
        return service or "default"
    tagged = app_of(tags_of(record.get("tag.tags")), {}, None, app_from)
    return tagged if app_from or tagged != "default" else text(record.get("litellm.team.alias")) or service or "default"


_settings = repeating(
    _repeated,
    (
        *("llm.invocation_parameters", "tag.tags", "gen_ai.request.stream", *_MODEL, "gen_ai.provider.name", "litellm.request.purpose"),
        *("gen_ai.prompt.name", "llm.prompt_template.version", "service.name", "litellm.team.alias"),
    ),
)


def _observation(record: Record) -> dict[str, Any]:
    """Return a span of the Langfuse SDK as the observation that Langfuse makes of it."""
    own = {name.rpartition("langfuse.observation.")[2]: value for name, value in record.items() if name.startswith("langfuse.observation.")}
    return {
        "id": record["spanId"],
        "type": str(own.get("type")).upper(),
        "startTime": _micros(record, "startTimeUnixNano"),
        "endTime": _micros(record, "endTimeUnixNano"),
        "completionStartTime": unjson(own.get("completion_start_time")),
        "model": own.get("model.name"),
        "modelParameters": own.get("model.parameters"),
        "input": own.get("input"),
        "output": own.get("output"),
        "usageDetails": own.get("usage_details"),
        "costDetails": own.get("cost_details"),
        "promptName": own.get("prompt.name"),
        "promptVersion": own.get("prompt.version"),
        "level": own.get("level"),
        "statusMessage": own.get("status_message"),
        "userId": record.get("user.id"),
        "sessionId": record.get("gen_ai.conversation.id"),
        "tags": record.get("tag.tags"),
    }


READER = Reader(
    "otel",
    "OpenTelemetry GenAI spans as OTLP JSON (resourceSpans), one export request or object a line, or as Phoenix exports them",
    _sniff,
    _convert,
    (
        "input and output tokens hold cached, written and reasoning ones, as the conventions say, unless a span's own total says otherwise",
        "a span around another call with usage is not counted; where it was exported before that call, both are",
        "messages that an instrumentation writes as log records, not on its spans, are not joined",
    ),
    ("tag", "service", "attribute"),
    opened,
    opens=spans_of,
)
