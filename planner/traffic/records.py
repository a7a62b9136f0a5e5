"""Files → records: each JSON object or CSV or Parquet row with the file and line it stood on.

In: paths of JSON (one object, an array, one object a line, pretty-printed or not), CSV or Parquet files, plain, gzip or
zstd, told apart by content, not by name. Out: records in blocks of bounded size, in file order; what cannot be parsed is
a record too, whole, with the reason. Knows nothing of log formats.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import orjson

from planner.errors import InputError
from planner.traffic.csv_rows import Rows, csv_rows, of_rows
from planner.traffic.json_objects import Apart, Objects, first_of, spans, whole
from planner.traffic.parquet_rows import MAGIC, Batch, batches
from planner.traffic.streams import CUT, Watched, is_packed

__all__ = [
    "BOM",
    "CUT",
    "JOINED",
    "Batch",
    "Found",
    "Lines",
    "Objects",
    "Raw",
    "Rows",
    "Unopened",
    "beginning",
    "founds",
    "inside",
    "of_line",
    "parsed",
    "parts",
    "raw_of",
    "raw_text",
    "records",
    "text_bytes",
]

#: A record as it stood: bytes of a JSON file, text of a CSV file, a Parquet row, or how to get it where it was a part of a record.
Raw: TypeAlias = bytes | str | dict[str, Any] | Callable[[], bytes]

#: The ``problem`` of a record that is a part of another one, in which it counts.
JOINED = "joined"
_BEGINNING_BYTES = 1 << 18
#: How many times its size a compressed log holds, at least.
_PACKED = 4
BOM = b"\xef\xbb\xbf"
_EMPTY = re.compile(rb"\[\s*\]")


class Found(NamedTuple):
    """One record: where it stood, how, its value or why there is none, and its size [bytes] where ``raw`` is not the text itself."""

    line: int
    raw: Raw
    value: dict[str, Any] | None
    problem: str = ""
    size: int = 0


def raw_of(raw: Raw) -> bytes | str | dict[str, Any]:
    """Return a record as it stood, fetched where it was a part of another."""
    return raw() if callable(raw) else raw


class Lines(NamedTuple):
    """Whole lines of a file that has a record on each: the number of the first, and their text without the last line's end."""

    first: int
    text: bytes


#: Parts of files that any process may open.
Unopened: TypeAlias = Lines | Objects | Rows | Batch


def raw_text(raw: Raw) -> str:
    """Return a record as text that any file can hold; what is not UTF-8 is escaped, a Parquet row is shown as JSON."""
    raw = raw_of(raw)
    if isinstance(raw, dict):
        try:
            raw = json.dumps(raw, default=str, ensure_ascii=False).encode("utf-8", "backslashreplace")
        except RecursionError:
            raw = b"(nested too deeply to be written again)"
    elif isinstance(raw, str):
        raw = raw.encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "backslashreplace")


def records(path: Path, done: Callable[[int], None] | None = None) -> Iterator[Found]:
    """Yield the records of one file; ``done(bytes)`` hears how far into it (compressed) reading is."""
    for part in parts(path, done):
        yield from founds(part)


def founds(part: Unopened | Found) -> Iterator[Found]:
    """Yield the records of a part of a file."""
    return iter((part,)) if isinstance(part, Found) else chain.from_iterable(inside(part))


def inside(part: Unopened) -> Iterator[Iterable[Found]]:
    """Yield, of every line, object or row of a part, the records: none, one, or those of the page that it is."""
    if isinstance(part, Lines):
        yield from (of_line(number, line) for number, line in enumerate(part.text.split(b"\n"), part.first))
    elif isinstance(part, Objects):
        yield from _of_objects(part)
    elif isinstance(part, Rows):
        yield from ((Found(*row),) for row in of_rows(part))
    else:
        yield from ((found,) for found in _of_batch(part))


def _of_objects(part: Objects) -> Iterator[Iterator[Found]]:
    values, apart = part.values(), Apart(part.text)
    size = len(part.text) // max(len(values), 1)
    for place, value in enumerate(values):
        yield _unwrapped(Found(part.first + place, partial(apart, place), value, "", size))


def _of_batch(part: Batch) -> Iterator[Found]:
    return (Found(number, value, value) for number, value in enumerate(part.rows.to_pylist(), part.first))


def of_line(number: int, line: bytes) -> Iterator[Found]:
    """Yield the records of one line: none, one, or those of the page that it is."""
    if line and not line.isspace():
        yield from _unwrapped(Found(number, line, *parsed(line.removeprefix(BOM))))


def parts(path: Path, done: Callable[[int], None] | None = None) -> Iterator[Unopened | Found]:
    """Yield the same unopened where there is a record a line, an array or a table of them, so that another process may open it."""
    with path.open("rb") as file:
        magic = file.read(4)
        file.seek(0)
        if magic == MAGIC:
            for batch in batches(path, done):
                yield from (batch,) if batch.is_plain else _of_batch(batch)
            return
        stream = Watched(file, magic, done)
        head = stream.peek()
        for part in _by_content(path, head, stream):
            if isinstance(part, Found):
                yield from _unwrapped(part)
            else:
                yield part


def text_bytes(path: Path) -> int:
    """Return about how many bytes of text a file holds; what is compressed, as Parquet is, several times its own."""
    with path.open("rb") as file:
        magic = file.read(4)
    return path.stat().st_size * (_PACKED if is_packed(magic) or magic == MAGIC else 1)


def beginning(path: Path) -> bytes:
    """Return the first bytes of a file, decompressed, without a byte-order mark and leading space."""
    with path.open("rb") as file:
        magic = file.read(4)
        file.seek(0)
        return Watched(file, magic).peek(_BEGINNING_BYTES).removeprefix(BOM).lstrip()


def _unwrapped(found: Found) -> Iterator[Found]:
    """Open the page of an API, ``{"data": [objects], ...}``, which holds the records themselves."""
    inner = found.value.get("data") if found.value else None
    if isinstance(inner, list) and inner and "id" not in (found.value or ()) and all(isinstance(v, dict) for v in inner):
        yield from (Found(i, value, value) for i, value in enumerate(inner, found.line))
    else:
        yield found


def _by_content(path: Path, head: bytes, stream: Watched) -> Iterator[Unopened | Found]:
    start = head.removeprefix(BOM).lstrip()[:1]
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(f"{path}: UTF-16 text", "UTF-8", "save it as UTF-8")
    if start == b"[" or (start == b"{" and not _one_a_line(head)):
        return _objects(stream)
    if start == b"{":
        return _lines(stream)
    return (part if isinstance(part, Rows) else Found(*part) for part in csv_rows(stream))


def _one_a_line(head: bytes) -> bool:
    lines = [x for x in head.split(b"\n")[:50] if x.strip()]
    return any(parsed(x)[0] is not None for x in lines)


def parsed(raw: bytes) -> tuple[dict[str, Any] | None, str]:
    """Return a JSON object, or None and the reason why there is none."""
    try:
        value = orjson.loads(raw)
    except ValueError as error:
        value, problem = _second_try(raw, str(error))
        if problem:
            return None, problem
    if isinstance(value, dict):
        return value, ""
    return None, f"a JSON {type(value).__name__}, not an object"


def _second_try(raw: bytes, problem: str) -> tuple[Any, str]:
    """Parse what Python's json writes and JSON does not allow: NaN and Infinity, read as absent."""
    try:
        value = json.loads(raw, parse_constant=lambda _: None)
        orjson.dumps(value)
    except (ValueError, TypeError, RecursionError):
        return None, f"not JSON: {problem}"
    return value, ""


def _lines(stream: Watched) -> Iterator[Unopened | Found]:
    number, rest = 1, b""
    for block in stream:
        end = block.rfind(b"\n")
        if end < 0:
            rest += block
            continue
        text, rest = b"".join((rest, memoryview(block)[:end])), block[end + 1 :]
        yield Lines(number, text)
        number += text.count(b"\n") + 1
    if rest.strip() or stream.problem:
        yield _last(number, rest, stream)


def _last(number: int, rest: bytes, stream: Watched) -> Found:
    """Return what stands behind the last line's end: a record, or the beginning of one."""
    if stream.problem:
        return Found(number, rest, None, stream.problem)
    value, problem = parsed(rest)
    begun = value is None and rest.lstrip()[:1] == b"{" and not any(spans(rest))
    return Found(number, rest, value, _cut(stream) if begun else problem)


def _cut(stream: Watched) -> str:
    return f"not JSON: {CUT}, after {stream.size:,} bytes"


def _objects(stream: Watched) -> Iterator[Objects | Found]:
    """Cut a JSON array, or objects one after another, at the ends of its top-level objects; many at once where they are plainly whole."""
    parts, size, wanted, number = [b""], 0, 0, 0
    outer = stream.head.removeprefix(BOM).lstrip()[:1] == b"["
    for block in chain(stream, [b""]):
        parts.append(block)
        size += len(block)
        if block and size < wanted:
            continue  # an object larger than what was scanned: scan again only when there is twice as much
        buffer = b"".join(parts)
        begin = first_of(buffer, outer)
        used, count = whole(buffer, begin)
        if count:
            yield Objects(number + 1, buffer[begin:used])
            number += count
        for start, end in spans(buffer, used, outer and not count) if not (count and block) else ():
            number, used = number + 1, end
            yield Found(number, buffer[start:end], *parsed(buffer[start:end]))
        outer = outer and not used
        parts, size = [buffer[used:]], len(buffer) - used
        wanted = 0 if used else 2 * size
    empty = outer and _EMPTY.fullmatch(parts[0].removeprefix(BOM).strip())
    if (parts[0].strip(b" \t\r\n,]") and not empty) or stream.problem:
        yield Found(number + 1, parts[0], None, stream.problem or _cut(stream))
