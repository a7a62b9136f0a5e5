"""What is sent through a real gateway, and what a reader must make of the log that it leaves.

Run as a script, it records ``tests/data/litellm_payloads.jsonl`` again.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.gateway import Gateway, gateway
from support.upstream import ANSWER, upstream, words

RECORDED = Path(__file__).parents[1] / "data" / "litellm_payloads.jsonl"
SYSTEM = "You are terse."
#: [USD per token] of the gateway's models, so that the cost of a call is known.
RATES = {"input": 1e-6, "cached": 1e-7, "output": 2e-6}
_TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
_METADATA = {
    "tags": ["app:search", "prompt:v3", "beta"],
    "spend_logs_metadata": {"action": "cheap", "action_propensities": {"cheap": 0.75, "strong": 0.25}, "policy_version": "p1"},
}


@dataclass(frozen=True)
class Call:
    """One request and the columns that its row must have."""

    text: str
    expect: Mapping[str, Any] = field(default_factory=dict)
    model: str = "chat-default"
    extra: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


def _failed(status: str, error_class: str) -> dict[str, Any]:
    return {"status": status, "error_class": error_class, "input_tokens": 0, "output_tokens": 0}


CALLS = (
    Call("plain one two three", {"finish_reason": "stop", "response": ANSWER}),
    Call("[cached=4] [reasoning=3] counts", {"cache_read_tokens": 4, "reasoning_tokens": 3}),
    Call(
        "tagged and with a session",
        {
            "app": "search",
            "prompt_version": "v3",
            "user": "u-7",
            "session_id": "sess-1",
            "tags": '["app:search","prompt:v3","beta"]',
            "action": "cheap",
            "action_propensities": '{"cheap":0.75,"strong":0.25}',
            "policy_version": "p1",
        },
        extra={"metadata": _METADATA, "litellm_session_id": "sess-1"},
        options={"user": "u-7"},
    ),
    Call(
        "by headers",
        {"app": "ops", "session_id": "sess-2"},
        headers={"x-litellm-session-id": "sess-2", "x-litellm-tags": "team:ops"},
    ),
    Call("versioned", {"prompt_version": "greeter:v9"}, extra={"metadata": {"prompt_id": "greeter", "prompt_version": "v9"}}),
    Call("streamed with usage", {"stream": True}, options={"stream": True, "stream_options": {"include_usage": True}}),
    Call("streamed without asking for usage", {"stream": True}, options={"stream": True}),
    Call(
        "[tool] offered",
        {"has_tools": True, "finish_reason": "tool_calls", "max_tokens": 50},
        options={"tools": [_TOOL], "max_tokens": 50},
    ),
    Call(
        "as JSON, little effort",
        {"response_format": "json_object", "reasoning_effort": "low"},
        options={"response_format": {"type": "json_object"}, "reasoning_effort": "low"},
    ),
    Call("[status=400] refused", _failed("validation", "BadRequestError")),
    Call("[status=401] locked out", _failed("validation", "AuthenticationError")),
    Call("[status=429] too fast", _failed("rate_limit", "RateLimitError")),
    Call("[status=500] broken", _failed("transport", "InternalServerError")),
    Call("[status=503] overloaded", _failed("transport", "ServiceUnavailableError")),
    Call("[content_filter] unsafe", _failed("content", "BadRequestError")),
    Call("[fail_first=1] then well", {"attempts": 2}, extra={"num_retries": 2}),
    # LiteLLM logs only the first failure of a request that fails for good: its retries cannot be known.
    Call("[status=500] never well", {**_failed("transport", "InternalServerError"), "attempts": 1}, extra={"num_retries": 2}),
    Call("kept by the gateway", {"cache_hit": False}, extra={"cache": {"use-cache": True}}),
    Call("kept by the gateway", {"cache_hit": True, "source_cost_usd": 0.0}, extra={"cache": {"use-cache": True}}),
    Call(
        "[cached=3] [written=2] [hour=1] one two three four five six",
        {"cache_read_tokens": 3, "cache_write_5m_tokens": 2, "cache_write_1h_tokens": 1, "provider": "anthropic"},
        model="claude",
    ),
    Call("[status=500] falls back", {"status": "transport"}, model="shaky"),
    Call("no such model", {"status": "validation", "input_tokens": 0, "model": "no-such"}, model="no-such"),
    Call("routed", {"model": "gpt-5-mini", "model_requested": "auto"}, model="auto"),
)


#: A payload a call, and one more for the attempt that was retried with success.
LOGGED = len(CALLS) + 1


def configuration(url: str) -> dict[str, Any]:
    """Return the gateway's configuration for an upstream at ``url``."""
    prices = {
        "input_cost_per_token": RATES["input"],
        "output_cost_per_token": RATES["output"],
        "cache_read_input_token_cost": RATES["cached"],
    }

    def deployment(group: str, model: str, base: str = f"{url}/v1") -> dict[str, Any]:
        return {"model_name": group, "litellm_params": {"model": model, "api_key": "x", "api_base": base, **prices}}

    router = {
        "model": "auto_router/complexity_router",
        "complexity_router_config": {"tiers": dict.fromkeys(("SIMPLE", "MEDIUM", "COMPLEX", "REASONING"), "chat-default")},
        "complexity_router_default_model": "chat-default",
    }
    return {
        "model_list": [
            deployment("chat-default", "openai/gpt-5-mini"),
            deployment("strong", "openai/gpt-5"),
            deployment("shaky", "openai/my-own"),
            deployment("claude", "anthropic/claude-haiku-4-5", url),
            {"model_name": "auto", "litellm_params": router},
        ],
        "litellm_settings": {"cache": True, "cache_params": {"type": "local", "mode": "default_off"}},
        "general_settings": {"store_prompts_in_spend_logs": True},
        "router_settings": {"disable_cooldowns": True, "num_retries": 0, "fallbacks": [{"shaky": ["strong"]}]},
    }


def send(gate: Gateway, calls: Sequence[Call] = CALLS, key: str | None = None) -> None:
    """Send the calls one after the other, with another key than the gateway's own if one is given."""
    with openai.OpenAI(base_url=gate.url, api_key=key or gate.key, max_retries=0) as client:
        for call in calls:
            messages: Any = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": call.text}]
            try:
                answer: Any = client.chat.completions.create(
                    model=call.model, messages=messages, extra_body=dict(call.extra), extra_headers=dict(call.headers), **call.options
                )
                if call.options.get("stream"):
                    list(answer)
            except openai.APIStatusError:
                assert "status" in call.expect, call.text


def expected(call: Call) -> dict[str, Any]:
    """Return the columns of a call's row: what is said of it, and what follows for any call."""
    row = {"status": "ok", "app": "default", "attempts": 1, "stream": False, "text_state": "full", "turn": 0, **call.expect}
    row.setdefault("model_requested", None if call.model == "no-such" else call.model)
    if row["status"] == "ok":
        inside = sum(row.get(n, 0) for n in ("cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"))
        row.setdefault("input_tokens", words(SYSTEM) + words(call.text) - inside)
        row.setdefault("output_tokens", words(ANSWER))
    return row


def mismatches(frame: pd.DataFrame, calls: Sequence[Call] = CALLS) -> list[str]:
    """Return where the rows of a log differ from what ``calls`` say of them."""
    grouped = {text: list(rows.to_dict("records")) for text, rows in rows_by_text(frame).items()}
    found = []
    for call in calls:
        row = grouped[call.text].pop(0)
        for name, value in expected(call).items():
            same = pd.isna(row[name]) if value is None else row[name] == value
            if not same:
                found.append(f"{call.text}: {name} is {row[name]!r}, sent {value!r}")
    return found + [f"{text}: {len(rows)} rows too many" for text, rows in grouped.items() if rows]


def rows_by_text(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Group rows by the newest user message, in order of arrival."""
    texts = frame["messages"].map(lambda m: json.loads(m)[-1]["content"])
    return {str(t): g.sort_values("timestamp") for t, g in frame.groupby(texts)}


def main() -> None:
    """Record the payloads of a real run, without what is long, random or of this machine."""
    with tempfile.TemporaryDirectory() as folder, upstream() as (url, _), gateway(Path(folder), configuration(url)) as gate:
        send(gate)
        payloads = gate.settled(LOGGED)
    with RECORDED.open("w", encoding="utf-8") as file:
        for payload in payloads:
            payload.pop("model_map_information")
            payload["api_base"] = payload["error_str"] = payload["requester_ip_address"] = None
            payload["hidden_params"] = {"litellm_overhead_time_ms": payload["hidden_params"].get("litellm_overhead_time_ms")}
            payload["metadata"] = {k: v for k, v in payload["metadata"].items() if v and k in _KEPT}
            payload["metadata"].get("requester_metadata", {}).pop("headers", None)
            error = payload["error_information"] or {}
            payload["error_information"] = {k: error.get(k) for k in ("error_class", "error_code", "llm_provider")}
            file.write(json.dumps(payload) + "\n")


_KEPT = ("usage_object", "spend_logs_metadata", "requester_metadata", "routing_decision", "attempted_retries", "internal_call_origin")

if __name__ == "__main__":
    main()
