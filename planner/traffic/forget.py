"""Forget a user: every row of theirs leaves a folder of Traffic, also the ones that were set aside.

In: a Traffic and the names under which the user may stand in it. Out: how many rows went; the folder is replaced in one step, with a new
hash and without what was derived from the old one. Knows nothing of the logs that were read: they are not ours to change.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from planner.traffic.handle import Traffic
from planner.traffic.privacy import hashed, salt_at
from planner.traffic.rewrite import rewritten

__all__ = ["folders_with", "forget_in", "mended", "names_of", "replaced"]


def names_of(user: str, salt: Path) -> tuple[str, ...]:
    """Return ``user`` and, where there is a salt at ``salt``, the hash that stands for this user in redacted logs."""
    found = salt_at(salt, make=False)
    return (user,) if found is None else (user, hashed(user, found))


def folders_with(mark: str, folder: Path) -> list[Path]:
    """Return ``folder`` and those below it that hold a file ``mark``, in order."""
    return [path.parent for path in sorted(folder.rglob(mark))]


def forget_in(traffic: Traffic, names: Sequence[str]) -> tuple[int, int]:
    """Remove the rows of the user with these ``names``; return how many were accepted ones and how many had been set aside.

    Of the rows that were set aside those go that hold one of the names as a word of their own: rather one too many.
    """
    held = sum(int(pc.sum(pc.is_in(b["user"], pa.array(names))).as_py() or 0) for b in traffic.batches(("user",)))
    word = re.compile("|".join(rf"(?<![\w@.-]){re.escape(name)}(?![\w@-]|\.\w)" for name in names))
    aside = int(_said(traffic.quarantine, word).sum())
    if held or aside:

        def without(piece: pa.Table, _: NDArray[np.int64]) -> pa.Table:
            return piece.filter(pc.invert(pc.is_in(piece["user"], pa.array(names))))

        def kept(frame: pd.DataFrame) -> pd.DataFrame:
            return frame[~_said(frame, word)]

        before = traffic.meta.get("forgotten", 0)
        replaced(traffic.folder, lambda part: rewritten(traffic, part, without, aside=kept, forgotten=before + held + aside))
    return held, aside


def replaced(folder: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` make a folder, then put it in the place of ``folder``; until then the old one is there, whole.

    A process that is killed leaves a whole folder under the name, or as ``NAME.old`` and ``NAME.new``: see ``mended``.
    """
    new, old = _beside(folder, "new"), _beside(folder, "old")
    write(new)
    folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old)


def mended(mark: str, folder: Path) -> None:
    """Bring to an end what a killed ``replaced`` left of folders with the file ``mark`` below ``folder``."""
    for path in folders_with(mark, folder):
        name = path.with_suffix("")
        if path.suffix == ".old" and not name.exists():
            path.rename(name)
        elif path.suffix in (".old", ".new"):
            shutil.rmtree(path)


def _beside(folder: Path, suffix: str) -> Path:
    return folder.with_name(f"{folder.name}.{suffix}")


def _said(frame: pd.DataFrame, word: re.Pattern[str]) -> NDArray[np.bool_]:
    """Say which rows that were set aside hold the word, in their text or in the reason."""
    pairs = zip(frame["raw"].fillna(""), frame["reason"].fillna(""), strict=True)
    return np.array([bool(word.search(raw) or word.search(reason)) for raw, reason in pairs], bool)
