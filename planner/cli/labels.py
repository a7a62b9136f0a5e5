"""``planner labels``: choose what to label, let the candidates answer, and bring the answers in.

In: a log, a work folder, results. Out: folders of work and of answers. Knows nothing of how any of it is done.
"""

from __future__ import annotations

import typer

__all__ = ["app"]

_HELP = """
Labels: choose what to label, let the candidates answer, grade the answers.

[bold]Examples[/bold] (in the order of the work)

    planner labels sample proxy.jsonl.zst --candidate gpt-5-mini --budget 50 --out work
    planner labels run work --base-url http://localhost:4000/v1 --budget 50
    planner labels ingest work --out answers
"""

app = typer.Typer(help=_HELP, no_args_is_help=True, rich_markup_mode="rich")
