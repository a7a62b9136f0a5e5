"""A tiny upstream on loopback in OpenAI's and Anthropic's shapes, so that a real gateway runs without any provider.

What it answers is written into the newest user message as directives: ``[status=429]``, ``[content_filter]``,
``[cached=128]``, ``[written=64]``, ``[hour=32]``, ``[reasoning=5]``, ``[tool]``, ``[fail_first=1]``, ``[slow=2]`` (seconds). Its tokens
are words.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

#: Text → how often it was asked before.
Tries: TypeAlias = defaultdict[str, Iterator[int]]
ANSWER = "the answer is four words"
_DIRECTIVE = re.compile(r"\[(\w+)(?:=(\d+))?\]")
_ERRORS = {
    400: ("invalid_request_error", "bad_request", "this request cannot be served"),
    401: ("authentication_error", "invalid_api_key", "Incorrect API key provided"),
    429: ("rate_limit_error", "rate_limit_exceeded", "Rate limit reached"),
    500: ("server_error", "server_error", "the server had an error"),
    503: ("server_error", "overloaded", "overloaded"),
}
_FILTERED = "The response was filtered due to the prompt triggering content management policy"


def words(text: str) -> int:
    """Count the words of a text: this upstream's tokens."""
    return len(text.split())


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on a free port of this machine until left; yield the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def upstream() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve until left; yield (URL, the request bodies received so far)."""
    seen: list[dict[str, Any]] = []
    with serving(_handler(seen)) as url:
        yield url, seen


def _handler(seen: list[dict[str, Any]]) -> type[BaseHTTPRequestHandler]:
    tries: Tries = defaultdict(itertools.count)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append(body)
            status, kind, payload = _respond(body, self.path.endswith("/messages"), tries)
            head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(payload)}\r\n\r\n"
            self.wfile.write(head.encode() + payload)  # one write: two would wait for a delayed acknowledgement

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _respond(body: dict[str, Any], anthropic: bool, tries: Tries) -> tuple[int, str, bytes]:
    asked = _text(body["messages"][-1]["content"])
    wanted = {name: int(value or 1) for name, value in _DIRECTIVE.findall(asked)}
    before = next(tries[asked])  # counted at once, since others ask the same meanwhile
    time.sleep(wanted.get("slow", 0))
    failing = before < wanted["fail_first"] if "fail_first" in wanted else "status" in wanted
    if "content_filter" in wanted:
        return 400, "application/json", _json({"error": {"message": _FILTERED, "type": "invalid_request_error", "code": "content_filter"}})
    if failing:
        status = wanted.get("status", 500)
        kind, code, message = _ERRORS[status]
        return status, "application/json", _json({"error": {"message": message, "type": kind, "code": code}})
    if anthropic:
        return 200, "application/json", _json(_anthropic(body, wanted))
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


def _anthropic(body: dict[str, Any], wanted: dict[str, int]) -> dict[str, Any]:
    """Answer in Anthropic's shape, whose input_tokens hold neither cached nor written tokens."""
    read, five, hour = (wanted.get(n, 0) for n in ("cached", "written", "hour"))
    usage = {
        "input_tokens": _prompt_words(body) - read - five - hour,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": five + hour,
        "cache_creation": {"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour},
        "output_tokens": words(ANSWER),
    }
    content = [{"type": "text", "text": ANSWER}]
    head = {"id": _head(body, "")["id"].replace("chatcmpl-", "msg_"), "type": "message", "role": "assistant", "model": body["model"]}
    return {**head, "content": content, "stop_reason": "end_turn", "stop_sequence": None, "usage": usage}


def _head(body: dict[str, Any], kind: str) -> dict[str, Any]:
    name = hashlib.sha256(_json(body["messages"])).hexdigest()[:12]
    return {"id": f"chatcmpl-{name}", "object": kind, "created": 1_762_160_400, "model": body["model"]}


def _usage(body: dict[str, Any], wanted: dict[str, int]) -> dict[str, Any]:
    prompt = _prompt_words(body)
    completion = words(ANSWER) + wanted.get("reasoning", 0)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": wanted.get("cached", 0)},
        "completion_tokens_details": {"reasoning_tokens": wanted.get("reasoning", 0)},
    }


def _prompt_words(body: dict[str, Any]) -> int:
    return sum(words(_text(m["content"])) for m in body["messages"]) + words(_text(body.get("system") or ""))


def _text(content: Any) -> str:
    return content if isinstance(content, str) else " ".join(p.get("text", "") for p in content)


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
