"""What LiteLLM hands to a hook → what a decision needs: messages, app, the unit of assignment, and what came with the request.

In: the ``data`` of a pre-call hook, the caller's key, the call type: chat, Anthropic Messages or Responses. Out: one frozen value,
or None for what is not ours. The app is found as the log reader finds it (``planner.traffic.litellm.app_of``; a test holds both
equal), so that production and log speak of the same apps. Never raises. Knows nothing of rollouts or routers.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["CALLS", "Asked", "app_of", "asked", "metadata_of", "tags_of", "unit_of"]

#: The call types that are steered.
CALLS = ("acompletion", "anthropic_messages", "aresponses")
_ALIASES = {"team": ("user_api_key_team_alias", "user_api_key_team_id"), "key": ("user_api_key_alias",)}
_APP_TAGS = ("app:", "team:", "service:")
#: Where LiteLLM's logs find a session, in their order: in the request, then in its metadata.
_SESSIONS = (("litellm_session_id", "litellm_trace_id"), ("session_id", "trace_id"))


@dataclass(frozen=True, slots=True)
class Asked:
    """One request.

    Parameters
    ----------
    model: the group it asked for.
    app, key: whose it is; the key is its session, else its end user, else its call's id.
    unit: which of the three: ``session``, ``user`` or ``request``.
    messages: as sent, a system prompt that came beside them first.
    metadata: for ``Router.decide``: app, model, tools, response_format, max_tokens, modalities.
    """

    model: str
    app: str
    key: str
    unit: str
    messages: Any
    metadata: dict[str, Any]


def asked(
    data: Any, auth: Any, call_type: Any, app_from: str | None = None, failed: Callable[[Exception], None] | None = None
) -> Asked | None:
    """Read one request; None where it is no call of ours or cannot be read, of which ``failed`` is told why.

    ``auth`` is LiteLLM's ``user_api_key_dict``.

    >>> found = asked({"model": "gpt-5", "input": "Hi", "instructions": "Be brief.", "litellm_session_id": "s"}, None, "aresponses")
    >>> found.key, found.app, [m["role"] for m in found.messages]
    ('s', 'default', ['system', 'user'])
    """
    try:
        model = data.get("model")
        if call_type not in CALLS or not isinstance(model, str) or not model:
            return None
        metadata = metadata_of(data)
        app, (key, unit) = app_of(metadata, model, app_from), unit_of(data, metadata, auth)
        return Asked(model, app, key, unit, _messages(data, call_type), _beside(data, app, model))
    except Exception as error:  # whatever a client sent, its request must pass
        if failed is not None:
            failed(error)
        return None


def metadata_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return LiteLLM's own metadata of a request: ``litellm_metadata`` of Messages and Responses, ``metadata`` of chat; {} for none."""
    for name in ("litellm_metadata", "metadata"):
        if isinstance(found := data.get(name), dict):
            return found
    return {}


def tags_of(metadata: Mapping[str, Any]) -> list[str]:
    """Return the tags of a request.

    >>> tags_of({"tags": "app:search"}), tags_of({"tags": ["a", None]}), tags_of({})
    (['app:search'], ['a'], [])
    """
    found = metadata.get("tags")
    given = [found] if isinstance(found, str) else found if isinstance(found, (list, tuple)) else []
    return [str(t) for t in given if t]


def app_of(metadata: Mapping[str, Any], group: str, app_from: str | None = None) -> str:
    """Return the app: the first ``app:``, ``team:`` or ``service:`` tag, then team alias, then key alias, or what ``app_from`` names.

    >>> app_of({"tags": ["x", "app:search"]}, "chat"), app_of({}, "chat", "model_group"), app_of({}, "chat")
    ('search', 'chat', 'default')
    """
    tags = [t for t in tags_of(metadata) if not t.startswith("User-Agent:")]
    if app_from is None:
        tagged = next((t for prefix in _APP_TAGS if (t := _tagged(tags, prefix))), None)
        return tagged or _alias(metadata, "team") or _alias(metadata, "key") or "default"
    kind, _, name = app_from.partition(":")
    if kind == "tag":
        return _tagged(tags, f"{name}:") or "default"
    if kind == "metadata":
        sent = metadata.get("requester_metadata")
        return (_text(sent.get(name)) if isinstance(sent, dict) else None) or "default"
    return (group if kind == "model_group" else _alias(metadata, kind)) or "default"


def unit_of(data: Mapping[str, Any], metadata: Mapping[str, Any], auth: Any = None) -> tuple[str, str]:
    """Return the key of the unit of assignment, and its kind: session, else end user, else this call alone.

    >>> unit_of({"litellm_call_id": "c-1"}, {"session_id": "s-1"}), unit_of({"litellm_call_id": "c-1"}, {})
    (('s-1', 'session'), ('c-1', 'request'))
    """
    call = _text(data.get("litellm_call_id"))
    for names, source in zip(_SESSIONS, (data, metadata), strict=True):
        for name in names:
            found = _text(source.get(name))
            if found and found != call:
                return found, "session"
    user = _text(metadata.get("user_api_key_end_user_id")) or _text(getattr(auth, "end_user_id", None))
    return (user, "user") if user else (call or uuid.uuid4().hex, "request")


def _messages(data: Mapping[str, Any], call_type: str) -> Any:
    """Return the messages as the log reader reads them: a system prompt that came beside them is the first."""
    responses = call_type == "aresponses"
    sent = data.get("input" if responses else "messages")
    system = None if call_type == "acompletion" else data.get("instructions" if responses else "system")
    if isinstance(sent, str):
        sent = [{"role": "user", "content": sent}]
    return [{"role": "system", "content": system}, *sent] if system and isinstance(sent, list) else sent


def _beside(data: Mapping[str, Any], app: str, model: str) -> dict[str, Any]:
    """Return what came beside the messages, in the words of ``Router.decide``."""
    text, output = data.get("text"), data.get("output_config")
    shapes = (
        data.get("response_format"),
        text.get("format") if isinstance(text, Mapping) else None,
        output.get("format") if isinstance(output, Mapping) else None,
        data.get("output_format"),
    )
    limits = (data.get("max_completion_tokens"), data.get("max_tokens"), data.get("max_output_tokens"))
    return {
        "app": app,
        "model": model,
        "tools": data.get("tools") or data.get("functions"),
        "response_format": next((s for s in shapes if s), None),
        "max_tokens": next((n for n in limits if n is not None), None),
        "modalities": data.get("modalities"),
    }


def _tagged(tags: Sequence[str], prefix: str) -> str | None:
    return next((t[len(prefix) :] for t in tags if t.startswith(prefix) and len(t) > len(prefix)), None)


def _alias(metadata: Mapping[str, Any], who: str) -> str | None:
    return next((found for name in _ALIASES[who] if (found := _text(metadata.get(name)))), None)


def _text(value: Any) -> str | None:
    """Return a non-empty string, or None: what ``planner.traffic.values.text`` makes of a value."""
    if isinstance(value, str):
        return value or None
    if value is None or value is False:
        return None
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) if isinstance(value, (dict, list)) else str(value)
