"""A running LiteLLM proxy, asked and never changed: what it knows of itself, and single tiny calls.

In: its URL and a key. Out: answers with their headers; what cannot be asked with this key is None. Follows no redirect, since that would
carry the key to another host. Knows nothing of what should be there.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from planner.errors import InputError
from planner.labels.client import endpoint

__all__ = ["Answered", "Proxy", "proxy_at"]

#: Marks calls as ours, so that no log counts them as traffic and no rollout knows their app.
_TAGS = "planner:labels,app:planner-preflight"
_TIMEOUT_S = 60.0


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nothing."""


_OPENER = urllib.request.build_opener(_Stay)


@dataclass(frozen=True)
class Answered:
    """``status`` (0: nobody answered), the decoded ``body`` (None where it is no JSON), and ``headers`` in small letters."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether it is what was asked for."""
        return self.status == 200

    @property
    def error(self) -> str:
        """Say what went wrong, in the proxy's own words, cut short."""
        if not self.status:
            return f"no answer: {self.body}"
        error = self._error
        said = error.get("message", "") if isinstance(error, dict) else error
        return f"HTTP {self.status}: {' '.join(str(said).split()):.160}"

    @property
    def key_fix(self) -> str:
        """Say what to do where the proxy refused the key before any model was asked; "" where it did not."""
        error = self._error if isinstance(self._error, dict) else {}
        if error.get("type") == "budget_exceeded":
            return "raise the budget that is spent, or ask with another key"
        if self.status == 429 and str(error.get("message")).startswith("Rate limit exceeded for "):
            return "raise the limit a minute that is reached, perhaps by these calls themselves, or ask with another key"
        return ""

    @property
    def _error(self) -> Any:
        body = self.body if isinstance(self.body, dict) else {}
        return body.get("error", body.get("detail", ""))


@dataclass(frozen=True)
class Proxy:
    """The proxy at ``base`` (without /v1)."""

    base: str
    headers: Mapping[str, str] = field(repr=False)

    def get(self, path: str) -> Answered:
        """Ask for a page."""
        return _sent(urllib.request.Request(self.base + path, headers=dict(self.headers)))

    def chat(self, body: Mapping[str, Any]) -> Answered:
        """Make one call; of a stream the body is the list of its pieces."""
        request = urllib.request.Request(f"{self.base}/v1/chat/completions", json.dumps(body).encode(), dict(self.headers), method="POST")
        return _sent(request)

    @cached_property
    def allowed(self) -> Answered:
        """The model groups that the key may use."""
        return self.get("/v1/models")

    @cached_property
    def usable(self) -> set[str] | None:
        """The names of the model groups that the key may use, None where it is not told."""
        body = self.allowed.body
        return {str(m.get("id")) for m in body.get("data", [])} if self.allowed.ok and isinstance(body, dict) else None

    @cached_property
    def deployments(self) -> list[dict[str, Any]] | None:
        """Every deployment that the key may see: ``model_name``, ``litellm_params``, ``model_info``."""
        found = self.get("/model/info")
        listed = found.body.get("data") if found.ok and isinstance(found.body, dict) else None
        return [d for d in listed if isinstance(d, dict)] if isinstance(listed, list) else None

    @cached_property
    def key(self) -> dict[str, Any] | None:
        """The key's own page: budget, limits, team; {} for a key that is in no database, None for one that may not look."""
        found = self.get("/key/info")
        info = found.body.get("info") if found.ok and isinstance(found.body, dict) else None
        return info if isinstance(info, dict) else None if found.status == 403 else {}

    @cached_property
    def team(self) -> dict[str, Any]:
        """The page of the key's team, {} without one that it may see."""
        name = (self.key or {}).get("team_id")
        found = self.get(f"/team/info?team_id={urllib.parse.quote(str(name))}") if name else None
        info = found.body.get("team_info") if found and isinstance(found.body, dict) else None
        return info if isinstance(info, dict) else {}

    @cached_property
    def settings(self) -> dict[str, Any] | None:
        """The callbacks in force, as far as the key may see them."""
        found = self.get("/get/config/callbacks")
        return found.body if found.ok and isinstance(found.body, dict) else None

    @cached_property
    def router_settings(self) -> dict[str, Any] | None:
        """Every setting of the router in force, as far as the key may see them; one that is not there is LiteLLM's default."""
        found = self.get("/router/settings")
        values = found.body.get("current_values") if found.ok and isinstance(found.body, dict) else None
        return values if isinstance(values, dict) else None

    @cached_property
    def version(self) -> str | None:
        """The version of LiteLLM, where its API page says so."""
        found = self.get("/openapi.json")
        info = found.body.get("info") if found.ok and isinstance(found.body, dict) else None
        return str(info["version"]) if isinstance(info, dict) and info.get("version") else None


def proxy_at(url: str, key: str | None) -> Proxy:
    """Return the proxy at ``url``, called with ``key``; InputError for what is no URL, or a key that no header can carry.

    >>> proxy_at("http://localhost:4000/v1", None).base
    'http://localhost:4000'
    """
    where = endpoint(url, key, _TIMEOUT_S)
    if not where.url.endswith("/v1/chat/completions"):
        raise InputError(f"{url!r}", "the URL of a LiteLLM proxy", "for example http://localhost:4000")
    return Proxy(where.url.removesuffix("/v1/chat/completions"), {**where.headers, "x-litellm-tags": _TAGS})


def _sent(request: urllib.request.Request) -> Answered:
    try:
        with _OPENER.open(request, timeout=_TIMEOUT_S) as response:
            return Answered(response.status, _decoded(response.read()), _small(response.headers))
    except urllib.error.HTTPError as error:
        with error:
            return Answered(error.code, _decoded(error.read()), _small(error.headers))
    except OSError as error:
        return Answered(0, str(getattr(error, "reason", error)))


def _small(headers: Any) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in headers.items()}


def _decoded(raw: bytes) -> Any:
    """Return the JSON of an answer, or of the pieces of a stream as a list."""
    if raw.startswith(b"data:"):
        pieces = [line[5:].strip() for line in raw.split(b"\n") if line.startswith(b"data:")]
        return [_decoded(piece) for piece in pieces if piece != b"[DONE]"]
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None
