"""OpenRouter's generations: ``GET /api/v1/generation`` objects, with or without their ``data``, and the activity export (CSV).

Billed are the provider's own (``native``) tokens. Neither form holds any text. A key of one's own (BYOK) is billed by the provider; its
cost is added to OpenRouter's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from planner.traffic.reader import Options, Reader, Record, Row
from planner.traffic.shapes import answer_columns, first, service_tier, usage_columns
from planner.traffic.values import Rejected, count, flag, micros, number, text

_SIGNS = ("tokens_prompt", "tokens_completion", "provider_name", "cancelled", "streamed", "total_cost", "cost_total", "generation_time")
#: Ways of serving that the model's name says after a colon.
_PLAIN_VARIANTS = (None, "standard")


def _sniff(sample: Sequence[Record]) -> str | None:
    seen = [n for n in _SIGNS if any(n in _inner(r) for r in sample)]
    return f"OpenRouter generations: keys {', '.join(seen)}" if len(seen) >= 4 and seen[:2] == list(_SIGNS[:2]) else None


def _inner(record: Record) -> Record:
    inner = record.get("data")
    return inner if isinstance(inner, dict) else record


def _convert(record: Record, options: Options) -> Row:
    record = _inner(record)
    latency_ms, ttft_ms, stream = _times(record)
    return {
        "request_id": text(first(record.get("id"), record.get("generation_id"))),
        "timestamp": micros(record.get("created_at"), "created_at"),
        "app": text(record.get("api_key_name") if options.app_from == "key" else record.get("app_name")) or "default",
        "user": text(first(record.get("external_user"), record.get("user"))),
        "session_id": text(record.get("session_id")),
        "provider": "openrouter",
        "model": _model(record),
        "model_requested": text(record.get("router")),
        "service_tier": service_tier(record.get("service_tier")),
        "source_cost_usd": _cost_usd(record),
        "latency_ms": latency_ms,
        "ttft_ms": ttft_ms,
        "stream": stream,
        **_tokens(record),
        **_outcome(record),
    }


def _tokens(record: Record) -> Row:
    prompt = count(first(record.get("native_tokens_prompt"), record.get("tokens_prompt")), "native_tokens_prompt")
    completion = count(first(record.get("native_tokens_completion"), record.get("tokens_completion")), "native_tokens_completion")
    if prompt is None and completion is None:
        raise Rejected("no native_tokens_prompt and no native_tokens_completion")
    cached = first(record.get("native_tokens_cached"), record.get("tokens_cached"))
    thought = first(record.get("native_tokens_reasoning"), record.get("tokens_reasoning"))
    details = {"prompt_tokens_details": {"cached_tokens": cached}, "completion_tokens_details": {"reasoning_tokens": thought}}
    return usage_columns(prompt or 0, completion or 0, details)


def _times(record: Record) -> tuple[float | None, float | None, bool]:
    """Return latency, time to first token of a stream, and whether it is one.

    The API's ``latency`` is documented as the whole call's and often is the first token's; the longer of it and ``generation_time`` is the
    call's, and a shorter one of a stream the first token's.
    """
    stream = bool(flag(record.get("streamed"), "streamed"))
    taken = number(first(record.get("generation_time"), record.get("generation_time_ms")), "generation_time")
    stated, first_ms = number(record.get("latency"), "latency"), number(record.get("time_to_first_token_ms"), "time_to_first_token_ms")
    known = [t for t in (taken, stated, first_ms) if t is not None]
    if first_ms is None and stated is not None and taken is not None and stated < taken:
        first_ms = stated
    return max(known, default=None), first_ms if stream else None, stream


def _model(record: Record) -> str | None:
    name, variant = text(first(record.get("model"), record.get("model_permaslug"))), text(record.get("variant"))
    return name if name is None or variant in _PLAIN_VARIANTS or ":" in name else f"{name}:{variant}"


def _cost_usd(record: Record) -> float | None:
    cost = number(first(record.get("total_cost"), record.get("cost_total"), record.get("usage")), "total_cost")
    own_key = flag(record.get("is_byok"), "is_byok") or "byok_usage_inference" in record
    other: Any = first(record.get("upstream_inference_cost"), record.get("byok_usage_inference")) if own_key else None
    return cost if cost is None else cost + (number(other, "upstream_inference_cost") or 0.0)


def _outcome(record: Record) -> Row:
    reason = text(first(record.get("finish_reason"), record.get("finish_reason_normalized")))
    finish = answer_columns({"choices": [{"message": {}, "finish_reason": reason}]})["finish_reason"]
    if flag(record.get("cancelled"), "cancelled"):
        return {"status": "cancelled", "finish_reason": finish}
    return {"status": "transport", "error_class": "error"} if reason == "error" else {"status": "ok", "finish_reason": finish}


READER = Reader(
    "openrouter",
    "OpenRouter generations (keys id or generation_id, created_at, tokens_prompt, tokens_completion, ...)",
    _sniff,
    _convert,
    (
        "latency is the longer of OpenRouter's latency and generation_time; a shorter latency of a stream is its first token's",
        "the activity export names one count of tokens: it is taken as the provider's own",
    ),
    ("app_name", "key"),
)
