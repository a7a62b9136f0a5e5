"""BurstGPT traces: arrivals [s], models, tokens and, in later releases, sessions and durations, of ChatGPT and GPT-4 on Azure; no text."""

from __future__ import annotations

from collections.abc import Sequence

from planner.traffic.reader import Options, Reader, Record, Row
from planner.traffic.readers.mooncake import EPOCH_US
from planner.traffic.values import Rejected, count, number, text

_NEEDED = ("Timestamp", "Model", "Request tokens", "Response tokens")
#: What the trace calls a model → the model that served it, by the trace's paper (arXiv:2401.17644).
_MODELS = {"ChatGPT": "gpt-3.5-turbo", "GPT-4": "gpt-4"}


def _sniff(sample: Sequence[Record]) -> str | None:
    return f"columns {', '.join(_NEEDED)}" if all(n in sample[0] for n in _NEEDED) else None


def _convert(record: Record, options: Options) -> Row:
    asked, answered, total = (count(record.get(n), n) for n in ("Request tokens", "Response tokens", "Total tokens"))
    since, took = number(record["Timestamp"], "Timestamp"), number(record.get("Elapsed time"), "Elapsed time")
    if since is None or asked is None or answered is None:
        raise Rejected("no Timestamp or no token counts")
    if total is not None and total != asked + answered:
        raise Rejected(f"request and response tokens are {asked + answered}, the source's total {total}")
    model = text(record["Model"])
    return {
        "timestamp": EPOCH_US + round(since * 1_000_000),
        "app": text(record.get("Log Type")) or "default",
        "session_id": text(record.get("Session ID")),
        "provider": "azure",
        "model": model if model is None else _MODELS.get(model, model),
        "model_requested": model,
        "input_tokens": asked,
        "output_tokens": answered,
        "latency_ms": None if took is None else took * 1000,
        "status": "ok" if answered else "transport",
        "error_class": None if answered else "no response tokens",
    }


READER = Reader(
    "burstgpt",
    "a CSV with the columns Timestamp, Model, Request tokens, Response tokens",
    _sniff,
    _convert,
    (
        "the trace's time 0 is 2024-01-01T00:00:00Z",
        "ChatGPT is gpt-3.5-turbo (set it with mapping={'model': '=NAME'})",
        "a request without response tokens failed and could be repeated",
    ),
    evidence="assumed",
)
