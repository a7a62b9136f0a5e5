"""The log as LiteLLM writes it: one StandardLoggingPayload per line, zstd-compressed.

In: a Log. Out: NDJSON bytes. Costs are those of the genai-prices catalogue, but for a few rows whose gateway computed them
wrongly; some rows are the router's own calls. Knows nothing of how texts and tokens came about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from planner.stats import draws
from planner.synthetic.drafts import Draft, dumps
from planner.synthetic.log import Log
from planner.synthetic.verdicts import cost_usd, draw_quality
from planner.synthetic.world import APPS, DAYS, MODELS, START, App, expected_quality

__all__ = ["lines", "parameters", "session_of", "tags_of", "write"]

_EPOCH_US, _MONTH_US = int(START.astype("int64")), DAYS * 86_400_000_000
_AGENTS = ("openai-python/3.57.0", "larkspur-web/5.2", "node-fetch", "python-httpx/0.28.1")
#: Share of rows whose gateway forgot the cache discount or had last year's rate.
_WRONG_COST = 0.015
#: Share of chat sessions that a classifier of the router looked at.
_CLASSIFIED = 0.04


def write(log: Log, path: Any, stamps: Sequence[Mapping[str, Any] | None] | None = None) -> int:
    """Write the log to ``path`` (``*.jsonl.zst``) as one zstd frame, and return its size in bytes before compression."""
    text = b"\n".join(lines(log, stamps)) + b"\n"
    packed = pa.Codec("zstd", compression_level=15).compress(text, asbytes=True)
    path.write_bytes(packed)
    return len(text)


def lines(log: Log, stamps: Sequence[Mapping[str, Any] | None] | None = None) -> Iterator[bytes]:
    """Yield the log's lines in order of time; ``stamps`` are what a router wrote into the metadata of each request, None for nothing."""
    t = log.table
    output = t["visible"] + t["reasoning"]
    fresh = t["input"] - t["cached"] - t["written"]
    model = t["model"].to_numpy()
    true = cost_usd(model, fresh.to_numpy(), t["cached"].to_numpy(), t["written"].to_numpy(), output.to_numpy())
    undiscounted = cost_usd(model, t["input"].to_numpy(), 0, 0, output.to_numpy())
    wrong = draws.uniform(log.seed, log.column("key"), "wrong cost") < _WRONG_COST
    stated = np.where(wrong, np.where(true < undiscounted, undiscounted, 1.12 * true), true)
    scores = _scores(log)
    looked = draws.uniform(log.seed, log.column("key"), "classified") < _CLASSIFIED
    for i, (row, draft) in enumerate(zip(_records(log), log.drafts, strict=True)):
        app = APPS[row["app"]]
        if app.name == "support-chat" and row["turn"] == 0 and looked[i]:
            yield orjson.dumps(_classifier(row, draft))
        more = {"score": scores[i], "stamp": stamps[i] if stamps else None}
        yield orjson.dumps(_payload(row | more, draft, float(stated[i])))


def _scores(log: Log) -> list[float | None]:
    """Return the score that an automatic check gave to two in three well-ended answers of apps that explore, else None."""
    t = log.table
    seen = np.array([a.explore is not None for a in APPS])[t["app"]] & (t["status"] == "ok").to_numpy()
    rows = np.flatnonzero(seen & (draws.uniform(log.seed, log.column("key"), "scored") < 2 / 3))
    quality = draw_quality(log, rows, expected_quality(log.demand[rows], log.column("topic")[rows], log.column("group")[rows], log.seed))
    out: list[float | None] = [None] * len(log)
    for i, q in zip(rows.tolist(), quality[np.arange(len(rows)), log.column("model")[rows]].tolist(), strict=True):
        out[i] = q
    return out


def _records(log: Log) -> list[dict[str, Any]]:
    table = log.table.assign(time_us=log.table["time_us"] + log.month * _MONTH_US)
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]


def _seconds(us: int) -> float:
    return round((_EPOCH_US + us) / 1e6, 3)


def _payload(row: dict[str, Any], draft: Draft, cost: float) -> dict[str, Any]:
    app, model = APPS[row["app"]], MODELS[row["model"]]
    ok, hit = row["status"] == "ok", row["cache_hit"]
    total_ms = _duration_ms(row)
    start = _seconds(row["time_us"])
    end = round(start + total_ms / 1000, 3)
    first = round(start + min(row["first_ms"], total_ms) / 1000, 3) if app.stream and ok else end
    prompt, completion = (row["input"], row["visible"] + row["reasoning"]) if ok else (0, 0)
    cost = round(cost, 10) if ok and not hit else 0.0
    return {
        "id": row["request_id"], "trace_id": session_of(row, app), "session_id": "", "call_type": "acompletion", "stream": app.stream,
        "cache_hit": bool(hit) if ok else None,
        "status": "success" if ok else "failure", "custom_llm_provider": model.provider, "startTime": start, "endTime": end,
        "completionStartTime": first,
        "response_time": round((first if app.stream else end) - start, 3), "model": model.name, "model_group": f"{app.name}-default",
        "metadata": _metadata(row, app, model.name, ok), "cache_key": _cache_key(row, draft), "response_cost": cost,
        "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
        "request_tags": (row["stamp"] or {}).get("tags") or tags_of(row, app),
        "end_user": row["user"],
        **_texts(row, draft, ok), "model_parameters": parameters(app, draft, model.reasoning),
        "error_information": {"error_class": row["error"], "error_code": row["code"], "llm_provider": "" if ok else model.provider},
    }  # fmt: skip


def _duration_ms(row: dict[str, Any]) -> float:
    if row["cache_hit"]:
        return float(4 + row["key"] % 19)
    if row["status"] == "ok":
        return float(row["total_ms"])
    return 60_000.0 if row["error"] == "Timeout" else 0.4 * float(row["first_ms"])


def _cache_key(row: dict[str, Any], draft: Draft) -> str:
    if APPS[row["app"]].name != "ticket-triage":
        return "Cache OFF"
    return f"{int(draws.key([draft.messages[-1].text + row['version']])[0]):016x}"


def _metadata(row: dict[str, Any], app: Any, model: str, ok: bool) -> dict[str, Any]:
    out: dict[str, Any] = {
        "user_api_key_alias": f"{app.name}-prod", "user_api_key_team_alias": app.team, "attempted_retries": row["attempts"] - 1,
        "max_retries": 2,
        "requester_metadata": {"prompt_version": row["version"]},
    }  # fmt: skip
    if ok:
        usage: dict[str, Any] = {"prompt_tokens_details": {"cached_tokens": row["cached"]},
                                 "completion_tokens_details": {"reasoning_tokens": row["reasoning"]}}  # fmt: skip
        if row["written"]:
            usage["cache_creation_input_tokens"] = row["written"]
        out["usage_object"] = usage
    score = {} if row["score"] is None else {"score": row["score"]}
    if row["stamp"]:
        out["spend_logs_metadata"] = {**score, **row["stamp"]["spend_logs_metadata"]}
    elif app.explore:
        share = app.explore[1]
        out["spend_logs_metadata"] = {
            **score,"action": model, "policy_version": "explore-1",
                                      "action_propensities": dumps({app.models[0][0]: round(1 - share, 4),
                                      app.explore[0]: share})}  # fmt: skip
    return out


def _texts(row: dict[str, Any], draft: Draft, ok: bool) -> dict[str, Any]:
    called = bool(draft.answer.calls)
    finish = "length" if row["runaway"] else "tool_calls" if called else "stop"
    if not draft.messages:
        message: dict[str, Any] = {"role": "assistant", "content": "redacted-by-litellm"}
        messages = [{"role": "user", "content": "redacted-by-litellm"}]
    else:
        message, messages = draft.answer.payload(), [m.payload() for m in draft.messages]
    return {"messages": messages, "response": {"choices": [{"message": message, "finish_reason": finish}]} if ok else {}}


def session_of(row: Mapping[str, Any], app: App) -> str:
    """Return the session that the client names; of single requests the request's own id."""
    return str(row["name"] if app.turns > 1 else row["request_id"])


def tags_of(row: Mapping[str, Any], app: App) -> list[str]:
    """Return the tags that the client sends."""
    return [f"app:{app.name}", f"team:{app.team}", f"User-Agent: {_AGENTS[row['session'] % len(_AGENTS)]}"]


def parameters(app: App, draft: Draft, reasoning: float) -> dict[str, Any]:
    """Return what the client sends beside the messages."""
    out: dict[str, Any] = {"stream": app.stream, "max_tokens": app.max_tokens, "temperature": 0.0 if app.output == 0 else 0.3}
    if draft.tools:
        out["tools"] = list(draft.tools)
    if draft.response_format:
        out["response_format"] = draft.response_format
    if app.reasons and reasoning:
        out["reasoning_effort"] = "medium"
    return out


def _classifier(row: dict[str, Any], draft: Draft) -> dict[str, Any]:
    """Return the router's own call before a chat session: a short prompt to the smallest model."""
    app, nano = APPS[row["app"]], len(MODELS) - 1
    start, tokens = _seconds(row["time_us"] - 400_000), 60 + draft.messages[-1].tokens
    text = f"Is this request simple or complex? Answer with one word.\n\n{draft.messages[-1].text}"
    cost = float(cost_usd(np.array([nano]), tokens, 0, 0, 2)[0])
    return {
        "id": f"{row['request_id']}-c", "trace_id": row["name"], "session_id": "", "call_type": "acompletion", "stream": False,
        "cache_hit": False,
        "status": "success", "custom_llm_provider": "openai", "startTime": start, "endTime": start + 0.36,
        "completionStartTime": start + 0.36,
        "response_time": 0.36, "model": MODELS[nano].name, "model_group": "router-classifier", "metadata": {
            "user_api_key_alias": "router", "attempted_retries": 0, "internal_call_origin": "autorouter_classifier",
            "usage_object": {"prompt_tokens_details": {"cached_tokens": 0}}},
        "cache_key": "Cache OFF", "response_cost": round(cost, 10), "prompt_tokens": tokens, "completion_tokens": 2,
        "total_tokens": tokens + 2,
        "request_tags": [f"app:{app.name}"], "end_user": row["user"], "messages": [{"role": "user", "content": text}],
        "response": {"choices": [{"message": {"role": "assistant", "content": "simple"}, "finish_reason": "stop"}]},
        "model_parameters": {"max_tokens": 4}, "error_information": {"error_class": "", "error_code": ""},
    }  # fmt: skip
