"""``planner forget`` run in this process, as the tests of forgetting do."""

from __future__ import annotations

import json
from typing import Any

import typer
from typer.testing import CliRunner

from planner.cli.forget import forget


def forgotten(*arguments: str, code: int = 0) -> Any:
    """Forget, and return what was said."""
    app = typer.Typer()
    app.command()(forget)
    done = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)
