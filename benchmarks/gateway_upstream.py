"""An upstream in OpenAI's shape, in a process of its own, that fails on demand, model by model.

In: chat completions, and ``POST /faults`` with {model: fault}. Out: short answers, or the fault: a status such as ``429``, ``garbage`` (no
JSON), ``slow`` (an answer after SLOW_S), ``cut`` (a connection that ends in the middle). Run:
``python -m benchmarks.gateway_upstream PORT``; port 0 takes a free one; the port is the first line on stdout.
"""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from typing import Any

SLOW_S = 8.0
_FAULTS: dict[str, str] = {}


def answer(body: dict[str, Any], fault: str) -> tuple[int, bytes]:
    """Return status and body of an answer."""
    if fault.isdigit():
        return int(fault), json.dumps({"error": {"message": "on demand", "type": "error", "code": fault}}).encode()
    if fault == "garbage":
        return 200, b"<html>\x00 the cache server speaks</html>"
    choice = {"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8}
    head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": "chat.completion", "created": 1_762_160_400, "model": body.get("model")}
    return 200, json.dumps({**head, "choices": [choice], "usage": usage}).encode()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines = head.decode("latin-1").split("\r\n")
            sizes = [int(line.partition(":")[2]) for line in lines if line.lower().startswith("content-length:")]
            body = json.loads(await reader.readexactly(sizes[0])) if sizes else {}
            if lines[0].startswith("POST /faults"):
                _FAULTS.clear()
                _FAULTS.update(body)
            fault = _FAULTS.get(str(body.get("model")), "ok")
            if fault == "slow":
                await asyncio.sleep(SLOW_S)
            status, payload = answer(body, fault)
            kind = "text/html" if fault == "garbage" else "application/json"
            sent = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(payload)}\r\n\r\n".encode() + payload
            writer.write(sent[: len(sent) // 2] if fault == "cut" else sent)
            await writer.drain()
            if fault == "cut":
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    """Serve until the process ends."""
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), limit=1 << 24)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
