"""Single values as logs write them → the types of our tables, or one sentence saying what is wrong.

In: any JSON or CSV value. Out: text, whole numbers, numbers, flags, microseconds since 1970 UTC; ``None`` for absent
(null, empty string). Raises Rejected for a value that is present and unusable, so that its row is quarantined whole.
Knows nothing of columns or formats.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import orjson

__all__ = ["Rejected", "as_object", "count", "dig", "flag", "micros", "milliseconds", "number", "shown", "text", "unjson", "word"]

#: Epoch numbers are read as seconds, milliseconds, microseconds or nanoseconds by their size; each covers 1973 to 5138.
_EPOCH_UNITS = ((1e11, 1_000_000.0), (1e14, 1_000.0), (1e17, 1.0), (1e20, 0.001))
_NAME_CHARS, _SHOWN_CHARS = 40, 60
#: So many digits are the same number as a float.
_EXACT_DIGITS = 15
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TRUE = frozenset({"true", "t", "yes", "y", "1", "1.0"})
_FALSE = frozenset({"false", "f", "no", "n", "0", "0.0", "none", "null", ""})


class Rejected(ValueError):  # noqa: N818 - it names what happens to the record
    """A record that a reader cannot accept; the text is the reason that quarantine shows."""


def text(value: Any) -> str | None:
    """Return a non-empty string, or None.

    >>> text("a"), text(""), text(3)
    ('a', None, '3')
    """
    if isinstance(value, str):
        return value or None
    if value is None or value is False:
        return None
    return as_json(value) if isinstance(value, dict | list) else str(value)


def word(value: Any) -> str:
    """Return a value as a reason shows it: a short name as it is, so that reasons are counted by it, anything else quoted and cut.

    >>> word("SPAN"), word("a b"), word([1])
    ('SPAN', "'a b'", '[1]')
    """
    name = isinstance(value, str) and value.isidentifier() and len(value) <= _NAME_CHARS
    return value if name else shown(value)


def as_json(value: Any) -> str:
    """Return compact JSON; Rejected for what JSON cannot hold (lone surrogates, numbers beyond 64 bits)."""
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
    except (TypeError, ValueError) as error:
        raise Rejected(f"a value that JSON cannot hold: {error}") from error


def number(value: Any, name: str) -> float | None:
    """Return a finite number, or None when absent.

    >>> number("0.5", "spend"), number(None, "spend")
    (0.5, None)
    >>> number("x", "spend")
    Traceback (most recent call last):
        ...
    planner.traffic.values.Rejected: spend is 'x', not a number
    """
    if value is None or value == "":
        return None
    if type(value) is float and math.isfinite(value):
        return value
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise Rejected(f"{name} is {shown(value)}, not a number")
    return found


def count(value: Any, name: str) -> int | None:
    """Return a whole number ≥ 0, or None when absent.

    >>> count(7, "prompt_tokens"), count("7", "prompt_tokens"), count("7.0", "prompt_tokens")
    (7, 7, 7)
    """
    if type(value) is int and value >= 0:
        return value
    if value is None:
        return None
    if type(value) is str and len(value) <= _EXACT_DIGITS and value.isdecimal():
        return int(value)
    if type(value) is not int:
        found = number(value, name)
        if found is None:
            return None
        if found != math.floor(found):
            raise Rejected(f"{name} is {shown(value)}, not a whole number")
        value = int(found)
    if value < 0:
        raise Rejected(f"{name} is {shown(value)}, below zero")
    return int(value)


def flag(value: Any, name: str) -> bool | None:
    """Return True, False, or None when absent.

    >>> flag("True", "cache_hit"), flag("None", "cache_hit"), flag(None, "cache_hit")
    (True, False, None)
    """
    if value is None or isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise Rejected(f"{name} is {shown(value)}, neither true nor false")


def micros(value: Any, name: str) -> int | None:
    """Return microseconds since 1970 UTC of an ISO time (no zone means UTC) or an epoch number, or None when absent.

    >>> micros("1970-01-01T00:00:01Z", "t"), micros("1970-01-01 00:00:01.5000000", "t"), micros(1762160400.12, "t")
    (1000000, 1500000, 1762160400120000)
    """
    if value is None or value == "":
        return None
    if type(value) is float and 0 < value < _EPOCH_UNITS[0][0]:
        return round(value * 1_000_000)
    if isinstance(value, str):
        try:
            return _since_epoch(datetime.fromisoformat(value))
        except (ValueError, OverflowError):
            pass
    elif isinstance(value, datetime):
        return _since_epoch(value)
    try:
        found = number(value, name)
    except Rejected:
        raise Rejected(f"{name} is {shown(value)}, not a time") from None
    if found is None:
        return None
    scale = next((s for limit, s in _EPOCH_UNITS if abs(found) < limit), None)
    if scale is None:
        raise Rejected(f"{name} is {shown(value)}, not a time")
    return round(found * scale)


def milliseconds(start: int | None, end: int | None, what: str) -> float | None:
    """Return ``end − start`` [ms] of two times [µs], None when either is absent; Rejected when negative."""
    if start is None or end is None:
        return None
    if end < start:
        raise Rejected(f"{what} is negative: {(end - start) / 1000} ms")
    return (end - start) / 1000


def unjson(value: Any) -> Any:
    r"""Undo JSON text around JSON, however often it was encoded; anything else comes back as it is.

    >>> unjson('"{\\"a\\": 1}"')
    {'a': 1}
    >>> unjson("plain")
    'plain'
    """
    for _ in range(4):
        if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "[", '"'):
            break
        try:
            value = orjson.loads(value)
        except ValueError:
            break
    return value


def as_object(value: Any) -> dict[str, Any]:
    r"""Return an object, or one that is written as JSON text; an empty one for anything else.

    >>> as_object({"a": 1}), as_object('"{\\"a\\": 1}"'), as_object([1])
    ({'a': 1}, {'a': 1}, {})
    """
    found = unjson(value) if isinstance(value, str) else value
    return found if isinstance(found, dict) else {}


def dig(value: Any, *path: str) -> Any:
    """Follow ``path`` through nested dicts, and lists by number from 0; None where it ends early.

    >>> dig({"a": {"b": 1}}, "a", "b"), dig({"a": None}, "a", "b"), dig({"a": [7]}, "a", "0")
    (1, None, 7)
    """
    for key in path:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def _since_epoch(moment: datetime) -> int:
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def shown(value: Any, most: int = _SHOWN_CHARS) -> str:
    """Return a value as Python shows it, cut where it is long; its quotes are closed, so that what follows is no part of it.

    >>> shown("a b"), shown("it is " * 20)
    ("'a b'", "'it is it is it is it is it is it is it is it is it is it …'")
    """
    told = repr(value)
    if len(told) <= most:
        return told
    return f"{told[: most - 2]}…{told[-1]}" if isinstance(value, str | bytes) else shown(told, most)
