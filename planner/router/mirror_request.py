"""What may be asked again of another model, and how: the question, the output limit, the answer's format; nothing that could act.

In: the body of a chat completion and a model. Out: the arguments of a call, with the most tokens it may take, or in a few words why it is
not asked. Functions may be offered, for nothing here acts on a model's calling one; what a provider would run itself (web search, code
interpreter, MCP, computer use) is not. Fields that would route, store, bill or stream do not go along. Knows nothing of money.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["LIMIT_TOKENS", "Ask", "ask_of"]

#: [tokens] output limit where the request states none; [tokens] that a provider may add around what is sent (assumed, generous).
LIMIT_TOKENS, OVERHEAD_TOKENS = 4_096, 1_024
_LIMITS = ("max_completion_tokens", "max_tokens")
#: What goes along as it is: all that shapes the answer and its length.
_KEPT = (
    "tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "response_format", "temperature", "top_p", "top_k",
    "stop", "seed", "presence_penalty", "frequency_penalty", "logit_bias", "reasoning_effort", "verbosity", "thinking",
)  # fmt: skip
#: Fields with which a provider, or the gateway, acts or looks something up.
_ACTING = ("web_search_options", "search_parameters", "mcp_servers", "plugins", "vector_store_ids", "container")
#: How loggers that were told to keep no text say so.
_REDACTED = "redacted-by-litellm"


@dataclass(frozen=True, slots=True)
class Ask:
    """``fields`` of the request, model and settings of the call aside; no answer takes more than ``most_…`` tokens."""

    fields: dict[str, Any]
    most_input_tokens: int
    most_output_tokens: int


def ask_of(body: Mapping[str, Any]) -> Ask | str:
    """Return how to ask again what ``body`` asked, or why not.

    No text has more tokens than UTF-8 bytes, whoever's tokenizer counts them.

    >>> ask_of({"model": "gpt-5", "messages": [{"role": "user", "content": "Hi"}], "stream": True, "user": "u", "max_tokens": 9})
    Ask(fields={'messages': [{'role': 'user', 'content': 'Hi'}], 'max_tokens': 9}, most_input_tokens=1073, most_output_tokens=9)
    >>> ask_of({"messages": [{"role": "user", "content": "Hi"}], "tools": [{"type": "web_search"}]})
    'tools that the provider runs'
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(m, Mapping) for m in messages):
        return "no chat messages"
    tools = body.get("tools") or []
    if any(body.get(name) for name in _ACTING) or not isinstance(tools, list) or not all(map(_function, tools)):
        return "tools that the provider runs"
    if any(_REDACTED in str(m.get("content"))[:100] for m in messages):
        return "text that must not be logged"
    if any(not _text(m.get("content")) or m.get("audio") for m in messages) or _other(body.get("modalities")):
        return "input or output other than text"
    fields = {"messages": messages, **{name: body[name] for name in _KEPT if body.get(name) is not None}}
    name, limit = next(((n, body[n]) for n in _LIMITS if body.get(n) is not None), ("max_tokens", LIMIT_TOKENS))
    if type(limit) is not int or limit < 1:
        return "an output limit that is none"
    fields = _uncached(fields)
    size = len(json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace"))
    return Ask({**fields, name: limit}, size + OVERHEAD_TOKENS, limit)


def _function(tool: Any) -> bool:
    return isinstance(tool, Mapping) and tool.get("type") == "function"


def _text(content: Any) -> bool:
    """Say whether a message's content is text alone, or absent as beside tool calls."""
    parts = content if isinstance(content, list) else []
    return content is None or (isinstance(content, str | list) and all(isinstance(p, Mapping) and p.get("type") == "text" for p in parts))


def _other(modalities: Any) -> bool:
    return isinstance(modalities, list) and any(m != "text" for m in modalities)


def _uncached(value: Any) -> Any:
    """Leave out marks to write a provider's prompt cache: they cost, and serve nobody here."""
    if isinstance(value, Mapping):
        return {k: _uncached(v) for k, v in value.items() if k != "cache_control"}
    return [*map(_uncached, value)] if isinstance(value, list) else value
