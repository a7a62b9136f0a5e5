"""OpenAI's Batch API: lines of output and error files, joined by ``custom_id`` with those of the input file and with the batch object.

Prompts stand in the input file alone. A line tells neither its batch nor how long it took. All files are read together, in any order;
the batch object (``GET /v1/batches/ID``, saved as JSON) says when the requests were sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from planner.traffic.failures import CODES, failure_kind
from planner.traffic.providers import metadata_app
from planner.traffic.reader import Options, Reader, Record, Row
from planner.traffic.shapes import answer_columns, first, prompt_columns, request_columns
from planner.traffic.together import ABOUT, Part, more, together
from planner.traffic.usage import provider_usage
from planner.traffic.values import Rejected, count, dig, micros, text

_CANCELLED = "batch_cancelled"
#: How far clocks of one provider may differ [s].
_CLOCKS_S = 60
_UNDATED = (
    "no time: this line states none; add the batch object (GET /v1/batches/ID, saved as JSON) to what is read, or say when its requests "
    "were sent: --map timestamp==2026-11-03T00:00:00Z"
)


def _sniff(sample: Sequence[Record]) -> str | None:
    seen = [what for what, fits in (("answers", _answered), ("requests", _asked)) if any(fits(r) for r in sample)]
    return f"OpenAI batch lines: {' and '.join(seen)} by custom_id" if seen else None


def _answered(record: Record) -> bool:
    return "custom_id" in record and "response" in record


def _asked(record: Record) -> bool:
    return {"custom_id", "url", "body"} <= record.keys()


def _part(record: Record, name: str) -> Part | None:
    key = record.get("custom_id")
    keys = (key,) if isinstance(key, str) and key else ()
    if _answered(record):
        return Part("row", keys)
    if _asked(record):
        return Part("more", keys, alone=True)
    if record.get("object") != "batch":
        return None
    names = (record.get(n) for n in ("id", "output_file_id", "error_file_id", "input_file_id"))
    counts = (dig(record, "request_counts", n) for n in ("completed", "failed", "total"))
    return Part("about", (), tuple(n for n in names if isinstance(n, str) and n), tuple(n for n in counts if type(n) is int and n))


def _convert(record: Record, options: Options) -> Row:
    if not _answered(record):
        raise Rejected("no custom_id with a response: no line of a batch's output")
    asked = dig(next(iter(more(record, record["custom_id"])), None), "body")
    asked = asked if isinstance(asked, dict) else {}
    body = dig(record["response"], "body")
    body = body if isinstance(body, dict) else {}
    about = _about(record, body)
    return {
        "request_id": text(first(record.get("id"), record["custom_id"])),
        "timestamp": _time(first(dig(about, "created_at"), body.get("created"), body.get("created_at")), options),
        "app": metadata_app(options.app_from, asked.get("metadata"), dig(about, "metadata")),
        "user": text(first(asked.get("user"), asked.get("safety_identifier"))),
        "provider": "openai",
        "model": text(first(body.get("model"), asked.get("model"))),
        "model_requested": text(asked.get("model")),
        **request_columns(asked),
        **prompt_columns(asked.get("messages") or asked.get("input"), asked.get("instructions")),
        **answer_columns(body),
        **provider_usage(body.get("usage")),
        **_outcome(record, body),
        "service_tier": "batch",
    }


def _about(record: Record, body: Record) -> Any:
    """Return the batch object; none where it began after the answer was made, since then it is another batch's."""
    about = record.get(ABOUT)
    began, made = dig(about, "created_at"), first(body.get("created"), body.get("created_at"))
    return None if isinstance(began, int | float) and isinstance(made, int | float) and made < began - _CLOCKS_S else about


def _time(stated: Any, options: Options) -> int | None:
    """Return when a request was sent; what failed or expired states no time of its own."""
    if stated is None and "timestamp" not in dict(options.mapping):
        raise Rejected(_UNDATED)
    return micros(stated, "created_at")


def _outcome(record: Record, body: Record) -> Row:
    """Return how the request ended: by the line's own error (never sent, or expired), else by the HTTP status of its answer."""
    error: Any = record.get("error") or body.get("error")
    code = count(dig(record["response"], "status_code"), "status_code")
    if not error and (code or 200) < 300:
        if not body:
            raise Rejected("a line with neither an answer nor an error")
        return {"status": "ok"}
    word = text(dig(error, "code"))
    named = first(word, text(dig(error, "type")), code and str(code), "error")
    if word == _CANCELLED:
        return {"status": "cancelled", "error_class": named}
    return {"status": failure_kind(None, word if word in CODES else code), "error_class": named}


READER = Reader(
    "openai_batch",
    "OpenAI batch files (keys custom_id, response, error), with the input file and the batch object beside them",
    _sniff,
    _convert,
    (
        "requests arrive when their batch was created; without the batch object, when they were answered, and what failed or expired has "
        "no time (set it with mapping={'timestamp': '=TIME'})",
        "the provider is OpenAI (another one that writes such files: mapping={'provider': '=NAME'})",
    ),
    ("metadata",),
    together(
        _part,
        lambda _: "no answer in the files that were read names this request or batch",
        "several input files hold this custom_id with other requests, and nothing says which of them was answered",
    ),
)
