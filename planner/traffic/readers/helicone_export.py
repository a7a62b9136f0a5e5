"""Helicone's requests: the API's pages and ``@helicone/export`` as JSONL, JSON or CSV.

Whether Helicone's own ``prompt_tokens`` hold cached ones has changed over time, so tokens are counted from the answer's ``usage`` where
bodies were exported. Its ``total_tokens`` do not tell: they are prompt_tokens + completion_tokens in either case. The CSV names requests by
``response_id`` alone, and objects in its cells have their quotes doubled twice. Exports leave out answers from Helicone's cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from planner.traffic.failures import CODES, failure_kind
from planner.traffic.providers import provider_name
from planner.traffic.reader import ASSUMED, Options, Reader, Record, Row
from planner.traffic.shapes import answer_columns, first, prompt_columns, request_columns, usage_columns
from planner.traffic.usage import provider_usage
from planner.traffic.values import Rejected, as_json, count, dig, flag, micros, milliseconds, number, text, unjson

_SIGNS = ("request_created_at", "response_created_at", "response_status", "request_body", "response_body", "prompt_tokens", "delay_ms")
_IDS = ("request_id", "response_id")
_NO_ANSWER_ID = "00000000-0000-0000-0000-000000000000"
_CANCELLED = -3
_APPS = ("app", "team", "service")
_FEEDBACK = "helicone-score-feedback"


def _sniff(sample: Sequence[Record]) -> str | None:
    seen = [n for n in _SIGNS if any(n in r for r in sample)]
    named = next((n for n in _IDS if any(n in r for r in sample)), None)
    return f"Helicone requests: keys {named}, {', '.join(seen)}" if named and len(seen) >= 3 and "request_created_at" in seen else None


def _convert(record: Record, options: Options) -> Row:
    asked, answered = _object(record.get("request_body")), _object(record.get("response_body"))
    about = {**_object(record.get("request_properties")), **_object(record.get("properties"))}
    model = first(*(record.get(n) for n in ("model", "response_model", "model_override", "request_model")), answered.get("model"))
    if (text(model) or "").startswith("tool:") or dig(asked, "_type") in ("tool", "vector_db", "data"):
        raise Rejected("a tool or a database that was logged beside the calls: no call of a model")
    ttft = number(record.get("time_to_first_token"), "time_to_first_token") or None
    stream = bool(flag(asked["stream"], "stream")) if "stream" in asked else ttft is not None
    tags = [f"{k}:{v}" for k, v in about.items() if not k.startswith("Helicone-")]
    return {
        **_name(record),
        "timestamp": micros(record.get("request_created_at"), "request_created_at"),
        "app": _app(about, record, options.app_from),
        "user": text(first(record.get("request_user_id"), record.get("user_id"))),
        "session_id": text(about.get("Helicone-Session-Id")),
        "provider": provider_name(record.get("provider")),
        "model": text(model),
        "model_requested": text(first(record.get("request_model"), asked.get("model"))),
        "prompt_version": ":".join(p for n in ("prompt_id", "prompt_version") if (p := text(record.get(n)))) or None,
        "cache_hit": text(record.get("cache_reference_id")) not in (None, _NO_ANSWER_ID),
        "source_cost_usd": number(first(record.get("cost"), record.get("costUSD"), record.get("cost_usd")), "cost"),
        "latency_ms": _latency_ms(record),
        "ttft_ms": ttft if stream else None,
        "stream": stream,
        "tags": as_json(tags) if tags else None,
        **request_columns(asked),
        **prompt_columns(asked.get("messages") or asked.get("input"), asked.get("system") or asked.get("instructions")),
        **answer_columns(answered),
        **_tokens(record, answered),
        **_quality(record),
        **_outcome(record, answered),
    }


def _name(record: Record) -> Row:
    """Return the request's id, or that of its answer; a request that has neither is named by its line."""
    known = (text(record.get(n)) for n in _IDS)
    return next(({"request_id": found} for found in known if found not in (None, _NO_ANSWER_ID)), {})


def _object(value: Any) -> dict[str, Any]:
    """Return an object as it is, or of JSON text, also where its quotes were doubled once more; the note in place of a body is none.

    >>> _object('{""a"": ""b""}'), _object({"helicone_message": "fetching body"})
    ({'a': 'b'}, {})
    """
    found = unjson(value)
    if isinstance(found, str) and '""' in found:
        found = unjson(found.replace('""', '"'))
    return {} if not isinstance(found, dict) or "helicone_message" in found else found


def _tokens(record: Record, answered: Mapping[str, Any]) -> Row:
    """Return the buckets by the answer's usage, else by Helicone's counts, whose prompt holds nothing cached or written.

    That is assumed where the log's numbers allow both readings, or do not say what was cached.
    """
    found = provider_usage(answered.get("usage") or answered.get("usageMetadata"))
    cached = ("prompt_cache_read_tokens", "prompt_cache_write_tokens")
    names = ("prompt_tokens", *cached, "completion_tokens", "total_tokens")
    if found or all(record.get(n) in (None, "") for n in names[:4]):
        return found
    (prompt, read, written, said), total = (count(record.get(n), n) or 0 for n in names[:4]), count(record.get(names[4]), names[4])
    outside, whole = read + written, prompt + read + written + said
    if total not in (None, prompt + said, whole):
        raise Rejected(f"prompt and completion tokens are {prompt + said}, {whole} with cached and written ones; total_tokens is {total}")
    logged = any(record.get(n) not in (None, "") for n in cached)
    sure = prompt == 0 or (logged and (outside == 0 or outside > prompt or total == whole))
    row = usage_columns(prompt + outside, said, {"cache_read_input_tokens": read, "cache_creation_input_tokens": written})
    return row if sure else {**row, ASSUMED: True}


def _latency_ms(record: Record) -> float | None:
    start, end = (micros(record.get(n), n) for n in ("request_created_at", "response_created_at"))
    taken = number(first(record.get("delay_ms"), record.get("latency")), "delay_ms")
    return taken if taken is not None else milliseconds(start, end, "response_created_at − request_created_at")


def _quality(record: Record) -> Row:
    """Return a user's thumb as quality 1 or 0; what other scores mean, and on which scale, is not logged."""
    thumb = flag(first(record.get("feedback_rating"), dig(_object(record.get("scores")), _FEEDBACK)), "feedback_rating")
    return {} if thumb is None else {"quality": float(thumb), "quality_source": "Helicone feedback"}


def _outcome(record: Record, answered: Mapping[str, Any]) -> Row:
    stated = number(record.get("response_status"), "response_status")
    status = 200 if stated is None else int(stated)
    if 200 <= status < 300:
        return {"status": "ok"}
    if status == _CANCELLED:
        return {"status": "cancelled", "error_class": "cancelled"}
    if status <= 0:
        raise Rejected(f"response_status is {status}: Helicone's own word, no answer was logged")
    word = text(dig(answered, "error", "code"))
    named = text(dig(answered, "error", "type")) or str(status)
    return {"status": failure_kind(None, word if word in CODES else status), "error_class": named}


def _app(about: Mapping[str, Any], record: Record, app_from: str | None) -> str:
    """Return the app: by default the property ``app``, ``team`` or ``service``, in any case."""
    kind, _, name = (app_from or "").partition(":")
    if kind == "prompt_name":
        return text(record.get("prompt_id")) or "default"
    if kind == "property":
        return text(about.get(name)) or "default"
    small = {k.lower(): v for k, v in about.items()}
    return next((found for n in _APPS if (found := text(small.get(n)))), "default")


READER = Reader(
    "helicone_export",
    "Helicone requests (keys request_id, request_created_at, response_status, ...)",
    _sniff,
    _convert,
    (
        "where no bodies were exported, Helicone's prompt_tokens hold nothing cached or written, as it stores them now; where its numbers "
        "do not prove it, tokens count as assumed",
        "answers from Helicone's cache are missing: its exports leave them out",
    ),
    ("property", "prompt_name"),
)
