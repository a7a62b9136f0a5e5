"""Forget a user: every row of theirs leaves a folder of Traffic, also the ones that were set aside, and the header says nothing of them.

In: a Traffic and the names under which the user may stand in it. Out: how many rows went; the folder's files are replaced all or none, with
a new hash and without what was derived from the old ones. What a reading that is not over left goes as a whole: half a file tells of nobody
who is in it. Knows nothing of the logs that were read: they are not ours to change.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from planner.schema import QUARANTINE
from planner.traffic.files import SUFFIXES, owned_file, owned_folder
from planner.traffic.handle import Traffic
from planner.traffic.kept import PARTS, keeps
from planner.traffic.privacy import hashed, salt_at
from planner.traffic.reasons import Reasons
from planner.traffic.rewrite import rewritten
from planner.traffic.under_way import BusyError, alone
from planner.traffic.written import WORK

__all__ = ["broken_off", "cleared", "folders_with", "forget_in", "mended", "names_in", "names_of", "replaced"]

#: In the work folder: the new files, and the mark that all of them are there.
_NEW, _WHOLE = "new", "whole"
_LETTERS = re.compile(r"[A-Za-z0-9]+")
_ENDING = re.compile(rf"({'|'.join(map(re.escape, SUFFIXES))})+$")
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_PLAIN = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
#: What a reading that is not over has in its folder, beside its parts: the mark that the folder is ours, and the rest.
_SET_ASIDE = "quarantine.parquet"
_HALF = ("traffic.parquet", "traffic.json.part", _SET_ASIDE)
#: How often JSON text may stand inside JSON text.
_DEPTH = 4
_FORGOTTEN = "(files named after users who were forgotten)"


def names_of(user: str, salt: Path) -> tuple[str, ...]:
    """Return ``user`` and, where there is a salt at ``salt``, the hash that stands for this user in redacted logs."""
    found = salt_at(salt, make=False)
    return (user,) if found is None else (user, hashed(user, found))


def folders_with(mark: str, folder: Path) -> list[Path]:
    """Return ``folder`` and those below it that hold a file ``mark``, in order."""
    return [path.parent for path in sorted(folder.rglob(mark))]


def broken_off(root: Path, below: bool = True) -> list[Path]:
    """Return ``root``, and the folders ``below`` it, in which a reading that is not over left rows, in order."""
    marks = (root.rglob(_SET_ASIDE), root.rglob(PARTS)) if below else ((root / _SET_ASIDE, root / PARTS),)
    return sorted({folder for some in marks for path in some if keeps(folder := path.parent) or _half(folder)})


def cleared(folder: Path) -> None:
    """Remove what a reading that is not over left in ``folder``; a log that is whole stays, and so do files of others.

    BusyError while a reading is under way there.
    """
    with alone(folder):
        if _half(folder):
            shutil.rmtree(folder / "derived", ignore_errors=True)
            for name in _HALF:
                (folder / name).unlink(missing_ok=True)
        if keeps(folder):
            shutil.rmtree(folder / PARTS)


def _half(folder: Path) -> bool:
    """Say whether ``folder`` holds rows without the header that is written last."""
    aside = folder / _SET_ASIDE
    return aside.is_file() and not (folder / "traffic.json").exists() and _ours(aside)


def _ours(aside: Path) -> bool:
    """Say whether rows that were set aside are ours: half a file, which cannot be read, or one with our columns."""
    try:
        return tuple(pq.read_schema(aside).names) == QUARANTINE.names
    except pa.ArrowException:
        return True


def forget_in(traffic: Traffic, names: Sequence[str]) -> tuple[int, int]:
    """Remove the rows of the user with these ``names``; return how many were accepted ones and how many had been set aside.

    Of the rows that were set aside those go that hold one of the names as a word of their own, however it is escaped, in their text, reason
    or file: rather one too many. What the header counts by reason is counted anew; what it counts by file stays as it was read.
    """
    held = sum(int(pc.sum(pc.is_in(b["user"], pa.array(names))).as_py() or 0) for b in traffic.batches(("user",)))
    gone = _said(traffic.quarantine, names)
    aside = int(gone.sum())
    if held or aside:
        left = traffic.quarantine[~gone]

        def without(piece: pa.Table, _: NDArray[np.int64]) -> pa.Table:
            return piece.filter(pc.invert(pc.is_in(piece["user"], pa.array(names))))

        meta = {
            **_span(traffic, names),
            "reasons": Reasons(left["reason"]).told(),
            "files": _files(traffic.meta.get("files", {}), names),
            "forgotten": traffic.meta.get("forgotten", 0) + held + aside,
        }
        replaced(traffic.folder, lambda new: rewritten(traffic, new, without, aside=lambda _: left, **meta))
    return held, aside


def replaced(folder: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` make files in a new folder, then put them in the place of those of ``folder`` with the same names.

    Either all are replaced or none; what was derived from them goes, nothing else is touched. A process that is killed leaves its work in
    ``folder``: see ``mended``. BusyError where the folder is being written.
    """
    with alone(folder):
        work = owned_folder(folder / WORK)
        write(work / _NEW)
        owned_file(work / _WHOLE)
        _finish(work)


def mended(folder: Path) -> None:
    """Bring to an end what a killed ``replaced`` left in ``folder`` and those below it; folders that only share the name are left alone.

    So is the work of a process that is at it.
    """
    for work in sorted(folder.rglob(WORK)):
        if work.is_dir() and {p.name for p in work.iterdir()} <= {_NEW, _WHOLE}:
            with suppress(BusyError), alone(work.parent):
                if (work / _WHOLE).exists():
                    _finish(work)
                else:
                    shutil.rmtree(work)


def _finish(work: Path) -> None:
    """Move the new files into place, headers last, so that nobody opens half of them; what is done already is passed over."""
    folder, new = work.parent, work / _NEW
    files = sorted(new.iterdir(), key=lambda f: f.suffix == ".json") if new.is_dir() else []
    for file in files:
        if file.suffix == ".json":
            (folder / file.name).unlink(missing_ok=True)
    if files and (folder / "derived").is_dir():
        shutil.rmtree(folder / "derived")
    for file in files:
        file.replace(folder / file.name)
    shutil.rmtree(work)


def _span(traffic: Traffic, names: Sequence[str]) -> dict[str, str | None]:
    """Return the first and the last arrival among the rows of others."""
    ends: list[Any] = []
    for batch in traffic.batches(("user", "timestamp")):
        others = batch.filter(pc.invert(pc.is_in(batch["user"], pa.array(names))))
        if len(others):
            ends += pc.min_max(others["timestamp"]).as_py().values()
    return {"first": min(ends).isoformat() if ends else None, "last": max(ends).isoformat() if ends else None}


def _files(counts: dict[str, dict[str, int]], names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return what was read from each file, those named after the user together."""
    found: dict[str, dict[str, int]] = {}
    for file, own in counts.items():
        place = found.setdefault(_FORGOTTEN if names_in(_bare(file), names) else file, {})
        place.update({kind: place.get(kind, 0) + n for kind, n in own.items()})
    return found


def _said(frame: pd.DataFrame, names: Sequence[str]) -> NDArray[np.bool_]:
    """Say which rows that were set aside name the user."""
    parts = zip(frame["raw"].fillna(""), frame["reason"].fillna(""), frame["file"].fillna(""), strict=True)
    return np.array([any(names_in(text, names) for text in (raw, reason, _bare(file))) for raw, reason, file in parts], bool)


def _bare(file: str) -> str:
    """Return the name of a file without its endings, such as ``.jsonl.gz``."""
    return _ENDING.sub("", file)


def names_in(text: str, names: Sequence[str]) -> bool:
    r"""Say whether ``text`` holds one of ``names`` as a word, as it stands or escaped as JSON, Python or CSV do, once or several times.

    >>> names_in('{"user": "J\\u00f6rg"}', ["Jörg"]), names_in('a,"o""hara",b', ['o"hara']), names_in("ann.smith", ["ann"])
    (True, True, False)
    """
    return any(_core(name) in text and any(_word(name).search(read) for read in _readings(text)) for name in names)


def _core(name: str) -> str:
    """Return the longest part of a name that no escape changes."""
    return max(_LETTERS.findall(name), key=len, default="")


def _word(name: str) -> re.Pattern[str]:
    spellings = "|".join(re.escape(n) for n in dict.fromkeys([name, name.replace('"', '""')]))
    return re.compile(rf"(?<![\w@.-])(?:{spellings})(?![\w@-]|\.\w)")


def _readings(text: str) -> Iterator[str]:
    yield text
    for _ in range(_DEPTH):
        if "\\" not in text:
            return
        text = _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else _PLAIN.get(m[2], m[2]), text)
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        yield text
