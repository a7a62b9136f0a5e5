r"""LiteLLM_SpendLogs: a dump of the proxy's table (CSV, JSON, Parquet) or ``GET /spend/logs``; JSON columns may be JSON text twice.

From the database: ``psql "$DATABASE_URL" -c '\copy (select * from "LiteLLM_SpendLogs") to spend.csv csv header'``. The rows of one whole
batch job (``_batch_cost``) keep their money, booked as overhead of tier ``batch``: a job is no request. So do earlier attempts of a
failed request that the provider billed (``-attempt-N``), which the request's own row counts. What the table does not hold is whether a
call was streamed, unless it holds the request's body.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from planner.schema import TOKEN_BUCKETS
from planner.traffic import litellm
from planner.traffic.reader import TOTALS, Options, Reader, Record, Row
from planner.traffic.repeating import repeating
from planner.traffic.shapes import REQUEST_FIELDS, answer_columns, prompt_columns, request_columns
from planner.traffic.values import Rejected, as_object, flag, number, text, unjson

_JSON_COLUMNS = ("metadata", "request_tags", "messages", "response", "proxy_server_request")
_PYTHON = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\b(?:True|False|None)\b""", re.DOTALL)
#: How Python's text of an object, a list of words or of objects begins; JSON has no such quotes.
_QUOTED = ("{'", "['", "[{'")
_WORDS = {"True": "true", "False": "false", "None": "null"}
_SIGNS = ("request_id", "spend", "startTime", "call_type", "request_tags", "model_group", "proxy_server_request")


def _sniff(sample: Sequence[Record]) -> str | None:
    seen = [n for n in _SIGNS if any(n in r for r in sample)]
    return f"LiteLLM spend logs: columns {', '.join(seen)}" if len(seen) >= 4 and "spend" in seen and "startTime" in seen else None


def _convert(record: Record, options: Options) -> Row:
    record = _as_values(record)
    get = record.get
    request_id = text(get("request_id")) or ""
    metadata, body = as_object(get("metadata")), as_object(get("proxy_server_request"))
    status = text(get("status")) or text(metadata.get("status"))
    settings = _settings(record, metadata, body, status, metadata.get("error_information"), options.app_from)
    stream = flag(body.get("stream"), "stream") or False if body else None
    row = {
        **settings,
        "request_id": request_id or None,
        "user": text(get("end_user")) or litellm.unless(get("user"), "default_user_id"),
        "session_id": _session(record),
        "cache_key": litellm.unless(get("cache_key"), "Cache OFF"),
        "cache_hit": settings["cache_hit"] or "_cache_hit" in request_id,
        "source_cost_usd": number(get("spend"), "spend"),
        **prompt_columns(
            body.get("messages") or body.get("input") or unjson(get("messages")), body.get("system") or body.get("instructions")
        ),
        **answer_columns(get("response")),
        **litellm.tokens(record, _usage(metadata), required=settings["status"] == "ok"),
        **litellm.times(record, stream),
    }
    if row["status"] != "ok" and not row["source_cost_usd"] and not unjson(metadata.get("usage_object")):
        row.update(dict.fromkeys((*TOKEN_BUCKETS, *TOTALS), 0))
    if request_id.endswith("_batch_cost"):
        row["purpose"], row["service_tier"] = "overhead", "batch"
    elif metadata.get("billed_retry_attempt") is True:
        row["purpose"] = "overhead"
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


def _as_values(record: Record) -> Record:
    """Return a record with the values of its JSON columns; pandas' ``to_csv`` writes those that psycopg read as Python's text."""
    if not isinstance(record.get("metadata"), str):
        return record
    cells = (record.get(name) for name in _JSON_COLUMNS)
    if not any(isinstance(cell, str) and cell.startswith(_QUOTED) for cell in cells):
        return record
    return {**record, **{name: _value(name, record[name]) for name in _JSON_COLUMNS if name in record}}


def _value(name: str, written: Any) -> Any:
    if not isinstance(written, str) or written[:1] not in ("{", "["):
        return written
    try:
        return orjson.loads(_PYTHON.sub(_as_json, written))
    except (ValueError, SyntaxError) as error:
        raise Rejected(
            f"{name} is neither JSON nor Python's text of it; write it with json.dumps, or export the table with psql"
        ) from error


def _as_json(token: re.Match[str]) -> str:
    """Return a string or a word of Python's as JSON."""
    written = token[0]
    if written in _WORDS:
        return _WORDS[written]
    plain = "\\" not in written and '"' not in written[1:-1]
    return f'"{written[1:-1]}"' if plain else orjson.dumps(ast.literal_eval(written)).decode()


def _usage(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    own, more = as_object(metadata.get("usage_object")), as_object(metadata.get("additional_usage_values"))
    return {**more, **own} if more else own


def _session(record: Mapping[str, Any]) -> str | None:
    """Return the session; an id equal to the call's own is LiteLLM's stand-in for none."""
    found = text(record.get("session_id"))
    return None if found in (record.get("request_id"), record.get("litellm_call_id")) else found


READER = Reader(
    "litellm_spend",
    "LiteLLM_SpendLogs rows (columns request_id, spend, startTime, request_tags, ...)",
    _sniff,
    _convert,
    (
        "a LiteLLM session id may be its own random id: sessions of one request are no evidence of single-turn traffic",
        "a failed call that cost nothing and has no usage has no tokens: LiteLLM logs its own count of the prompt",
    ),
    litellm.APP_SOURCES,
)
