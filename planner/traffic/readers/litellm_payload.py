"""LiteLLM's StandardLoggingPayload, as callbacks and the S3, GCS and SQS loggers write it.

A failed call that LiteLLM retried is logged for itself; all calls of one request share ``litellm_call_id``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from planner.traffic import litellm
from planner.traffic.reader import Options, Reader, Record, Row
from planner.traffic.repeating import repeating
from planner.traffic.shapes import answer_columns, prompt_columns, request_columns
from planner.traffic.values import as_object, flag, number, text, unjson

_SIGNS = ("startTime", "response_cost", "model_parameters", "hidden_params", "error_information", "call_type")


def _sniff(sample: Sequence[Record]) -> str | None:
    seen = [n for n in _SIGNS if any(n in r for r in sample)]
    fits = len(seen) >= 3 and "startTime" in seen and any("id" in r for r in sample) and not any("spend" in r for r in sample)
    return f"LiteLLM logging payloads: keys {', '.join(seen)}" if fits else None


def _convert(record: Record, options: Options) -> Row:
    get = record.get
    metadata, asked = as_object(get("metadata")), as_object(get("model_parameters"))
    settings = _settings(record, metadata, options.app_from)
    stream = flag(get("stream"), "stream") or flag(asked.get("stream"), "stream") or False
    call_id = text(get("litellm_call_id"))
    return {
        **settings,
        "request_id": text(get("id")) or call_id,
        "call_id": call_id,
        "user": text(get("end_user")) or text(metadata.get("user_api_key_end_user_id")),
        "session_id": _session(record),
        "cache_key": litellm.unless(get("cache_key"), "Cache OFF"),
        "source_cost_usd": number(get("response_cost"), "response_cost"),
        **prompt_columns(get("messages"), asked.get("system") or asked.get("instructions")),
        **answer_columns(get("response")),
        **litellm.tokens(record, as_object(metadata.get("usage_object")), required=settings["status"] == "ok"),
        **litellm.times(record, stream),
    }


def _repeated(record: Record, metadata: Record, app_from: str | None) -> Row:
    """Return what does not hang on texts, times and counts."""
    tags = litellm.tags_of(record["request_tags"])
    group = text(record["model_group"])
    return {
        "app": litellm.app_of(tags, metadata, group, app_from),
        "provider": litellm.provider_id(record["custom_llm_provider"]),
        "model": litellm.model_name(record, metadata),
        "model_requested": text(metadata["original_model_group"]) or group,
        "cache_hit": flag(record["cache_hit"], "cache_hit"),
        **request_columns(unjson(record["model_parameters"])),
        **litellm.metadata_columns(metadata, tags, record["call_type"]),
        **litellm.outcome(record["status"], unjson(record["error_information"])),
    }


_settings = repeating(
    _repeated,
    (
        *("request_tags", "model_group", "custom_llm_provider", "model", "cache_hit", "model_parameters", "call_type", "status"),
        "error_information",
    ),
    litellm.METADATA_FIELDS,
)


def _session(record: Mapping[str, Any]) -> str | None:
    """Return the session: ``litellm_session_id`` lands in trace_id; an id equal to the call's own is no session."""
    found = text(record.get("session_id")) or text(record.get("trace_id"))
    return None if found in (record.get("id"), record.get("litellm_call_id")) else found


READER = Reader(
    "litellm_payload",
    "LiteLLM StandardLoggingPayload objects (keys id, startTime, response_cost, model_parameters, ...)",
    _sniff,
    _convert,
    (
        "a LiteLLM session id may be its own random trace id: sessions of one request are no evidence of single-turn traffic",
        "a failed call with the same litellm_call_id as a later one is an earlier attempt of it",
        "a request that failed for good counts one attempt: LiteLLM logs the first only",
    ),
    litellm.APP_SOURCES,
)
