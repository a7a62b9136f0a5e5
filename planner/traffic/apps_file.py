"""The text of an apps file → checked values, with the line of whatever is wrong.

In: YAML text. Out: per app a dict of fields of the right types. Read by node, because only nodes know their lines. Knows
nothing of logs or of what the fields are used for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import yaml

from planner import formats
from planner.errors import InputError, did_you_mean

__all__ = ["number", "parse"]


def parse(text: str, where: str, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    r"""Return {app: {field: value}}; ``names`` are the known fields; ``where`` is the file's name in errors.

    >>> parse("format: planner.apps\nversion: 1\napps:\n  a:\n    owner: x\n", "apps.yaml", ["owner"])
    {'a': {'owner': 'x'}}
    """
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        payload = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{where}: {' '.join(str(error).split())}", "YAML") from error
    if not isinstance(root, yaml.MappingNode):
        raise InputError(f"{where}: no mapping", "format, version and apps")
    formats.migrate("apps", payload, where)
    tops = {key.value: (key, value) for key, value in root.value}
    for name, (key, _) in tops.items():
        if name not in ("format", "version", "apps"):
            raise _wrong(where, key, f"{name!r}", "format, version or apps", did_you_mean(name, ["format", "version", "apps"]))
    if "apps" not in tops or not isinstance(tops["apps"][1], yaml.MappingNode):
        raise InputError(f"{where}: no mapping called apps", "apps: with one entry per application")
    found: dict[str, dict[str, Any]] = {}
    for key, node in tops["apps"][1].value:
        if key.value in found:
            raise _wrong(where, key, f"app {key.value!r} a second time", "each app once")
        found[str(key.value)] = _app(where, node, names)
    return found


def _wrong(where: str, node: Any, got: str, expected: str, fix: str = "") -> InputError:
    return InputError(f"{where}, line {node.start_mark.line + 1}: {got}", expected, fix)


def _app(where: str, node: Any, names: Sequence[str]) -> dict[str, Any]:
    if not isinstance(node, yaml.MappingNode):
        raise _wrong(where, node, "no fields", f"fields such as {', '.join(names[:3])}")
    values: dict[str, Any] = {}
    lines: dict[str, Any] = {}
    for key, value in node.value:
        if key.value not in names:
            raise _wrong(where, key, f"field {key.value!r}", f"one of {', '.join(names)}", did_you_mean(str(key.value), names))
        if key.value in values:
            raise _wrong(where, key, f"field {key.value!r} a second time", "each field once")
        expected, convert = _CHECKS[key.value]
        plain = yaml.SafeLoader("").construct_object(value, deep=True)
        try:
            values[key.value] = convert(plain)
        except ValueError:
            raise _wrong(where, value, f"{key.value} {plain!r}", expected) from None
        lines[key.value] = value
    _agree(where, values, lines, names)
    return values


def _agree(where: str, values: dict[str, Any], lines: dict[str, Any], names: Sequence[str]) -> None:
    """Check what fields say about each other."""
    if values.get("interactive", True) and values.get("may_wait_hours", 0.0) > 0:
        raise _wrong(where, lines["may_wait_hours"], "an interactive app that may wait", "interactive: false, or may_wait_hours: 0")
    for name in values.get("assumed", ()):
        if name not in names or name == "assumed":
            raise _wrong(where, lines["assumed"], f"assumed names {name!r}", f"some of {', '.join(names)}", did_you_mean(name, names))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def number(low: float, high: float) -> Callable[[Any], float]:
    """Return what takes a number from ``low`` to ``high`` as a float, and raises ValueError for anything else."""

    def convert(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high or math.isnan(value):
            raise ValueError
        return float(value)

    return convert


def _maybe(convert: Callable[[Any], float]) -> Callable[[Any], float | None]:
    return lambda value: None if value is None else convert(value)


def _list(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
        raise ValueError
    return tuple(value)


_CHECKS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "owner": ("a name", _text),
    "interactive": ("true or false", _flag),
    "may_wait_hours": ("hours from 0 to 8760", number(0, 8760)),
    "side_effects": ("true or false", _flag),
    "quality_floor": ("a number from 0 to 1, or null", _maybe(number(0, 1))),
    "usd_per_wrong_answer": ("an amount in USD ≥ 0, or null", _maybe(number(0, 1e12))),
    "allowed_providers": ("a list of provider names", _list),
    "candidates": ("a list of model names", _list),
    "assumed": ("a list of field names", _list),
}
