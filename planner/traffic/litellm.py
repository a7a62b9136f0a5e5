"""What LiteLLM's two exports have in common: usage, outcome, tags, app, metadata, names.

In: the decoded parts of one record. Out: the columns they determine. LiteLLM's ``prompt_tokens`` include cached and
written tokens, Anthropic's counts added back, and its ``completion_tokens`` include reasoning. Knows nothing of which
export a part came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from planner.traffic.failures import failure_kind
from planner.traffic.reader import Row
from planner.traffic.shapes import usage_columns
from planner.traffic.values import Rejected, as_json, count, dig, micros, milliseconds, shown, text, unjson

__all__ = [
    "APP_SOURCES",
    "METADATA_FIELDS",
    "app_of",
    "metadata_columns",
    "model_name",
    "outcome",
    "provider_id",
    "tags_of",
    "times",
    "tokens",
    "unless",
]

#: LiteLLM's provider → the price book's, where they differ.
_PROVIDERS = {
    **dict.fromkeys(("azure_ai", "azure_text"), "azure"),
    **dict.fromkeys(("bedrock", "bedrock_converse", "sagemaker", "sagemaker_chat"), "aws"),
    **dict.fromkeys(("vertex_ai", "vertex_ai_beta", "gemini"), "google"),
    "xai": "x-ai",
    "together_ai": "together",
    "fireworks_ai": "fireworks",
    "cohere_chat": "cohere",
    "text-completion-openai": "openai",
}
_ALIASES = {"team": ("user_api_key_team_alias", "user_api_key_team_id"), "key": ("user_api_key_alias",)}
#: The kinds of ``app_from``; ``tag`` and ``metadata`` take a name after a colon.
APP_SOURCES = ("tag", "team", "key", "model_group", "metadata")
#: What ``app_of``, ``metadata_columns`` and ``model_name`` look at in a record's metadata, and ``model_requested`` beside them.
METADATA_FIELDS = (
    *("user_api_key_team_alias", "user_api_key_team_id", "user_api_key_alias", "requester_metadata", "prompt_management_metadata"),
    *("spend_logs_metadata", "attempted_retries", "internal_call_origin", "routing_decision", "original_model_group"),
    "attempted_fallbacks",
)
_APP_TAGS = ("app:", "team:", "service:")
#: The database keeps whole milliseconds, the first token's cut off and the end's rounded: equal times come back this far apart [µs].
_TICK_US = 1_000
#: Calls that manage files, batches, vector stores …: no model answers.
_ADMIN = ("batch", "file", "list", "retrieve", "delete", "cancel", "vector_store", "container", "assistant", "thread", "fine_tuning")
_NOTHING: Mapping[str, Any] = {}


def tokens(record: Mapping[str, Any], usage: Mapping[str, Any], required: bool) -> Row:
    """Return the exclusive token buckets; Rejected when LiteLLM's own numbers contradict each other."""
    prompt, completion = _stated(record, usage, "prompt_tokens"), _stated(record, usage, "completion_tokens")
    total = count(record.get("total_tokens"), "total_tokens")
    if prompt is None and completion is None and required:
        raise Rejected("no prompt_tokens and no completion_tokens")
    summed = (prompt or 0) + (completion or 0)
    if total is not None and total != summed:
        raise Rejected(f"prompt_tokens + completion_tokens are {summed}, the source's total_tokens {total}")
    return usage_columns(prompt or 0, completion or 0, usage)


def _stated(record: Mapping[str, Any], usage: Mapping[str, Any], name: str) -> int | None:
    value = record.get(name)
    return count(usage.get(name) if value is None or value == "" else value, name)


def times(record: Mapping[str, Any], stream: bool | None) -> Row:
    """Return arrival, latency, and time to first token of a stream.

    Where ``stream`` is not known (None), a first token more than a tick before the end means one: other calls have both times equal.
    """
    start, end = micros(record.get("startTime"), "startTime"), micros(record.get("endTime"), "endTime")
    first_token = micros(record.get("completionStartTime"), "completionStartTime") if stream is not False else None
    seen = first_token if start is not None and end is not None and first_token is not None and start <= first_token <= end else None
    streamed = bool(stream) if stream is not None else seen is not None and end is not None and end - seen > _TICK_US
    return {
        "timestamp": start,
        "latency_ms": milliseconds(start, end, "endTime − startTime"),
        "ttft_ms": milliseconds(start, seen, "completionStartTime − startTime") if streamed else None,
        "stream": streamed,
    }


def outcome(status: Any, error: Any) -> Row:
    """Return ``status`` and ``error_class`` from LiteLLM's status word and ``error_information``.

    A stream that its client left is "success" to LiteLLM, and cancelled here: it ended when the client did.

    >>> outcome("success", {"error_class": "ClientDisconnected", "error_code": "499"})
    {'status': 'cancelled', 'error_class': 'ClientDisconnected'}
    """
    name, code = text(dig(error, "error_class")), text(dig(error, "error_code"))
    left = name is not None and failure_kind(name, code) == "cancelled"
    if not left and (status == "success" or (status is None and name is None)):
        return {"status": "ok"}
    if status not in ("success", "failure", None):
        raise Rejected(f"status is {shown(status)}, neither success nor failure")
    return {"status": failure_kind(name, code), "error_class": name or code}


def tags_of(value: Any) -> list[str]:
    """Return the client's own tags: LiteLLM's automatic ``User-Agent:`` ones are dropped."""
    found = unjson(value)
    if isinstance(found, str) and found:
        found = [found]
    return [str(t) for t in found if t and not str(t).startswith("User-Agent:")] if isinstance(found, list) else []


def app_of(tags: list[str], metadata: Mapping[str, Any], group: str | None, app_from: str | None) -> str:
    """Return the app: by default the first ``app:``, ``team:`` or ``service:`` tag, then team alias, then key alias.

    The model group is never guessed to be an app: it names what answers, not who asks. ``app_from`` overrides all this:
    ``tag:PREFIX``, ``team``, ``key``, ``model_group`` or ``metadata:FIELD`` (the client's own).

    >>> app_of(["x", "app:search"], {}, "chat", None), app_of([], {}, "chat", "model_group"), app_of([], {}, "chat", None)
    ('search', 'chat', 'default')
    """
    if app_from is None:
        tagged = next((t for p in _APP_TAGS if (t := _tagged(tags, p))), None) if tags else None
        return tagged or _alias(metadata, "team") or _alias(metadata, "key") or "default"
    kind, _, name = app_from.partition(":")
    if kind == "tag":
        return _tagged(tags, f"{name}:") or "default"
    if kind == "metadata":
        return text(dig(metadata, "requester_metadata", name)) or "default"
    return (group if kind == "model_group" else _alias(metadata, kind)) or "default"


def _alias(metadata: Mapping[str, Any], who: str) -> str | None:
    return next((found for name in _ALIASES[who] if (found := text(metadata.get(name)))), None)


def _tagged(tags: list[str], prefix: str) -> str | None:
    for tag in tags:
        if tag.startswith(prefix) and len(tag) > len(prefix):
            return tag[len(prefix) :]
    return None


#: Tag of the calls that ``planner labels`` makes: work on the traffic, not traffic.
_OWN_TAG = "planner:labels"


#: What our hook writes into ``spend_logs_metadata``, and the tag that says the same; a gateway that filters by tags gets no tags of ours.
_OURS = {"bundle": "planner", **{name: f"planner-{name}" for name in ("mode", "arm", "asked", "decided", "unit")}}


def metadata_columns(metadata: Mapping[str, Any], tags: list[str], call_type: Any) -> Row:
    """Return prompt version, attempts, purpose, tags, and what our own router wrote into ``spend_logs_metadata``.

    Behind our hook the group that LiteLLM logs is the one that was sent; ``model_requested`` is there only where the hook says what was
    asked for.
    """
    own = unjson(metadata.get("spend_logs_metadata")) or _NOTHING
    tags, asked = _with_ours(tags, dig(own, "planner")), text(dig(own, "planner", "asked"))
    admin = isinstance(call_type, str) and _is_admin(call_type)
    return {
        "prompt_version": (_tagged(tags, "prompt:") if tags else None) or _prompt_version(metadata),
        "attempts": 1 + sum(count(metadata.get(name), name) or 0 for name in ("attempted_retries", "attempted_fallbacks")),
        "purpose": "overhead" if admin or metadata.get("internal_call_origin") or _OWN_TAG in tags else "user",
        "action": text(dig(own, "action")),
        "action_propensities": text(dig(own, "action_propensities")),
        "policy_version": text(dig(own, "policy_version")),
        "tags": as_json(tags) if tags else None,
        **({"model_requested": asked} if asked else {}),
    }


def _with_ours(tags: list[str], about: Any) -> list[str]:
    """Return ``tags`` and those that say what our hook wrote ``about`` the request.

    >>> _with_ours(["app:chat", "planner-arm:routed"], {"bundle": "0123456789ab", "arm": "routed", "asked": "gpt-5"})
    ['app:chat', 'planner-arm:routed', 'planner:01234567', 'planner-asked:gpt-5']
    """
    if not isinstance(about, dict):
        return tags
    said = {tag: text(about.get(name)) for name, tag in _OURS.items()}
    ours = [f"{tag}:{value[:8] if tag == 'planner' else value}" for tag, value in said.items() if value]
    return [*tags, *(tag for tag in ours if tag not in tags)]


@lru_cache(maxsize=256)
def _is_admin(call_type: str) -> bool:
    return any(word in call_type for word in _ADMIN)


def _prompt_version(metadata: Mapping[str, Any]) -> str | None:
    for source in (metadata.get("requester_metadata"), metadata.get("prompt_management_metadata")):
        if source and isinstance(source, dict):
            parts = [p for p in (text(source.get("prompt_id")), text(source.get("prompt_version"))) if p]
            if parts:
                return ":".join(parts)
    return None


def provider_id(value: Any) -> str | None:
    """Return the price book's spelling of LiteLLM's provider."""
    name = text(value)
    return None if name is None else _PROVIDERS.get(name, name)


def model_name(record: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
    """Return the model that answered, without LiteLLM's provider prefix; "unknown" where none is named.

    With an automatic router ``model_group`` is the router's name and the target may stand in ``routing_decision`` only.
    """
    model, group = text(record.get("model")), text(record.get("model_group"))
    if model is None or model == group:
        model = text(dig(unjson(metadata.get("routing_decision")), "routed_model")) or model
    name = model or group or "unknown"
    prefix = record.get("custom_llm_provider")
    return name.removeprefix(f"{prefix}/") or name if prefix else name


def unless(value: Any, absent: str) -> str | None:
    """Return text, or None when it is LiteLLM's word for nothing."""
    found = text(value)
    return None if found == absent else found
