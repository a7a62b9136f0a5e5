"""Real clients that write spans, against an upstream on loopback: OpenTelemetry's openai instrumentation, Langfuse's SDK, OpenInference's.

Run as a script it writes OTLP JSON, one export request a line; of the third what a Phoenix server on loopback exports, a span a line, and
beside it (``.frame.jsonl``) its dataframe of the same spans. The first needs opentelemetry-instrumentation-openai-v2 2.4b0 beside
opentelemetry-util-genai 0.4b0 and opentelemetry-exporter-otlp-json-file, the second langfuse, the third arize-phoenix and
openinference-instrumentation-openai. Recorded with versions of November 2026 by ``python tests/support/span_recorder.py otel
tests/data/otel_openai.jsonl``, ``… langfuse tests/data/langfuse_sdk.jsonl`` and ``… phoenix tests/data/phoenix.jsonl``.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.upstream import ANSWER, serving, upstream, words

DATA = Path(__file__).parents[1] / "data"
#: Recorder → the modules it needs.
_MODULES = {
    "otel": ("opentelemetry.instrumentation.openai_v2", "opentelemetry.exporter.otlp.json.file"),
    "langfuse": ("langfuse",),
    "phoenix": ("phoenix.server", "openinference.instrumentation.openai"),
}
RECORDED = {"otel": DATA / "otel_openai.jsonl", "langfuse": DATA / "langfuse_sdk.jsonl", "phoenix": DATA / "phoenix.jsonl"}
SYSTEM = "You are terse."
MODEL = "gpt-5-mini"
_TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
_STREAM = {"stream": True, "stream_options": {"include_usage": True}}


@dataclass(frozen=True)
class Call:
    """One request and the columns that its row must have, whichever client sent it."""

    text: str
    expect: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


CALLS = (
    Call("plain one two three", {"response": ANSWER}),
    Call("[cached=4] [reasoning=3] counts", {"cache_read_tokens": 4, "reasoning_tokens": 3}),
    Call("streamed with usage", {"stream": True, "response": ANSWER}, _STREAM),
    Call("streamed without usage", {"stream": True, "input_tokens": 0, "output_tokens": 0}, {"stream": True}),
    Call("[tool] offered", {"max_tokens": 50}, {"tools": [_TOOL], "max_tokens": 50}),
    Call("[status=400] refused", {"status": "validation"}),
    Call("[status=429] too fast", {"status": "rate_limit"}),
    Call("[status=503] overloaded", {"status": "transport"}),
    Call("[fail_first=1] then well", {"attempts": 1}),
)


def expected(call: Call, recorder: str) -> dict[str, Any]:
    """Return the columns of a call's row; OpenTelemetry's instrumentation names neither streams nor cached and reasoning tokens."""
    row = {"status": "ok", "stream": False, "text_state": "full", "turn": 0, "model": MODEL, "app": "recorder", **call.expect}
    if row["status"] == "ok":
        read, thought = row.setdefault("cache_read_tokens", 0), row.setdefault("reasoning_tokens", 0)
        row.setdefault("input_tokens", words(SYSTEM) + words(call.text) - read)
        row.setdefault("output_tokens", words(ANSWER))
        if recorder == "otel":
            row |= {"input_tokens": row["input_tokens"] + read, "output_tokens": row["output_tokens"] + thought}
            row |= {"cache_read_tokens": 0, "reasoning_tokens": 0}
    return {**row, "stream": False} if recorder == "otel" else row


def can_record(recorder: str) -> bool:
    """Say whether the packages of a recorder are installed."""
    try:
        return all(find_spec(name) for name in _MODULES[recorder])
    except ModuleNotFoundError:
        return False


def _send(client: Any) -> None:
    from openai import APIStatusError

    for call in CALLS:
        messages: Any = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": call.text}]
        try:
            answer = client.chat.completions.create(model=MODEL, messages=messages, **call.options)
            if call.options.get("stream"):
                list(answer)
        except APIStatusError:
            assert "status" in call.expect, call.text


def record_otel(url: str, out: Path) -> None:
    """Send the calls with an instrumented openai client, each within a span of an agent; spans go to ``out``."""
    os.environ |= {
        "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
        "OTEL_SERVICE_NAME": "recorder",
    }
    import openai
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.json.file.trace_exporter import FileSpanExporter
    from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(FileSpanExporter(str(out))))
    trace.set_tracer_provider(provider)
    OpenAIInstrumentor().instrument()
    about = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "greeter", "gen_ai.usage.input_tokens": 99}
    with (
        openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=1) as client,
        trace.get_tracer("recorder").start_as_current_span("invoke_agent greeter", attributes=about),
    ):
        _send(client)
    provider.shutdown()


def record_langfuse(url: str, out: Path) -> None:
    """Send the calls with Langfuse's openai client, whose spans a sink on loopback receives and writes to ``out``."""
    with _sink(out) as sink:
        os.environ |= {"LANGFUSE_BASE_URL": sink, "LANGFUSE_PUBLIC_KEY": "pk-lf-x", "LANGFUSE_SECRET_KEY": "sk-lf-x"}
        os.environ |= {"OTEL_SERVICE_NAME": "recorder", "LANGFUSE_TRACING_ENVIRONMENT": "test"}
        from langfuse import get_client, propagate_attributes
        from langfuse.openai import openai

        langfuse = get_client()
        with (
            openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=1) as client,
            langfuse.start_as_current_observation(name="handle", as_type="agent"),
            propagate_attributes(user_id="u-7", session_id="sess-1", tags=["app:recorder", "beta"]),
        ):
            _send(client)
        langfuse.shutdown()


def record_phoenix(url: str, out: Path) -> None:
    """Send the calls with an openai client that OpenInference instruments, within a span of a chain; ``out`` is what Phoenix exports."""
    with TemporaryDirectory() as folder, _phoenix(folder) as server:
        import openai
        from openinference.instrumentation import using_attributes
        from openinference.instrumentation.openai import OpenAIInstrumentor
        from phoenix.client import Client
        from phoenix.otel import register

        provider = register(endpoint=f"{server}/v1/traces", project_name="recorder", batch=False, verbose=False)
        OpenAIInstrumentor().instrument(tracer_provider=provider)
        about = {"session_id": "sess-1", "user_id": "u-7", "tags": ["app:recorder", "beta"], "metadata": {"team": "red"}}
        with (
            openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=1) as client,
            using_attributes(**about, prompt_template="Say {x}", prompt_template_version="v3", prompt_template_variables={"x": "1"}),
            provider.get_tracer("recorder").start_as_current_span("handle", openinference_span_kind="chain"),
        ):
            _send(client)
        provider.shutdown()
        spans = Client(base_url=server).spans
        while len(every := spans.get_spans(project_identifier="recorder", limit=100)) <= len(CALLS):
            time.sleep(0.2)
        frame = spans.get_spans_dataframe(project_identifier="recorder", limit=100)
    rows = json.loads(frame.to_json(orient="records", date_format="iso", date_unit="us"))
    for path, listed in ((out, every), (out.with_suffix(".frame.jsonl"), rows)):
        for event in (e for span in listed for e in span["events"]):
            event["attributes"].pop("exception.stacktrace", None)  # it names places of this machine
        path.write_text("".join(json.dumps(span) + "\n" for span in listed), "utf-8")


@contextmanager
def _phoenix(folder: str) -> Iterator[str]:
    """Run a Phoenix server that keeps its database in ``folder``; yield its address."""
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(str(free.getsockname()[1]))
    own = {"PHOENIX_WORKING_DIR": folder, "PHOENIX_HOST": "127.0.0.1", "PHOENIX_PORT": ports[0], "PHOENIX_GRPC_PORT": ports[1]}
    own |= {"PHOENIX_TELEMETRY_ENABLED": "false", "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-m", "phoenix.server.main", "serve"], env=os.environ | own, **quiet) as process:
        try:
            server = f"http://127.0.0.1:{ports[0]}"
            for _ in range(600):
                try:
                    urllib.request.urlopen(f"{server}/healthz", timeout=1).close()
                    break
                except urllib.error.URLError:
                    time.sleep(0.2)
            yield server
        finally:
            process.kill()


@contextmanager
def _sink(out: Path) -> Iterator[str]:
    """Receive OTLP over HTTP, and write it as OTLP JSON."""
    from google.protobuf.json_format import MessageToDict
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    class Sink(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            if self.path.endswith("/v1/traces"):
                request = MessageToDict(ExportTraceServiceRequest.FromString(body), use_integers_for_enums=True)
                with out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(_hex_ids(request)) + "\n")
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with serving(Sink) as url:
        yield url


def _hex_ids(request: dict[str, Any]) -> dict[str, Any]:
    """Write ids as OTLP JSON does, in hex; protobuf's own JSON has base64."""
    for resource in request["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                span |= {k: base64.b64decode(span[k]).hex() for k in ("traceId", "spanId", "parentSpanId") if k in span}
    return request


def main() -> None:
    """Record with the client that the first argument names into the file that the second does."""
    recorder, out = sys.argv[1], Path(sys.argv[2])
    out.unlink(missing_ok=True)
    with upstream() as (url, _):
        {"otel": record_otel, "langfuse": record_langfuse, "phoenix": record_phoenix}[recorder](url, out)


if __name__ == "__main__":
    main()
