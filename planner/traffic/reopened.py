"""A log that was read before: its folder is opened as it is, and what was kept out of it is not copied behind its owner's back.

In: a folder that ``read`` wrote, or the files of a log, and what is asked for. Out: the Traffic; the folder of an earlier reading of the
same files, of one with other options, and of one that left names in the log. Knows nothing of formats.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from planner.errors import InputError
from planner.traffic.files import Source, find, identity, print_of
from planner.traffic.handle import Traffic
from planner.traffic.reader import Options
from planner.traffic.written import HOME, listed

__all__ = ["earlier_reading", "prints_of_files", "private_reading", "reopened", "told_otherwise"]

_PRINT_CHARS, _MOST_FILES = 16, 1_000


def reopened(folder: Path, format: str, out: str | Path | None, options: Options) -> Traffic:
    """Open what ``read`` wrote into ``folder``; InputError where anything is asked for that it is not, since it would have no effect."""
    traffic = Traffic.open(folder)
    meta = traffic.meta
    asked = {
        f"format={format!r}": format in ("auto", meta.get("source_format")),
        f"out={str(out)!r}": out is None or Path(out).resolve() == folder.resolve(),
        "mapping": not options.mapping or dict(options.mapping) == meta.get("mapping"),
        f"app_from={options.app_from!r}": options.app_from in (None, meta.get("app_from")),
        "redact=True": not options.redact or bool(meta.get("redacted")),
        "text=True": not options.text or meta.get("text", True),
        "allow_twice=True": not options.allow_twice or bool(meta.get("allow_twice")),
    }
    if lost := [name for name, had in asked.items() if not had]:
        fix = f"read the log itself with {', '.join(lost)}; {folder} is opened without"
        raise InputError(f"{' and '.join(lost)} for {folder}, which was read before and stays as it is", "a log", fix)
    return traffic


def prints_of_files(files: Sequence[Path]) -> list[str]:
    """Return a print of every file's place, so that a folder tells its log again without naming it."""
    return [hashlib.sha256(str(f.resolve()).encode("utf-8", "surrogatepass")).hexdigest()[:_PRINT_CHARS] for f in files[:_MOST_FILES]]


def earlier_reading(source: Source, text: bool | None = None) -> Path | None:
    """Return the folder in ``.planner/traffic/`` into which ``source``, as its files are now, was read as it is.

    A reading with text stands before one without. With ``text`` one is wanted that has all texts that there were, without (False) one for
    which none was copied. None where there is none, and without files.
    """
    try:
        files = find(source)
    except InputError:  # reading says it better
        return None
    kinds = (True, False) if text is not False else (False,)
    places = (HOME / "traffic" / identity(files, "auto", Options(text=copied)) for copied in kinds)
    found = (folder for folder in places if (folder / "traffic.json").is_file())
    return next((folder for folder in found if not (text and Traffic.open(folder).text_left)), None)


def told_otherwise(source: Source) -> Path | None:
    """Return the folder of the last reading of ``source``, as its files are now, that was told where its apps or columns are.

    None where there is none: then a reading as it is, is what its owner saw.
    """
    try:
        wanted = print_of(find(source))
    except InputError:
        return None
    told = [folder for folder in _folders() if (h := _header(folder)).get("log") == wanted and (h.get("app_from") or h.get("mapping"))]
    return max(told, key=lambda folder: (folder / "traffic.json").stat().st_mtime_ns, default=None)


def private_reading(source: Source, text: bool = False) -> tuple[Path, bool] | None:
    """Return a folder into which files of ``source`` were read redacted (with their ``text``), and whether all of them were.

    One that holds them all stands before others. None where no file was.
    """
    try:
        wanted = set(prints_of_files(find(source)))
    except InputError:
        return None
    part = None
    for folder in _folders():
        header = _header(folder)
        held = wanted.intersection(header.get("private", ()))
        if header.get("redacted") and held and (header.get("text") or not text):
            if held == wanted:
                return folder, True
            part = part or (folder, False)
    return part


def _folders() -> list[Path]:
    """Return every folder that a reading was written to, whether it is still there or not."""
    return [*sorted((HOME / "traffic").glob("*")), *listed()]


def _header(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "traffic.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
