"""Preview: what apps a log would have under each way of naming them, from its first records. Nothing is written.

In: files as ``read`` takes them. Out: a row a source of app names: how many apps, how much stays without a name, the largest ones. Knows
nothing of which is right.
"""

from __future__ import annotations

import json
from collections import Counter
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
from planner.traffic.values import Rejected

__all__ = ["RECORDS", "preview"]

#: Records looked at, from the beginning of the first file on.
RECORDS = 5_000
_SHOWN = 3
#: The name of what has none.
_DEFAULT = "default"
_BROKEN = (Rejected, KeyError, TypeError, ValueError, AttributeError, IndexError)


def preview(source: Source, format: str = "auto", count: int = RECORDS) -> pd.DataFrame:
    """Return what each source of app names would make of the first ``count`` records of a log.

    Columns: ``app_from`` ("" for what is done by default), ``apps``, ``unnamed`` (share of the requests that stay without a name),
    ``requests``, ``largest`` (names with their shares of the tokens). A tag's prefixes are those that occur; sources that need a field's
    name (``metadata:FIELD``) are shown for the fields of the requester's own metadata. InputError where nothing can be read.
    """
    if count < 1:
        raise InputError(f"a preview of {count} records", "at least 1")
    files = find(source)
    reader, _ = reader_of(files, format, Options())
    found = list(islice(_values(reader, files), count))
    plain = [row for value in found if (row := _row(reader, value, None))]
    if not plain:
        raise InputError(f"{files[0]}, of whose first {len(found):,} records none can be read", "a log", "look at planner read first")
    sources = [None, *(name for kind in reader.app_sources for name in _named(kind, plain, found))]
    rows = [_counted(name, [row for value in found if (row := _row(reader, value, name))]) for name in sources]
    return pd.DataFrame(rows, columns=["app_from", "apps", "unnamed", "requests", "largest"])


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


def _named(kind: str, rows: list[Row], values: list[Mapping[str, Any]]) -> list[str]:
    """Return the sources of a ``kind``, with the prefixes and fields that occur where it needs a name."""
    if kind == "tag":
        found = Counter(p for row in rows for p in {t.partition(":")[0] for t in json.loads(row.get("tags") or "[]") if ":" in str(t)})
        return [f"tag:{p}" for p, n in found.most_common() if n >= len(rows) / 100 and p != "User-Agent"]
    if kind == "metadata":
        fields = Counter(f for value in values for f in _own(value))
        return [f"metadata:{f}" for f, n in fields.most_common() if n >= len(values) / 100]
    return [] if kind in ("attribute",) else [kind]


def _own(value: Mapping[str, Any]) -> list[str]:
    metadata = value.get("metadata")
    sent = metadata.get("requester_metadata") if isinstance(metadata, dict) else None
    return [str(name) for name in sent] if isinstance(sent, dict) else []


def _counted(app_from: str | None, rows: list[Row]) -> tuple[str, int, float, int, str]:
    tokens: Counter[str] = Counter()
    asked = Counter(str(row.get("app") or _DEFAULT) for row in rows)
    for row in rows:
        tokens[str(row.get("app") or _DEFAULT)] += sum(int(row.get(name) or 0) for name in (*TOKEN_BUCKETS, *TOTALS))
    whole = max(sum(tokens.values()), 1)
    largest = ", ".join(f"{name} {n / whole:.0%}" for name, n in tokens.most_common(_SHOWN))
    return app_from or "", len(asked), asked[_DEFAULT] / max(len(rows), 1), len(rows), largest
