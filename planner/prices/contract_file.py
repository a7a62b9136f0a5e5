"""The text of a contracts file → checked values, with the line of whatever is wrong.

In: YAML text. Out: per contract a dict of fields of the right types, its lists of terms among them. Read by node, because only nodes know
their lines. Knows nothing of what the fields are used for.
"""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from planner import formats
from planner.errors import InputError, did_you_mean
from planner.prices.sheets import TIERS
from planner.traffic.apps_file import number

__all__ = ["parse"]

#: What a field must be, in words, and how it is converted; ValueError where it is not.
Check = tuple[str, Callable[[Any], Any]]


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value.strip()


def _day(value: Any) -> dt.date:
    if not isinstance(value, dt.date) or isinstance(value, dt.datetime):
        raise ValueError
    return value


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 10**15:
        raise ValueError
    return value


def _one_of(*known: str) -> Check:
    def convert(value: Any) -> str:
        if value not in known:
            raise ValueError
        return str(value)

    return f"one of {', '.join(known)}", convert


_NAME: Check = ("a name", _text)
_DATES: dict[str, Check] = {"from": ("a date like 2026-07-01", _day), "until": ("a date like 2027-06-30", _day)}
_USD: Check = ("an amount in USD from 0 to a billion", number(0, 1e9))
_TIMES: Check = ("a number from 0 to 1000", number(0, 1000))
#: The lists of terms: their fields, and those that must be there.
_TERMS: Mapping[str, tuple[dict[str, Check], tuple[str, ...]]] = {
    "discounts": (
        {**_DATES, "model": _NAME, "tier": _one_of(*TIERS), "percent": ("a percentage from 0 to 100", number(0, 100))},
        ("percent",),
    ),
    "commitments": ({**_DATES, "usd": _USD, "per": _one_of("month", "quarter", "year")}, ("usd", "per")),
    "capacity": (
        {
            **_DATES,
            "name": _NAME,
            "model": _NAME,
            "usd_per_month": _USD,
            "tokens": ("a number of tokens above 0", _count),
            "per": _one_of("minute", "day"),
            "output_counts": _TIMES,
            "cached_counts": _TIMES,
        },
        ("name", "model", "usd_per_month", "tokens", "per"),
    ),
    "credits": ({**_DATES, "usd": _USD}, ("usd",)),
}
_CONTRACT: dict[str, Check] = {"provider": _NAME, "source": _NAME, **_DATES}
_REQUIRED = ("provider", "source", "from")


def parse(text: str, where: str) -> list[dict[str, Any]]:
    r"""Return the contracts of a file; ``where`` is the file's name in errors.

    >>> head = "format: planner.contracts\nversion: 1\ncontracts:\n"
    >>> item = "  - {provider: openai, source: a letter, from: 2026-07-01, discounts: [{percent: 10}]}\n"
    >>> parse(head + item, "contracts.yaml")[0]["discounts"]
    [{'percent': 10.0}]
    """
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        payload = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{where}: {' '.join(str(error).split())}", "YAML") from error
    if not isinstance(root, yaml.MappingNode):
        raise InputError(f"{where}: no mapping", "format, version and contracts")
    formats.migrate("contracts", payload, where)
    tops = _fields(where, root, ("format", "version", "contracts"))
    if "contracts" not in tops:
        raise InputError(f"{where}: no contracts", "contracts: with a list, one entry per provider")
    return [_contract(where, node) for node in _items(where, tops["contracts"], "contracts")]


def _contract(where: str, node: yaml.Node) -> dict[str, Any]:
    nodes = _fields(where, node, (*_CONTRACT, *_TERMS))
    found = _values(where, node, {k: n for k, n in nodes.items() if k in _CONTRACT}, _CONTRACT, _REQUIRED)
    for name, (checks, required) in _TERMS.items():
        items = _items(where, nodes[name], name) if name in nodes else []
        found[name] = [_values(where, item, _fields(where, item, tuple(checks)), checks, required) for item in items]
        for item, term in zip(items, found[name], strict=True):
            _dates(where, item, {**{k: found[k] for k in _DATES if k in found}, **term}, name)
    return found


def _items(where: str, node: yaml.Node, name: str) -> list[yaml.Node]:
    if not isinstance(node, yaml.SequenceNode):
        raise _wrong(where, node, f"{name} that are no list", f"{name}: with a list, each item after a dash")
    return list(node.value)


def _fields(where: str, node: yaml.Node, known: tuple[str, ...]) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        raise _wrong(where, node, "no fields", f"fields such as {', '.join(known[:4])}")
    found: dict[str, yaml.Node] = {}
    for key, value in node.value:
        if key.value not in known:
            raise _wrong(where, key, f"field {key.value!r}", f"one of {', '.join(known)}", did_you_mean(str(key.value), known))
        if key.value in found:
            raise _wrong(where, key, f"field {key.value!r} a second time", "each field once")
        found[key.value] = value
    return found


def _values(
    where: str, node: yaml.Node, nodes: Mapping[str, yaml.Node], checks: Mapping[str, Check], required: tuple[str, ...]
) -> dict[str, Any]:
    missing = [name for name in required if name not in nodes]
    if missing:
        raise _wrong(where, node, f"no {' and no '.join(missing)}", f"{', '.join(required)}")
    values = {}
    for name, field in nodes.items():
        expected, convert = checks[name]
        plain: Any = yaml.SafeLoader("").construct_object(field, deep=True)
        try:
            values[name] = convert(plain)
        except (ValueError, TypeError):
            raise _wrong(where, field, f"{name} {plain!r}", expected) from None
    return values


def _dates(where: str, node: yaml.Node, term: Mapping[str, Any], name: str) -> None:
    """Check that a term ends after it starts, and that a commitment counts whole calendar months."""
    start, end = term["from"], term.get("until")
    if end is not None and end < start:
        raise _wrong(where, node, f"until {end} before from {start}", "until on or after from")
    if name != "commitments":
        return
    last = end is None or end.day == calendar.monthrange(end.year, end.month)[1]
    if start.day != 1 or not last:
        fix = "give it dates of its own"
        raise _wrong(where, node, f"a commitment from {start} until {end or 'any time'}", "whole calendar months", fix)


def _wrong(where: str, node: yaml.Node, got: str, expected: str, fix: str = "") -> InputError:
    return InputError(f"{where}, line {node.start_mark.line + 1}: {got}", expected, fix)
