"""CSV → rows by column name, each with its exact text.

In: blocks of a file. Out: rows in order; one of another number of cells, or that is not UTF-8, with the reason. Where the file ends inside
a row, that is said. Knows nothing of log formats.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from typing import Any, TypeAlias

from planner.traffic.streams import CUT, Watched

__all__ = ["csv_rows"]

#: (number, text, row by column name or None, why there is none).
Row: TypeAlias = tuple[int, str, dict[str, Any] | None, str]


def csv_rows(stream: Watched) -> Iterator[Row]:
    """Yield (number, text, row by column name or None, why there is none); a cell may hold anything, of any length."""
    kept: list[str] = []
    limit = csv.field_size_limit(sys.maxsize)
    try:
        rows = csv.reader(_remember(_text_lines(stream), kept))
        header = next(rows, [])
        kept.clear()
        number, rest = 0, ""
        for cells in rows:
            raw = "".join(kept)
            kept.clear()
            if stream.problem and not raw.endswith(("\n", "\r")):
                rest = raw
                break
            number += 1
            if cells:
                yield _row(number, raw, header, cells, stream.size)
        if stream.problem:
            yield number + 1, rest, None, stream.problem
    finally:
        csv.field_size_limit(limit)


def _row(number: int, raw: str, header: list[str], cells: list[str], size: int) -> Row:
    if len(cells) != len(header):
        begun = len(cells) < len(header) and not raw.endswith(("\n", "\r"))
        cut = f": {CUT}, after {size:,} bytes" if begun else ""
        return number, raw, None, f"{len(cells)} cells in a table of {len(header)} columns{cut}"
    if not raw.isascii() and any("\udc80" <= c <= "\udcff" for c in raw):
        return number, raw, None, "not UTF-8"
    return number, raw, dict(zip(header, cells, strict=True)), ""


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
