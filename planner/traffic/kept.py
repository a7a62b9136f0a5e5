"""What a reading has converted so far, kept in its folder until it is over: one that is broken off goes on from there.

In: pieces by number. Out: the same pieces after the process is gone. They lie in ``parts/`` under a key of all that they hang on (files,
options, code); others are removed, not read. Kept are settled rows alone, so that a part that was not written whole, or that is damaged, is
converted anew; the records beside them are converted again from the log. Knows nothing of what becomes of pieces.
"""

from __future__ import annotations

import re
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from planner.traffic.files import owned_file, owned_folder
from planner.traffic.nests import Nest
from planner.traffic.opening import Input
from planner.traffic.pieces import Again, Converter, Piece
from planner.traffic.reader import CALL_ID

__all__ = ["PARTS", "Kept", "keeps"]

PARTS = "parts"
_KEY, _ABOUT = "key", b"piece"
_NAME = re.compile(r"\d{6,}\.(arrow|part)")
#: The fields of a piece that are written as they are.
_PLAIN = ("file", "joined", "text_left")
_DAMAGE = (OSError, pa.ArrowException, LookupError, ValueError, TypeError)


def keeps(folder: Path) -> bool:
    """Say whether ``folder`` holds the pieces of a reading that is not over: a folder of parts with our key, and nothing of others."""
    parts = folder / PARTS
    return (parts / _KEY).is_file() and all(f.name == _KEY or _NAME.fullmatch(f.name) for f in parts.iterdir())


class Kept:
    """The pieces of the reading ``key`` in ``folder``; without a key none are kept, and those of another reading are removed."""

    def __init__(self, folder: Path, key: str | None) -> None:
        self._folder = folder / PARTS
        self._keeps = key is not None
        self._behind = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None
        if not (self._folder / _KEY).is_file() or (self._folder / _KEY).read_text("utf-8") != key:
            shutil.rmtree(self._folder, ignore_errors=True)
            if key is not None:
                owned_file(owned_folder(self._folder) / _KEY).write_text(key, "utf-8")

    def piece(self, number: int, file: str, given: Input, convert: Converter) -> Piece | None:
        """Return piece ``number``, of ``given``; None where it is not kept whole."""
        path = self._path(number)
        if not self._keeps or not path.is_file():
            return None
        try:
            with pa.OSFile(str(path)) as source:
                table = pa.ipc.open_file(source).read_all()
            about = orjson.loads(table.schema.metadata[_ABOUT])
            found = _piece(about, table.replace_schema_metadata(None))
        except _DAMAGE:
            return None
        if found.file != file:
            return None
        again = Again(convert, found, given)
        found.items.update((place, again(place)) for place in sorted(set(range(len(found))) - set(found.at.tolist())))
        return found

    def keep(self, number: int, piece: Piece) -> None:
        """Write a piece, behind the caller's back."""
        if self._keeps:
            self._written()
            self._writing = self._behind.submit(_write, self._path(number), piece)

    def close(self, over: bool) -> None:
        """Wait for what is being written; remove all of it when the reading is ``over``."""
        try:
            self._written()
        finally:
            self._behind.shutdown()
        if over:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _written(self) -> None:
        if self._writing is not None:
            self._writing.result()

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06}.arrow"


def _write(path: Path, piece: Piece) -> None:
    about = {
        **{name: getattr(piece, name) for name in (*_PLAIN, "sources", "sizes", "at")},
        "nests": [[first, nest.above, sorted(nest.counted), list(nest.calls.items())] for first, nest in piece.nests],
    }
    table = piece.table if piece.calls is None else piece.table.append_column(CALL_ID, piece.calls)
    table = table.replace_schema_metadata({_ABOUT: orjson.dumps(about, option=orjson.OPT_SERIALIZE_NUMPY)})
    part = owned_file(path.with_suffix(".part"))
    with pa.OSFile(str(part), "wb") as sink, pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as out:
        out.write_table(table)
    part.replace(path)


def _piece(about: dict[str, Any], table: pa.Table) -> Piece:
    sources, sizes, at = (np.array(about[name], np.int64) for name in ("sources", "sizes", "at"))
    calls = table[CALL_ID].combine_chunks() if CALL_ID in table.column_names else None
    nests = [(first, Nest(above, set(counted), dict(calls))) for first, above, counted, calls in about["nests"]]
    rows = table if calls is None else table.drop_columns([CALL_ID])
    if len(rows) != len(at) or len(sources) != len(sizes):
        raise ValueError("a piece that does not add up")
    return Piece(sources=sources, sizes=sizes, table=rows, at=at, calls=calls, items={}, nests=nests, **{n: about[n] for n in _PLAIN})
