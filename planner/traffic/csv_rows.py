"""CSV, by commas, semicolons or tabs, → rows by column name, each with its exact text.

In: blocks of a file. Out: rows in order, many whole ones together, which another process may open; one of another number of cells, or that
is not UTF-8, with the reason. Where the file ends inside a row, that is said. Knows nothing of log formats.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

from planner.traffic.streams import CUT, Watched

__all__ = ["Rows", "csv_rows", "header_of", "of_rows"]

#: Characters of rows that are given together.
_TOGETHER = 2 << 20

#: (number, text, row by column name or None, why there is none).
Row: TypeAlias = tuple[int, str, dict[str, Any] | None, str]


class Rows(NamedTuple):
    """Whole rows of a table: the number of the first, the names of the columns, the rows' text, and what stands between cells."""

    first: int
    header: tuple[str, ...]
    text: str
    between: str


def csv_rows(stream: Watched) -> Iterator[Rows | Row]:
    """Yield the rows of a table, those that end with a line together; a cell may hold anything, of any length."""
    number, first, size = 0, 1, 0
    held: list[str] = []
    lines = _text_lines(stream)
    first_line = next(lines, "")
    between = _between(first_line)
    rows = _cells(chain((first_line,), lines), between)
    header = tuple(next(rows)[0])
    rest = ""
    for cells, raw in rows:
        whole = raw.endswith(("\n", "\r"))
        if held and (size >= _TOGETHER or not whole):
            yield Rows(first, header, "".join(held), between)
            held, first, size = [], number + 1, 0
        if whole:
            number, size = number + 1, size + len(raw)
            held.append(raw)
        elif stream.problem:
            rest = raw
        elif cells:
            number += 1
            yield _row(number, raw, header, cells, stream.size, between)
    if held and _is_open(held[-1], between):
        last = _row(number, held.pop(), header, cells, stream.size, between)
        if held:
            yield Rows(first, header, "".join(held), between)
        yield last
    elif held:
        yield Rows(first, header, "".join(held), between)
    if stream.problem:
        yield number + 1, rest, None, stream.problem


def of_rows(part: Rows) -> Iterator[Row]:
    """Yield (number, text, row by column name or None, why there is none) of every row that is not empty."""
    for number, (cells, raw) in enumerate(_cells(io.StringIO(part.text, newline=""), part.between), part.first):
        if cells:
            yield _row(number, raw, part.header, cells, 0, part.between)


def header_of(text: str) -> list[str]:
    r"""Return the names of the columns that a table which begins with ``text`` has.

    >>> header_of("id;when;a,b\n"), header_of("id;when\nr1;9\n"), header_of("")
    (['id;when;a', 'b'], ['id', 'when'], [])
    """
    lines = iter(io.StringIO(text, newline=""))
    first = next(lines, "")
    return next(_cells(chain((first,), lines), _between(first)))[0]


def _between(line: str) -> str:
    """Return what stands between the cells of a table whose first line is ``line``: a semicolon or tab only where no comma does."""
    return next((sign for sign in ",;\t" if len(next(csv.reader([line], delimiter=sign), [])) > 1), ",")


def _cells(lines: Iterator[str], between: str) -> Iterator[tuple[list[str], str]]:
    """Yield the cells and the text of every row."""
    kept: list[str] = []
    limit = csv.field_size_limit(sys.maxsize)
    try:
        for cells in csv.reader(_remember(lines, kept), delimiter=between):
            yield cells, "".join(kept)
            kept.clear()
    finally:
        csv.field_size_limit(limit)


def _row(number: int, raw: str, header: tuple[str, ...], cells: list[str], size: int, between: str) -> Row:
    if len(cells) != len(header):
        begun = len(cells) < len(header) and not raw.endswith(("\n", "\r"))
        cut = f": {CUT}, after {size:,} bytes" if begun else ""
        return number, raw, None, f"{len(cells)} cells in a table of {len(header)} columns{cut}"
    if size and _is_open(raw, between):
        return number, raw, None, f"a cell that does not end: {CUT}, after {size:,} bytes"
    try:
        raw.encode()
    except UnicodeEncodeError:  # bytes that are not UTF-8 stand escaped
        return number, raw, None, "not UTF-8"
    return number, raw, dict(zip(header, cells, strict=True)), ""


def _is_open(raw: str, between: str) -> bool:
    """Say whether the last cell of a row does not end: what follows on a line of its own would be of it.

    >>> _is_open('4,5,"6', ","), _is_open('4,5,6"', ",")
    (True, False)
    """
    return sum(1 for _ in _cells(io.StringIO(f"{raw}\nnext", newline=""), between)) == 1


def _text_lines(stream: Watched) -> Iterator[str]:
    decoder = io.TextIOWrapper(io.BufferedReader(_Raw(iter(stream))), "utf-8-sig", errors="surrogateescape", newline="")
    yield from decoder


class _Raw(io.RawIOBase):
    """An iterator of blocks as the raw stream that Python's text decoder wants."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self.blocks, self.left = blocks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.left = self.left or memoryview(next(self.blocks, b""))
        size = min(len(buffer), len(self.left))
        buffer[:size], self.left = self.left[:size], self.left[size:]
        return size


def _remember(lines: Iterator[str], kept: list[str]) -> Iterator[str]:
    for line in lines:
        kept.append(line)
        yield line
