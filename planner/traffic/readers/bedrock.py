"""Amazon Bedrock's model-invocation log (S3 or CloudWatch): one object per call, whichever operation and maker.

Bedrock counts tokens without cached and written ones. Only streams and Converse state how long they took. Bodies that are too large
are moved to files of their own, which are not read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from planner.traffic import converse
from planner.traffic.failures import failure_kind
from planner.traffic.providers import metadata_app
from planner.traffic.reader import Options, Reader, Record, Row
from planner.traffic.shapes import answer_columns, first, prompt_columns, request_columns, usage_columns
from planner.traffic.usage import provider_usage
from planner.traffic.values import Rejected, as_json, count, dig, micros, number, text, unjson

_SCHEMA = "ModelInvocationLog"
_MESSAGES = ("message", "@message")


def _sniff(sample: Sequence[Record]) -> str | None:
    return f"Bedrock invocations: schemaType {_SCHEMA}" if any(_call(r).get("schemaType") == _SCHEMA for r in sample) else None


def _call(record: Record) -> Record:
    """Return the call itself, also out of an event of CloudWatch."""
    if "schemaType" in record:
        return record
    inner = unjson(first(*(record.get(n) for n in _MESSAGES)))
    return inner if isinstance(inner, dict) and "schemaType" in inner else record


def _convert(record: Record, options: Options) -> Row:
    record = _call(record)
    if "modelId" not in record:
        raise Rejected("no modelId: no invocation of a model")
    given, returned = _object(record.get("input")), _object(record.get("output"))
    asked, answered = converse.request(unjson(given.get("inputBodyJson"))), converse.answer(unjson(returned.get("outputBodyJson")))
    about = _object(record.get("requestMetadata"))
    metrics = _object(answered.get("metrics"))
    stream = str(record.get("operation")).endswith("Stream")
    tags = [f"{k}:{v}" for k, v in about.items()]
    return {
        "request_id": text(record.get("requestId")),
        "timestamp": micros(record.get("timestamp"), "timestamp"),
        "app": _app(record, about, options.app_from),
        "user": text(first(*(about.get(n) for n in ("user", "user_id", "userId")))),
        "session_id": text(first(*(about.get(n) for n in ("session_id", "sessionId", "session")))),
        "provider": "aws",
        "model": (text(record["modelId"]) or "").rpartition("/")[2] or None,
        "latency_ms": number(first(metrics.get("latencyMs"), metrics.get("invocationLatency")), "latencyMs"),
        "ttft_ms": number(metrics.get("firstByteLatency"), "firstByteLatency") if stream else None,
        "stream": stream,
        "tags": as_json(tags) if tags else None,
        **request_columns(asked),
        **prompt_columns(asked.get("messages"), asked.get("system")),
        **answer_columns(answered),
        **_tokens(given, returned, answered.get("usage")),
        **_outcome(record),
    }


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _tokens(given: Record, returned: Record, usage: Any) -> Row:
    """Return the buckets by the answer's own usage, which says how long what was written stays, else by the log's counts."""
    names = ("inputTokenCount", "cacheReadInputTokenCount", "cacheWriteInputTokenCount")
    plain, read, written = (count(given.get(n), n) for n in names)
    said = count(returned.get("outputTokenCount"), "outputTokenCount")
    inside = (read or 0) + (written or 0)
    if not (own := provider_usage(usage)):
        if plain is None and said is None:
            return {}
        return usage_columns((plain or 0) + inside, said or 0, {"cache_read_input_tokens": read, "cache_creation_input_tokens": written})
    total, answer = own["total_input_tokens"], own["total_output_tokens"]
    if plain is not None and plain != own["input_tokens"] and total not in (plain, plain + inside):
        raise Rejected(f"input tokens are {total} by the answer's usage, {plain} and {inside} cached by the log")
    if said is not None and said != answer:
        raise Rejected(f"output tokens are {answer} by the answer's usage, {said} by the log")
    return own


def _outcome(record: Record) -> Row:
    named = text(record.get("errorCode"))
    return {"status": "ok"} if named is None else {"status": failure_kind(named), "error_class": named}


def _app(record: Record, about: Record, app_from: str | None) -> str:
    """Return the app that the request's metadata name, or the role that called."""
    if app_from == "role":
        return (text(dig(record, "identity", "arn")) or "").partition("assumed-role/")[2].partition("/")[0] or "default"
    return metadata_app(app_from, about)


READER = Reader(
    "bedrock",
    "Bedrock model-invocation logs (keys schemaType, requestId, modelId, input, output)",
    _sniff,
    _convert,
    ("the log's token counts hold nothing cached or written", "bodies that Bedrock moved to files of their own are not read"),
    ("metadata", "role"),
)
