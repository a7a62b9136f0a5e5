"""``planner apps``: draft and check ``apps.yaml``, what may be assumed about each application.

In: a log, a file. Out: the file, or what is wrong with it. Knows nothing of the file's fields.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.common import Json, Log, Quiet, traffic_at
from planner.cli.output import Part, grid, show
from planner.cli.speech import pasted
from planner.errors import InputError

if TYPE_CHECKING:
    from planner.traffic.apps import Apps

__all__ = ["app"]

_HELP = """
What may be assumed about each application: draft and check apps.yaml.

[bold]Examples[/bold]

    planner apps init proxy.jsonl.zst
    planner apps check proxy.jsonl.zst apps.yaml
"""

app = typer.Typer(help=_HELP, no_args_is_help=True, rich_markup_mode="rich")


@app.command()
def init(
    log: Log,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The file to write; never one that is there.")] = Path(
        "apps.yaml"
    ),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draft apps.yaml from a log: one entry per app, every guess marked as assumed.

    [bold]Examples[/bold]

        planner apps init proxy.jsonl.zst
        planner apps init november --out apps.yaml
    """
    from planner.traffic.apps import Apps

    if out.exists():
        raise InputError(
            f"{out}, which is there already", "a new file", "name another with --out, or check it: planner apps check LOG FILE"
        )
    drafted = Apps.draft(traffic_at(log, quiet or json))
    drafted.save(out)
    words = f"Wrote {out}. Every guess is assumed until you correct it and take its name out of `assumed`."
    words += f"\nNext: {pasted('planner', 'plan', log, '--apps', out)}"
    show([Part("file", out), Part("apps", drafted.apps, _table(drafted)), Part("text", words, words)], json)


@app.command()
def check(
    log: Log,
    file: Annotated[Path, typer.Argument(metavar="APPS", help="The apps.yaml to check.")],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check apps.yaml against a log: every field understood, every app of the log there.

    [bold]Examples[/bold]

        planner apps check proxy.jsonl.zst apps.yaml
    """
    from planner.traffic.apps import Apps

    apps = Apps.load(file)
    names = set(traffic_at(log, quiet or json).frame("app")["app"])
    apps.require(names)
    unused = sorted(set(apps.apps) - names)
    guesses = sum(len(a.assumed) for a in apps.apps.values())
    words = f"{file} is sound: {len(names)} apps of the log, {guesses} values still assumed."
    words += f" Not in this log: {', '.join(unused)}." if unused else ""
    show([Part("text", words, words), Part("apps", apps.apps, _table(apps)), Part("unused", unused)], json)


def _table(apps: Apps) -> str:
    import pandas as pd

    def said(value: bool) -> str:
        return "yes" if value else "no"

    rows = [
        (
            name,
            a.owner or "–",
            said(a.interactive),
            f"{a.may_wait_hours:g} h",
            said(a.side_effects),
            len(a.candidates),
            ", ".join(a.assumed),
        )
        for name, a in apps.apps.items()
    ]
    names = ("app", "owner", "interactive", "may wait", "side effects", "candidates", "assumed")
    return grid(pd.DataFrame(rows, columns=list(names)), {n: (n, str) for n in names})
