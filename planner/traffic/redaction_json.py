"""JSON text with some of its strings, numbers and names replaced, and still JSON of the same shape.

In: JSON text, and a function from a value to what stands in its place. Out: the text with every other byte as it stood, spaces included, so
that what two texts share is still shared. A number that is replaced becomes a string, names of one object stay different from each other.
Knows nothing of what is replaced or why.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["replaced"]

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*|[{}\[\]:,]')


@dataclass(slots=True)
class _Level:
    """An object or a list that is open: the name that rules its next value, and of an object what its names became.

    ``counts``: new name → the last number that was put behind it.
    """

    name: str = ""
    is_object: bool = False
    at_name: bool = False
    names: dict[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)


def replaced(text: str, change: Callable[[str, str, bool], str]) -> str:
    """Return JSON ``text`` with ``change(value, name, bare)`` in place of every string and number.

    ``name`` is the one under which the value stands, alone or in a list, "" for a name itself and where there is none; a ``bare`` value is
    a number, as it is written, and becomes a string where it is changed.

    >>> replaced('{"a": [1, 22], "b": "22"}', lambda value, name, bare: "x" if value == "22" else value)
    '{"a": [1, "x"], "b": "x"}'
    """
    parts, end, levels = [], 0, [_Level()]
    for found in _TOKEN.finditer(text):
        token, level = found[0], levels[-1]
        kind = token[0]
        if kind in "{[":
            levels.append(_Level(is_object=True, at_name=True) if kind == "{" else _Level(level.name))
        elif kind in "}]":
            levels.pop()
        elif kind in ":,":
            level.at_name = kind == "," and level.is_object
        else:
            parts += [text[end : found.start()], _renamed(token, level, change) if level.at_name else _changed(token, level.name, change)]
            end = found.end()
    return "".join([*parts, text[end:]])


def _changed(token: str, name: str, change: Callable[[str, str, bool], str]) -> str:
    bare = token[0] != '"'
    value = token if bare else _read(token)
    new = change(value, name, bare)
    return token if new == value else _written(new, token)


def _renamed(token: str, level: _Level, change: Callable[[str, str, bool], str]) -> str:
    """Return a name of an object in its new form, with a number where another one of the object has that already."""
    level.name = name = _read(token)
    if name not in level.names:
        new = plain = change(name, "", False)
        count = level.counts.get(plain, 1)
        while new in level.taken:
            count += 1
            new = f"{plain} {count}"
        level.counts[plain] = count
        level.names[name] = new
        level.taken.add(new)
    return token if level.names[name] == name else _written(level.names[name], token)


def _read(token: str) -> str:
    return token[1:-1] if "\\" not in token else str(json.loads(token))


def _written(value: str, like: str) -> str:
    """Write a string as JSON, in ASCII where the one that it replaces was, or had halves of characters."""
    return json.dumps(value, ensure_ascii=like.isascii() or "\\ud" in like.lower())
