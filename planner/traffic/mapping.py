"""A user's mapping: columns of ours from columns of theirs.

In: a record and pairs (our column, expression): ``"id"`` takes a column, ``"usage.prompt"`` a nested one,
``"latency_s*1000"`` scales by a factor, ``"=openai"`` is a constant. Out: values of the types our columns have. Besides
our columns, ``total_input_tokens`` and ``total_output_tokens`` may be mapped: counts that *include* cached, written and
reasoning tokens, from which the exclusive buckets are made. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

from planner.errors import InputError, did_you_mean
from planner.schema import TRAFFIC
from planner.traffic import values
from planner.traffic.reader import TOTALS, Record, Row
from planner.traffic.shapes import prompt_columns
from planner.traffic.values import Rejected

__all__ = ["compiled", "exclusive", "mapped"]

_Step: TypeAlias = tuple[str, Callable[[Record], Any], Callable[[Any, str], Any]]
_TYPES: Mapping[str, Callable[[Any, str], Any]] = {
    "string": lambda v, _: values.text(v),
    "timestamp": values.micros,
    "int64": values.count,
    "int32": values.count,
    "double": values.number,
    "bool": values.flag,
    "list<int64>": lambda v, n: None if v is None or v == "" else [values.count(x, n) for x in _list(v, n)],
}
_TARGETS: Mapping[str, str] = {**{c.name: c.type for c in TRAFFIC.columns}, **dict.fromkeys(TOTALS, "int64")}


def compiled(mapping: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    """Check a mapping and return it as pairs; InputError names an unknown column or an expression that cannot be read."""
    pairs = tuple((mapping or {}).items())
    for target, expression in pairs:
        if target not in _TARGETS:
            raise InputError(
                f"mapping to {target!r}", "a column of the traffic table", did_you_mean(target, _TARGETS) or ", ".join(_TARGETS)
            )
        if not isinstance(expression, str) or not expression:
            raise InputError(f"mapping {target!r}: {expression!r}", "a source column, 'column*factor' or '=constant'")
        if expression.startswith("="):
            _check_constant(target, expression)
    return pairs


def _check_constant(target: str, expression: str) -> None:
    """Raise InputError for a constant that its column cannot hold: it would fail in every record."""
    try:
        _TYPES[_TARGETS[target]](expression[1:], target)
    except Rejected as error:
        raise InputError(f"mapping {target!r}: {expression!r}", f"a constant of that column ({error})") from error


def mapped(record: Record, mapping: tuple[tuple[str, str], ...], *, own_names: bool = False) -> Row:
    """Return the row that ``mapping`` makes of ``record``; with ``own_names`` columns named as ours need no mapping.

    >>> row = mapped({"id": "a", "took": 0.5, "n": 9}, (("request_id", "id"), ("latency_ms", "took*1000"), ("model", "=m")))
    >>> row
    {'request_id': 'a', 'latency_ms': 500.0, 'model': 'm'}
    """
    row: Row = {}
    if own_names:
        row = {n: _TYPES[_TARGETS[n]](v, n) for n, v in record.items() if n in _TARGETS}
    for target, take, convert in _steps(mapping):
        row[target] = convert(take(record), target)
    return _with_text(exclusive(row))


def _with_text(row: Row) -> Row:
    """Bring messages of any shape into ours, and say that they are there, where the source does not say more."""
    if row.get("messages") is None:
        return row
    read = prompt_columns(row["messages"])
    return {**read, **{n: v for n, v in row.items() if v is not None}, "messages": read.get("messages")}


def exclusive(row: Row) -> Row:
    """Fill ``input_tokens`` and ``output_tokens`` from inclusive totals where they are not given themselves."""
    for total, plain, inside in (
        ("total_input_tokens", "input_tokens", ("cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")),
        ("total_output_tokens", "output_tokens", ("reasoning_tokens",)),
    ):
        if row.get(total) is not None and row.get(plain) is None:
            parts = sum(row.get(n) or 0 for n in inside)
            if parts > row[total]:
                raise Rejected(f"{' + '.join(inside)} are {parts}, more than the source's total of {row[total]}")
            row[plain] = row[total] - parts
    return row


@lru_cache(maxsize=8)
def _steps(mapping: tuple[tuple[str, str], ...]) -> tuple[_Step, ...]:
    return tuple((target, _getter(expression, target), _TYPES[_TARGETS[target]]) for target, expression in mapping)


def _getter(expression: str, target: str) -> Callable[[Record], Any]:
    if expression.startswith("="):
        return lambda _: expression[1:]
    name, star, factor = expression.rpartition("*")
    scale = _factor(factor) if star else None
    if scale is None:
        return lambda record: _take(record, expression)
    return lambda record: _scaled(values.number(_take(record, name.strip()), target), scale)


def _factor(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else value * scale


def _take(record: Record, name: str) -> Any:
    if name in record:
        return record[name]
    head, dot, rest = name.partition(".")
    if not dot or head not in record:
        raise Rejected(f"no column {name}")  # quotes are for what the log says: a reading without text masks it
    return values.dig(values.unjson(record[head]), *rest.split("."))


def _list(value: Any, name: str) -> Iterable[Any]:
    found = values.unjson(value)
    if not isinstance(found, list):
        raise Rejected(f"{name} is {values.shown(value)}, not a list")
    return found
