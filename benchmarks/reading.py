"""How fast a log is read, per format, beside ``orjson.loads`` alone on the same lines; and how much memory that takes at two sizes.

In: how many rows. Out, per format (LiteLLM's payloads and spend logs, Langfuse's observations, OpenTelemetry's spans; about 1 KB of text a
call): ``rows_per_s`` of ``planner.read`` into a folder, everything included; ``ratio_to_orjson``: the time that ``orjson.loads`` of every
line takes over that of the reading, and ``ratio_to_orjson_cpu``, the same in CPU time of all processes, which other work on the machine
changes least; the same ``_with_text``, where prompts and answers are copied, too; ``peak_rss_mib`` of a process that does nothing but read
the log (with its text), and of one that reads ``--small-share`` of it, and ``peak_rss_helper_mib`` of the largest process that helps it.
All times are measured in turn for ``--rounds`` rounds: ratios are medians of the rounds', the rate is that of the fastest round. Run:
``python -m benchmarks.reading --json``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from planner.traffic import read

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


def written(path: Path, name: str, rows: int, seed: int = 0) -> Path:
    """Write ``rows`` calls as a log of the format ``name`` (one of FORMATS), the same for the same seed."""
    with path.open("wb") as file:
        for value in FORMATS[name](rows, seed):
            file.write(orjson.dumps(value) + b"\n")
    return path


def parse_s(path: Path) -> tuple[float, float]:
    """Return how long ``orjson.loads`` alone takes on the lines of ``path`` [s, s of CPU], reading them from disk not counted."""
    took = np.zeros(2)
    with path.open("rb") as file:
        while lines := file.readlines(4 << 20):
            begun = _now()
            for line in lines:
                orjson.loads(line)
            took += _now() - begun
    return float(took[0]), float(took[1])


def read_s(path: Path, out: Path, rows: int, text: bool) -> tuple[float, float]:
    """Return how long reading ``path`` into ``out`` takes [s, s of CPU]; RuntimeError when not all ``rows`` were accepted."""
    begun = _now()
    traffic = read(path, out=out, text=text)
    took = _now() - begun
    if len(traffic) != rows:
        raise RuntimeError(f"{path}: {len(traffic)} of {rows} rows accepted: {traffic.meta['reasons']}")
    return float(took[0]), float(took[1])


def _now() -> NDArray[np.float64]:
    """Return wall clock and CPU time [s], that of processes that have ended included."""
    return np.array([time.perf_counter(), time.process_time() + sum(os.times()[2:4])])


def peak_mib(path: Path, out: Path) -> tuple[float, float]:
    """Return the peak memory [MiB] of a process that imports planner and reads ``path``, and of the largest process that helps it.

    Linux: of the program, not of what started it.
    """
    code = (
        "import re, resource, sys; from planner.traffic import read; read(sys.argv[1], out=sys.argv[2], text=True); "
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1], "
        "resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path), str(out)], check=True, capture_output=True, text=True)
    own, helper = map(float, done.stdout.split())
    return own / 1024, helper / 1024


def measure(name: str, rows: int, rounds: int = 3, small_share: float = 0.25, seed: int = 0) -> dict[str, Any]:
    """Measure one format at ``rows`` rows, and its memory also at ``small_share`` of them."""
    with TemporaryDirectory() as where:
        folder = Path(where)
        path = written(folder / "log.jsonl", name, rows, seed)
        out = folder / "out"
        times = np.array([(parse_s(path), *(read_s(path, out, rows, text) for text in (False, True))) for _ in range(rounds)])
        small = written(folder / "small.jsonl", name, max(1, round(rows * small_share)), seed)
        peaks = [peak_mib(p, out) for p in (small, path)]
        size = path.stat().st_size
    parse, took, copied = times.min(axis=0)[:, 0]
    ratio, with_text = (np.median(times[:, 0] / times[:, i], axis=0) for i in (1, 2))
    return {
        "rows": rows,
        "bytes_a_row": round(size / rows),
        "rows_per_s": round(rows / took),
        "orjson_rows_per_s": round(rows / parse),
        "ratio_to_orjson": round(float(ratio[0]), 3),
        "ratio_to_orjson_cpu": round(float(ratio[1]), 3),
        "rows_per_s_with_text": round(rows / copied),
        "ratio_to_orjson_with_text": round(float(with_text[0]), 3),
        "peak_rss_mib": round(peaks[1][0]),
        "peak_rss_small_mib": round(peaks[0][0]),
        "peak_rss_helper_mib": round(peaks[1][1]),
        "hours_for_30m": round(30e6 / rows * took / 3600, 2),
    }


def main() -> None:
    """Print the measurements, as JSON with ``--json``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--formats", nargs="+", choices=list(FORMATS), default=list(FORMATS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small-share", type=float, default=0.25)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {name: measure(name, options.rows, options.rounds, options.small_share) for name in options.formats}
    worst = {
        "rows_per_s": min(f["rows_per_s"] for f in found.values()),
        "ratio_to_orjson": min(f["ratio_to_orjson"] for f in found.values()),
        "ratio_to_orjson_cpu": min(f["ratio_to_orjson_cpu"] for f in found.values()),
        "ratio_to_orjson_with_text": min(f["ratio_to_orjson_with_text"] for f in found.values()),
        "peak_rss_mib": max(f["peak_rss_mib"] for f in found.values()),
    }
    if options.json:
        print(json.dumps({**worst, "formats": found}, indent=1))
        return
    for name, numbers in {"worst": worst, **found}.items():
        print(f"{name:>16}: " + ", ".join(f"{k} {v:,}" for k, v in numbers.items()))


if __name__ == "__main__":
    main()
