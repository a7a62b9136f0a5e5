"""An exported folder with a router whose every decision is known from a prompt's length, and an upstream for all three kinds of calls."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from planner.bundle import export
from planner.router import Capability, Costs, LengthRule, Router
from planner.router.rollout import AppRollout, Rollout, write
from support.upstream import ANSWER, serving

BIG, MINI, NANO = "gpt-5", "gpt-5-mini", "gpt-5-nano"
#: A group that serves BIG under another name.
ALIAS = "assistant"
#: Prompts that go to NANO, MINI and BIG, in the words of ``text``.
TINY, SHORT, LONG = "Hi", "Please sum up these few words", "Please " + "prove the theorem with care " * 10
MODULE = "from planner.router.litellm_hook import hook\n\nplanner_router = hook(__file__)\n"


def router(tau: float = 0.0) -> Router:
    """Return a router that sends up to four tokens to NANO, up to eleven to MINI and more to BIG, whatever they say."""
    zero, one = np.zeros(3), np.ones(3)
    rule = LengthRule(np.array([0, 1, 2], np.float32), np.array([0, -0.4, -1], np.float32))
    costs = Costs(one * [5, 1, 0.2], one * [20, 4, 0.8], one * 200, zero, "price book")
    can = Capability(400_000, 400_000, True, ("text", "json_object", "json_schema"), ("text", "image"), source="test")
    return Router((BIG, MINI, NANO), BIG, rule, costs, (can,) * 3, tau=tau)


def rollout(mode: str = "active", **changed: Any) -> Rollout:
    """Return a rollout with the apps ``chat`` in ``mode`` and ``quiet``, which is off."""
    apps = {"chat": AppRollout(**{"mode": mode, "share": 0.5, "asks": (BIG, ALIAS), **changed}), "quiet": AppRollout(asks=(BIG,))}
    return Rollout("3f9a01c2", 0.2, apps=apps)


@cache
def bundle(tau: float = 0.0) -> dict[str, bytes]:
    """Return the files of the router's bundle."""
    with TemporaryDirectory() as folder:
        return {file.name: file.read_bytes() for file in export(router(tau), Path(folder) / "bundle").iterdir()}


def exported(folder: Path, on: Rollout | None = None, tau: float = 0.0) -> Path:
    """Write the router's bundle, and a rollout if there is one, into ``folder``."""
    (folder / "bundle").mkdir(parents=True, exist_ok=True)
    for name, content in bundle(tau).items():
        (folder / "bundle" / name).write_bytes(content)
    if on is not None:
        write(folder / "rollout.json", on)
    return folder


def configuration(url: str, **router_settings: Any) -> dict[str, Any]:
    """Return a proxy's configuration with every model group behind ``url``, and the hook."""
    behind = {BIG: BIG, ALIAS: BIG, MINI: MINI, NANO: NANO}
    models = [
        {"model_name": name, "litellm_params": {"model": f"openai/{model}", "api_key": "x", "api_base": f"{url}/v1"}}
        for name, model in behind.items()
    ]
    settings = {"num_retries": 0, "disable_cooldowns": True, "optional_pre_call_checks": ["encrypted_content_affinity"], **router_settings}
    return {"model_list": models, "router_settings": settings, "litellm_settings": {"callbacks": ["planner_router.planner_router"]}}


@contextmanager
def everything() -> Iterator[str]:
    """Serve chat, streams of it and Responses until left; yield the address.

    ``[status=503]`` in a text fails, ``[gpt-5-nano=503]`` where that model is asked.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked, fails = json.dumps(body), ("[status=503]", f"[{body['model']}=503]")
            status, answer = (503, {"error": {"message": "overloaded"}}) if any(f in asked for f in fails) else (200, _answer(body))
            streamed = status == 200 and body.get("stream") and "messages" in body
            text = _stream(body, answer) if streamed else json.dumps(answer).encode()
            kind = "text/event-stream" if streamed else "application/json"
            head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(text)}\r\n\r\n"
            self.wfile.write(head.encode() + text)

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as url:
        yield url


def _stream(body: Mapping[str, Any], answer: Mapping[str, Any]) -> bytes:
    """Return a chat answer in pieces, its tokens in the last one where that was asked for."""
    head = {"id": answer["id"], "object": "chat.completion.chunk", "created": answer["created"], "model": answer["model"]}
    deltas: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": ANSWER}, None), ({}, "stop")]
    pieces = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": end}]} for delta, end in deltas]
    if (body.get("stream_options") or {}).get("include_usage"):
        pieces.append({**head, "choices": [], "usage": answer["usage"]})
    return b"".join(b"data: " + json.dumps(piece).encode() + b"\n\n" for piece in pieces) + b"data: [DONE]\n\n"


def _answer(body: Mapping[str, Any]) -> dict[str, Any]:
    """Answer in the shape of the call: chat has messages, Responses input. Every answer has an id of its own."""
    name = uuid.uuid4().hex
    if "messages" in body:
        choice = {"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}
        usage: dict[str, Any] = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
        head = {"id": f"chatcmpl-{name}", "object": "chat.completion", "created": 1_762_160_400, "model": body["model"]}
        return {**head, "choices": [choice], "usage": usage}
    said = {"type": "output_text", "text": ANSWER, "annotations": []}
    item = {"type": "message", "id": "m", "status": "completed", "role": "assistant", "content": [said]}
    thought = {"type": "reasoning", "id": f"rs_{name}", "summary": [], "encrypted_content": "sealed"}
    output = [thought, item] if "reasoning.encrypted_content" in (body.get("include") or ()) else [item]
    usage = {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12}
    usage |= {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    head = {"id": f"resp_{name}", "object": "response", "created_at": 1_762_160_400, "status": "completed", "model": body["model"]}
    rest = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "temperature": 1.0, "top_p": 1.0, "error": None}
    return {**head, **rest, "output": output, "usage": usage, "incomplete_details": None, "instructions": None, "metadata": {}}
