"""The shapes in which providers write requests, answers and usage → the columns they determine.

In: request bodies, messages, answers and usage objects in the shapes of OpenAI (chat, Responses, completions) and
Anthropic, decoded. Out: columns of ours. Every reader whose log holds provider JSON asks here. Knows nothing of log
formats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.traffic.reader import Row
from planner.traffic.values import Rejected, as_json, count, dig, text, unjson

__all__ = [
    "REQUEST_FIELDS",
    "answer_columns",
    "exclusive",
    "first",
    "message_columns",
    "prompt_columns",
    "request_columns",
    "service_tier",
    "usage_columns",
]

_TIERS = {"auto": "standard", "default": "standard", "standard_only": "standard"}
_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "completed": "stop",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    **dict.fromkeys(("guardrail_intervened", "content_filtered"), "content_filter"),
}
#: What ``request_columns`` looks at.
REQUEST_FIELDS = (
    *("response_format", "text", "reasoning_effort", "reasoning", "max_completion_tokens", "max_tokens", "max_output_tokens"),
    *("tools", "functions", "service_tier"),
)
#: Content part type → input modality.
_MODALITIES = {
    **dict.fromkeys(("image", "image_url", "input_image"), "image"),
    **dict.fromkeys(("audio", "input_audio"), "audio"),
    **dict.fromkeys(("file", "input_file", "document"), "file"),
    **dict.fromkeys(("video", "video_url"), "video"),
}
#: What loggers write in place of a text they were told to leave out.
_REDACTED = ("redacted-by-litellm", "redacted by litellm")
#: What LiteLLM leaves in a text that it shortened.
_CUT = "litellm_truncated"


def usage_columns(prompt: int, completion: int, usage: Mapping[str, Any]) -> Row:
    """Split inclusive totals into exclusive buckets by an OpenAI- or Anthropic-shaped ``usage``.

    ``prompt`` holds cached and written tokens, ``completion`` reasoning. Raises Rejected with both numbers when the parts
    exceed the whole.

    >>> row = usage_columns(1200, 30, {"prompt_tokens_details": {"cached_tokens": 1024}})
    >>> row["input_tokens"], row["cache_read_tokens"], row["output_tokens"]
    (176, 1024, 30)
    """
    read, write_5m, write_1h = _cached(usage)
    details = usage.get("completion_tokens_details") or usage.get("output_tokens_details")
    thought = 0
    if isinstance(details, dict):
        thought = count(details.get("reasoning_tokens") or details.get("thinking_tokens"), "reasoning tokens") or 0
    return exclusive(prompt, completion, read, write_5m, write_1h, thought)


def exclusive(prompt: int, completion: int, read: int, write_5m: int, write_1h: int, thought: int) -> Row:
    """Return the exclusive buckets of inclusive totals whose parts are known; Rejected where the parts exceed the whole."""
    if (inside := read + write_5m + write_1h) > prompt:
        raise Rejected(f"cached and written tokens are {inside}, more than the {prompt} prompt tokens that should hold them")
    if thought > completion:
        raise Rejected(f"reasoning tokens are {thought}, more than the {completion} completion tokens that should hold them")
    return {
        "input_tokens": prompt - inside,
        "cache_read_tokens": read,
        "cache_write_5m_tokens": write_5m,
        "cache_write_1h_tokens": write_1h,
        "output_tokens": completion - thought,
        "reasoning_tokens": thought,
        "total_input_tokens": prompt,
        "total_output_tokens": completion,
    }


def _cached(usage: Mapping[str, Any]) -> tuple[int, int, int]:
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details")
    details = details if isinstance(details, dict) else {}
    read = count(details.get("cached_tokens") or usage.get("cache_read_input_tokens"), "cached tokens") or 0
    named = details.get("cache_write_tokens") or details.get("cache_creation_tokens") or usage.get("cache_creation_input_tokens")
    written = count(named, "cache write tokens") or 0
    split = details.get("cache_creation_token_details") or usage.get("cache_creation")
    if not split:
        return read, written, 0
    hour = count(dig(split, "ephemeral_1h_input_tokens"), "one-hour cache write tokens") or 0
    short = count(dig(split, "ephemeral_5m_input_tokens"), "five-minute cache write tokens") or 0
    return read, max(written - hour, short), hour


def request_columns(body: Any) -> Row:
    """Return what was asked for besides text: tools, format, limits, effort, tier."""
    if not isinstance(body, dict):
        return {}
    shape = body.get("response_format") or dig(body.get("text"), "format")
    effort = body.get("reasoning_effort") or dig(body.get("reasoning"), "effort")
    limit = first(body.get("max_completion_tokens"), body.get("max_tokens"), body.get("max_output_tokens"))
    return {
        "has_tools": bool(body.get("tools") or body.get("functions")),
        "response_format": (text(dig(shape, "type")) if shape else None) or "text",
        "max_tokens": count(limit, "max_tokens"),
        "reasoning_effort": text(effort),
        "service_tier": service_tier(body.get("service_tier")),
    }


def service_tier(value: Any) -> str | None:
    """Return the tier in our words; None when absent."""
    tier = text(value)
    return None if tier is None else _TIERS.get(tier, tier)


def prompt_columns(messages: Any, system: Any = None) -> Row:
    """Return messages as JSON, whether they are whole, their turn, and the modalities of their parts.

    >>> prompt_columns("Say hi", "Be brief.")["messages"]
    '[{"role":"system","content":"Be brief."},{"role":"user","content":"Say hi"}]'
    """
    listed = messages if isinstance(messages, list) else _listed(messages)
    if not listed:
        return {"text_state": "none"}
    if system and (told := unjson(system)):
        listed = [{"role": "system", "content": told}, *listed]
    written = as_json(listed)
    answers = turn = 0
    parts: list[Any] = []
    for message in listed:
        if not isinstance(message, dict):
            continue
        role, content = message.get("role"), message.get("content")
        if isinstance(content, str):
            if content.startswith(_REDACTED):
                return {"text_state": "none"}
        elif isinstance(content, list):
            parts += content
        if role == "assistant":
            answers += 1
        elif role == "user":
            turn = answers
    return {
        "messages": written,
        "text_state": "cut" if "_" in written and _CUT in written else "full",
        "turn": turn,  # the answers before the newest user message
        "modalities": _modalities(parts) if parts else "text",
    }


def _listed(messages: Any) -> list[Any]:
    """Return messages that are no list as one; empty where there is nothing."""
    messages = unjson(messages)
    if isinstance(messages, dict) and "messages" in messages:
        messages = unjson(messages["messages"])
    if not messages or isinstance(messages, list):
        return messages or []
    return [messages if isinstance(messages, dict) else {"role": "user", "content": messages}]


def _redacted(content: Any) -> bool:
    return isinstance(content, str) and content.startswith(_REDACTED)


def _modalities(parts: list[Any]) -> str:
    kinds = {_MODALITIES[t] for p in parts if isinstance(p, dict) and isinstance(t := p.get("type"), str) and t in _MODALITIES}
    return ",".join(["text", *sorted(kinds)])


def answer_columns(answer: Any) -> Row:
    """Return the answer's text (JSON where it holds tool calls), finish reason, and the tier that was used.

    >>> answer_columns({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]})
    {'response': 'Hi', 'finish_reason': 'stop'}
    """
    answer = unjson(answer)
    if isinstance(answer, str):
        return {} if _redacted(answer) else {"response": text(answer)}
    if not answer or not isinstance(answer, dict):
        return {}
    choices = answer.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        row = _chat(choices[0])
    elif isinstance(answer.get("output"), list):
        row = _responses(answer)
    else:
        row = _anthropic(answer)
    tier = service_tier(answer.get("service_tier"))
    return row if tier is None else {**row, "service_tier": tier}


def _chat(choice: Mapping[str, Any]) -> Row:
    message = choice.get("message") or choice.get("delta") or {"content": choice.get("text")}
    return message_columns(message if isinstance(message, dict) else {}, choice.get("finish_reason"))


def message_columns(message: Mapping[str, Any], finish_reason: Any) -> Row:
    """Return the answer's columns of one message in OpenAI's shape.

    >>> message_columns({"role": "assistant", "content": "Hi"}, "end_turn")
    {'response': 'Hi', 'finish_reason': 'stop'}
    """
    content = message.get("content")
    called = message.get("tool_calls") or message.get("function_call")
    said = as_json(message) if called else None if _redacted(content) else text(content)
    return {"response": said, "finish_reason": _finish(finish_reason)}


def _responses(answer: Mapping[str, Any]) -> Row:
    items = [i for i in answer["output"] if isinstance(i, dict)]
    called = any(str(i.get("type")).endswith("_call") for i in items)
    parts = [p for i in items if isinstance(i.get("content"), list) for p in i["content"]]
    cut = dig(answer.get("incomplete_details"), "reason")
    finish = "tool_calls" if called else _finish(cut or answer.get("status"))
    return {"response": as_json(items) if called else _joined(parts), "finish_reason": finish}


def _anthropic(answer: Mapping[str, Any]) -> Row:
    content = answer.get("content")
    parts = content if isinstance(content, list) else []
    called = any(dig(p, "type") == "tool_use" for p in parts)
    return {"response": as_json(parts) if called else _joined(parts), "finish_reason": _finish(answer.get("stop_reason"))}


def _joined(parts: list[Any]) -> str | None:
    return text("".join(t for p in parts if isinstance(t := dig(p, "text"), str)))


def _finish(value: Any) -> str | None:
    reason = text(value)
    return None if reason is None else _FINISH.get(reason, reason)


def first(*values: Any) -> Any:
    """Return the first value that is neither None nor empty text; None when there is none."""
    for value in values:
        if value is not None and value != "":
            return value
    return None
