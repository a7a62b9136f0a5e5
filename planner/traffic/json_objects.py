"""JSON objects one after another → where each begins and ends, and many at once where they are the plain inside of an array.

In: bytes that begin between two objects. Out: places, or Objects, which another process may open. Knows nothing of files or log formats.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

__all__ = ["Apart", "Objects", "first_of", "spans", "whole"]

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|[{}\[\]"]', re.DOTALL)
#: How an object begins, up to its first key.
_BEGINNING = re.compile(rb'\{\s*"(?:[^"\\]|\\.)*+"', re.DOTALL)
_INSIDE, _OUTSIDE = re.compile(rb"[\s,]*(?=\{)"), re.compile(rb"(?:\xef\xbb\xbf)?\s*\[\s*(?=\{)")
_SPACE, _STEP = b" \t\r\n", 4_096
#: Beginnings that are tried, from the last one on: one inside of an object may look the same.
_TRIES = 2


class Objects(NamedTuple):
    """Whole objects of an array: the number of the first, and their text, with commas between them."""

    first: int
    text: bytes

    def values(self) -> list[dict[str, Any]]:
        """Return the objects."""
        found: list[dict[str, Any]] = orjson.loads(b"[%b]" % self.text)
        return found


class Apart:
    """The objects of a text as they stand in it, cut apart when the first one is asked for.

    >>> Apart(b'{"a": 1}, {"b": {}}')(1)
    b'{"b": {}}'
    """

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._cuts: list[tuple[int, int]] = []

    def __call__(self, place: int) -> bytes:
        """Return the object at ``place``."""
        self._cuts = self._cuts or list(spans(self._text))
        start, end = self._cuts[place]
        return self._text[start:end]


def spans(buffer: bytes, start: int = 0, outer: bool = False) -> Iterator[tuple[int, int]]:
    """Yield where the whole objects of a buffer start and end, from ``start`` on, by counting brackets outside strings.

    ``outer`` says that the array's own bracket comes first.
    """
    depth, begun = 0, 0
    for token in _TOKEN.finditer(buffer, start):
        kind = token[0]
        if kind == b'"':
            return  # a string that goes on in the next block
        if outer:
            outer = False
        elif kind in (b"{", b"["):
            begun = token.start() if depth == 0 else begun
            depth += 1
        elif kind in (b"}", b"]") and depth:
            depth -= 1
            if depth == 0:
                yield begun, token.end()


def first_of(buffer: bytes, outer: bool) -> int:
    """Return where the next object of an array begins, behind its bracket where that is ``outer`` still; −1 where something else does."""
    found = (_OUTSIDE if outer else _INSIDE).match(buffer)
    return found.end() if found else -1


def whole(buffer: bytes, start: int) -> tuple[int, int]:
    """Return where objects that begin at ``start`` end before another one of the same first key, and how many they are.

    Nothing is guessed: the text between reads as the inside of an array of objects. (0, 0) where no such end is found, or no ``start``.

    >>> whole(b'{"a": 1}, {"a": 2}, {"a": ', 0)
    (18, 2)
    """
    if start < 0 or not (head := _BEGINNING.match(buffer, start)):
        return 0, 0
    at = len(buffer)
    for _ in range(_TRIES):
        at = buffer.rfind(head[0], start + 1, at)
        if at < 0:
            break
        comma = _before(buffer, at) - 1
        if buffer[comma : comma + 1] == b",":
            end = _before(buffer, comma)
            try:
                values = Objects(0, buffer[start:end]).values()
            except ValueError:
                continue
            return (end, len(values)) if all(type(v) is dict for v in values) else (0, 0)
    return 0, 0


def _before(buffer: bytes, at: int) -> int:
    """Return the end of what stands before ``at``, space apart."""
    while at:
        part = buffer[max(0, at - _STEP) : at]
        if held := part.rstrip(_SPACE):
            return at - len(part) + len(held)
        at -= len(part)
    return 0
