"""Bedrock's own shapes → those of Anthropic: Converse's requests and answers, and the chunks of streams put together.

In: the bodies of a model-invocation log, decoded. Out: a request and an answer as ``shapes`` reads them, the usage and the times that
an answer states. Models of other makers have bodies of their own; of those the prompt and the text are found by name. Knows nothing of
files or columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from planner.traffic.shapes import first
from planner.traffic.values import dig

__all__ = ["METRICS", "answer", "request"]

METRICS = "amazon-bedrock-invocationMetrics"
#: Where makers put the whole prompt, and the text of an answer or of a chunk.
_PROMPTS = ("inputText", "prompt", "texts", "input")
_TEXTS = (("generation",), ("outputText",), ("completion",), ("text",), ("results", "0", "outputText"), ("outputs", "0", "text"))
_FINISHES = (("stop_reason",), ("stopReason",), ("completionReason",), ("finish_reason",), ("results", "0", "completionReason"))
#: How other makers say why an answer ended, in OpenAI's words.
_ENDS = {
    **dict.fromkeys(("FINISH", "FINISHED", "COMPLETE"), "stop"),
    **dict.fromkeys(("LENGTH", "MAX_TOKENS"), "length"),
    **dict.fromkeys(("CONTENT_FILTERED", "ERROR_TOXIC"), "content_filter"),
}
_LIMITS = ("maxTokens", "max_tokens", "max_gen_len", "maxTokenCount", "max_new_tokens", "max_tokens_to_sample")


def request(body: Any) -> dict[str, Any]:
    """Return a request's body with Anthropic's names.

    >>> request({"messages": [{"role": "user", "content": [{"text": "Hi"}]}], "inferenceConfig": {"maxTokens": 9}})
    {'messages': [{'role': 'user', 'content': [{'type': 'text', 'text': 'Hi'}]}], 'max_tokens': 9}
    """
    if not isinstance(body, dict):
        return {}
    configs = [c for c in (body, body.get("inferenceConfig"), body.get("textGenerationConfig")) if isinstance(c, dict)]
    said = body.get("messages")
    messages = [_message(m) for m in said] if isinstance(said, list) else first(*(body.get(n) for n in _PROMPTS))
    found = {
        "messages": messages,
        "system": _parts(body.get("system")),
        "max_tokens": first(*(c.get(n) for c in configs for n in _LIMITS)),
        "tools": first(body.get("tools"), dig(body.get("toolConfig"), "tools")),
        "service_tier": first(body.get("service_tier"), dig(body.get("serviceTier"), "type")),
    }
    return {name: value for name, value in found.items() if value is not None}


def answer(body: Any) -> dict[str, Any]:
    """Return an answer, whole or in chunks, with Anthropic's names, its ``usage``, and ``metrics`` as far as it states them.

    >>> answer([{"contentBlockDelta": {"delta": {"text": "Hi"}}}, {"messageStop": {"stopReason": "end_turn"}}])
    {'content': [{'type': 'text', 'text': 'Hi'}], 'stop_reason': 'end_turn'}
    """
    chunks = [c for c in body if isinstance(c, dict)] if isinstance(body, list) else [body] if isinstance(body, dict) else []
    usage: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    finish: Any = None
    for chunk in chunks:
        for stated in (dig(chunk, "message", "usage"), dig(chunk, "metadata", "usage"), chunk.get("usage")):
            usage |= {k: v for k, v in stated.items() if v is not None} if isinstance(stated, dict) else {}
        for stated in (dig(chunk, "metadata", "metrics"), chunk.get("metrics"), chunk.get(METRICS)):
            metrics |= stated if isinstance(stated, dict) else {}
        ends = (dig(chunk, "messageStop", "stopReason"), dig(chunk, "delta", "stop_reason"), *(dig(chunk, *path) for path in _FINISHES))
        finish = first(*ends) or finish
    finish = _ENDS.get(finish, finish) if isinstance(finish, str) else finish
    content = _content(chunks, isinstance(body, list))
    found = {"content": content or None, "stop_reason": finish, "usage": usage or None, "metrics": metrics or None}
    return {name: value for name, value in found.items() if value is not None}


def _content(chunks: Sequence[Mapping[str, Any]], streamed: bool) -> list[Any]:
    """Return the parts of an answer: of a stream its tools by name, and all its text in one part."""
    if not streamed:
        whole = first(*(c for chunk in chunks for c in (chunk.get("content"), dig(chunk, "output", "message", "content"))))
        parts = _parts(whole)
        return parts if isinstance(parts, list) else [{"type": "text", "text": t} for chunk in chunks if (t := _text(chunk))]
    tools = [dig(chunk, "content_block") or _part(dig(chunk, "contentBlockStart", "start")) for chunk in chunks]
    said = "".join(_text(chunk) for chunk in chunks)
    return [*([{"type": "text", "text": said}] if said else []), *(t for t in tools if dig(t, "type") == "tool_use")]


def _text(chunk: Mapping[str, Any]) -> str:
    paths = (("contentBlockDelta", "delta", "text"), ("delta", "text"), *_TEXTS)
    return next((found for path in paths if isinstance(found := dig(chunk, *path), str)), "")


def _message(message: Any) -> Any:
    return {**message, "content": _parts(message.get("content"))} if isinstance(message, dict) else message


def _parts(content: Any) -> Any:
    return [_part(p) for p in content] if isinstance(content, list) else content


def _part(part: Any) -> Any:
    """Return one of Converse's parts, which are named by their only key, as Anthropic's, which name their type."""
    if not isinstance(part, dict) or "type" in part or len(part) != 1:
        return part
    ((kind, value),) = part.items()
    if kind == "toolUse" and isinstance(value, dict):
        return {"type": "tool_use", "id": value.get("toolUseId"), "name": value.get("name"), "input": value.get("input")}
    if kind == "toolResult" and isinstance(value, dict):
        return {"type": "tool_result", "tool_use_id": value.get("toolUseId"), "content": _parts(value.get("content"))}
    return {"type": kind, kind: value}
