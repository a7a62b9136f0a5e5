"""The format that a request asks for → whether an answer keeps it, checked so that no client can hold up a gateway with it.

In: the body of a request of chat, Anthropic Messages or Responses, and the answer's text. Out: yes, no, or None where that was not checked:
no format, a text or schema too large, a check with too many steps. Of a schema only what takes bounded time is checked: Python's regular
expressions may take for ever and let no other thread run meanwhile, so ``pattern`` and ``patternProperties`` are left out, and what
would mean something else without them. What is left out can only make a broken answer count as kept. Knows nothing of apps or arms.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from planner.errors import PlannerError
from planner.text.checks import json_problem, schema_check

__all__ = ["kept", "light", "shape_of"]

#: [characters] of an answer and of a schema, and steps of a check, beyond which nothing is said.
MOST_TEXT, MOST_SCHEMA, MOST_STEPS = 200_000, 20_000, 20_000
#: Keywords whose time is not bounded by a step each, ``format``, which nothing checks, and what would bring another set of keywords.
_HEAVY = ("pattern", "patternProperties", "uniqueItems", "unevaluatedItems", "unevaluatedProperties")
_NO_CHECK = ("format", "$schema")
#: Keywords under which more may be wrong where less is checked.
_ODD = ("not", "oneOf", "if", "maxContains", "additionalProperties")
#: Keywords that hold a mapping from names to schemas, and those that hold values.
_NAMED, _VALUES = ("properties", "$defs", "definitions", "dependentSchemas"), ("enum", "const", "default", "examples")


def shape_of(body: Mapping[str, Any]) -> str | None:
    """Return the JSON schema asked for as text, "" for any JSON, None for no format.

    >>> shape_of({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "array"}}}}), shape_of({})
    ('{"type": "array"}', None)
    """
    text, config = body.get("text"), body.get("output_config")
    found = body.get("response_format") or (text.get("format") if isinstance(text, Mapping) else None)
    found = found or body.get("output_format") or (config.get("format") if isinstance(config, Mapping) else None)
    kind = found.get("type") if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping) or kind not in ("json_object", "json_schema"):
        return None
    inner = found.get("json_schema")
    schema = inner.get("schema") if isinstance(inner, Mapping) else found.get("schema")
    return json.dumps(schema, sort_keys=True) if isinstance(schema, Mapping) else ""


def kept(shape: str, text: str) -> bool | None:
    """Say whether ``text`` keeps ``shape``, of ``shape_of``; None where that was not checked.

    >>> kept("", "{}"), kept("", "no"), kept('{"type": "array"}', "{}"), kept('{"type": 7}', "{}")
    (True, False, False, None)
    """
    if not text or len(text) > MOST_TEXT or len(shape) > MOST_SCHEMA:
        return None
    try:
        return _check(shape)(text) is None
    except (PlannerError, RecursionError):  # a schema that is none, or too much of one, says nothing about the answer
        return None


@lru_cache(64)
def _check(shape: str) -> Callable[[str], str | None]:
    return schema_check(light(json.loads(shape)), most_steps=MOST_STEPS) if shape else json_problem


def light(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``schema`` without what may take for ever; every value that keeps ``schema`` keeps what is returned.

    >>> light({"properties": {"pattern": {"type": "string", "pattern": "(a+)+$"}}, "not": {"pattern": "b"}})
    {'properties': {'pattern': {'type': 'string'}}}
    """
    found: dict[str, Any] = _without(schema, _NO_CHECK)
    lighter: dict[str, Any] = _without(found, _HEAVY)
    lighter = _without(found, (*_HEAVY, *_ODD)) if lighter != found else found
    return {**({"$schema": schema["$schema"]} if "$schema" in schema else {}), **lighter}


def _without(schema: Any, names: tuple[str, ...]) -> Any:
    """Return a schema without the keywords ``names``, at any depth; names of properties and values that look like them stay."""
    if isinstance(schema, list):
        return [_without(one, names) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    found = {}
    for key, value in schema.items():
        if key in _NAMED and isinstance(value, Mapping):
            found[key] = {name: _without(one, names) for name, one in value.items()}
        elif key not in names:
            found[key] = value if key in _VALUES else _without(value, names)
    return found
