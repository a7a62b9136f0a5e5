"""Arrays derived from a log, kept beside it: pieces in → a folder of ``.npy`` files that is there whole or not at all.

In: pieces, dicts of arrays that belong one after another. Out: the whole arrays, mapped from disk and read-only, so that a part of one
is read without the rest. Knows nothing of what they hold.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from planner.traffic.files import owned_file

__all__ = ["Piece", "joined", "opened", "stored"]

#: Arrays by name, of one axis or more; the pieces of a name agree in type and in all axes but the first.
Piece: TypeAlias = Mapping[str, NDArray[Any]]


def stored(folder: Path, pieces: Iterable[Piece]) -> None:
    """Write ``pieces``, each appended to the ones before it along axis 0, and let ``folder`` appear once all are written.

    A process that is killed leaves a folder ``NAME.….part`` that nobody looks at; of two that write at once, the first one's stays.
    """
    folder.parent.mkdir(exist_ok=True, mode=0o700)
    part = Path(mkdtemp(".part", f"{folder.name}.", folder.parent))
    try:
        _append(part, pieces)
        try:
            part.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def opened(folder: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of ``folder`` by name, read-only and mapped: only what is looked at is loaded."""
    return {file.stem: np.asarray(np.load(file, mmap_mode="r")) for file in sorted(folder.glob("*.npy"))}


def joined(pieces: Iterable[Piece]) -> dict[str, NDArray[Any]]:
    """Return what ``stored`` would have kept, in memory.

    >>> joined([{"a": np.array([1])}, {"a": np.array([2, 3])}])["a"].tolist()
    [1, 2, 3]
    """
    parts: dict[str, list[NDArray[Any]]] = {}
    for piece in pieces:
        for name, values in piece.items():
            parts.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in parts.items()}


def _append(folder: Path, pieces: Iterable[Piece]) -> None:
    files: dict[str, BinaryIO] = {}
    heads: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {}
    try:
        for piece in pieces:
            for name, values in piece.items():
                if name not in files:
                    files[name] = owned_file(folder / f"{name}.npy").open("wb")
                    heads[name] = values.dtype, (0, *values.shape[1:])
                    _head(files[name], *heads[name])
                kind, shape = heads[name]
                if values.dtype != kind or values.shape[1:] != shape[1:]:
                    raise ValueError(f"{name}: a piece of {values.dtype} {values.shape} after {kind} {shape}")
                files[name].write(values.tobytes())
                heads[name] = kind, (shape[0] + len(values), *shape[1:])
        for name, file in files.items():
            file.seek(0)
            _head(file, *heads[name])
    finally:
        for file in files.values():
            file.close()


def _head(file: BinaryIO, kind: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Write the head of an ``.npy`` file; it leaves room for axis 0 to grow, so that it is as long for any number of rows."""
    npy.write_array_header_1_0(file, {"descr": npy.dtype_to_descr(kind), "fortran_order": False, "shape": shape})
