"""Order: the rows of a log in the order of another one, each read once, however the two orders differ.

In: a log, and for every place of the other order which of its rows stands there. Out: those rows, block by block. What is read before its
block comes waits in memory up to a bound, beyond it in a file without a name. Knows nothing of why.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from planner.schema import TRAFFIC
from planner.traffic.handle import Traffic

__all__ = ["in_order"]

Ints: TypeAlias = NDArray[np.int64]
#: Rows of a block, and what may wait in memory [bytes].
_ROWS, _WAITING_BYTES = 65_536, 256 << 20
#: The column of waiting rows that says which place they take.
_PLACE = "place"
_PACKED = pa.ipc.IpcWriteOptions(compression="zstd")


def in_order(log: Traffic, wanted: Ints, folder: Path, rows: int = _ROWS, waiting_bytes: int = _WAITING_BYTES) -> Iterator[pa.Table]:
    """Yield blocks of ``rows`` rows, all columns of ``schema.TRAFFIC``: at each place its row of ``log``, nulls where there is none.

    Parameters
    ----------
    log: whose rows they are. wanted: (n,) the row at each place, any of them once, −1 none.
    folder: where rows are written that wait beyond ``waiting_bytes``.
    """
    taken = np.flatnonzero(wanted >= 0)
    place = np.full(len(log), -1)
    place[wanted[taken]] = taken
    until = np.zeros(-(-len(wanted) // rows), np.int64)  # how much of the log has been read when all of a block has
    np.maximum.at(until, taken // rows, wanted[taken] + 1)
    batches, read = log.batches(TRAFFIC.names), 0
    with TemporaryFile(dir=folder) as file:
        waiting = _Waiting(file, waiting_bytes)
        for block, needed in enumerate(until.tolist()):
            while read < needed:
                batch = next(batches)
                for k, piece in _cut(batch, place[read : read + len(batch)], rows):
                    waiting.add(k, piece)
                read += len(batch)
            first = block * rows
            yield _placed(waiting.pop(block), first, min(rows, len(wanted) - first))


def _cut(batch: pa.RecordBatch, place: Ints, rows: int) -> Iterator[tuple[int, pa.Table]]:
    """Yield, block by block, the rows that have a place, with it; each piece holds no more memory than its own."""
    some = np.flatnonzero(place >= 0)
    some = some[np.argsort(place[some], kind="stable")]
    blocks, begins = np.unique(place[some] // rows, return_index=True)
    for block, at in zip(blocks.tolist(), np.split(some, begins[1:]), strict=True):
        yield block, pa.Table.from_batches([batch.take(pa.array(at)).append_column(_PLACE, pa.array(place[at]))])


def _placed(pieces: list[pa.Table], first: int, count: int) -> pa.Table:
    """Return ``count`` rows from the place ``first`` on."""
    index = np.full(count, -1)
    if not pieces:
        return TRAFFIC.arrow().empty_table().take(pa.array(index, mask=index < 0))
    table = pa.concat_tables(pieces)
    index[table[_PLACE].to_numpy() - first] = np.arange(len(table))
    return table.drop_columns([_PLACE]).combine_chunks().take(pa.array(index, mask=index < 0))


class _Waiting:
    """Pieces by block: in memory, and from ``most`` bytes on in ``file``."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        self._file, self._most, self._bytes = file, most, 0
        self._held: defaultdict[int, list[pa.Table]] = defaultdict(list)
        self._written: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)

    def add(self, block: int, piece: pa.Table) -> None:
        self._held[block].append(piece)
        self._bytes += piece.nbytes
        if self._bytes > self._most:
            for number, pieces in self._held.items():
                self._write(number, pa.concat_tables(pieces))
            self._held.clear()
            self._bytes = 0

    def pop(self, block: int) -> list[pa.Table]:
        """Return what waited for ``block``, and hold it no longer."""
        held = self._held.pop(block, [])
        self._bytes -= sum(piece.nbytes for piece in held)
        return [*map(self._read, self._written.pop(block, [])), *held]

    def _write(self, block: int, table: pa.Table) -> None:
        packed = pa.BufferOutputStream()
        with pa.ipc.new_stream(packed, table.schema, options=_PACKED) as stream:
            stream.write_table(table)
        begin = self._file.seek(0, 2)
        self._written[block].append((begin, self._file.write(packed.getvalue())))

    def _read(self, part: tuple[int, int]) -> pa.Table:
        self._file.seek(part[0])
        return pa.ipc.open_stream(self._file.read(part[1])).read_all()
