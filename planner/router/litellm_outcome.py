"""What LiteLLM logs of an answer → what a guardrail counts: its latency, whether it was cut off, whether it kept the format asked for.

In: the keyword arguments of a success event and the answer, of chat, Anthropic Messages or Responses. Out: an Outcome, and the request as
it was sent. What cannot be read is unknown, not bad. Knows nothing of apps, arms or limits.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from planner.errors import PlannerError
from planner.router.litellm_request import unit_of
from planner.router.mirror import Today
from planner.router.tallies import Outcome
from planner.text.checks import json_problem, schema_check
from planner.text.messages import content_text

__all__ = ["ids_of", "outcome", "sent_of", "today"]

_CUT = ("length", "max_tokens", "max_output_tokens")


async def outcome(kwargs: Mapping[str, Any], answer: Any) -> Outcome:
    """Return what the guard counts of an answer; a format that was asked for is checked outside the event loop."""
    finish, text = _finish(answer), _text(answer)
    shape = _shape(_body(kwargs) or {})
    kept = None if shape is None or not text else await asyncio.to_thread(_kept, shape, text)
    return Outcome(False, _latency_ms(kwargs), finish in _CUT, kept)


def sent_of(kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the body of a chat request with the messages that LiteLLM sent and may log, None where either is not there.

    The body is the client's; the messages went through the gateway's guardrails, which may mask them, and its rules on what is logged.

    >>> request = {"proxy_server_request": {"body": {"seed": 1, "messages": [{"role": "user", "content": "I am Ann"}]}}}
    >>> sent_of({"messages": [{"role": "user", "content": "I am <PERSON>"}], "litellm_params": request})
    {'seed': 1, 'messages': [{'role': 'user', 'content': 'I am <PERSON>'}]}
    """
    body, messages = _body(kwargs), kwargs.get("messages")
    return {**body, "messages": messages} if body is not None and isinstance(messages, list) else None


def ids_of(kwargs: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the ids by which feedback may name a request: its call's and its answer's."""
    logged = _logged(kwargs)
    return tuple({i: None for i in (logged.get("litellm_call_id"), logged.get("id")) if isinstance(i, str) and i})


def today(kwargs: Mapping[str, Any], answer: Any) -> Today:
    """Return the answer that the user got, by the names it has in the log."""
    logged, cost = _logged(kwargs), kwargs.get("response_cost")
    model, provider = str(logged.get("model") or ""), logged.get("custom_llm_provider")
    name = model.removeprefix(f"{provider}/") if provider else model
    key, unit = unit_of(kwargs.get("litellm_params") or {}, _metadata(kwargs))
    user = logged.get("end_user")
    return Today(
        str(logged.get("id") or logged.get("litellm_call_id")),
        name,
        answer,
        _latency_ms(kwargs),
        cost if isinstance(cost, float) else None,
        provider,
        key if unit == "session" else None,
        user if isinstance(user, str) and user else None,
    )


def _body(kwargs: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the body of the request as the proxy got it."""
    request = (kwargs.get("litellm_params") or {}).get("proxy_server_request") or {}
    body = request.get("body")
    return body if isinstance(body, Mapping) else None


def _logged(kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    return kwargs.get("standard_logging_object") or {}


def _metadata(kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    return (kwargs.get("litellm_params") or {}).get("metadata") or {}


def _latency_ms(kwargs: Mapping[str, Any]) -> float | None:
    start, end = _logged(kwargs).get("startTime"), _logged(kwargs).get("endTime")
    return (end - start) * 1e3 if isinstance(start, float) and isinstance(end, float) and end >= start else None


def _shape(body: Mapping[str, Any]) -> str | None:
    """Return the JSON schema asked for as text, "" for any JSON, None for no format."""
    text, config = body.get("text"), body.get("output_config")
    found = body.get("response_format") or (text.get("format") if isinstance(text, Mapping) else None)
    found = found or body.get("output_format") or (config.get("format") if isinstance(config, Mapping) else None)
    kind = found.get("type") if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping) or kind not in ("json_object", "json_schema"):
        return None
    inner = found.get("json_schema")
    schema = inner.get("schema") if isinstance(inner, Mapping) else found.get("schema")
    return json.dumps(schema, sort_keys=True) if isinstance(schema, Mapping) else ""


def _kept(shape: str, text: str) -> bool | None:
    try:
        return _check(shape)(text) is None
    except (PlannerError, RecursionError):  # a schema that is none says nothing about the answer
        return None


@lru_cache(64)
def _check(shape: str) -> Callable[[str], str | None]:
    return schema_check(json.loads(shape)) if shape else json_problem


def _finish(answer: Any) -> str | None:
    choices = _get(answer, "choices")
    if choices:
        found = _get(choices[0], "finish_reason")
    else:
        found = _get(_get(answer, "incomplete_details"), "reason") or _get(answer, "stop_reason")
    return found if isinstance(found, str) else None


def _text(answer: Any) -> str | None:
    """Return the answer's text; None where it calls tools instead."""
    choices = _get(answer, "choices")
    if choices:
        message = _get(choices[0], "message")
        content = None if _get(message, "tool_calls") else _get(message, "content")
    elif _get(answer, "output") is not None:
        content = [{"text": _get(part, "text")} for item in _get(answer, "output") for part in _get(item, "content") or ()]
    else:
        content = [{"text": _get(part, "text")} for part in _get(answer, "content") or ()]
    return content_text(content) if content else None


def _get(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
