"""What LiteLLM logs of an answer → what a guardrail counts: its latency, whether it was cut off, whether it kept the format asked for.

In: the keyword arguments of a success event and the answer, of chat, Anthropic Messages or Responses. Out: an Outcome, and the request as
it was sent. What cannot be read is unknown, not bad. Knows nothing of apps, arms or limits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from planner.router.litellm_request import unit_of
from planner.router.litellm_shape import kept, shape_of
from planner.router.mirror import Today
from planner.router.tallies import Outcome
from planner.text.messages import content_text

__all__ = ["ids_of", "outcome", "sent_of", "today"]

_CUT = ("length", "max_tokens", "max_output_tokens")


async def outcome(kwargs: Mapping[str, Any], answer: Any, group: str = "", *, shaped: bool = True) -> Outcome:
    """Return what the guard counts of an answer; where it is ``shaped``, the format asked for is checked outside the event loop.

    ``group`` is the one it was sent to; that another try in the same group answered is no fallback.

    Of a stream that its client left nothing is known but that no error was seen: its time and its end are those of the client.
    """
    if _left(kwargs):
        return Outcome(False, None, None, None, _fell_back(kwargs, group))
    shape = shape_of(_body(kwargs) or {}) if shaped else None
    text = _text(answer) if shape is not None else None
    valid = None if shape is None or not text else await asyncio.to_thread(kept, shape, text)
    return Outcome(False, _latency_ms(kwargs), _finish(answer) in _CUT, valid, _fell_back(kwargs, group))


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


def _fell_back(kwargs: Mapping[str, Any], group: str) -> bool:
    """Say whether another group answered than ``group``, by what the gateway logs; where it does not say, none did."""
    answered = _logged(kwargs).get("model_group")
    return isinstance(answered, str) and bool(answered and group) and answered != group


def _left(kwargs: Mapping[str, Any]) -> bool:
    """Say whether the client went away before the answer's end, which LiteLLM logs as a success."""
    about = _logged(kwargs).get("error_information") or {}
    return about.get("error_class") == "ClientDisconnected" or str(about.get("error_code")) == "499"


def _latency_ms(kwargs: Mapping[str, Any]) -> float | None:
    start, end = _logged(kwargs).get("startTime"), _logged(kwargs).get("endTime")
    return (end - start) * 1e3 if isinstance(start, float) and isinstance(end, float) and end >= start else None


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
