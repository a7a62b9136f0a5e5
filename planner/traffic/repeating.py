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
    known: dict[bytes, tuple[Any, Row]] = {}
    records = len(fields)

    def columns(*given: Any) -> Row:
        parts = [[record.get(name) for name in names] for record, names in zip(given, fields, strict=False)]
        rest = given[records:]
        try:
            key = orjson.dumps((parts, rest), option=_EXACT)
        except (TypeError, ValueError):  # not JSON: numbers beyond 64 bits, lone surrogates, times
            return _made(parts, rest)
        found = known.get(key)
        if found is not None and (b"null" not in key or found[0] == (parts, rest)):  # NaN is null in JSON, too
            return found[1]
        row = _made(parts, rest)
        if len(key) <= _LONGEST:
            if len(known) >= _KNOWN:
                known.clear()
            known[key] = (parts, rest), row
        return row

    def _made(parts: list[list[Any]], rest: Sequence[Any]) -> Row:
        some: list[Mapping[str, Any]] = [dict(zip(names, values, strict=True)) for names, values in zip(fields, parts, strict=True)]
        return make(*some, *rest)

    return columns
