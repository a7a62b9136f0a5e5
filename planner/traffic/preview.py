"""Preview: what apps a log would have under each way of naming them, from its first records. Nothing is written.

In: files as ``read`` takes them. Out: a row a source of app names: how many apps, how much stays without a name, the largest ones. Knows
nothing of which is right.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import pandas as pd

from planner.errors import InputError
from planner.schema import TOKEN_BUCKETS
from planner.traffic.files import Source, find, short_names
from planner.traffic.read import reader_of
from planner.traffic.reader import TOTALS, Options, Reader, Row
from planner.traffic.records import Found, records
from planner.traffic.values import Rejected, unjson

__all__ = ["RECORDS", "preview"]

#: Records looked at, from the beginning of the first file on.
RECORDS = 5_000
_SHOWN = 3
#: The name of what has none.
_DEFAULT = "default"
#: Kinds of sources that take the name of a field, and one that takes any: all that a span says is an attribute, too much to show.
_OF_FIELDS, _OF_ANY = ("metadata", "property"), "attribute"
#: Records that each field is tried on; how deep fields are looked for, and in JSON text of how many characters.
_TRIED, _DEEP, _LONG = 20, 4, 1 << 18
#: A field that no record has.
_NOBODY = "\0"
#: A key in text that looks like JSON and is none, as of Python's or with quotes doubled.
_KEY = re.compile(r"""["']+([\w][\w .-]{0,63})["']+\s*:""")
_BROKEN = (Rejected, KeyError, TypeError, ValueError, AttributeError, IndexError)


def preview(source: Source, format: str = "auto", count: int = RECORDS) -> pd.DataFrame:
    """Return what each source of app names would make of the first ``count`` records of a log.

    Columns: ``app_from`` ("" for what is done by default), ``apps``, ``unnamed`` (share of the requests that stay without a name),
    ``requests``, ``largest`` (names with their shares of the tokens). A tag's prefixes are those that occur; sources that need a field's
    name (``metadata:FIELD``) are shown for those of the log's fields that name an app so. InputError where nothing can be read.
    """
    if count < 1:
        raise InputError(f"a preview of {count} records", "at least 1")
    files = find(source)
    reader, _ = reader_of(files, format, Options())
    found = list(islice(_values(reader, files), count))
    plain = [row for value in found if (row := _row(reader, value, None))]
    if not plain:
        raise InputError(f"{files[0]}, of whose first {len(found):,} records none can be read", "a log", "look at planner read first")
    sources = [None, *(name for kind in reader.app_sources for name in _named(reader, kind, plain, found))]
    rows = [_counted(name, [row for value in found if (row := _row(reader, value, name))]) for name in sources]
    return pd.DataFrame(rows, columns=["app_from", "apps", "unnamed", "requests", "largest"])


def has_texts(source: Source) -> bool:
    """Say whether any of the first records of a log holds a prompt or an answer; InputError for files that are not there, or no log."""
    files = find(source)
    reader, _ = reader_of(files, "auto", Options())
    rows = (_row(reader, value, None) for value in islice(_values(reader, files), RECORDS))
    return any(row and (row.get("messages") or row.get("response")) for row in rows)


def _values(reader: Reader, files: Any) -> Iterator[Mapping[str, Any]]:
    names = short_names(files)
    every = ((names[path], found) for path in files for found in records(path))
    gather = reader.gather or iter
    for _, found in gather(every):
        if isinstance(found, Found) and found.value is not None:
            yield found.value


def _row(reader: Reader, value: Mapping[str, Any], app_from: str | None) -> Row | None:
    try:
        return reader.convert(value, Options(app_from=app_from))
    except _BROKEN:
        return None


def _named(reader: Reader, kind: str, rows: list[Row], values: list[Mapping[str, Any]]) -> list[str]:
    """Return the sources of a ``kind``, with the prefixes and fields that occur where it needs a name."""
    if kind == "tag":
        found = Counter(p for row in rows for p in {t.partition(":")[0] for t in json.loads(row.get("tags") or "[]") if ":" in str(t)})
        return [f"tag:{p}" for p, n in found.most_common() if n >= len(rows) / 100 and p != "User-Agent"]
    if kind in _OF_FIELDS:
        return [f"{kind}:{name}" for name in _fields(reader, kind, values)]
    return [] if kind == _OF_ANY else [kind]


def _fields(reader: Reader, kind: str, values: list[Mapping[str, Any]]) -> list[str]:
    """Return the fields that name an app, the most frequent first: each one of the records is tried, since formats keep them anywhere."""
    held: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for value in values:
        for name in dict.fromkeys(_names(value)):
            held[name].append(value)
    often = sorted((n for n in held if len(held[n]) >= len(values) / 100), key=lambda n: -len(held[n]))
    return [name for name in often if any(_app(reader, v, kind, name) != _app(reader, v, kind, _NOBODY) for v in held[name][:_TRIED])]


def _app(reader: Reader, value: Mapping[str, Any], kind: str, name: str) -> Any:
    return (_row(reader, value, f"{kind}:{name}") or {}).get("app")


def _names(value: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the names of the single values in ``value``, each also after those of the objects that hold it, from the inside out.

    >>> list(_names({"id": 7, "metadata": '{"bot": "b1", "more": {"a": true}}'}))
    ['id', 'bot', 'metadata.bot', 'a', 'more.a', 'metadata.more.a']
    """
    is_json = isinstance(value, str) and value.lstrip('"')[:1] == "{"
    found = unjson(value) if is_json and len(value) <= _LONG else value
    if isinstance(found, dict):
        for name, held in found.items() if len(path) < _DEEP else ():
            yield from _names(held, (*path, str(name)))
    elif is_json:
        yield from _KEY.findall(value[:_LONG])
    elif isinstance(found, str | int | float) and found != "":
        yield from (".".join(path[i:]) for i in range(len(path) - 1, -1, -1))


def _counted(app_from: str | None, rows: list[Row]) -> tuple[str, int, float, int, str]:
    tokens: Counter[str] = Counter()
    asked = Counter(str(row.get("app") or _DEFAULT) for row in rows)
    for row in rows:
        tokens[str(row.get("app") or _DEFAULT)] += sum(int(row.get(name) or 0) for name in (*TOKEN_BUCKETS, *TOTALS))
    whole = max(sum(tokens.values()), 1)
    largest = ", ".join(f"{name} {n / whole:.0%}" for name, n in tokens.most_common(_SHOWN))
    return app_from or "", len(asked), asked[_DEFAULT] / max(len(rows), 1), len(rows), largest
