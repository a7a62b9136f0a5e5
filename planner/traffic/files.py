"""Which files a source names, what they are called, and what identifies a reading of them.

In: paths, globs, folders. Out: files in order of path, short names, and a hash under which a result is stored. Knows
nothing of what is in the files.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from planner.errors import InputError
from planner.traffic.reader import Options

__all__ = ["SUFFIXES", "Source", "find", "identity", "owned_file", "owned_folder", "print_of", "refuse_foreign", "short_names"]

Source: TypeAlias = str | Path | Sequence[str | Path]
SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".parquet", ".gz", ".zst")
#: What marks a folder of ours: traffic, labels, what is to be labelled, ungraded answers.
_OURS = ("traffic.json", "labels.json", "work.json", "answers.json")


def find(source: Source) -> list[Path]:
    """Return the files that a path, glob, folder or list of these names, once each; InputError when there is none."""
    wanted = [source] if isinstance(source, str | Path) else list(source)
    files = [f for w in wanted for f in _expand(str(w))]
    if not files:
        raise InputError(f"{', '.join(map(str, wanted)) or 'no path'}: no file there", "a log file, a glob or a folder", "check the path")
    return list(dict.fromkeys(files))


def _expand(name: str) -> list[Path]:
    path = Path(name)
    if path.is_dir():
        return sorted(_logs_in(path))
    return [path] if path.is_file() else sorted(Path(f) for f in glob.glob(name, recursive=True) if Path(f).is_file())  # noqa: PTH207


def _logs_in(folder: Path) -> Iterator[Path]:
    """Yield the files of ``folder`` that may be logs; hidden folders and what planner wrote itself, whole or not, are passed over."""
    for where, folders, names in os.walk(folder):
        root = Path(where)
        folders[:] = [f for f in folders if not f.startswith(".") and not _is_ours(root / f)]
        yield from (root / n for n in names if Path(n).suffix.lower() in SUFFIXES and not n.startswith(".") and (root / n).is_file())


def _is_ours(folder: Path) -> bool:
    """Say whether planner wrote ``folder``: it has one of our marks, or tables that a reading that was killed left without their end."""
    tables = [folder / name for name in ("traffic.parquet", "quarantine.parquet")]
    return any((folder / mark).is_file() for mark in _OURS) or all(t.is_file() and not _ended(t) for t in tables)


def _ended(table: Path) -> bool:
    """Say whether a Parquet file has its last bytes."""
    with table.open("rb") as file:
        file.seek(max(table.stat().st_size - 4, 0))
        return file.read() == b"PAR1"


def refuse_foreign(out: Path, mark: str, written: Collection[str]) -> None:
    """Raise InputError when ``out`` is a file, or a folder without ``mark`` that holds more than ``written`` and half a mark."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}, which is a file", "a folder to write", "choose another folder with --out")
    strange = sorted(f.name for f in out.iterdir() if f.name not in (*written, f"{mark}.part")) if out.is_dir() else []
    if strange and not (out / mark).is_file():
        held = f"{strange[0]}{f' and {len(strange) - 1} more' if len(strange) > 1 else ''}"
        raise InputError(f"{out}, which holds {held}", "a new or empty folder, or one that read wrote", "choose another folder with --out")


def short_names(files: Sequence[Path]) -> dict[Path, str]:
    """Name files by the part of their path in which they differ."""
    folders = [f.resolve().parts[:-1] for f in files]
    common = 0
    while all(len(p) > common and p[common] == folders[0][common] for p in folders):
        common += 1
    return {f: "/".join(f.resolve().parts[common:]) for f in files}


def identity(files: Sequence[Path], format: str, options: Options) -> str:
    """Hash the sources' identity, the options, and this package's own code, which decides what is read from them."""
    code = [p.read_bytes() for p in sorted(Path(__file__).parent.rglob("*.py"))]
    asked = (options.mapping, options.app_from, options.redact, options.text, options.allow_twice)
    digest = hashlib.sha256(json.dumps([_stamps(files), format, asked]).encode())
    for module in code:
        digest.update(module)
    return digest.hexdigest()[:16]


def print_of(files: Sequence[Path]) -> str:
    """Return what tells these files, as they are now, from all others, without naming them."""
    return hashlib.sha256(json.dumps(_stamps(files)).encode()).hexdigest()[:16]


def _stamps(files: Sequence[Path]) -> list[tuple[str, int, int]]:
    return [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for f in files]


def owned_folder(path: Path) -> Path:
    """Make a folder, and those above it that are missing, for their owner alone; what is there stays as it is."""
    for folder in reversed(path.parents):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def owned_file(path: Path) -> Path:
    """Make an empty file that its owner alone may read and write, in place of any that is there."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    return path
