"""A judge on loopback in OpenAI's shape, whose replies a test writes as a function of what it was told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from support.upstream import serving

#: From the chat messages to the reply's text, or to a status other than 200.
Mind = Callable[[list[dict[str, Any]]], str | int]
_MARKED = re.compile(r"<([a-z ]+\d?) ([0-9a-f]{12})>\n(.*?)\n</\1 \2>", re.DOTALL)
_CODES = {400: "content_policy_violation", 401: "invalid_api_key", 429: "rate_limit_exceeded", 500: "server_error"}


def parts(messages: list[dict[str, Any]]) -> dict[str, str]:
    """Return what stands between the marks that carry the code which the judge was told: name → text."""
    code = re.search(r"carry the code ([0-9a-f]{12})", messages[0]["content"])
    assert code is not None
    return {name: text for name, told, text in _MARKED.findall(messages[1]["content"]) if told == code[1]}


@contextmanager
def judging(mind: Mind, tokens: tuple[int, int] = (100, 20)) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve until left; yield (base URL, the bodies received); every reply states ``tokens`` of input and output."""
    seen: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append(body)
            reply = mind(body["messages"])
            status = 200 if isinstance(reply, str) else reply
            payload = json.dumps(_completion(body, str(reply), tokens) if status == 200 else _error(status)).encode()
            head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
            self.wfile.write(head.encode() + payload)

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as url:
        yield f"{url}/v1", seen


def _completion(body: dict[str, Any], text: str, tokens: tuple[int, int]) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1_762_160_400, "model": body["model"]}
    return {**head, "choices": [choice], "usage": usage}


def _error(status: int) -> dict[str, Any]:
    return {"error": {"message": "no", "type": "error", "code": _CODES[status]}}
