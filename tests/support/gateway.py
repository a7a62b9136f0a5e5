"""A real LiteLLM proxy on loopback, started as a user would start it, with a callback that writes what it logs."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_CALLBACK = """
import json, os
from litellm.integrations.custom_logger import CustomLogger

from litellm.proxy.spend_tracking.spend_tracking_utils import get_logging_payload

class Payloads(CustomLogger):
    def write(self, name, value):
        with open(os.environ[name], "a", encoding="utf-8") as file:
            file.write(json.dumps(value, default=str) + "\\n")

    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        self.write("PAYLOADS", kwargs["standard_logging_object"])
        self.write("SPEND_LOGS", get_logging_payload(kwargs, response_obj, start_time, end_time))

    async def async_log_failure_event(self, kwargs, response_obj, start_time, end_time):
        self.write("PAYLOADS", kwargs["standard_logging_object"])

payloads = Payloads()
"""
_OFFLINE = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True", "HF_HUB_OFFLINE": "1"}


@dataclass(frozen=True)
class Gateway:
    """A running proxy: where it listens, its key, and the NDJSON files its callback writes.

    ``payloads`` has every call; ``spend_logs`` the rows that LiteLLM would put into its database for successful ones.
    """

    url: str
    key: str
    payloads: Path
    spend_logs: Path

    def settled(self, at_least: int, quiet_s: float = 2.0, timeout_s: float = 120.0) -> list[dict[str, Any]]:
        """Return the payloads once there are ``at_least`` so many and none has come for ``quiet_s``."""
        end = time.monotonic() + timeout_s
        lines: list[str] = []
        since = time.monotonic()
        while time.monotonic() < end and (len(lines) < at_least or time.monotonic() - since < quiet_s):
            now = self.payloads.read_text("utf-8").splitlines() if self.payloads.exists() else []
            if len(now) != len(lines):
                lines, since = now, time.monotonic()
            time.sleep(0.1)
        return [json.loads(line) for line in lines]


@contextmanager
def gateway(
    folder: Path, config: Mapping[str, Any], modules: Mapping[str, str] | None = None, workers: int = 1, database: str | None = None
) -> Iterator[Gateway]:
    """Run ``litellm --config`` in ``folder`` until left; ``modules`` are Python files put beside the configuration.

    It writes into the ``database`` of an address, if there is one. With several ``workers`` it runs as so many processes, whose payloads
    may be torn.
    """
    port = _free_port()
    key = f"sk-{secrets.token_hex(32)}"
    settings = dict(config.get("litellm_settings", {}))
    callbacks = [*settings.pop("callbacks", []), "payload_callback.payloads"]
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {"payload_callback": _CALLBACK, **(modules or {})}.items():
        (folder / f"{name}.py").write_text(text, "utf-8")
    whole = {**config, "litellm_settings": {**settings, "callbacks": callbacks}}
    (folder / "config.yaml").write_text(yaml.safe_dump(whole), "utf-8")
    payloads, spend_logs = folder / "payloads.jsonl", folder / "spend_logs.jsonl"
    env = {
        **os.environ,
        **_OFFLINE,
        "LITELLM_MASTER_KEY": key,
        "PAYLOADS": str(payloads),
        "SPEND_LOGS": str(spend_logs),
        "PYTHONPATH": str(folder),
    }
    env.pop("DATABASE_URL", None)
    env |= {"DATABASE_URL": database} if database else {}
    command = [str(Path(sys.executable).with_name("litellm")), "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
    # A worker that is long in starting, on a busy machine, must not be taken for dead.
    command += ["--num_workers", str(workers), "--timeout_worker_healthcheck", "60"] if workers > 1 else []
    with (folder / "proxy.log").open("wb") as log, subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log) as process:
        try:
            _wait(f"http://127.0.0.1:{port}/health/liveliness", process, folder / "proxy.log")
            yield Gateway(f"http://127.0.0.1:{port}/v1", key, payloads, spend_logs)
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
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise AssertionError(f"the proxy did not start: {log.read_text('utf-8', 'replace')[-3000:]}")
