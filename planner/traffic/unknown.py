"""Why a file is no log that can be read: what it is instead, in one sentence with the next step.

In: a path that no reader recognised, or an error of the operating system. Out: the error to raise. Knows nothing of how logs
are read.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from shlex import quote
from typing import Any

import pyarrow.parquet as pq

from planner.errors import InputError
from planner.traffic.csv_rows import header_of
from planner.traffic.forget import broken_off
from planner.traffic.reader import all_readers
from planner.traffic.records import beginning, records
from planner.traffic.streams import DAMAGED
from planner.traffic.suggest import suggested

__all__ = ["interrupted", "other_folder", "read_before", "refused", "system_error", "unknown"]

_COLUMNS, _NAME_CHARS = 8, 24
#: Columns of ours without which no row is read, or none has a price.
_WANTED = ("request_id", "timestamp", "model", "input_tokens", "output_tokens")
_HEAD_BYTES, _FOREIGN_SHARE = 4_096, 0.3
#: What else of ours a folder may be: the file that marks it → what it is, and which command takes it.
_FOLDERS = {
    "labels.json": ("a folder of labels", "planner train {} --out router"),
    "work.json": ("work for labels", "planner labels run {} --base-url URL"),
    "answers.json": ("a folder of ungraded answers", "planner labels grade {} --help"),
    "manifest.json": ("an exported router", "planner decide --bundle {} < requests.jsonl"),
}
_FIXES = {
    errno.EACCES: "allow this user to read and write it, or choose another folder with --out",
    errno.EPERM: "allow this user to read and write it, or choose another folder with --out",
    errno.ENOSPC: "free space, or choose a folder on another disk with --out",
    errno.EDQUOT: "free space, or choose a folder on another disk with --out",
    errno.EROFS: "choose a folder that can be written with --out",
    errno.ENOTDIR: "choose a folder, not a file, with --out",
    errno.EEXIST: "choose a folder, not a file, with --out",
    errno.EISDIR: "name the files in it",
    errno.ENAMETOOLONG: "use a shorter path",
    errno.ENOENT: "check that the path is still there",
    errno.EIO: "check the disk, or read a copy",
}


def other_folder(path: Path) -> InputError | None:
    """Return the error for a folder of ours that is no log, None for any other path."""
    if broken_off(path, below=False):
        fix = "run the command that wrote it again: it goes on from what was kept there, or begins anew; planner forget removes it"
        return InputError(f"{path}, in which a reading was broken off", "a folder that planner read has finished", fix)
    for name, (what, command) in _FOLDERS.items():
        if (path / name).is_file():
            return InputError(f"{path}, which is {what}", "a log of requests", f"use it with: {command.format(quote(str(path)))}")
    return None


def read_before(folder: Path) -> InputError:
    """Return the error for a ``folder`` that a reading wrote, given beside other logs."""
    fix = "join what was read: planner.join(a, b), in the shell planner join A B (--apart if no call is in both)"
    return InputError(f"{folder}, which was read before, beside others", "logs, or one such folder", fix)


def refused(files: Sequence[Path], why: str, looks_like: str) -> InputError:
    """Say that nothing of ``files`` was accepted and ``why``; where the reason names its own cure, no other is given.

    >>> refused([Path("a.jsonl"), Path("b.jsonl")], "none of 2 records could be accepted (no time; add it: --map timestamp==TIME)", "x")
    InputError('Got a.jsonl and 1 more: none of 2 records could be accepted (no time); expected x. Add it: --map timestamp==TIME.')
    """
    name = f"{files[0]}{f' and {len(files) - 1} more' if len(files) > 1 else ''}"
    reason, _, cure = why.removesuffix(")").partition("; ")
    if "--map" in cure:
        return InputError(f"{name}: {reason})", looks_like, cure)
    return InputError(f"{name}: {why}", looks_like, "pass format= or mapping= if this is another kind of log")


def interrupted(folder: Path, kept: bool) -> str:
    """Say what an interrupted reading into ``folder`` left, and how to go on."""
    if kept:
        return f"Broken off. What was converted so far is kept in {folder}: the same command goes on from there."
    return "Broken off. Nothing was kept: the same command begins anew."


def system_error(error: OSError) -> InputError | None:
    """Return an error of the operating system with its next step, None where we know none."""
    if error.errno not in _FIXES:
        return None
    return InputError(f"{error.filename or 'a file'}: {(error.strerror or str(error)).lower()}", fix=_FIXES[error.errno])


def unknown(file: Path, sample: Sequence[Mapping[str, Any]], fits: Sequence[str]) -> InputError:
    """Say what ``file``, of which ``sample`` was read, is instead of a log of one known format; ``fits`` are the readers it fits."""
    if fits:
        return InputError(f"{file}: fits {' and '.join(fits)}", "one format", f"pass format={fits[0]!r} or another of them")
    head = beginning(file)
    if head.startswith(b"PK\x03\x04"):
        return InputError(f"{file} is not text but a zip or Excel file", fix="unpack it, or save it as CSV")
    if head[:1] == b"\x80" and head[1:2] in b"\2\3\4\5":
        return InputError(f"{file} is not text but a pickle", fix="a pickled table of graded answers is read with --labels --out FOLDER")
    if not head.startswith(b"PAR1") and not _is_text(head):
        return InputError(f"{file}, which is not text", "JSON, CSV or Parquet, plain, .gz or .zst", "export the log in one of these")
    if not sample:
        return _without_records(file, head)
    fix = f"for any other table: {_mapping(sample)}"
    return InputError(f"{file}: {_columns(list(sample[0]))}", f"one of the formats {', '.join(all_readers())}", fix)


def _mapping(sample: Sequence[Mapping[str, Any]]) -> str:
    """Return the argument that reads a table: columns that are likely ours under another name, and what else is wanted."""
    likely = {ours: theirs for ours, theirs in suggested(sample).items() if ours not in sample[0]}
    lacking = [name for name in _WANTED if name not in sample[0] and name not in likely]
    columns = [f"{ours!r}: {theirs!r}" for ours, theirs in likely.items()] + [f"{name!r}: COLUMN" for name in lacking]
    given = f"mapping={{{', '.join(columns or [f'{name!r}: COLUMN' for name in _WANTED])}}}"
    return f"{given} (columns by their names; check that they are what they seem)" if likely else given


def _without_records(file: Path, head: bytes) -> InputError:
    broken = next(islice(records(file), 1), None)
    if broken is not None and broken.problem.startswith(DAMAGED):
        return InputError(f"{file}: {broken.problem}", "a whole file", "copy it again, or export it again")
    if broken is not None:
        return InputError(f"{file}, record {broken.line}: {broken.problem}", "JSON, CSV or Parquet", "check how the file was written")
    if not head:
        return InputError(f"{file} is empty", fix="check the export that wrote it")
    names = _header(file, head)
    held = f" ({_columns(names)})" if names else ""
    return InputError(f"{file} has no rows{held}", fix="check the export that wrote it")


def _header(file: Path, head: bytes) -> list[str]:
    """Return the column names of a CSV or Parquet file, and nothing for any other."""
    if head.startswith(b"PAR1"):
        return list(pq.ParquetFile(file).schema_arrow.names)
    return [] if head[:1] in (b"[", b"{") else header_of(head.decode("utf-8", "replace"))


def _is_text(head: bytes) -> bool:
    r"""Say whether a file begins as text does: without zero bytes, and mostly in UTF-8.

    >>> _is_text(b"a,b\n1,\xff"), _is_text(b"GIF89a\x00"), _is_text(bytes(range(128, 255)))
    (True, False, False)
    """
    head = head[:_HEAD_BYTES]
    return b"\0" not in head and head.decode("utf-8", "replace").count("\ufffd") <= _FOREIGN_SHARE * len(head)


def _columns(names: Sequence[str]) -> str:
    shown = ", ".join(n if len(n) <= _NAME_CHARS else f"{n[: _NAME_CHARS - 1]}…" for n in map(str, names[:_COLUMNS]))
    return f"columns {shown}{f' and {len(names) - _COLUMNS} more' if len(names) > _COLUMNS else ''}"
