"""Which files a source names, what they are called, and what identifies a reading of them.

In: paths, globs, folders. Out: files in order of path, short names, and a hash under which a result is stored. Knows
nothing of what is in the files.
"""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from planner.errors import InputError
from planner.traffic.reader import Options

__all__ = ["Source", "find", "identity", "short_names"]

Source: TypeAlias = str | Path | Sequence[str | Path]
_SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".parquet", ".gz", ".zst")


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
        return sorted(f for f in path.rglob("*") if f.is_file() and f.suffix.lower() in _SUFFIXES and not f.name.startswith("."))
    return [path] if path.is_file() else sorted(Path(f) for f in glob.glob(name, recursive=True) if Path(f).is_file())  # noqa: PTH207


def short_names(files: Sequence[Path]) -> dict[Path, str]:
    """Name files by the part of their path in which they differ."""
    folders = [f.resolve().parts[:-1] for f in files]
    common = 0
    while all(len(p) > common and p[common] == folders[0][common] for p in folders):
        common += 1
    return {f: "/".join(f.resolve().parts[common:]) for f in files}


def identity(files: Sequence[Path], format: str, options: Options) -> str:
    """Hash the sources' identity, the options, and this package's own code, which decides what is read from them."""
    stamps = [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    code = [p.read_bytes() for p in sorted(Path(__file__).parent.rglob("*.py"))]
    digest = hashlib.sha256(json.dumps([stamps, format, options.mapping, options.app_from]).encode())
    for module in code:
        digest.update(module)
    return digest.hexdigest()[:16]
