"""Traffic: a handle on a folder of Parquet written once by a reader.

In: a folder. Out: only the columns that are named, whole or in batches; the quarantine; what the reading counted. Text
is loaded only when it is asked for by name. Knows nothing of source formats, prices or models.
"""

from __future__ import annotations

import hashlib
import html
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from planner import formats
from planner.errors import JOIN_WITH_TEXT, InputError, NeedsError, with_text
from planner.schema import QUARANTINE, TRAFFIC, Table
from planner.traffic.contract import complete
from planner.traffic.derived import Piece, opened, stored
from planner.traffic.files import owned_file, owned_folder
from planner.traffic.under_way import alone
from planner.traffic.written import noted

__all__ = ["Traffic", "TrafficWriter"]

_DATA, _QUARANTINE, _HEADER = "traffic.parquet", "quarantine.parquet", "traffic.json"
_Some = TypeVar("_Some", pa.Table, pa.RecordBatch)
#: Rows of a row group at most: what ``take`` holds at a time.
_GROUP_ROWS = 131_072


@dataclass(frozen=True, eq=False)
class Traffic:
    """A read log: ``len(traffic)`` logical requests in ``folder``.

    Open one with :func:`planner.read` or ``Traffic.open(folder)``.
    """

    folder: Path
    meta: Mapping[str, Any] = field(repr=False)

    @classmethod
    def open(cls, folder: str | Path) -> Traffic:
        """Open a folder that a reader wrote; InputError when it is not one, or was written by a newer planner."""
        path = Path(folder)
        try:
            payload = json.loads((path / _HEADER).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}", "a folder written by planner.read", "run: planner read LOG --out FOLDER") from error
        return cls(path, formats.migrate("traffic", payload, str(path / _HEADER)))

    def __len__(self) -> int:
        return int(self.meta["accepted"])

    @property
    def text(self) -> str:
        """The log in a few words: how many requests, from when to when, what was set aside, and which files end early."""
        from planner.traffic.ended import ended_early  # it looks at a Traffic

        times = self.frame("timestamp")["timestamp"]
        span = f" from {times.min():%Y-%m-%d %H:%M} to {times.max():%Y-%m-%d %H:%M} UTC" if len(times) else ""
        cut = "".join(f" {e.file} ENDS EARLY ({e.why}): totals are of the part before." for e in ended_early(self))
        return f"{len(self):,} requests{span}; {len(self.quarantine):,} rows set aside. {self.meta.get('detected', '')}".strip() + cut

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.text)}</p>"

    @property
    def hash(self) -> str:
        """SHA-256 of the stored bytes; Summaries of different traffic refuse to be compared by it."""
        return str(self.meta["hash"])

    def arrow(self, *columns: str) -> pa.Table:
        """Load ``columns`` (all but text when none is named) as an Arrow table, in stored order."""
        names = list(columns or _without_text())
        return _filled(pq.read_table(self.folder / _DATA, columns=[n for n in names if n in self._stored]), names)

    def take(self, positions: NDArray[np.int64], *columns: str) -> pa.Table:
        """Load ``columns`` (all but text when none is named) of the rows at ``positions`` (k,), ascending and each once.

        Only the row groups of the file that hold any of them are read, one after another: memory is that of one, and of the result.

        Raises
        ------
        InputError: positions that are out of range, not ascending, or named twice.
        """
        at, names = _checked(positions, len(self)), list(columns or _without_text())
        file = pq.ParquetFile(self.folder / _DATA)
        groups = file.metadata.num_row_groups
        ends = np.cumsum([0, *(file.metadata.row_group(g).num_rows for g in range(groups))])
        cuts = np.searchsorted(at, ends)
        parts = [
            _filled(file.read_row_group(g, names), names).take(pa.array(at[low:high] - ends[g]))
            for g, (low, high) in enumerate(pairwise(cuts.tolist()))
            if low < high
        ]
        return pa.concat_tables(parts) if parts else _filled(file.schema_arrow.empty_table(), names)

    def frame(self, *columns: str) -> pd.DataFrame:
        """Load ``columns`` (all but text when none is named) as a DataFrame, in stored order."""
        frame: pd.DataFrame = self.arrow(*columns).to_pandas()
        return frame

    def tokens(self) -> NDArray[np.int64]:
        """Load the exclusive token buckets as int64 of shape (n, 6), in the order of ``schema.TOKEN_BUCKETS``."""
        from planner.schema import TOKEN_BUCKETS

        return np.column_stack([c.to_numpy() for c in self.arrow(*TOKEN_BUCKETS).columns]).astype(np.int64, copy=False)

    def batches(self, columns: Sequence[str], rows: int = 65_536) -> Iterator[pa.RecordBatch]:
        """Stream ``columns`` in batches of at most ``rows``: bounded memory at any size."""
        file = pq.ParquetFile(self.folder / _DATA, pre_buffer=False)  # a buffered file is held to its end
        for batch in file.iter_batches(rows, columns=list(columns)):
            yield _filled(batch, columns)

    @cached_property
    def _stored(self) -> frozenset[str]:
        return frozenset(pq.read_schema(self.folder / _DATA).names)

    @cached_property
    def has_text(self) -> bool:
        """Whether any request has its whole text; looked up once, since a log without text takes a pass over it to know."""
        return any(pc.any(pc.equal(batch["text_state"], "full")).as_py() for batch in self.batches(("text_state",)))

    @cached_property
    def quarantine(self) -> pd.DataFrame:
        """The rows that were not accepted: ``file, line, reason, raw``."""
        frame: pd.DataFrame = pq.read_table(self.folder / _QUARANTINE).to_pandas()
        return frame

    def derived(self, name: str, make: Callable[[], Iterable[Piece]]) -> dict[str, NDArray[Any]]:
        """Return named arrays stored beside the log, making them the first time; ``name`` carries the version of the method.

        ``make`` gives them in pieces that are appended along axis 0, so that making them needs the memory of one piece. What comes back
        is read-only and mapped from disk: a slice of it loads that slice.
        """
        folder = self.folder / "derived" / name
        if not folder.is_dir():
            stored(folder, make())
        return opened(folder)

    def nulls(self, *columns: str) -> dict[str, int]:
        """Return how many rows lack each of ``columns``; only what the file's own statistics do not tell is read."""
        file = pq.ParquetFile(self.folder / _DATA).metadata
        nulls: dict[str, list[int]] = {}
        for group in map(file.row_group, range(file.num_row_groups)):
            for chunk in map(group.column, range(group.num_columns)):
                if chunk.statistics is not None and chunk.statistics.has_null_count:
                    nulls.setdefault(chunk.path_in_schema, []).append(chunk.statistics.null_count)
        told = {name: sum(counts) for name, counts in nulls.items() if len(counts) == file.num_row_groups}
        unsure = [c for c in columns if c not in told]
        if unsure:
            told |= dict.fromkeys(unsure, 0)
            for batch in self.batches(unsure):
                told |= {c: told[c] + batch[c].null_count for c in unsure}
        return {c: told[c] for c in columns}

    def filled(self, *columns: str) -> tuple[str, ...]:
        """Return those of ``columns`` that hold anything at all."""
        return tuple(c for c, count in self.nulls(*columns).items() if count < len(self))

    def require(self, what: str, *columns: str) -> None:
        """Raise NeedsError naming those of ``columns`` that are empty in this log and that ``what`` cannot do without."""
        filled = self.filled(*columns)
        empty = [c for c in columns if c not in filled]
        if empty:
            text = "" if {"messages", "response"}.isdisjoint(empty) else self.with_text
            fix = text or "see the coverage table of planner read"
            raise NeedsError(f"{what} needs {', '.join(empty)}, which this log does not have", fix=fix)

    @property
    def text_left(self) -> int:
        """Of how many requests the log had texts that were not copied, since nobody asked for them."""
        return min(int(self.meta.get("text_left", 0 if self.meta.get("text", True) else len(self))), len(self))

    @property
    def with_text(self) -> str:
        """How to have the texts that stayed in the log; nothing where there were none."""
        if not self.text_left:
            return ""
        if self.meta.get("source_format") == "join":
            return JOIN_WITH_TEXT
        names = list(self.meta.get("files", ()))
        return with_text(names[0] if len(names) == 1 else "", bool(self.meta.get("redacted")))

    def require_text(self, what: str) -> None:
        """Raise NeedsError where texts that ``what`` reads stayed in the log: it would see requests without any."""
        if self.text_left:
            raise NeedsError(f"{what} reads prompts, which stayed in the log that {self.folder} was read from", fix=self.with_text)


def _checked(positions: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    at = np.asarray(positions, np.int64)
    if at.ndim != 1 or (len(at) and (at[0] < 0 or at[-1] >= n or (np.diff(at) <= 0).any())):
        shown = f"{at.min()} to {at.max()}" if at.ndim == 1 else f"in the shape {at.shape}"
        raise InputError(f"{at.size} positions {shown}", f"positions from 0 to {n - 1}, ascending, each once", "sort them with np.unique")
    return at


def _filled(rows: _Some, names: Sequence[str]) -> _Some:
    """Return the columns ``names`` of ``rows``; one that a log of an older version lacks holds its default."""
    for name in names:
        if name not in rows.schema.names and name in TRAFFIC.names:
            default = pa.scalar(TRAFFIC.column(name).default, TRAFFIC.arrow().field(name).type)
            rows = rows.append_column(name, pa.repeat(default, len(rows)))
    return rows.select(list(names))


def _without_text() -> tuple[str, ...]:
    return tuple(n for n in TRAFFIC.names if n not in ("messages", "response"))


class TrafficWriter:
    """Stream accepted and quarantined rows into ``folder``; nothing is visible there until ``close``. BusyError where another is at it.

    Use as a context manager; leaving it by an exception removes what was written, and until then the folder is held. A folder outside
    ``.planner/`` is listed there, so that users can be forgotten in it, unless it is ``passing``, soon gone again.
    """

    def __init__(self, folder: str | Path, passing: bool = False) -> None:
        self.folder = owned_folder(Path(folder))
        with ExitStack() as held:
            held.enter_context(alone(self.folder))
            if not passing:
                noted(self.folder)  # now, since a process that is killed leaves rows, too
            (self.folder / _HEADER).unlink(missing_ok=True)
            shutil.rmtree(self.folder / "derived", ignore_errors=True)
            self._counts = {"accepted": 0, "quarantined": 0}
            self._behind = ThreadPoolExecutor(1)
            self._writing: Future[None] | None = None
            self._files = {
                "accepted": _writer(self.folder / _DATA, TRAFFIC),
                "quarantined": _writer(self.folder / _QUARANTINE, QUARANTINE),
            }
            self._held = held.pop_all()

    def __enter__(self) -> TrafficWriter:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        with self._held:
            self._behind.shutdown()
            for file in self._files.values():
                file.close()
            if kind is not None:
                for name in (_DATA, _QUARANTINE, _HEADER):
                    (self.folder / name).unlink(missing_ok=True)

    def accept(self, table: pa.Table) -> None:
        """Append rows; missing TRAFFIC columns get their default."""
        self._append("accepted", complete(table, TRAFFIC))

    def quarantine(self, table: pa.Table) -> None:
        """Append rows of ``schema.QUARANTINE``."""
        self._append("quarantined", complete(table, QUARANTINE))

    def _append(self, kind: str, table: pa.Table) -> None:
        """Write ``table`` behind the caller's back, one at a time; an error of the one before is raised here."""
        self._counts[kind] += len(table)
        self._written()
        self._writing = self._behind.submit(self._files[kind].write_table, table, row_group_size=_GROUP_ROWS)

    def _written(self) -> None:
        if self._writing is not None:
            self._writing.result()

    def close(self, **meta: Any) -> Traffic:
        """Finish the folder, store ``meta`` beside the counts, and open it."""
        self._written()
        for file in self._files.values():
            file.close()
        with (self.folder / _DATA).open("rb") as data:
            digest = hashlib.file_digest(data, "sha256").hexdigest()
        payload = {**formats.header("traffic"), **self._counts, "hash": digest, **meta}
        part = owned_file(self.folder / f"{_HEADER}.part")
        part.write_text(json.dumps(payload, indent=1, sort_keys=True, default=str) + "\n", "utf-8")
        part.replace(self.folder / _HEADER)
        return Traffic.open(self.folder)


def _writer(path: Path, table: Table) -> pq.ParquetWriter:
    return pq.ParquetWriter(owned_file(path), table.arrow(), compression="zstd")
