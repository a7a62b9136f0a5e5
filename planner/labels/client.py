"""One call to an OpenAI-compatible endpoint: a body goes out, a Reply comes back, whatever happens.

In: an endpoint and a request body. Out: the answer's body or the kind of failure, how long it took, and whether it may have been paid for.
Follows no redirect, since that would carry the key to another host. Knows nothing of budgets, journals or retries.
"""

from __future__ import annotations

import email.utils
import http.client
import json
import math
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

from planner.errors import InputError
from planner.labels.replies import answer_of, error_of
from planner.traffic.values import Rejected

__all__ = ["FALLBACK", "Endpoint", "Reply", "endpoint", "post"]

#: The error class of an answer that LiteLLM's proxy fetched from another model than was asked.
FALLBACK = "answered by a fallback"

#: Statuses after which the model may have answered, unseen.
_UNSEEN = (408, 502, 504, 524)


@dataclass(frozen=True)
class Endpoint:
    """Where to call; the key is in ``headers`` and in no representation."""

    url: str
    timeout_s: float
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class Reply:
    """What came of a call.

    Parameters
    ----------
    status: of ``schema.STATUSES``. error_class: the source's name of the failure. http: its status, None without one.
    body: the decoded answer. answer: the columns that it determines, empty on failure.
    latency_ms: whole call. retry_after_s: as the endpoint asks for. sent: the call reached it. unseen: it may have been answered.
    """

    status: str
    latency_ms: float
    error_class: str | None = None
    http: int | None = None
    body: Any = None
    answer: Mapping[str, Any] = field(default_factory=dict)
    retry_after_s: float | None = None
    sent: bool = True
    unseen: bool = False


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nothing."""


_OPENER = urllib.request.build_opener(_Stay)


def endpoint(base_url: str, api_key: str | None, timeout_s: float) -> Endpoint:
    """Return the chat completions under ``base_url``; a bare host gets ``/v1``.

    White space around the key is dropped. A user and password in the URL become a header (RFC 7617), since URLs are printed. Raises
    InputError for what is no URL and for a key that no header can carry, without either's secrets.

    >>> endpoint("http://localhost:4000", None, 60).url, endpoint("https://me:pw@x.example/openai/v1/", None, 60).url
    ('http://localhost:4000/v1/chat/completions', 'https://x.example/openai/v1/chat/completions')
    """
    parts = _url(base_url)
    user, _, host = parts.netloc.rpartition("@")
    path = parts.path.rstrip("/").removesuffix("/chat/completions") or "/v1"
    headers = {"Content-Type": "application/json", "x-litellm-tags": "planner:labels", "User-Agent": "planner"}
    key = (api_key or "").strip()
    if user and key:
        raise InputError("a key, and a user in the URL", "one of the two", "leave one out")
    if not all("!" <= character <= "~" for character in key):
        raise InputError("a key with characters that no header carries", "visible ASCII characters", "check where the key comes from")
    if user or key:
        headers["Authorization"] = f"Bearer {key}" if key else f"Basic {b64encode(unquote_to_bytes(user)).decode()}"
    return Endpoint(f"{parts.scheme}://{host}{path}/chat/completions", timeout_s, headers)


def _url(base_url: str) -> SplitResult:
    try:
        parts = urlsplit(base_url)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and parts.path.isascii()
    except ValueError:
        sound = False
    if not sound or parts.query or parts.fragment:
        shown = base_url.rpartition("@")[2].partition("?")[0]
        raise InputError(f"{shown!r}", "the URL of an OpenAI-compatible endpoint", "for example http://localhost:4000/v1")
    return parts


def post(where: Endpoint, body: Mapping[str, Any], key: str) -> Reply:
    """Send ``body`` with the idempotency key ``key`` and return what came of it."""
    data = json.dumps(body).encode()
    request = urllib.request.Request(where.url, data, {**where.headers, "Idempotency-Key": key}, method="POST")
    start = time.monotonic()
    try:
        with _OPENER.open(request, timeout=where.timeout_s) as response:
            raw, fell = response.read(), response.headers.get("x-litellm-attempted-fallbacks", "0")
            if fell not in ("", "0"):
                return Reply("transport", _since(start), FALLBACK, response.status, unseen=True)
            return _answered(raw, response.status, _since(start))
    except urllib.error.HTTPError as error:
        with error:
            return _refused(error, _since(start))
    except urllib.error.URLError as error:
        never = isinstance(error.reason, ConnectionRefusedError) or not isinstance(error.reason, TimeoutError | ConnectionError)
        return Reply("transport", _since(start), type(error.reason).__name__, sent=not never, unseen=not never)
    except (OSError, http.client.HTTPException) as error:
        return Reply("transport", _since(start), type(error).__name__, unseen=True)


def _since(start: float) -> float:
    return 1000 * (time.monotonic() - start)


def _answered(raw: bytes, status: int, latency_ms: float) -> Reply:
    try:
        body = json.loads(raw)
        answer = answer_of(body)
    except (Rejected, ValueError) as error:
        return Reply("transport", latency_ms, type(error).__name__, status, raw[:2_000].decode("utf-8", "replace"), unseen=True)
    return Reply(answer["status"], latency_ms, answer["error_class"], status, body, answer)


def _refused(error: urllib.error.HTTPError, latency_ms: float) -> Reply:
    try:
        raw = error.read()
    except (OSError, http.client.HTTPException):
        raw = b""
    try:
        body = json.loads(raw)
    except ValueError:
        body = raw[:2_000].decode("utf-8", "replace")
    kind, name = error_of(body, error.code)
    wait = _retry_after(error.headers.get("Retry-After"))
    return Reply(kind, latency_ms, name, error.code, body, retry_after_s=wait, unseen=error.code in _UNSEEN)


def _retry_after(value: str | None) -> float | None:
    """Read seconds, or a date, as seconds from now.

    >>> _retry_after("2"), _retry_after("soon"), _retry_after(None)
    (2.0, None, None)
    """
    if not value:
        return None
    try:
        seconds = float(value)
        return max(seconds, 0.0) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        return max(email.utils.parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except ValueError:
        return None
