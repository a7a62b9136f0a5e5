"""Amazon Bedrock's model-invocation log (S3 or CloudWatch): one object per call, whichever operation and maker.

Bedrock counts tokens without cached and written ones, which have counts of their own, in the log, in the answer's usage, or in both. How
long what was written stays is said by the answer alone (Anthropic's ``cache_creation``, Converse's ``cacheDetails``); else it is five
minutes. Only streams and Converse state how long they took. Bodies that are too large are moved to files of their own, which are not read.
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
        **_tokens(given, returned, metrics, answered.get("usage")),
        **_outcome(record),
    }


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _tokens(given: Record, returned: Record, metrics: Record, usage: Any) -> Row:
    """Return the buckets by the answer's own usage, else by the log's counts; what was cached, by whichever of them says it.

    The last chunk of a stream states the log's counts once more. Raises Rejected with both numbers where the two contradict each other.
    """
    names = ("inputTokenCount", "cacheReadInputTokenCount", "cacheWriteInputTokenCount")
    plain, read, written = (count(first(given.get(n), metrics.get(n)), n) for n in names)
    said = count(first(returned.get("outputTokenCount"), metrics.get("outputTokenCount")), "outputTokenCount")
    inside = (read or 0) + (written or 0)
    if not (own := _usage(usage, read, written)):
        if plain is None and said is None:
            return {}
        return usage_columns((plain or 0) + inside, said or 0, {"cache_read_input_tokens": read, "cache_creation_input_tokens": written})
    total, answer = own["total_input_tokens"], own["total_output_tokens"]
    if plain is not None and plain != own["input_tokens"] and total not in (plain, plain + inside):
        raise Rejected(f"input tokens are {total} by the answer's usage, {plain} and {inside} cached by the log")
    kept = own["cache_write_5m_tokens"] + own["cache_write_1h_tokens"]
    for what, by_answer, by_log in (("read from", own["cache_read_tokens"], read), ("written to", kept, written)):
        if by_log not in (None, by_answer):
            raise Rejected(f"tokens {what} the cache are {by_answer} by the answer's usage, {by_log} by the log")
    if said is not None and said != answer:
        raise Rejected(f"output tokens are {answer} by the answer's usage, {said} by the log")
    return own


def _usage(usage: Any, read: int | None, written: int | None) -> Row:
    """Return the buckets by an answer's usage; what it does not say of the cache is ``read`` and ``written``, which the log says.

    >>> row = _usage({"inputTokens": 9, "outputTokens": 2, "cacheDetails": [{"ttl": "1h", "inputTokens": 5}]}, 4, None)
    >>> row["input_tokens"], row["cache_read_tokens"], row["cache_write_5m_tokens"], row["cache_write_1h_tokens"]
    (9, 4, 0, 5)
    """
    if not isinstance(usage, dict):
        return {}
    details = [d for d in usage.get("cacheDetails") or () if isinstance(d, dict)]
    hour, short = (sum(count(d.get("inputTokens"), "cacheDetails") or 0 for d in details if d.get("ttl") == ttl) for ttl in ("1h", "5m"))
    row = provider_usage({**usage, **_cached(usage, read, first(hour + short if details else None, written))})
    if not row or not details:
        return row
    if hour + short != (total := row["cache_write_5m_tokens"]):
        raise Rejected(f"tokens written to the cache are {total} by the answer's usage, {hour + short} by its cacheDetails")
    return {**row, "cache_write_5m_tokens": short, "cache_write_1h_tokens": hour}


def _cached(usage: Record, read: int | None, written: int | None) -> dict[str, Any]:
    """Return what is known of the cache under the names that ``usage`` itself has for it, its own words first."""
    if "inputTokens" in usage or "outputTokens" in usage:
        names, logged = ("cacheReadInputTokens", "cacheWriteInputTokens"), (read, written)
        return {n: first(usage.get(n), usage.get(f"{n.removesuffix('s')}Count"), known) for n, known in zip(names, logged, strict=True)}
    if "prompt_tokens" in usage:
        return {"prompt_tokens_details": usage.get("prompt_tokens_details") or {"cached_tokens": read, "cache_write_tokens": written}}
    split = usage.get("cache_creation")
    summed = sum(count(n, "cache_creation") or 0 for n in split.values()) if isinstance(split, dict) and split else None
    return {
        "cache_read_input_tokens": first(usage.get("cache_read_input_tokens"), read),
        "cache_creation_input_tokens": first(usage.get("cache_creation_input_tokens"), summed, written),
    }


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
    (
        "the log's token counts hold nothing cached or written; what was written stays five minutes where the answer does not say how long",
        "bodies that Bedrock moved to files of their own are not read",
    ),
    ("metadata", "role"),
)
