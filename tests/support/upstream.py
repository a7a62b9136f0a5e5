"""A tiny OpenAI-shaped upstream on loopback, so that a real gateway can be driven without any provider.

What it answers is written into the newest user message as directives: ``[status=429]``, ``[content_filter]``,
``[cached=128]``, ``[reasoning=5]``, ``[tool]``, ``[fail_first=1]``. Token counts are words, so a test knows them.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ANSWER = "the answer is four words"
_DIRECTIVE = re.compile(r"\[(\w+)(?:=(\d+))?\]")
_ERRORS = {
    400: ("invalid_request_error", "bad_request", "this request cannot be served"),
    401: ("authentication_error", "invalid_api_key", "Incorrect API key provided"),
    429: ("rate_limit_error", "rate_limit_exceeded", "Rate limit reached"),
    500: ("server_error", "server_error", "the server had an error"),
    503: ("server_error", "overloaded", "overloaded"),
}


def words(text: str) -> int:
    """Count the words of a text: this upstream's tokens."""
    return len(text.split())


@contextmanager
def upstream() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve until left; yield (base URL, the request bodies received so far)."""
    seen: list[dict[str, Any]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(seen))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(seen: list[dict[str, Any]]) -> type[BaseHTTPRequestHandler]:
    tries: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append(body)
            status, kind, payload = _respond(body, tries)
            head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(payload)}\r\n\r\n"
            self.wfile.write(head.encode() + payload)  # one write: two would wait for a delayed acknowledgement

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _respond(body: dict[str, Any], tries: Counter[str]) -> tuple[int, str, bytes]:
    asked = str(body["messages"][-1]["content"])
    wanted = {name: int(value or 1) for name, value in _DIRECTIVE.findall(asked)}
    tries[asked] += 1
    failing = tries[asked] <= wanted["fail_first"] if "fail_first" in wanted else "status" in wanted
    if "content_filter" in wanted:
        message = "The response was filtered due to the prompt triggering content management policy"
        return 400, "application/json", _json({"error": {"message": message, "type": "invalid_request_error", "code": "content_filter"}})
    if failing:
        status = wanted.get("status", 500)
        kind, code, message = _ERRORS[status]
        return status, "application/json", _json({"error": {"message": message, "type": kind, "code": code}})
    if body.get("stream"):
        return 200, "text/event-stream", b"".join(b"data: " + _json(c) + b"\n\n" for c in _chunks(body, wanted)) + b"data: [DONE]\n\n"
    return 200, "application/json", _json(_completion(body, wanted))


def _completion(body: dict[str, Any], wanted: dict[str, int]) -> dict[str, Any]:
    called = [{"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"q": "x"}'}}]
    message: dict[str, Any] = {"role": "assistant", "content": None if "tool" in wanted else ANSWER}
    if "tool" in wanted:
        message["tool_calls"] = called
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if "tool" in wanted else "stop"}
    return {**_head(body, "chat.completion"), "choices": [choice], "usage": _usage(body, wanted)}


def _chunks(body: dict[str, Any], wanted: dict[str, int]) -> Iterator[dict[str, Any]]:
    head = _head(body, "chat.completion.chunk")
    for i, word in enumerate(ANSWER.split()):
        delta = {"role": "assistant", "content": word if i == 0 else f" {word}"}
        yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    if (body.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": _usage(body, wanted)}


def _head(body: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{abs(hash(json.dumps(body))):x}", "object": kind, "created": 1_762_160_400, "model": body["model"]}


def _usage(body: dict[str, Any], wanted: dict[str, int]) -> dict[str, Any]:
    prompt = sum(words(str(m["content"])) for m in body["messages"])
    completion = words(ANSWER) + wanted.get("reasoning", 0)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": wanted.get("cached", 0)},
        "completion_tokens_details": {"reasoning_tokens": wanted.get("reasoning", 0)},
    }


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
