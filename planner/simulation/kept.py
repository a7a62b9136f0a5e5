"""Kept: the finished parts of a run in a folder, so that it goes on where it was interrupted.

In: a folder, and what the run is about. Out: which parts are done, their Summaries, and what was under way after the last. A file is
there whole or not at all. Knows nothing of how parts are played.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from zipfile import BadZipFile

from planner import formats
from planner.errors import InputError
from planner.simulation.summary import Summary

if TYPE_CHECKING:
    from planner.simulation.under_way import UnderWay

__all__ = ["Kept"]

_RUN, _HALF = "run.json", ".half"
T = TypeVar("T")


@dataclass(frozen=True)
class Kept:
    """A folder of finished parts."""

    folder: Path

    @classmethod
    def open(cls, folder: Path, about: Mapping[str, Any]) -> Kept:
        """Open or begin ``folder`` for the run that ``about`` describes in plain values.

        InputError when it keeps another run, and when it holds anything else.
        """
        text = json.dumps({**formats.header("run"), **about}, indent=1, sort_keys=True) + "\n"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise InputError(f"{folder}: {error.strerror}", "a folder, or the name of a new one") from error
        run = folder / _RUN
        if not run.exists():
            if any(path.suffix != _HALF for path in folder.iterdir()):
                raise InputError(f"{folder}, which holds other things", "an empty folder, or one of an earlier run")
            _whole(run, lambda path: path.write_text(text, "utf-8"))
        found = run.read_text("utf-8")
        if found != text:
            raise InputError(f"{folder}, which keeps another run: {_differs(found, text)}", "the folder of this run", "name another one")
        return cls(folder)

    def has(self, k: int) -> bool:
        """Say whether part ``k`` is finished."""
        return self._summary(k).exists()

    def summary(self, k: int) -> Summary:
        """Return the sums of part ``k``."""
        return _read(self._summary(k), Summary.open)

    def under_way(self, k: int) -> UnderWay:
        """Return what was under way when part ``k`` began, after a part that left something."""
        from planner.simulation.under_way import UnderWay  # it needs numba, which is slow to import

        return _read(self._under_way(k), UnderWay.open)

    def add(self, k: int, summary: Summary, under_way: UnderWay | None) -> None:
        """Keep part ``k``: first what follows it, then its sums, so that whoever finds these finds both."""
        if under_way is not None:
            _whole(self._under_way(k + 1), under_way.save)
        _whole(self._summary(k), summary.save)
        self._under_way(k).unlink(missing_ok=True)

    def _summary(self, k: int) -> Path:
        return self.folder / f"part-{k:05}.npz"

    def _under_way(self, k: int) -> Path:
        return self.folder / f"before-{k:05}.npz"


def _whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``path`` appear once ``write`` has written all of it."""
    half = path.with_name(f"{path.name}{_HALF}")
    write(half)
    with half.open("rb") as file:
        os.fsync(file.fileno())
    half.replace(path)


def _read(path: Path, read: Callable[[Path], T]) -> T:
    """Read what ``_whole`` let appear; InputError when it is not there or not as it was written."""
    try:
        return read(path)
    except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise InputError(
            f"{path}, which is missing or damaged ({error})", "what the run left there", "begin again in an empty folder"
        ) from error


def _differs(found: str, wanted: str) -> str:
    """Name what the two runs do not have in common."""
    try:
        one, other = json.loads(found), json.loads(wanted)
    except ValueError:
        return "its run.json cannot be read"
    return ", ".join(name for name in other if one.get(name) != other[name]) if isinstance(one, dict) else "its run.json cannot be read"
