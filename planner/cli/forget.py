"""``planner forget``: remove a user's rows from everything that planner wrote.

In: the user as the log names them, and a folder. Out: which folders held rows of theirs, how many went, and where nobody could look. Knows
nothing of how rows are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from planner.cli.common import Json
from planner.cli.output import Part, show, wrap
from planner.errors import InputError

__all__ = ["forget"]

_AGAIN = "Half a file does not tell who is in it; read the log again, without the user's lines, if you still want it."

#: Marks of folders that hold requests drawn from a log, which is what they are paid for: they are named, not changed.
_DRAWN = ("work.json", "answers.json")
#: Marks of folders that are searched, with the file that tells one of ours from a stranger's.
_SEARCHED = {"traffic.json": "traffic.parquet", "labels.json": "items.parquet"}
#: What is counted of a folder, and how it is called.
_KINDS = {
    "requests": "requests",
    "set_aside": "rows that were set aside",
    "labelled": "labelled requests",
    "answers": "answers asked for in the background",
}


def forget(
    user: Annotated[str, typer.Argument(metavar="USER", help="The user as the log names them, or the hash that stands for them.")],
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder",
            metavar="FOLDER",
            help="Look here and in all folders below, and nowhere else; default: .planner and every folder that was written from here.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Remove a user's rows from the Traffic and Labels that were written from this working directory, and say how many went.

    So do the answers that production asked for in the background (state/mirror of an exported folder), while it goes on. Rows that were set
    aside go, too, where they name the user. What was derived from a changed log is made anew when it is needed. What a reading that was
    broken off left is removed, whoever is in it, and begins anew when its log is read again; one under way is left alone, and named.
    Logs that were redacted are searched for the user's hash, by the salt in .planner/salt. The exit code is 1 where a folder of planner's
    could not be searched.

    [bold]Examples[/bold]

        planner forget ann@example.com
        planner forget user-17 --folder november --json
        planner forget ann@example.com --folder production
    """
    from planner.traffic.forget import mended, names_of
    from planner.traffic.privacy import SALT
    from planner.traffic.written import HOME, listed

    if not user:
        raise InputError("an empty user", "the user as the log names them", "planner forget USER")
    root = folder or HOME
    if not root.is_dir():
        raise InputError(f"{root}", "a folder that planner wrote into", "say where with --folder")
    mended(root)
    search = _Search(names_of(user, SALT))
    search.below(root)
    for path in listed() if folder is None else []:
        search.at(path)
    show(_parts(search), json)
    if search.failed:
        raise typer.Exit(1)


@dataclass
class _Search:
    """Where a user was looked for, and what was found there."""

    names: tuple[str, ...]
    found: list[dict[str, int | str]] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    untouched: list[str] = field(default_factory=list)
    growing: list[str] = field(default_factory=list)
    failed: bool = False

    def below(self, root: Path) -> None:
        """Search ``root`` and all folders in it."""
        from planner.traffic.forget import broken_off, folders_with
        from planner.traffic.forget_answers import mirrors

        self._clear(broken_off(root))
        for mark in (*_SEARCHED, *_DRAWN):
            for path in folders_with(mark, root):
                self._one(path, mark)
        self._answers(mirrors(root))

    def at(self, path: Path) -> None:
        """Search a folder that was written once, if it is there."""
        from planner.traffic.forget import broken_off, mended
        from planner.traffic.forget_answers import exported, mirrors

        if path.is_dir():
            mended(path)
        left = broken_off(path, below=False)
        self._clear(left)
        marks = [mark for mark in (*_SEARCHED, *_DRAWN) if (path / mark).is_file()]
        for mark in marks:
            self._one(path, mark)
        self._answers(mirrors(path, below=False))
        if not marks and not left and not exported(path):
            self.gone.append(str(path))

    def _clear(self, folders: list[Path]) -> None:
        """Remove what broken-off readings left."""
        from planner.traffic.forget import cleared
        from planner.traffic.under_way import BusyError

        for folder in folders:
            try:
                cleared(folder)
            except BusyError:
                self._skip(folder, "A reading is under way there; forget again when it is over.")
            except OSError as error:
                self._skip(folder, f"{error}; remove the folder.")
            else:
                self.removed.append(str(folder))

    def _answers(self, folders: list[Path]) -> None:
        """Remove the answers that production asked for in the background."""
        from planner.traffic.forget_answers import forget_answers, growing

        for folder in folders:
            late = growing(folder)
            try:
                counts = {"requests": 0, "set_aside": 0, "labelled": 0, "answers": forget_answers(folder, self.names)}
            except OSError as error:
                self._skip(folder, str(error))
            else:
                self.found.append({"folder": str(folder), **counts})
                self.growing += [str(folder)] * late

    def _skip(self, folder: Path, reason: str) -> None:
        self.skipped.append({"folder": str(folder), "reason": reason})
        self.failed = True

    def _one(self, path: Path, mark: str) -> None:
        if mark in _DRAWN:
            self.untouched.append(str(path))
            return
        import pyarrow as pa

        try:
            counts = _FORGET[mark](path, self.names)
        except (InputError, OSError, pa.ArrowException, LookupError) as error:
            self.skipped.append({"folder": str(path), "reason": str(error)})
            self.failed |= (path / _SEARCHED[mark]).is_file()
        else:
            self.found.append({"folder": str(path), **counts})


def _from_traffic(path: Path, names: tuple[str, ...]) -> dict[str, int]:
    from planner.traffic import Traffic
    from planner.traffic.forget import forget_in

    accepted, aside = forget_in(Traffic.open(path), names)
    return {"requests": accepted, "set_aside": aside, "labelled": 0, "answers": 0}


def _from_labels(path: Path, names: tuple[str, ...]) -> dict[str, int]:
    from planner.labels.forgotten import forget_labels

    return {"requests": 0, "set_aside": 0, "labelled": forget_labels(path, names), "answers": 0}


_FORGET: dict[str, Callable[[Path, tuple[str, ...]], dict[str, int]]] = {"traffic.json": _from_traffic, "labels.json": _from_labels}


def _parts(search: _Search) -> list[Part]:
    found = search.found
    rows = {name: sum(int(f[name]) for f in found) for name in _KINDS}
    changed = [f for f in found if any(f[name] for name in _KINDS)]
    lines = [f"  {f['folder']}: {_listed(f)}" for f in changed]
    where = f"{len(changed)} of {len(found)} folders"
    said = f"{_listed(rows)} are gone, from {where}." if changed else f"No rows of this user in {len(found)} folders."
    notes = _notes(search)
    return [
        Part("rows", rows, "\n".join([said, *lines])),
        Part("folders", found),
        Part("skipped", search.skipped),
        Part("removed", search.removed),
        Part("gone", search.gone),
        Part("untouched", search.untouched),
        Part("notes", notes, wrap("\n".join(notes))),
    ]


def _listed(rows: Mapping[str, int | str]) -> str:
    """Say how many rows of each kind there are, of those of which there are any."""
    *most, last = [f"{rows[name]:,} {said}" for name, said in _KINDS.items() if rows[name]]
    return f"{', '.join(most)} and {last}" if most else last


def _notes(search: _Search) -> list[str]:
    """Say where nobody looked, and why."""
    notes: list[Any] = [f"Not searched: {s['folder']}. {s['reason']}" for s in search.skipped]
    if search.growing:
        late = "what the user asked by now may be written in the next minutes: forget again then"
        notes.append(f"Production is writing {', '.join(search.growing)}; {late}.")
    if search.removed:
        notes.append(f"Removed, since a reading was broken off there: what it left in {', '.join(search.removed)}. {_AGAIN}")
    if search.gone:
        moved = "a folder that was moved is searched with --folder"
        notes.append(f"Written from here once and no longer there: {', '.join(search.gone)}; {moved}.")
    if search.untouched:
        where = ", ".join(search.untouched)
        notes.append(f"Not searched, since answers in them were paid for: {where}. Remove these folders yourself if need be.")
    return [*notes, "The log files themselves are not touched: while they name the user, reading them anew brings the rows back."]
