"""The logs that the reading benchmark reads: calls with about 1 KB of text each, in each format and container, the same for the same seed.

In: how many calls. Out: a file: a record a line, one JSON array, a table with objects as JSON text (CSV or Parquet). Knows nothing of
times.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["CONTAINERS", "FORMATS", "PEERS", "written"]

_WORDS = (
    *("order", "invoice", "refund", "delivery", "please", "camera", "hub", "network", "error", "device", "customer", "account", "period"),
    *("answer", "question", "setting", "change", "between", "the", "and", "of", "a", "within", "from", "that", "your", "plan", "covers"),
    *("light", "amber", "green", "restart", "café", '"quoted"', "path\\to", "line\nbreak", "29.50", "EUR"),
)
_MODELS = (("openai", "gpt-5-mini"), ("anthropic", "claude-haiku-4-5"), ("openai", "gpt-5.4"))
_START_S = 1_792_368_000.0
_SPANS_A_LINE = 10


def _call(number: int, dice: random.Random) -> dict[str, Any]:
    """Return one call: about 1 KB of text in a system text, a question and an answer."""
    said = [" ".join(dice.choices(_WORDS, k=k)) for k in (60, 45, 45)]
    provider, model = _MODELS[dice.randrange(3)]
    cached = dice.randrange(100) * (dice.random() < 0.4)
    start = round(_START_S + 0.8 * number + dice.random(), 3)
    return {
        "id": f"{number:08x}{dice.getrandbits(64):016x}",
        "said": said,
        "provider": provider,
        "model": model,
        "app": f"app{dice.randrange(6)}",
        "user": f"user{dice.randrange(5_000)}",
        "session": f"session{number // 4}",
        "start": start,
        "end": round(start + 0.3 + 2 * dice.random(), 3),
        "prompt": 150 + cached,
        "cached": cached,
        "completion": 60 + dice.randrange(100),
    }


def _messages(call: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "system", "content": call["said"][0]}, {"role": "user", "content": call["said"][1]}]


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _usage(call: dict[str, Any]) -> dict[str, Any]:
    return {
        "prompt_tokens": call["prompt"],
        "completion_tokens": call["completion"],
        "total_tokens": call["prompt"] + call["completion"],
        "prompt_tokens_details": {"cached_tokens": call["cached"]},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def _payload(call: dict[str, Any]) -> dict[str, Any]:
    answer = {"index": 0, "message": {"role": "assistant", "content": call["said"][2]}, "finish_reason": "stop"}
    return {
        "id": call["id"],
        "litellm_call_id": f"call-{call['id']}",
        "trace_id": call["session"],
        "session_id": "",
        "call_type": "acompletion",
        "cache_hit": False,
        "stream": False,
        "status": "success",
        "custom_llm_provider": call["provider"],
        "startTime": call["start"],
        "endTime": call["end"],
        "completionStartTime": call["end"],
        "response_time": call["end"] - call["start"],
        "model": call["model"],
        "metadata": {
            "user_api_key_alias": f"{call['app']}-prod",
            "user_api_key_team_alias": "team",
            "attempted_retries": 0,
            "requester_metadata": {"prompt_version": "v3"},
            "usage_object": _usage(call),
        },
        "cache_key": "Cache OFF",
        "response_cost": 0.0016425,
        "total_tokens": call["prompt"] + call["completion"],
        "prompt_tokens": call["prompt"],
        "completion_tokens": call["completion"],
        "request_tags": [f"app:{call['app']}", "User-Agent: OpenAI/Python 3.57.0"],
        "end_user": call["user"],
        "model_group": "chat-default",
        "model_id": "9317ba6d5cc7681ff886c3ee1d3ece1d",
        "requester_ip_address": None,
        "messages": _messages(call),
        "response": {"id": call["id"], "object": "chat.completion", "choices": [answer], "usage": _usage(call)},
        "model_parameters": {"stream": False, "max_tokens": 800, "temperature": 0.2},
        "hidden_params": {"litellm_overhead_time_ms": 3.2},
        "error_information": {"error_class": "", "error_code": "", "llm_provider": ""},
    }


def _spend(call: dict[str, Any]) -> dict[str, Any]:
    answer = {"index": 0, "message": {"role": "assistant", "content": call["said"][2]}, "finish_reason": "stop"}
    return {
        "request_id": call["id"],
        "call_type": "acompletion",
        "api_key": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b",
        "spend": 0.0016425,
        "total_tokens": call["prompt"] + call["completion"],
        "prompt_tokens": call["prompt"],
        "completion_tokens": call["completion"],
        "startTime": _iso(call["start"]),
        "endTime": _iso(call["end"]),
        "completionStartTime": _iso(call["end"]),
        "model": call["model"],
        "model_group": "chat-default",
        "custom_llm_provider": call["provider"],
        "user": "default_user_id",
        "metadata": {"user_api_key_team_alias": "team", "status": "success", "usage_object": _usage(call), "attempted_retries": 0},
        "cache_hit": "False",
        "cache_key": "Cache OFF",
        "request_tags": [f"app:{call['app']}", "User-Agent: OpenAI/Python 3.57.0"],
        "team_id": "team-1",
        "end_user": call["user"],
        "session_id": call["session"],
        "status": "success",
        "messages": {},
        "response": {"id": call["id"], "object": "chat.completion", "choices": [answer], "usage": _usage(call)},
        "proxy_server_request": {"model": "chat-default", "messages": _messages(call), "max_tokens": 800, "temperature": 0.2},
    }


def _observation(call: dict[str, Any]) -> dict[str, Any]:
    plain, total = call["prompt"] - call["cached"], call["prompt"] + call["completion"]
    return {
        "id": call["id"],
        "traceId": f"trace-{call['id']}",
        "projectId": "project",
        "type": "GENERATION",
        "parentObservationId": None,
        "name": "answer",
        "environment": "production",
        "startTime": _iso(call["start"]),
        "endTime": _iso(call["end"]),
        "completionStartTime": _iso((call["start"] + call["end"]) / 2),
        "model": call["model"],
        "modelParameters": {"temperature": "0.2", "max_tokens": 800},
        "input": _messages(call),
        "output": {"role": "assistant", "content": call["said"][2]},
        "metadata": {"team": "search"},
        "usageDetails": {"input": plain, "input_cached_tokens": call["cached"], "output": call["completion"], "total": total},
        "costDetails": {"input": 4.4e-05, "output": 8.6e-05, "total": 0.00013},
        "totalCost": 0.00013,
        "latency": call["end"] - call["start"],
        "promptName": "greeter",
        "promptVersion": 3,
        "level": "DEFAULT",
        "statusMessage": None,
        "version": None,
        "userId": call["user"],
        "sessionId": call["session"],
        "traceName": "chat",
        "tags": [f"app:{call['app']}"],
    }


def _span(call: dict[str, Any]) -> dict[str, Any]:
    asked = [{"role": m["role"], "parts": [{"type": "text", "content": m["content"]}]} for m in _messages(call)]
    said = [{"role": "assistant", "parts": [{"type": "text", "content": call["said"][2]}], "finish_reason": "stop"}]
    texts = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": call["provider"],
        "gen_ai.request.model": call["model"],
        "gen_ai.response.model": call["model"],
        "gen_ai.response.id": call["id"],
        "gen_ai.conversation.id": call["session"],
        "user.id": call["user"],
        "gen_ai.input.messages": json.dumps(asked),
        "gen_ai.output.messages": json.dumps(said),
    }
    counts = {
        "gen_ai.usage.input_tokens": call["prompt"],
        "gen_ai.usage.cache_read.input_tokens": call["cached"],
        "gen_ai.usage.output_tokens": call["completion"],
        "gen_ai.request.max_tokens": 800,
    }
    attributes = [{"key": k, "value": {"stringValue": v}} for k, v in texts.items()]
    attributes += [{"key": k, "value": {"intValue": str(v)}} for k, v in counts.items()]
    attributes.append({"key": "gen_ai.response.finish_reasons", "value": {"arrayValue": {"values": [{"stringValue": "stop"}]}}})
    return {
        "traceId": f"{call['id']}00000000",
        "spanId": call["id"][8:],
        "name": f"chat {call['model']}",
        "kind": 3,
        "startTimeUnixNano": str(round(call["start"] * 1000) * 1_000_000),
        "endTimeUnixNano": str(round(call["end"] * 1000) * 1_000_000),
        "attributes": attributes,
        "status": {},
    }


def _export(spans: list[dict[str, Any]]) -> dict[str, Any]:
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "instrumentation"}, "spans": spans}]}]}


def _calls(rows: int, seed: int) -> Iterator[dict[str, Any]]:
    dice = random.Random(seed)
    return (_call(number, dice) for number in range(rows))


def _batched(rows: int, seed: int) -> Iterator[dict[str, Any]]:
    held: list[dict[str, Any]] = []
    for call in _calls(rows, seed):
        held.append(_span(call))
        if len(held) == _SPANS_A_LINE:
            yield _export(held)
            held = []
    if held:
        yield _export(held)


#: Format → (rows, seed) → the values of its lines.
FORMATS: dict[str, Callable[[int, int], Iterator[dict[str, Any]]]] = {
    "litellm_payload": lambda rows, seed: map(_payload, _calls(rows, seed)),
    "litellm_spend": lambda rows, seed: map(_spend, _calls(rows, seed)),
    "langfuse_export": lambda rows, seed: map(_observation, _calls(rows, seed)),
    "otel": _batched,
}


#: Container → the end of a file's name.
CONTAINERS = {"lines": "jsonl", "array": "json", "csv": "csv", "parquet": "parquet"}
#: What stands beside a container that ``orjson`` does not read.
PEERS = {"csv": "csv", "parquet": "to_pylist"}


def written(path: Path, name: str, rows: int, seed: int = 0, container: str = "lines") -> Path:
    """Write ``rows`` calls as a log of the format ``name`` (one of FORMATS), the same for the same seed, in one of CONTAINERS."""
    values = FORMATS[name](rows, seed)
    if container == "lines":
        with path.open("wb") as file:
            file.writelines(orjson.dumps(value) + b"\n" for value in values)
    elif container == "array":
        with path.open("wb") as file:
            file.writelines((b"[" if place == 0 else b",\n") + orjson.dumps(value) for place, value in enumerate(values))
            file.write(b"]\n")
    elif container == "csv":
        with path.open("w", newline="", encoding="utf-8") as text:
            first = next(values)
            table = csv.DictWriter(text, list(first))
            table.writeheader()
            table.writerows(map(_cells, chain([first], values)))
    else:
        pq.write_table(pa.Table.from_pylist(list(map(_cells, values))), path)
    return path


def _cells(value: dict[str, Any]) -> dict[str, Any]:
    """Return a record as a database exports it, objects as JSON text."""
    return {k: orjson.dumps(v).decode() if isinstance(v, dict | list) else v for k, v in value.items()}
