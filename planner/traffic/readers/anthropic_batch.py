"""Anthropic's Message Batches: lines of the results file, joined by ``custom_id`` with the requests and with the batch object.

Prompts stand in the requests alone, as they were sent (``{"requests": [...]}``) or one a line. No line of results has a time: the batch
object (``GET /v1/messages/batches/ID``, saved as JSON) says when its requests were sent. All files are read together, in any order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from planner.traffic.failures import failure_kind
from planner.traffic.providers import metadata_app
from planner.traffic.reader import Options, Reader, Record, Row
from planner.traffic.records import Found
from planner.traffic.shapes import answer_columns, first, prompt_columns, request_columns
from planner.traffic.together import ABOUT, Part, more, together
from planner.traffic.usage import provider_usage
from planner.traffic.values import Rejected, dig, micros, text, word

_COUNTS = ("succeeded", "errored", "canceled", "expired")
_ENDS = {"canceled": "cancelled", "expired": "transport"}
_UNDATED = (
    "no time: results state none; add the batch object (GET /v1/messages/batches/ID, saved as JSON) to what is read, or say when its "
    "requests were sent: --map timestamp==2026-11-03T00:00:00Z"
)


def _sniff(sample: Sequence[Record]) -> str | None:
    seen = [what for what, fits in (("results", _ended), ("requests", _asked)) if any(fits(r) for r in sample)]
    return f"Anthropic message batches: {' and '.join(seen)} by custom_id" if seen else None


def _ended(record: Record) -> bool:
    return "custom_id" in record and "result" in record


def _asked(record: Record) -> bool:
    return {"custom_id", "params"} <= record.keys() or _requests(record) is not None


def _requests(record: Record) -> list[dict[str, Any]] | None:
    """Return the requests of the body that created a batch."""
    found = record.get("requests")
    fits = isinstance(found, list) and found and all(isinstance(r, dict) and "params" in r for r in found)
    return found if fits else None


def _gather(pairs: Iterator[tuple[str, Found]]) -> Iterator[tuple[str, Found]]:
    return _joined(
        (name, one) for name, found in pairs for one in ([Found(found.line, r, r) for r in _requests(found.value or {}) or ()] or [found])
    )


def _part(record: Record, name: str) -> Part | None:
    key = record.get("custom_id")
    keys = (key,) if isinstance(key, str) and key else ()
    if _ended(record):
        return Part("row", keys)
    if "params" in record:
        return Part("more", keys, alone=True)
    if record.get("type") != "message_batch":
        return None
    names = (record.get("id"), dig(str(record.get("results_url")).split("/")[-2:], "0"))
    counts = [n for c in _COUNTS if type(n := dig(record, "request_counts", c)) is int]
    return Part("about", (), tuple(n for n in names if isinstance(n, str) and n.startswith("msgbatch_")), (sum(counts),))


_joined = together(
    _part,
    lambda _: "no result in the files that were read names this request or batch",
    "several files of requests hold this custom_id with other requests, and nothing says which of them was answered",
)


def _convert(record: Record, options: Options) -> Row:
    if not _ended(record):
        raise Rejected("no custom_id with a result: no line of a batch's results")
    asked = dig(next(iter(more(record, record["custom_id"])), None), "params")
    asked = asked if isinstance(asked, dict) else {}
    about, result = record.get(ABOUT), record["result"]
    message = dig(result, "message")
    message = message if isinstance(message, dict) else {}
    row = {
        "timestamp": _time(dig(about, "created_at"), options),
        "app": metadata_app(options.app_from, asked.get("metadata")),
        "user": text(dig(asked.get("metadata"), "user_id")),
        "provider": "anthropic",
        "model": text(first(message.get("model"), asked.get("model"))),
        "model_requested": text(asked.get("model")),
        **request_columns(asked),
        **prompt_columns(asked.get("messages"), asked.get("system")),
        **answer_columns(message),
        **provider_usage(message.get("usage")),
        **_outcome(result, message),
        "service_tier": "batch",
    }
    known = text(message.get("id"))
    return row if known is None else {"request_id": known, **row}


def _time(stated: Any, options: Options) -> int | None:
    if stated is None and "timestamp" not in dict(options.mapping):
        raise Rejected(_UNDATED)
    return micros(stated, "created_at")


def _outcome(result: Any, message: Record) -> Row:
    kind = dig(result, "type")
    if kind == "succeeded" and message:
        return {"status": "ok"}
    if kind == "errored":
        named = text(first(dig(result, "error", "error", "type"), dig(result, "error", "type"))) or "error"
        return {"status": failure_kind(named), "error_class": named}
    if kind not in _ENDS:
        raise Rejected(f"a result of type {word(kind)} without a message")
    return {"status": _ENDS[kind], "error_class": kind}


READER = Reader(
    "anthropic_batch",
    "Anthropic message batch results (keys custom_id, result), with the batch object and the requests beside them",
    _sniff,
    _convert,
    (
        "requests arrive when their batch was created; results without the batch object have no time (set it with "
        "mapping={'timestamp': '=TIME'})",
    ),
    ("metadata",),
    _gather,
)
