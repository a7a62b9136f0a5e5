"""The stage of a load test: an upstream that can be killed, LiteLLM proxies with and without the hook, and clients beside each other.

In: folders and configurations. Out: running processes, what their clients saw and how much memory they hold. Linux alone: memory is read
from /proc. Knows nothing of what is measured.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import yaml

from benchmarks.gateway_traffic import Ask
from planner.bundle.gateway_settings import gateway_settings
from planner.policies import Plan

#: LiteLLM asks nobody for anything.
OFFLINE = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True", "HF_HUB_OFFLINE": "1"}
#: [s] after which a proxy gives an upstream up: long beside what a busy machine takes, short beside the upstream's SLOW_S.
TIMEOUT_S = 3.0
#: [s] by which the wall clock of a proxy jumps: thirty days.
JUMP_S = 30 * 86_400
#: The hook, and a wall clock that jumps ahead on SIGUSR1, and back on the next.
_MODULE = f"""
import signal
import time

from planner.router.litellm_hook import hook

planner_router = hook(__file__)
TRUE = time.time


def ahead():
    return TRUE() + {JUMP_S}


def jump(*_):
    time.time = ahead if time.time is TRUE else TRUE


signal.signal(signal.SIGUSR1, jump)
"""


class Upstream:
    """The upstream process; ``kill`` and ``revive`` keep its port."""

    def __init__(self) -> None:
        self.port = 0
        self.revive()

    def revive(self) -> None:
        """Start it."""
        command = [sys.executable, "-m", "benchmarks.gateway_upstream", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline()) if self.process.stdout else 0

    def kill(self) -> None:
        """End it at once, with every connection it has."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    def fail(self, faults: Mapping[str, str]) -> None:
        """Let models fail as said, and no others."""
        body = json.dumps(faults).encode()
        with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{self.port}/faults", body), timeout=10):
            pass


@dataclass(frozen=True)
class Proxy:
    """A running proxy: its port, key and process."""

    port: int
    key: str
    pid: int

    def jump_clock(self) -> None:
        """Let its wall clock (``time.time``) jump ahead, or back again."""
        os.kill(self.pid, signal.SIGUSR1)

    @property
    def rss_mb(self) -> float:
        """Resident memory of the process [MB]."""
        return rss_mb(self.pid)


def rss_mb(pid: int) -> float:
    """Return the resident memory of a process [MB]."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def proxy(folder: Path, models: Sequence[str], reference: str, upstream: Upstream, hooked: bool) -> Iterator[Proxy]:
    """Run LiteLLM in ``folder`` until left, with or without the hook, whose requests come back as with an export without a plan."""
    folder.mkdir(parents=True, exist_ok=True)
    given = {"api_key": "x", "api_base": f"http://127.0.0.1:{upstream.port}/v1", "timeout": TIMEOUT_S, "max_retries": 0}
    config = {
        "model_list": [{"model_name": m, "litellm_params": {"model": f"openai/{m}", **given}} for m in models],
        "router_settings": {
            "num_retries": 0,
            **gateway_settings(Plan(), (), dict.fromkeys(models, "openai")).router,
        },
        "litellm_settings": {"callbacks": ["planner_router.planner_router"]} if hooked else {},
    }
    (folder / "planner_router.py").write_text(_MODULE, "utf-8")
    (folder / "proxy.yaml").write_text(yaml.safe_dump(config), "utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    key = f"sk-{secrets.token_hex(32)}"
    env = {**os.environ, **OFFLINE, "LITELLM_MASTER_KEY": key, "PYTHONPATH": str(folder)}
    env.pop("DATABASE_URL", None)
    command = [str(Path(sys.executable).with_name("litellm")), "--config", "proxy.yaml", "--host", "127.0.0.1", "--port", str(port)]
    said: deque[bytes] = deque(maxlen=50)
    with subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        threading.Thread(target=lambda: said.extend(process.stdout or ()), daemon=True).start()
        try:
            _wait(f"http://127.0.0.1:{port}/health/liveliness", process, said)
            yield Proxy(port, key, process.pid)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def proxies(home: Path, folder: Path, models: Sequence[str], reference: str, upstream: Upstream) -> Iterator[tuple[Proxy, Proxy]]:
    """Run a proxy with the hook in ``folder`` and, for comparison, one without; they start side by side."""
    with ExitStack() as running, ThreadPoolExecutor(2) as pool:
        start = partial(proxy, models=models, reference=reference, upstream=upstream)
        hooked = pool.submit(running.enter_context, start(folder, hooked=True))
        plain = pool.submit(running.enter_context, start(home / "plain", hooked=False))
        yield hooked.result(), plain.result()


def _wait(url: str, process: subprocess.Popen[bytes], said: Sequence[bytes], timeout_s: float = 180.0) -> None:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise RuntimeError(f"the proxy did not start: {b''.join(said).decode('utf-8', 'replace')[-3000:]}")


@dataclass(frozen=True)
class Reply:
    """What a client saw: the status (0 where the connection broke), the group that answered, fallbacks, how long it took [s], the error."""

    status: int
    group: str
    fallbacks: int
    seconds: float
    said: str = ""


class _Client:
    """A client that keeps its connection to a proxy."""

    def __init__(self, proxy: Proxy) -> None:
        self._key, self._connection = proxy.key, http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)

    def ask(self, ask: Ask) -> Reply:
        """Send one request and read the whole answer."""
        body = json.dumps({"model": ask.model, "messages": ask.messages, **ask.beside})
        head = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        head |= {"x-litellm-session-id": ask.session, "x-litellm-tags": f"app:{ask.app}"}
        start = time.perf_counter()
        try:
            self._connection.request("POST", "/v1/chat/completions", body, head)
            answer = self._connection.getresponse()
            payload = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()  # and the next request opens another
            return Reply(0, "", 0, time.perf_counter() - start, type(error).__name__)
        seconds = time.perf_counter() - start
        group, fallbacks = answer.headers.get("x-litellm-model-group", ""), answer.headers.get("x-litellm-attempted-fallbacks", "0")
        said = "" if answer.status == 200 else payload[:300].decode("utf-8", "replace")
        return Reply(answer.status, group, int(fallbacks), seconds, said)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def load(proxy: Proxy, asks: Sequence[Ask], concurrency: int, done: Callable[[int], object] = lambda _: None) -> list[Reply]:
    """Send ``asks`` from ``concurrency`` clients that each keep a connection; return the replies in the same order."""
    clients, free = [_Client(proxy) for _ in range(concurrency)], SimpleQueue[_Client]()
    for client in clients:
        free.put(client)

    def one(ask: Ask) -> Reply:
        client = free.get()
        try:
            return client.ask(ask)
        finally:
            free.put(client)
            done(1)

    try:
        with ThreadPoolExecutor(concurrency) as pool:
            return list(pool.map(one, asks))
    finally:
        for client in clients:
            client.close()
