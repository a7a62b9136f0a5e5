"""``planner decide``: which model each request on stdin goes to.

In: a bundle; JSON lines with ``messages`` and what came with them. Out: a decision a line. Runs on the bare installation's
runtime. Knows nothing of training.
"""

from __future__ import annotations

import json as js
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from planner.cli.common import Json
from planner.cli.output import plain
from planner.errors import InputError

__all__ = ["decide"]


def decide(
    bundle: Annotated[Path, typer.Option("--bundle", metavar="DIR", help="The bundle that planner export wrote.")],
    json: Json = False,
) -> None:
    """Decide requests: a JSON object a line on stdin (messages, app, tools, response_format, …), a decision a line on stdout.

    [bold]Examples[/bold]

        echo '{"messages": "Translate: good morning", "app": "chat"}' | planner decide --bundle router
        planner decide --bundle router < requests.jsonl
    """
    from planner.router import Router

    router = Router.load(bundle)
    found = (asdict(router.decide(request.get("messages"), request)) for request in _requests())
    if json:
        print(js.dumps({"decisions": [plain(d) for d in found]}))
        return
    for decision in found:
        print(js.dumps(plain(decision)))


def _requests() -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(sys.stdin.buffer, 1):
        if not line.strip():
            continue
        try:
            request = js.loads(line)
        except ValueError as error:
            raise InputError(f"line {number} of stdin: {error}", "a JSON object with messages") from error
        if not isinstance(request, dict) or "messages" not in request:
            raise InputError(f"line {number} of stdin", 'a JSON object with messages, like {"messages": "Hello"}')
        yield request
