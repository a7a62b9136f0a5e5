"""A Langfuse observation → the columns it determines, for all of Langfuse's exports and the spans of its SDK.

In: one observation by camelCase names. Out: a row. Langfuse's usage is exclusive: each of its keys is a bucket of its own, and keys may be
anything; those of an SDK that passed a provider's usage on are as that provider counts. Langfuse stores no provider and no error class.
Knows nothing of files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from planner.schema import TOKEN_BUCKETS
from planner.traffic.failures import CODES, failure_kind
from planner.traffic.litellm import app_of, tags_of
from planner.traffic.reader import Options, Record, Row
from planner.traffic.repeating import repeating
from planner.traffic.shapes import REQUEST_FIELDS, answer_columns, first, message_columns, prompt_columns, request_columns
from planner.traffic.usage import provider_usage
from planner.traffic.values import Rejected, as_json, as_object, count, dig, micros, milliseconds, number, text, unjson, word

__all__ = ["APP_SOURCES", "FIELDS", "columns", "score_columns", "usage_buckets"]

#: The kinds of ``app_from``; ``tag`` and ``metadata`` take a name after a colon.
APP_SOURCES = ("tag", "trace_name", "prompt_name", "environment", "metadata")
_NAMES = {"trace_name": "traceName", "prompt_name": "promptName", "environment": "environment"}
#: Every field that Langfuse's exports and API name themselves: any other column is a score.
FIELDS = frozenset(
    (
        *("id", "traceId", "projectId", "type", "name", "environment", "version", "release", "parentObservationId"),
        *("startTime", "endTime", "completionStartTime", "createdAt", "updatedAt", "level", "statusMessage", "input"),
        *("output", "metadata", "model", "modelId", "internalModelId", "internalModel", "providedModelName"),
        *("modelParameters", "usage", "usageDetails", "costDetails", "providedUsageDetails", "providedCostDetails"),
        *("inputUsage", "outputUsage", "totalUsage", "inputTokens", "outputTokens", "totalTokens", "promptTokens"),
        *("completionTokens", "inputCost", "outputCost", "totalCost", "calculatedInputCost", "calculatedOutputCost"),
        *("calculatedTotalCost", "inputPrice", "outputPrice", "totalPrice", "unit", "latency", "latencyMs"),
        *("timeToFirstToken", "timeToFirstTokenMs", "promptId", "promptName", "promptVersion", "userId", "sessionId", "tags"),
        *("traceTags", "traceName", "traceTimestamp", "comments", "bookmarked", "public", "toolDefinitions", "toolCalls"),
        *("toolCallNames", "usagePricingTierId", "usagePricingTierName", "isDeleted", "eventTs", "sourceTags", "scores"),
    )
)
_CALLS = ("GENERATION", "EMBEDDING")
#: What a free status message tells of a failure: the exception's name at its beginning, and an HTTP status.
_RAISED = re.compile(r"\s*(?:\w+\.)*(\w+(?:Error|Exception|Timeout)|Timeout)\b")
_STATUS = re.compile(r"\b(?:[Ee]rror code|[Ss]tatus(?:[ _][Cc]ode)?|HTTP(?:/[\d.]+)?)\W{1,3}([45]\d\d)\b")
_WRITTEN = ("cache_write_5m_tokens", "cache_write_1h_tokens")
_TIERS = ("5m", "1h")
#: Fields of a provider's whole answer.
_WHOLE = frozenset({"choices", "output", "stop_reason"})
_NOTHING: Record = {}
_EMPTY: Row = dict.fromkeys(TOKEN_BUCKETS, 0)


def columns(record: Record, options: Options) -> Row:
    """Return the row of an observation; Rejected for one that is no call of a model."""
    get = record.get
    given = unjson(get("input"))
    body = given if isinstance(given, dict) else _NOTHING
    wanted = get("metadata") if options.app_from and options.app_from.startswith("metadata") else None
    row = {
        **_settings(record, body, wanted, options.app_from),
        **_times(record),
        "request_id": text(get("id")),
        "user": text(get("userId")),
        "session_id": text(get("sessionId")),
        "source_cost_usd": number(_cost(record), "totalCost"),
        **prompt_columns(given, body.get("system") or body.get("instructions")),
        **_answer(get("output")),
        **usage_buckets(_usage(record)),
    }
    if get("toolDefinitions") not in (None, "", "{}", {}, []):
        row["has_tools"] = True
    return row


def _cost(record: Record) -> Any:
    cost = record.get("totalCost")
    return as_object(record.get("costDetails")).get("total") if cost is None or cost == "" else cost


def _times(record: Record) -> Row:
    """Return arrival, latency, and time to first token of a stream; moments count before durations."""
    start, end = micros(record.get("startTime"), "startTime"), micros(record.get("endTime"), "endTime")
    first_token = micros(record.get("completionStartTime"), "completionStartTime")
    end = _after(start, record, "latency") if end is None else end
    first_token = _after(start, record, "timeToFirstToken") if first_token is None else first_token
    streamed = first_token is not None and first_token != end  # LiteLLM's callback gives the end for both where nothing was streamed
    return {
        "timestamp": start,
        "latency_ms": milliseconds(start, end, "endTime − startTime"),
        "ttft_ms": milliseconds(start, first_token, "completionStartTime − startTime") if streamed else None,
        "stream": streamed,
    }


def _after(start: int | None, record: Record, name: str) -> int | None:
    """Return the moment [µs] that lies the duration ``name`` [s], or ``{name}Ms`` [ms], after ``start``; None where there is none."""
    took_ms = number(record.get(f"{name}Ms"), f"{name}Ms")
    if (took_s := number(record.get(name), name)) is not None:
        took_ms = took_s * 1000
    if took_ms is not None and took_ms < 0:
        raise Rejected(f"{name} is negative: {took_ms} ms")
    return None if took_ms is None or start is None else start + round(took_ms * 1000)


def _repeated(record: Record, body: Record, metadata: Any, app_from: str | None) -> Row:
    """Return what does not hang on texts, times and counts; Rejected for an observation that is no call of a model."""
    kind = record["type"]
    if kind not in _CALLS:
        raise Rejected(f"an observation of type {word(kind)}: no call of a model" if kind else "no observation: it has no type")
    tags = tags_of(first(record["tags"], record["traceTags"]))
    return {
        "model": text(first(record["model"], record["providedModelName"])),
        "app": _app(record, tags, unjson(metadata), app_from),
        "prompt_version": ":".join(p for n in ("promptName", "promptVersion") if (p := text(record[n]))) or None,
        "tags": as_json(tags) if tags else None,
        **request_columns({**_limited(unjson(record["modelParameters"])), **{k: v for k, v in body.items() if v is not None}}),
        **_outcome(record),
    }


_settings = repeating(
    _repeated,
    (
        *("type", "model", "providedModelName", "modelParameters", "tags", "traceTags", "traceName", "promptName", "promptVersion"),
        *("environment", "level", "statusMessage"),
    ),
    REQUEST_FIELDS,
)


def score_columns(record: Record) -> list[str]:
    """Return the columns of an observation that hold scores with numbers, by name.

    >>> score_columns({"id": "a", "type": "GENERATION", "helpfulness": [0.9], "topic": ["billing"]})
    ['helpfulness']
    """
    return sorted(n for n in record.keys() - FIELDS if isinstance(dig(unjson(record[n]), "0"), int | float))


def usage_buckets(usage: Any) -> Row:
    """Return the token columns of Langfuse's ``usageDetails``: exclusive buckets of any name, or a provider's own usage.

    A key is input or output by its words. Rejected where they do not sum to ``total``, and where a key says neither and has a share in it.

    >>> row = usage_buckets({"input": 176, "input_cached_tokens": 1024, "output": 18, "output_reasoning_tokens": 12, "total": 1230})
    >>> row["input_tokens"], row["cache_read_tokens"], row["output_tokens"], row["reasoning_tokens"]
    (176, 1024, 18, 12)
    """
    if not isinstance(usage, dict) or not usage:
        return {}
    if (plain := _plain(usage)) is not None:
        return plain
    if "prompt_tokens" in usage or any(isinstance(v, dict) for v in usage.values()):
        return provider_usage(usage)
    counts = {key: count(value, key) or 0 for key, value in usage.items()}
    total = counts.pop("total") if "total" in counts else counts.pop("total_tokens", None)
    whole = sum(counts.values())
    if len(_written(tuple(counts))) > 1:
        counts = _without_sums(counts)
    row, strange = dict(_EMPTY), {}
    for key, value in counts.items():
        if bucket := _bucket(key):
            row[bucket] += value
        elif value:
            strange[key] = value
    known = sum(row.values())
    if total is None and strange:
        raise Rejected(f"usage {_named(strange)} is neither input nor output; a total beside it would say whether it counts: log one")
    if total not in (None, known) and not (total == whole and not strange):
        more = f" without {_named(strange)}, which says neither" if strange else ""
        raise Rejected(f"the input and output buckets sum to {known}{more}, the source's total is {total}")
    return row


def _plain(usage: dict[str, Any]) -> Row | None:
    """Return the columns of whole numbers that plainly are buckets and sum to their total; None of what takes a closer look."""
    row = dict(_EMPTY)
    for key, bucket in _buckets(tuple(usage)):
        value = usage[key]
        if bucket is None or type(value) is not int or value < 0:
            return None
        row[bucket] += value
    total = usage.get("total", row)
    return row if total is row or (type(total) is int and total == sum(row.values())) else None


@lru_cache(maxsize=1024)
def _buckets(keys: tuple[str, ...]) -> tuple[tuple[str, str | None], ...]:
    """Return the columns of usage keys but for the total; None where it hangs on their values which of them count."""
    sums = "prompt_tokens" in keys or len(_written(keys)) > 1
    return tuple((key, None if sums else _bucket(key)) for key in keys if key != "total")


def _named(keys: Iterable[str]) -> str:
    return ", ".join(map(word, sorted(keys)[:3]))


@lru_cache(maxsize=1024)
def _bucket(key: str) -> str | None:
    """Return the column of a usage key, None where its words say neither input nor output."""
    key = key.lower()
    if "cache" in key:
        if any(said in key for said in ("creation", "write", "written")):
            return "cache_write_1h_tokens" if "1h" in key else "cache_write_5m_tokens"
        return "cache_read_tokens"
    if any(said in key for said in ("reasoning", "thinking", "thoughts")):
        return "reasoning_tokens"
    if any(said in key for said in ("output", "completion", "candidates")):
        return "output_tokens"
    return "input_tokens" if "input" in key or "prompt" in key else None


@lru_cache(maxsize=1024)
def _written(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of ``keys`` that count cache writes."""
    return tuple(k for k in keys if _bucket(k) in _WRITTEN)


def _without_sums(counts: dict[str, int]) -> dict[str, int]:
    """Drop the sum of cache writes where their five-minute and one-hour parts stand beside it."""
    written = _written(tuple(counts))
    parts = [k for k in written if any(tier in k for tier in _TIERS)]
    sums = [k for k in written if k not in parts and parts and counts[k] == sum(counts[p] for p in parts)]
    return {k: v for k, v in counts.items() if k not in sums}


def _usage(record: Record) -> Any:
    """Return the usage: by bucket, else the sums that older exports have."""
    details = unjson(record.get("usageDetails"))
    if details:
        return details
    usage = unjson(record.get("usage"))
    if isinstance(usage, dict) and usage.get("unit") not in (None, "TOKENS"):
        raise Rejected(f"usage is in {word(usage['unit'])}, not in tokens")
    usage = usage if isinstance(usage, dict) else {}
    sums = (
        ("input", usage.get("input"), record.get("inputUsage"), record.get("promptTokens"), record.get("inputTokens")),
        ("output", usage.get("output"), record.get("outputUsage"), record.get("completionTokens"), record.get("outputTokens")),
        ("total", usage.get("total"), record.get("totalUsage"), record.get("totalTokens")),
    )
    return {name: said for name, *values in sums if (said := first(*values)) is not None}


def _limited(asked: Any) -> dict[str, Any]:
    """Return the parameters; Langfuse's OpenAI wrapper writes an infinite ``max_tokens`` where there was no limit."""
    if not isinstance(asked, dict):
        return {}
    return {k: v for k, v in asked.items() if not (k.startswith("max_") and str(v).lower() in ("inf", "infinity", "none", "null"))}


def _answer(output: Any) -> Row:
    """Return the answer's columns of an output that is text, one message, a list of them, or a provider's whole answer."""
    said = unjson(output)
    if isinstance(said, list) and said:
        said = said[0]
    if isinstance(said, dict) and ("content" in said or "tool_calls" in said) and _WHOLE.isdisjoint(said):
        return message_columns(said, said.get("finish_reason"))
    row = answer_columns(said)
    return {**row, "response": as_json(said)} if isinstance(said, dict) and row.get("response") is None else row


def _outcome(record: Record) -> Row:
    if record.get("level") != "ERROR":
        return {"status": "ok"}
    message = text(record.get("statusMessage")) or ""
    raised, status = _RAISED.match(message), _STATUS.search(message)
    name = raised[1] if raised else None
    code = next((c for c in CODES if c in message), None) or (status[1] if status else None)
    return {"status": failure_kind(name, code), "error_class": name or code}


def _app(record: Record, tags: list[str], metadata: Any, app_from: str | None) -> str:
    """Return the app: by default an ``app:``, ``team:`` or ``service:`` tag; never a trace's name, which may be of one request only."""
    kind, _, name = (app_from or "tag").partition(":")
    if kind in _NAMES:
        return text(record.get(_NAMES[kind])) or "default"
    if kind == "metadata":
        return text(dig(metadata, *name.split("."))) or "default"
    return app_of(tags, {}, None, app_from)
