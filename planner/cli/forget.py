"""``planner forget``: remove a user's rows from everything that planner wrote.

In: the user as the log names them, and a folder. Out: which folders held rows of theirs, and how many went. Knows nothing of how rows are
stored.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from planner.cli.common import Json
from planner.cli.output import Part, show, wrap
from planner.errors import InputError

__all__ = ["forget"]

#: Marks of folders that hold requests drawn from a log, which is what they are paid for: they are named, not changed.
_DRAWN = {"work.json": "label work", "answers.json": "ungraded answers"}


def forget(
    user: Annotated[str, typer.Argument(metavar="USER", help="The user as the log names them, or the hash that stands for them.")],
    folder: Annotated[
        Path, typer.Option("--folder", metavar="FOLDER", help="Where to look, with all folders in it: Traffic and Labels.")
    ] = Path(".planner"),
    json: Json = False,
) -> None:
    """Remove a user's rows from the Traffic and Labels below a folder, and say how many went.

    Rows that were set aside go, too, where they name the user. What was derived from a changed log is made anew when it is needed.
    Logs that were redacted are searched for the user's hash, by the salt in .planner/salt.

    [bold]Examples[/bold]

        planner forget ann@example.com
        planner forget user-17 --folder november --json
    """
    from planner.traffic.privacy import SALT

    if not user:
        raise InputError("an empty user", "the user as the log names them", "planner forget USER")
    if not folder.is_dir():
        raise InputError(f"{folder}", "a folder that planner wrote into", "say where with --folder")
    found = _forgotten(user, folder, SALT)
    rows = {name: sum(int(f[name]) for f in found) for name in ("requests", "set_aside", "labelled")}
    show(_parts(found, rows, _untouched(folder)), json)


def _forgotten(user: str, folder: Path, salt: Path) -> list[dict[str, int | str]]:
    from planner.labels.forgotten import forget_labels
    from planner.traffic import Traffic
    from planner.traffic.forget import folders_with, forget_in, mended, names_of

    names = names_of(user, salt)
    found: list[dict[str, int | str]] = []
    for mark in ("traffic.json", "labels.json"):
        mended(mark, folder)
    for path in folders_with("traffic.json", folder):
        accepted, aside = forget_in(Traffic.open(path), names)
        found.append({"folder": str(path), "requests": accepted, "set_aside": aside, "labelled": 0})
    for path in folders_with("labels.json", folder):
        found.append({"folder": str(path), "requests": 0, "set_aside": 0, "labelled": forget_labels(path, names)})
    return found


def _untouched(folder: Path) -> list[str]:
    from planner.traffic.forget import folders_with

    return [str(path) for mark in _DRAWN for path in folders_with(mark, folder)]


def _parts(found: list[dict[str, int | str]], rows: dict[str, int], untouched: list[str]) -> list[Part]:
    changed = [f for f in found if f["requests"] or f["set_aside"] or f["labelled"]]
    lines = [f"  {f['folder']}: {f['requests']:,} requests, {f['set_aside']:,} set aside, {f['labelled']:,} labelled" for f in changed]
    whole = f"{rows['requests']:,} requests, {rows['set_aside']:,} rows that were set aside and {rows['labelled']:,} labelled requests"
    said = (
        f"{whole} are gone, from {len(changed)} of {len(found)} folders." if changed else f"No rows of this user in {len(found)} folders."
    )
    notes = ["The log files themselves are not touched: while they name the user, reading them anew brings the rows back."]
    if untouched:
        notes.append(
            f"Not searched, since answers in them were paid for: {', '.join(untouched)}. Remove these folders yourself if need be."
        )
    return [
        Part("rows", rows, "\n".join([said, *lines])),
        Part("folders", found),
        Part("untouched", untouched),
        Part("notes", notes, wrap("\n".join(notes))),
    ]
