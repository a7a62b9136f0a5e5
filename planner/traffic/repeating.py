"""Columns that hang on fields which repeat from record to record, worked out once per combination of their values.

In: a function from some fields of a record to columns. Out: the same function, remembering. It is given only the fields that are named,
so that what is remembered cannot hang on anything else. Knows nothing of what the fields mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from planner.traffic.reader import Row

__all__ = ["repeating"]

#: Combinations that are remembered, and the longest one's JSON [bytes]: a record with more is worked out each time.
_KNOWN, _LONGEST = 4_096, 8_192
_EXACT = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATACLASS


def repeating(make: Callable[..., Row], *fields: Sequence[str]) -> Callable[..., Row]:
    """Return ``make`` with a memory.

    ``make`` takes one mapping per entry of ``fields``, of which it is given those fields alone (None where absent), and then any further
    values. It must be a pure function; what it raises is not remembered. Callers must not change the row they get.

    >>> calls = []
    >>> app = repeating(lambda record: calls.append(record) or {"app": record["team"]}, ("team",))
    >>> app({"team": "a", "id": 1}), app({"team": "a", "id": 2}), calls
    ({'app': 'a'}, {'app': 'a'}, [{'team': 'a'}])
    """
    known: dict[bytes, tuple[int, list[Any], Row]] = {}
    records = len(fields)
    ends = [sum(map(len, fields[:i])) for i in range(records + 1)]

    def columns(*given: Any) -> Row:
        values: list[Any] = []
        for record, names in zip(given, fields, strict=False):
            values += map(record.get, names)
        values += given[records:]
        try:
            key = orjson.dumps(values, option=_EXACT)
        except (TypeError, ValueError):  # not JSON: numbers beyond 64 bits, lone surrogates, times
            return _made(values)
        found = known.get(key)
        if found is not None and (found[0] == values.count(None) or found[1] == values):
            return found[2]
        row = _made(values)
        if len(key) <= _LONGEST:
            if len(known) >= _KNOWN:
                known.clear()
            nulls = key.count(b"null")  # more than there are absent values: there may be a NaN, which is null in JSON, too
            known[key] = nulls if nulls == values.count(None) else -1, values, row
        return row

    def _made(values: list[Any]) -> Row:
        some: list[Mapping[str, Any]] = [
            dict(zip(names, values[start:end], strict=True)) for names, start, end in zip(fields, ends, ends[1:], strict=False)
        ]
        return make(*some, *values[ends[-1] :])

    return columns
