"""``planner drift``: whether the requests of now are still those that the router was certified on.

In: a log, a bundle, and what to compare with. Out: what changed, by how much and what to do, as text and tables or JSON; code 1 for an
alarm. Knows nothing of how anything is tested.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.common import Json, Log, Prices, Quiet, book_of, traffic_at
from planner.cli.options import Seed
from planner.cli.output import Part, grid, percent, show, stages, wrap

if TYPE_CHECKING:
    from planner.followup.drift import Drift

__all__ = ["drift"]

_PLANNED = 52


def drift(
    log: Log,
    bundle: Annotated[Path, typer.Option("--bundle", metavar="DIR", help="The bundle, or the folder that a gateway runs.")],
    before: Annotated[
        str | None, typer.Option("--before", metavar="LOG", help="The log to compare with; it ends before LOG begins.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="DATE", help="Compare LOG from this day (UTC) on with LOG before it.")
    ] = None,
    looks: Annotated[
        Path | None,
        typer.Option("--looks", metavar="FILE", help="Where repeated looks are kept, so that all share one chance of a false alarm."),
    ] = None,
    planned: Annotated[
        int, typer.Option("--planned", min=1, help="Looks that are planned, with --looks: one a week for a year.")
    ] = _PLANNED,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="PNG", help="Write the changes as a picture; needs the extra lab.")
    ] = None,
    prices: Prices = None,
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare what users ask and get with the time before: prompts, scores, models, apps, lengths, caches, failures, prices.

    Without --before and --since, LOG is compared with the profile in the bundle, from where that ends. Code 0: quiet; 1: something changed.

    [bold]Examples[/bold]

        planner drift december --bundle production
        planner drift december --before november --bundle production --looks looks.json
        planner drift proxy.jsonl.zst --since 2026-11-20 --bundle router --json
    """
    from planner.followup.drift import drift as compared

    silent = quiet or json
    now = traffic_at(log, silent, "drift")
    earlier = traffic_at(before, silent, "drift") if before else None
    with stages("drift", silent) as progress:
        found = compared(
            now,
            bundle,
            before=earlier,
            since=since,
            looks=looks,
            planned=planned,
            book=book_of(prices),
            seed=seed,
            progress=progress,
        )
    if picture is not None:
        from planner.figures.drift import drift as drawn

        picture.write_bytes(drawn(found).png())
    show(_parts(found), json)
    raise typer.Exit(1 if found.alarms else 0)


def _parts(found: Drift) -> list[Part]:
    columns: dict[str, Any] = {"what": ("changed most surely", str), "measure": ("measure", str)}
    columns |= {"before": ("before", percent), "now": ("now", percent), "p_adjusted": ("p", _chance), "alarm": ("", _alarm)}
    return [
        Part("alarm", bool(found.alarms)),
        Part("alarms", list(found.alarms)),
        Part("text", found.text, wrap(found.text)),
        Part("look", {"number": found.look, "planned": found.planned, "alpha": found.alpha}),
        Part("table", found.table, grid(found.table, columns)),
        Part("prices", found.prices),
        Part("changes", found.changes),
        Part("notes", list(found.notes)),
    ]


def _chance(p: float) -> str:
    return f"{p:.1g}"


def _alarm(alarm: bool) -> str:
    return "ALARM" if alarm else ""
