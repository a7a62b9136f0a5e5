"""An upstream on loopback in OpenAI's shape that fails as the newest user message says, model by model, and counts what it was asked.

``small=429 large=ok``: the model ``small`` refuses with 429. Besides numbers: ``context`` (too long for the window), ``content`` (refused
by a filter), ``slow`` (an answer that never comes in time). A model that is not named answers.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from support.upstream import serving

_FAULT = re.compile(r"([\w.-]+)=(\w+)")
_NAMED = {
    "context": (400, "context_length_exceeded", "This model's maximum context length is 8192 tokens, however you requested 9000 tokens"),
    "content": (400, "content_policy_violation", "Invalid prompt: it was flagged as potentially violating our usage policy"),
}
#: [s] that a slow answer takes.
SLOW_S = 3.0


@dataclass(frozen=True)
class Faulty:
    """Where it listens, the bodies received so far, and, to be changed at any time, model → a field of a body that it refuses."""

    url: str
    seen: list[dict[str, Any]] = field(default_factory=list)
    refuses: dict[str, str] = field(default_factory=dict)


@contextmanager
def faulty() -> Iterator[Faulty]:
    """Serve until left."""
    seen: list[dict[str, Any]] = []
    refuses: dict[str, str] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append(body)
            status, kind, payload = _answer(body, refuses.get(body["model"]))
            head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(payload)}\r\n\r\n"
            try:
                self.wfile.write(head.encode() + payload)
            except BrokenPipeError:
                self.close_connection = True  # who asked has gone

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as url:
        yield Faulty(url, seen, refuses)


def _answer(body: dict[str, Any], refused: str | None) -> tuple[int, str, bytes]:
    text = body["messages"][-1]["content"] if body.get("messages") else ""
    fault = dict(_FAULT.findall(text if isinstance(text, str) else "")).get(body["model"], "ok")
    fault = "400" if refused is not None and refused in body else fault
    if fault == "slow":
        time.sleep(SLOW_S)
    status, code, message = _NAMED.get(fault, (int(fault) if fault.isdigit() else 200, "failed", "as asked"))
    if status != 200:
        error = {"message": message, "type": "invalid_request_error" if status == 400 else "error", "code": code}
        return status, "application/json", json.dumps({"error": error}).encode()
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    head = {"id": "chatcmpl-1", "created": 1_762_160_400, "model": body["model"]}
    if body.get("stream"):
        choice = {"index": 0, "delta": {"role": "assistant", "content": "fine"}, "finish_reason": None}
        end = {"index": 0, "delta": {}, "finish_reason": "stop"}
        chunks = [{**head, "object": "chat.completion.chunk", "choices": [c]} for c in (choice, end)]
        return 200, "text/event-stream", b"".join(b"data: " + json.dumps(c).encode() + b"\n\n" for c in chunks) + b"data: [DONE]\n\n"
    message_ = {"role": "assistant", "content": "fine"}
    choice = {"index": 0, "message": message_, "finish_reason": "stop"}
    return 200, "application/json", json.dumps({**head, "object": "chat.completion", "choices": [choice], "usage": usage}).encode()
