"""LiteLLM_SpendLogs: a dump of the proxy's table (CSV, JSON) or ``GET /spend/logs``; JSON columns may be JSON text twice.

The rows of one whole batch job (``_batch_cost``) keep their money, booked as overhead of tier ``batch``: a job is no
request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from planner.traffic import litellm
from planner.traffic.reader import Options, Reader, Record, Row
from planner.traffic.repeating import repeating
from planner.traffic.shapes import REQUEST_FIELDS, answer_columns, prompt_columns, request_columns
from planner.traffic.values import flag, number, text, unjson

_SIGNS = ("request_id", "spend", "startTime", "call_type", "request_tags", "model_group", "proxy_server_request")


def _sniff(sample: Sequence[Record]) -> str | None:
    seen = [n for n in _SIGNS if any(n in r for r in sample)]
    return f"LiteLLM spend logs: columns {', '.join(seen)}" if len(seen) >= 4 and "spend" in seen and "startTime" in seen else None


def _convert(record: Record, options: Options) -> Row:
    request_id = text(record.get("request_id")) or ""
    metadata, body = _object(record.get("metadata")), _object(record.get("proxy_server_request"))
    status = text(record.get("status")) or text(metadata.get("status"))
    row = dict(_settings(record, metadata, body, status, metadata.get("error_information"), options.app_from))
    stored = body.get("messages") or body.get("input") or unjson(record.get("messages"))
    stream = flag(body["stream"], "stream") or False if "stream" in body else None
    row["request_id"] = request_id or None
    row["user"] = text(record.get("end_user")) or litellm.unless(record.get("user"), "default_user_id")
    row["session_id"] = _session(record)
    row["cache_key"] = litellm.unless(record.get("cache_key"), "Cache OFF")
    row["cache_hit"] = row["cache_hit"] or "_cache_hit" in request_id
    row["source_cost_usd"] = number(record.get("spend"), "spend")
    row.update(prompt_columns(stored, body.get("system") or body.get("instructions")))
    row.update(answer_columns(record.get("response")))
    row.update(litellm.tokens(record, _usage(metadata), required=row["status"] == "ok"))
    row.update(litellm.times(record, stream))
    if request_id.endswith("_batch_cost"):
        row["purpose"], row["service_tier"] = "overhead", "batch"
    return row


def _repeated(record: Record, logged: Record, body: Record, status: str | None, error: Any, app_from: str | None) -> Row:
    """Return what does not hang on texts, times and counts."""
    own = {name: value for name, value in logged.items() if value is not None}
    metadata = {"user_api_key_team_id": record["team_id"], "requester_metadata": unjson(body["metadata"]), **own}
    tags = litellm.tags_of(record["request_tags"])
    group = text(record["model_group"])
    return {
        "app": litellm.app_of(tags, metadata, group, app_from),
        "provider": litellm.provider_id(record["custom_llm_provider"]),
        "model": litellm.model_name(record, metadata),
        "model_requested": text(metadata.get("original_model_group")) or group,
        "cache_hit": flag(record["cache_hit"], "cache_hit"),
        **request_columns(body),
        **litellm.metadata_columns(metadata, tags, record["call_type"]),
        **litellm.outcome(status, unjson(error)),
    }


_settings = repeating(
    _repeated,
    ("team_id", "request_tags", "model_group", "custom_llm_provider", "model", "cache_hit", "call_type"),
    litellm.METADATA_FIELDS,
    ("metadata", *REQUEST_FIELDS),
)


def _object(value: Any) -> dict[str, Any]:
    found = unjson(value)
    return found if isinstance(found, dict) else {}


def _usage(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**_object(metadata.get("additional_usage_values")), **_object(metadata.get("usage_object"))}


def _session(record: Mapping[str, Any]) -> str | None:
    """Return the session; an id equal to the call's own is LiteLLM's stand-in for none."""
    found = text(record.get("session_id"))
    return None if found in (record.get("request_id"), record.get("litellm_call_id")) else found


READER = Reader(
    "litellm_spend",
    "LiteLLM_SpendLogs rows (columns request_id, spend, startTime, request_tags, ...)",
    _sniff,
    _convert,
    ("a LiteLLM session id may be its own random id: sessions of one request are no evidence of single-turn traffic",),
    litellm.APP_SOURCES,
)
