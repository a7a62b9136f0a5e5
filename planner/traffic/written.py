"""The folders that were written outside ``.planner/``: a list in it, so that a user can be forgotten in all of them.

In: a folder that was written. Out: the folders that were, in order, whether they are still there or not. One line of JSON each, appended,
for the list's owner alone; where ``.planner/`` cannot be written, nothing is listed. Knows nothing of what is in the folders.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from planner.traffic.files import owned_folder

__all__ = ["HOME", "WORK", "WRITTEN", "listed", "noted"]

HOME = Path(".planner")
WRITTEN = HOME / "folders.jsonl"
#: What a folder is called in which the files of the one around it are made anew; it is soon gone.
WORK = ".planner-forget"


def noted(folder: Path) -> None:
    """Put ``folder`` on the list, unless it is on it already, lies under ``.planner/``, where it is found without, or is soon gone."""
    path = folder.resolve()
    if path.is_relative_to(HOME.resolve()) or WORK in path.parts or path in listed():
        return
    try:
        owned_folder(HOME)
        with os.fdopen(os.open(WRITTEN, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8") as file:
            file.write(f"{json.dumps(str(path))}\n")
    except OSError:
        return  # a working directory that is not ours to write: what was read is worth more than its place on a list


def listed() -> list[Path]:
    """Return the folders on the list, the first written first; lines that are no path are passed over."""
    try:
        lines = WRITTEN.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    return list(dict.fromkeys(Path(name) for line in lines if isinstance(name := _named(line), str)))


def _named(line: str) -> object:
    try:
        return json.loads(line)
    except ValueError:
        return None
