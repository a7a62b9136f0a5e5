"""The rehearsal's stage: an upstream that answers what a script says, and a real LiteLLM proxy in front of it.

In: for each request and model the outcomes of its calls in order; the folder that ``planner export --gateway litellm`` wrote. Out: a
running proxy, and what was asked of the upstream. Speaks OpenAI's and Anthropic's protocol on loopback. Knows nothing of plans.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from planner.schema import TOKEN_BUCKETS

#: (how a call ends, its tokens in the order of TOKEN_BUCKETS)
Outcome = tuple[str, tuple[int, ...]]
_OFFLINE = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True", "HF_HUB_OFFLINE": "1"}
_FILTERED = "The response was filtered due to the prompt triggering content management policy. Output blocked by content filtering policy"
#: How a call may end → HTTP status and error, in OpenAI's words.
_ERRORS: Mapping[str, tuple[int, dict[str, str]]] = {
    "transport": (500, {"type": "server_error", "code": "server_error", "message": "the server had an error"}),
    "rate_limit": (429, {"type": "rate_limit_error", "code": "rate_limit_exceeded", "message": "Rate limit reached"}),
    "content": (400, {"type": "invalid_request_error", "code": "content_filter", "message": _FILTERED}),
    "validation": (400, {"type": "invalid_request_error", "code": "bad_request", "message": "this request cannot be served"}),
}
_RECORDER = """
import json, pathlib
from litellm.integrations.custom_logger import CustomLogger

class Recorder(CustomLogger):
    def write(self, kwargs):
        with open(pathlib.Path(__file__).with_name("payloads.jsonl"), "a", encoding="utf-8") as file:
            file.write(json.dumps(kwargs["standard_logging_object"], default=str) + "\\n")

    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        self.write(kwargs)

    async def async_log_failure_event(self, kwargs, response_obj, start_time, end_time):
        self.write(kwargs)

recorder = Recorder()
"""


@dataclass
class Script:
    """What the upstream answers: (request, model) → outcomes of the calls, in order.

    ``made`` counts the calls that came by (request, model), ``beyond`` those that the script does not have; ``metered`` holds what a
    provider would bill: (request, model, tokens) of each call.
    """

    outcomes: Mapping[tuple[str, str], list[Outcome]]
    made: Counter[tuple[str, str]] = field(default_factory=Counter)
    beyond: Counter[tuple[str, str]] = field(default_factory=Counter)
    metered: list[tuple[str, str, tuple[int, ...]]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, request: str, model: str) -> Outcome:
        """Return the outcome of the next call of ``request`` to ``model``."""
        key = (request, model)
        with self.lock:
            place, known = self.made[key], self.outcomes.get(key, [])
            self.made[key] += 1
            if place < len(known):
                self.metered.append((request, model, known[place][1]))
                return known[place]
            self.beyond[key] += 1
        return "validation", (0,) * len(TOKEN_BUCKETS)


@contextmanager
def upstream(script: Script) -> Iterator[str]:
    """Serve ``script`` on a free port of this machine until left; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            request = body.get("user") or (body.get("metadata") or {}).get("user_id")
            ended, tokens = script.next(str(request), body["model"])
            status, answer = _answer(body, self.path, ended, dict(zip(TOKEN_BUCKETS, tokens, strict=True)))
            payload = json.dumps(answer).encode()
            head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
            self.wfile.write(head.encode() + payload)  # one write: two would wait for a delayed acknowledgement

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(body: Mapping[str, Any], path: str, ended: str, tokens: Mapping[str, int]) -> tuple[int, dict[str, Any]]:
    if ended in _ERRORS:
        status, error = _ERRORS[ended]
        return status, {"type": "error", "error": error}
    written = tokens["cache_write_5m_tokens"] + tokens["cache_write_1h_tokens"]
    output = tokens["output_tokens"] + tokens["reasoning_tokens"]
    name = secrets.token_hex(8)
    if path.endswith("/messages"):
        usage = {
            "input_tokens": tokens["input_tokens"],
            "cache_read_input_tokens": tokens["cache_read_tokens"],
            "cache_creation_input_tokens": written,
            "cache_creation": {
                "ephemeral_5m_input_tokens": tokens["cache_write_5m_tokens"],
                "ephemeral_1h_input_tokens": tokens["cache_write_1h_tokens"],
            },
            "output_tokens": output,
        }
        head = {"id": f"msg_{name}", "type": "message", "role": "assistant", "model": body["model"], "usage": usage}
        return 200, {**head, "content": [{"type": "text", "text": "{}"}], "stop_reason": "end_turn", "stop_sequence": None}
    prompt = tokens["input_tokens"] + tokens["cache_read_tokens"] + written
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": tokens["cache_read_tokens"]},
        "completion_tokens_details": {"reasoning_tokens": tokens["reasoning_tokens"]},
    }
    choice = {"index": 0, "message": {"role": "assistant", "content": "{}"}, "finish_reason": "stop"}
    head = {"id": f"chatcmpl-{name}", "object": "chat.completion", "created": int(time.time()), "model": body["model"]}
    return 200, {**head, "choices": [choice], "usage": usage}


@dataclass(frozen=True)
class Proxy:
    """A running proxy: its address, its key, and the file in which its records stand, one JSON object a line."""

    url: str
    key: str
    records: Path

    def settled(self, at_least: int, quiet_s: float = 3.0, timeout_s: float = 120.0) -> int:
        """Wait until there are ``at_least`` records and none has come for ``quiet_s``; return how many there are."""
        end, since, count = time.monotonic() + timeout_s, time.monotonic(), -1
        while time.monotonic() < end and (count < at_least or time.monotonic() - since < quiet_s):
            now = self.records.read_bytes().count(b"\n") if self.records.exists() else 0
            if now != count:
                count, since = now, time.monotonic()
            time.sleep(0.1)
        return count


@contextmanager
def proxy(folder: Path, upstream_url: str, prices: Mapping[str, Mapping[str, float]], environment: Mapping[str, str]) -> Iterator[Proxy]:
    """Run LiteLLM on the exported ``folder`` until left.

    Only what an operator must fill in is changed: addresses and keys; ``prices`` (model → LiteLLM's price keys) are the contract's.
    """
    config = yaml.safe_load((folder / "config.yaml").read_text("utf-8"))
    for entry in config["model_list"]:
        given = entry["litellm_params"]
        provider, _, model = given["model"].partition("/")
        given |= {"api_base": upstream_url + ("/v1" if provider == "openai" else ""), "api_key": "none", **prices.get(model, {})}
    settings = config.setdefault("litellm_settings", {})
    settings["callbacks"] = [*settings.get("callbacks", []), "recorder.recorder"]
    (folder / "recorder.py").write_text(_RECORDER, "utf-8")
    (folder / "rehearsal.yaml").write_text(yaml.safe_dump(config), "utf-8")
    port, key = _free_port(), f"sk-{secrets.token_hex(32)}"
    env = {**os.environ, **_OFFLINE, **environment, "LITELLM_MASTER_KEY": key, "PYTHONPATH": str(folder)}
    env.pop("DATABASE_URL", None)
    command = [str(Path(sys.executable).with_name("litellm")), "--config", "rehearsal.yaml", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "proxy.log").open("wb") as log, subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log) as process:
        try:
            _wait(f"http://127.0.0.1:{port}/health/liveliness", process, folder / "proxy.log")
            yield Proxy(f"http://127.0.0.1:{port}/v1", key, folder / "payloads.jsonl")
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(url: str, process: subprocess.Popen[bytes], log: Path, timeout_s: float = 180.0) -> None:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise RuntimeError(f"the proxy did not start: {log.read_text('utf-8', 'replace')[-3000:]}")
