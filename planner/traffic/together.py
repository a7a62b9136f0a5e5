"""Requests that their source writes in several records → one record each, with the others in it.

In: the records of all files, and a function that says which request a record is a part of. Out: records in which the row's own one holds
the rest; every other record is given out too, as taken into a row or as one that no row takes. Until all files are read the parts lie in
a file without a name (in ``TMPDIR``), so that memory stays flat, and nothing is left of them however the process ends. Knows nothing of
formats.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import orjson

from planner.traffic.reader import Gather, Record
from planner.traffic.records import BOM, JOINED, Found, parsed, raw_of

__all__ = ["ABOUT", "MORE", "Part", "more", "together"]

#: Under what the row's record finds its other parts (a list by key), and the record that tells of its whole file.
MORE, ABOUT = "planner.more", "planner.about"
_TABLES = """
    CREATE TABLE parts (kind TEXT, file INTEGER, line INTEGER, alone INTEGER, stands INTEGER, raw BLOB, value BLOB);
    CREATE TABLE keys (key TEXT, kind TEXT, part INTEGER, file INTEGER);
"""
_BATCH = 1_000
_Stored: TypeAlias = tuple[int, int, int, bytes | None, bytes | None, int]
_COLUMNS = "parts.rowid, parts.file, line, raw, value, alone"


@dataclass(frozen=True, slots=True)
class Part:
    """What a record is of a request.

    Parameters
    ----------
    kind: ``row`` makes the row; ``more`` goes into the rows that share one of its keys; ``about`` tells of whole files: of those whose name
        holds one of ``names``, and where no name fits, of the file with one of ``counts`` rows, before all others the one beside it.
    keys: what the parts of a request share.
    alone: a row takes one record of this key. Of several that differ it is that of the file which holds all keys of the row's file.
    stands: a ``more`` part that makes the row where none has its key, but other parts do.
    """

    kind: Literal["row", "more", "about"]
    keys: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    alone: bool = False
    stands: bool = False


def more(record: Record, key: Any) -> list[Any]:
    """Return the other parts of ``record`` that share ``key``, in order of file and line."""
    held = record.get(MORE)
    found = held.get(key) if isinstance(held, dict) and isinstance(key, str) else None
    return found if isinstance(found, list) else []


def together(part: Callable[[Record, str], Part | None], orphan: Callable[[Record], str], unclear: str = "") -> Gather:
    """Return the ``gather`` of a reader.

    Parameters
    ----------
    part: (record, file name) → what it is of a request, None when it is one itself.
    orphan: why a ``more`` or ``about`` record that no row takes is set aside; ``unclear``: why, where a row could take several (else the
        same).

    >>> said = [Found(1, b'{"q": 1}', {"q": 1}), Found(2, b'{"a": 1}', {"a": 1}), Found(3, b'{"q": 2}', {"q": 2})]
    >>> key = lambda r: (str(r.get("q") or r.get("a")),)
    >>> gather = together(lambda r, name: Part("row" if "a" in r else "more", key(r)), lambda r: "no answer")
    >>> [(f.line, f.value, f.problem) for _, f in gather(("log", f) for f in said)][0]
    (2, {'a': 1, 'planner.more': {'1': [{'q': 1}]}}, '')
    """

    def gather(found: Iterator[tuple[str, Found]]) -> Iterator[tuple[str, Found]]:
        with closing(_Heap()) as heap:
            for name, record in found:
                own = part(record.value, name) if record.value is not None else None
                if own is None:
                    yield name, record
                else:
                    heap.add(own, name, record)
            yield from heap.rows()
            yield from heap.rest(orphan, unclear)

    return gather


class _Heap:
    """All parts, on disk; what is held in memory is a byte a part, and what is known of a file."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)  # SQLite's own temporary file: it loses its name as soon as it is open
        self._db.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA temp_store = MEMORY; BEGIN; {_TABLES}")
        self._parts: list[tuple[Any, ...]] = []
        self._keys: list[tuple[Any, ...]] = []
        self._abouts: list[tuple[Part, int, int, dict[str, Any]]] = []
        self._files: dict[str, int] = {}
        self._names: list[str] = []
        self._sizes: dict[int, int] = {}
        self._folders: list[str] = []
        self._about_of: dict[int, dict[str, Any] | None] = {}
        self._partner_of: dict[int, int | None] = {}
        #: Of every part: 0 no row took it, 1 one did, 2 one could not tell it from another, 3 it is the row itself.
        self._fate = bytearray(1)

    def close(self) -> None:
        self._db.close()

    def add(self, part: Part, name: str, found: Found) -> None:
        number = len(self._fate)
        self._fate.append(0)
        file = self._files.setdefault(name, len(self._files))
        if file == len(self._names):
            self._names.append(name)
        self._parts.append((part.kind, file, found.line, part.alone, part.stands, *_kept(found)))
        self._keys += [(k, part.kind, number, file) for k in dict.fromkeys(part.keys)]
        if part.kind == "about":
            self._abouts.append((part, number, file, found.value or {}))
        if len(self._parts) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        self._db.executemany("INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?, ?)", self._parts)
        self._db.executemany("INSERT INTO keys VALUES (?, ?, ?, ?)", self._keys)
        self._parts, self._keys = [], []

    def rows(self) -> Iterator[tuple[str, Found]]:
        """Yield the rows' own records, in order, each with its other parts."""
        self._flush()
        self._db.execute("CREATE INDEX by_key ON keys (key, kind)")
        self._db.execute("CREATE INDEX by_part ON keys (part)")
        self._sizes = dict(self._db.execute("SELECT file, COUNT(*) FROM parts WHERE kind = 'row' GROUP BY file"))
        self._folders = list(map(_folder, self._names))
        for stored in self._db.execute(f"SELECT {_COLUMNS} FROM parts WHERE kind = 'row' ORDER BY rowid"):
            yield self._row(stored)
        for stored in self._db.execute(f"SELECT {_COLUMNS} FROM parts WHERE stands ORDER BY rowid"):
            if not self._fate[stored[0]] and self._has_others(stored[0]):
                yield self._row(stored)

    def _row(self, stored: _Stored) -> tuple[str, Found]:
        number, file, line, *_ = stored
        keys = [k for (k,) in self._db.execute("SELECT key FROM keys WHERE part = ?", (number,))]
        held = {k: [_value(s) for s in self._more(k, file) if s[0] != number] for k in keys}
        self._fate[number] = 3
        about = self._about(file)
        whole = {**_value(stored), MORE: {k: v for k, v in held.items() if v}}
        return self._names[file], Found(line, _raw(stored), whole if about is None else {**whole, ABOUT: about})

    def _has_others(self, number: int) -> bool:
        """Say whether parts that do not stand for themselves share a key of part ``number``."""
        sql = """SELECT 1 FROM keys AS own JOIN keys AS more ON more.key = own.key JOIN parts ON parts.rowid = more.part
                 WHERE own.part = ? AND more.kind = 'more' AND NOT stands LIMIT 1"""
        return self._db.execute(sql, (number,)).fetchone() is not None

    def rest(self, orphan: Callable[[Record], str], unclear: str) -> Iterator[tuple[str, Found]]:
        """Yield the other parts, in order: taken, or why they are set aside."""
        for stored in self._db.execute(f"SELECT {_COLUMNS} FROM parts WHERE kind != 'row' ORDER BY rowid"):
            number, file, line, *_ = stored
            if (fate := self._fate[number]) == 1:
                yield self._names[file], Found(line, b"", None, JOINED)
            elif fate != 3:
                yield self._names[file], Found(line, _raw(stored), None, (unclear if fate else "") or orphan(_value(stored)))

    def _more(self, key: str, file: int) -> list[_Stored]:
        sql = f"SELECT {_COLUMNS} FROM keys JOIN parts ON parts.rowid = part WHERE key = ? AND keys.kind = 'more' ORDER BY part"
        found: list[_Stored] = list(self._db.execute(sql, (key,)))
        chosen = _same(found)
        if len(found) > 1 and any(s[-1] for s in found) and not chosen:
            partner = self._partner(file)
            chosen = _same([s for s in found if s[1] == partner])
            if not chosen:
                for number, *_ in found:
                    self._fate[number] = self._fate[number] or 2
                return []
        for number, *_ in chosen or found:
            self._fate[number] = 1
        return chosen[:1] or found

    def _partner(self, own: int) -> int | None:
        """Return the one file of ``more`` parts that belongs to file ``own``: by all its keys, then by name, then by folder."""
        if own not in self._partner_of:
            (wanted,) = self._db.execute("SELECT COUNT(DISTINCT key) FROM keys WHERE kind = 'row' AND file = ?", (own,)).fetchone()
            sql = """SELECT more.file, COUNT(DISTINCT more.key) FROM keys AS own JOIN keys AS more ON more.key = own.key
                     WHERE own.kind = 'row' AND own.file = ? AND more.kind = 'more' GROUP BY more.file"""
            files = [file for file, count in self._db.execute(sql, (own,)) if count == wanted]
            told = next((a.names for a, _, _, value in self._abouts if value is self._about(own)), ())
            named = [f for f in files if any(n in self._names[f] for n in told)] or files
            near = [f for f in named if self._folders[f] == self._folders[own]] if len(named) > 1 else named
            self._partner_of[own] = near[0] if len(near) == 1 else None
        return self._partner_of[own]

    def _about(self, file: int) -> dict[str, Any] | None:
        """Return the record that tells of a file: by its name, else the only one that counts as many rows as it has.

        One in its folder stands before all others; one beside another file of so many rows tells of that one.
        """
        if file not in self._about_of:
            named = [a for a in self._abouts if any(n and n in self._names[file] for n in a[0].names)]
            counted = [a for a in self._abouts if self._sizes.get(file) in a[0].counts]
            near = [a for a in counted if self._folders[a[2]] == self._folders[file]]
            free = [a for a in counted if not self._has_own(a)]
            fits = near or free
            found = named[:1] or (fits if len(fits) == 1 else [])
            for _, number, _, _ in found:
                self._fate[number] = 1
            self._about_of[file] = found[0][3] if found else None
        return self._about_of[file]

    def _has_own(self, about: tuple[Part, int, int, dict[str, Any]]) -> bool:
        """Say whether a file of as many rows as a record counts lies beside it."""
        where = self._folders[about[2]]
        return any(size in about[0].counts and self._folders[file] == where for file, size in self._sizes.items())


def _same(found: list[_Stored]) -> list[_Stored]:
    """Return ``found`` when they are copies of one record, and nothing when they differ."""
    return found if len({(s[3], s[4]) for s in found}) == 1 and any(s[-1] for s in found) else []


def _kept(found: Found) -> tuple[bytes | None, bytes | None]:
    """Return a record as it is stored: JSON by its text alone, a row of a CSV by its text and its value, any other by its value."""
    raw = raw_of(found.raw)
    if isinstance(raw, bytes):
        return raw, None
    value = orjson.dumps(found.value, default=str, option=orjson.OPT_NON_STR_KEYS)
    return (raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else None), value


def _value(stored: _Stored) -> dict[str, Any]:
    _, _, _, raw, value, _ = stored
    found: dict[str, Any] = orjson.loads(value) if value is not None else parsed((raw or b"").removeprefix(BOM))[0] or {}
    return found


def _raw(stored: _Stored) -> Any:
    _, _, _, raw, value, _ = stored
    return raw if raw is not None else value


def _folder(name: str) -> str:
    return name.rpartition("/")[0]
