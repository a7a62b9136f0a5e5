"""Formats of answers: what is kept and broken, and that no schema, whoever wrote it, takes long to check."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from planner.router.litellm_outcome import outcome
from planner.router.litellm_shape import MOST_SCHEMA, MOST_TEXT, kept, light

_DOUBLING = {f"a{i}": {"allOf": [{"$ref": f"#/$defs/a{i + 1}"}] * 2} for i in range(40)} | {"a40": {"type": "integer"}}
_WIDE = {"items": {"anyOf": [{"const": i} for i in range(1_000)]}}


@pytest.mark.parametrize(
    ("schema", "value", "wanted"),
    [
        ({"properties": {"s": {"pattern": "^(a+)+$"}}}, {"s": "a" * 60 + "!"}, True),
        ({"patternProperties": {"^(a+)+$": {"type": "null"}}, "additionalProperties": False}, {"a" * 60 + "!": 1}, True),
        ({"properties": {"pattern": {"type": "integer"}}, "additionalProperties": False}, {"pattern": 1}, True),
        ({"properties": {"pattern": {"type": "integer"}}}, {"pattern": "1"}, False),
        ({"not": {"pattern": "^b"}}, "a", True),
        ({"$defs": _DOUBLING, "$ref": "#/$defs/a0"}, 1, None),
        (_WIDE, ["x"] * 20_000, None),
        ({"items": {"$schema": "https://json-schema.org/draft/2020-12/schema", **_WIDE["items"]}}, ["x"] * 20_000, None),
        ({"uniqueItems": True}, [{}] * 40_000, True),
        ({"$ref": "#"}, 1, None),
        ({"required": ["a"]}, {}, False),
        ({"required": ["a"], "title": "t" * MOST_SCHEMA}, {}, None),
        ({"required": ["a"]}, ["t" * MOST_TEXT], None),
    ],
)
def test_a_check_is_short_whatever_the_schema(schema: dict[str, Any], value: Any, wanted: bool | None) -> None:
    """Backtracking patterns, doubling references, wide choices, repeated items and sizes: an answer within 3 s of work, or none."""
    start = time.process_time()
    assert kept(json.dumps(schema), json.dumps(value)) is wanted
    assert time.process_time() - start < 3


_PLAIN = st.sampled_from(
    [{"type": "string"}, {"type": "integer"}, {"pattern": "^a"}, {"format": "date"}, {"const": "ab"}, {"uniqueItems": True}, {}]
)
_KEYS = st.sampled_from(["pattern", "format", "a"])
SCHEMAS = st.recursive(
    _PLAIN,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"properties": st.dictionaries(_KEYS, inner, max_size=2)}),
        st.fixed_dictionaries(
            {"patternProperties": st.dictionaries(_KEYS, inner, max_size=2), "additionalProperties": inner | st.just(False)}
        ),
        st.fixed_dictionaries({"not": inner}),
        st.fixed_dictionaries({"oneOf": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"allOf": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"if": inner, "then": inner, "else": inner}),
        st.fixed_dictionaries({"contains": inner, "maxContains": st.just(1)}),
        st.fixed_dictionaries({"properties": st.dictionaries(_KEYS, inner, max_size=1), "unevaluatedProperties": inner | st.just(False)}),
    ),
    max_leaves=6,
)
VALUES = st.recursive(
    st.sampled_from(["ab", "b", 1, None]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=2),
    max_leaves=4,
)


@given(SCHEMAS, VALUES)
@settings(max_examples=500, deadline=None)
def test_what_is_left_out_never_makes_an_answer_a_broken_one(schema: dict[str, Any], value: Any) -> None:
    """Whatever jsonschema takes under the whole schema is taken under the light one; without heavy keywords both say the same."""
    whole = bool(Draft202012Validator(schema).is_valid(value))
    found = Draft202012Validator(light(schema)).is_valid(value)
    assert found or not whole
    if not any(f'"{word}' in json.dumps(schema) for word in ("pattern", "unique", "unevaluated")):
        assert found == whole


@pytest.mark.parametrize("shaped", [True, False])
def test_only_where_a_guardrail_looks_is_a_format_checked(shaped: bool) -> None:
    """An answer that breaks the format asked for is a broken one where that is looked at, else unknown."""
    body = {"response_format": {"type": "json_object"}}
    answer = {"choices": [{"finish_reason": "stop", "message": {"content": "no"}}]}
    kwargs = {"litellm_params": {"proxy_server_request": {"body": body}}}
    assert asyncio.run(outcome(kwargs, answer, shaped=shaped)).schema_ok is (False if shaped else None)
