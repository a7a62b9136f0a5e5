"""The body of a request that asks a candidate, in OpenAI's or Anthropic's shape.

In: an item and an ask. Out: plain values for JSON. What is sent is the prompt, the output limit and the answer's format: never tools, so
that no answer can act. Knows nothing of files or connections.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

from planner.errors import InputError
from planner.labels.work import Work
from planner.text.messages import content_text, parse

__all__ = ["LIMIT_FIELDS", "anthropic_body", "items_of", "openai_body", "pairs_of", "schema_bytes"]

#: What endpoints call the output limit: OpenAI's own name of today, and the older one that some servers know alone.
LIMIT_FIELDS = ("max_completion_tokens", "max_tokens")


def items_of(work: Work) -> dict[str, dict[Hashable, Any]]:
    """Return request_id → item; InputError for one that must not be asked: cut, without text, or with tools."""
    items = work.items
    bad = items[(items["text_state"] != "full") | items["messages"].isna() | items["has_tools"].astype(bool)]
    if len(bad):
        raise InputError(
            f"request {bad['request_id'].iloc[0]!r} without its whole prompt, or with tools", "work that sample chose", "sample again"
        )
    return {str(item["request_id"]): item for item in items.to_dict("records")}


def pairs_of(work: Work) -> Iterator[tuple[dict[Hashable, Any], dict[Hashable, Any]]]:
    """Yield (ask, item) in the order of asking."""
    items = items_of(work)
    for ask in work.asks.to_dict("records"):
        yield ask, items[str(ask["request_id"])]


def openai_body(
    item: Mapping[Hashable, Any], ask: Mapping[Hashable, Any], names: Mapping[str, str], schemas: Mapping[str, Any], limit_field: str
) -> dict[str, Any]:
    """Return a chat completion request; ``names`` are model → what the endpoint calls it, ``schemas`` app → JSON schema.

    >>> item = {"messages": '[{"role":"user","content":"Hi"}]', "response_format": "text", "app": "chat"}
    >>> openai_body(item, {"model": "m", "limit_tokens": 9}, {}, {}, "max_tokens")
    {'model': 'm', 'messages': [{'role': 'user', 'content': 'Hi'}], 'max_tokens': 9}
    """
    body: dict[str, Any] = {
        "model": names.get(ask["model"], ask["model"]),
        "messages": parse(item["messages"]),
        limit_field: int(ask["limit_tokens"]),
    }
    if item["response_format"] == "json_object":
        body["response_format"] = {"type": "json_object"}
    elif item["response_format"] == "json_schema":
        body["response_format"] = _stated(schemas[item["app"]])
    return body


def schema_bytes(schema: Mapping[str, Any]) -> int:
    """Return how many bytes a request for answers of ``schema`` has more than one without, no fewer than tokens.

    >>> schema_bytes({"type": "object"})
    88
    """
    return len(json.dumps(_stated(schema)).encode())


def _stated(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": dict(schema) if "schema" in schema else {"name": "answer", "schema": dict(schema)}}


def anthropic_body(item: Mapping[Hashable, Any], ask: Mapping[Hashable, Any], names: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the parameters of a Messages request, None for what that API does not take: no user first, or an answer's format.

    >>> item = {"messages": '[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}]', "response_format": "text"}
    >>> anthropic_body(item, {"model": "m", "limit_tokens": 9}, {})
    {'model': 'm', 'max_tokens': 9, 'messages': [{'role': 'user', 'content': 'Hi'}], 'system': 'Be brief.'}
    """
    said = [(m.get("role", "user"), content_text(m.get("content"))) for m in parse(item["messages"])]
    system = "\n\n".join(text for role, text in said if role in ("system", "developer") and text)
    turns = [{"role": role, "content": text} for role, text in said if role in ("user", "assistant") and text.strip()]
    if not turns or turns[0]["role"] != "user" or turns[-1]["role"] != "user" or item["response_format"] != "text":
        return None
    body = {"model": names.get(ask["model"], ask["model"]), "max_tokens": int(ask["limit_tokens"]), "messages": turns}
    return {**body, "system": system} if system else body
