"""A part of a file → the records in it, and one line, object or row of it alone.

In: a part that is not opened yet, or records. Out: records by the number of what they stood in, counted from the part's beginning. Any
process may do this: it hangs on the part alone. Knows nothing of log formats.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from typing import Any, TypeAlias

import orjson

from planner.traffic.csv_rows import of_rows
from planner.traffic.json_objects import Apart
from planner.traffic.records import Batch, Found, Lines, Objects, Raw, Rows, Unopened, inside, of_line

__all__ = ["Input", "Only", "Opened", "numbered"]

#: A part of a file: lines, objects or rows as they stand in it, or records.
Input: TypeAlias = Unopened | Sequence[Found]
#: A record on its way: the fields of a Found.
Opened: TypeAlias = tuple[int, Raw, dict[str, Any] | None, str, int]


def numbered(given: Input) -> Iterator[tuple[int, Iterable[Opened]]]:
    """Yield (number, the records in it) of every line, object or row of a part, counted from 0."""
    if isinstance(given, Lines):
        yield from _of_lines(given)
    elif isinstance(given, Unopened):
        yield from enumerate(inside(given))
    else:
        yield from ((source, (found,)) for source, found in enumerate(given))


def _of_lines(given: Lines) -> Iterator[tuple[int, Iterable[Opened]]]:
    for source, ended in enumerate(BytesIO(given.text)):  # one at a time: each is where the one before was
        line, number = ended.removesuffix(b"\n"), given.first + source
        value = _object(line)
        yield source, of_line(number, line) if value is None else ((number, line, value, "", 0),)


def _object(line: bytes) -> dict[str, Any] | None:
    """Return the record of a line that plainly holds one; None of all others, which take a closer look."""
    try:
        value = orjson.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) and not isinstance(value.get("data"), list) else None


class Only:
    """One line, object or row of the part ``given``, as a part of its own."""

    def __init__(self, given: Input) -> None:
        self._given = given
        self._lines: list[bytes] = []
        self._rows: list[tuple[int, str]] = []
        self._apart = Apart(given.text if isinstance(given, Objects) else b"")

    def __call__(self, source: int) -> Input:
        """Return number ``source``, counted from 0."""
        given = self._given
        if isinstance(given, Objects):
            return Objects(given.first + source, self._apart(source))
        if isinstance(given, Rows):
            self._rows = self._rows or [(number, raw) for number, raw, _, _ in of_rows(given)]
            number, text = self._rows[source]
            return given._replace(first=number, text=text)
        if isinstance(given, Batch):
            return Batch(given.first + source, given.rows.slice(source, 1))
        if isinstance(given, Lines):
            self._lines = self._lines or given.text.split(b"\n")
            return Lines(given.first + source, self._lines[source])
        return list(given[source : source + 1])
