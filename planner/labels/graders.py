"""Graders that look at the text alone: the same answer, the same number, a pattern, JSON, required strings, the context.

In: settings as plain arguments. Out: a Grader. What each reads and which answers it cannot grade stands in its docstring.
Knows nothing of files, endpoints or people.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from planner.errors import InputError
from planner.labels.grading import Case, Grade, Grader, digest, rowwise
from planner.text.checks import final_number, grounding, missing, normalised, schema_check, unfenced
from planner.text.messages import conversation

__all__ = ["contains", "exact", "grounded", "json_schema", "numeric", "regex"]


def exact(*, case: bool = False) -> Grader:
    r"""1 when the answer is the reference, white space (and, unless ``case``, letter case) aside; else 0.

    >>> grade_one = exact().verdicts
    >>> grade_one([Case("a", "m", "", 0, "", None, " Paris\n", "paris")])[0].quality
    1.0
    """

    def verdict(c: Case) -> Grade:
        return Grade(float(normalised(c.response, case=case) == normalised(c.reference or "", case=case)))

    return Grader(_name("exact", case=case), rowwise(verdict), needs_reference=True)


def numeric(*, rel: float = 0.0, abs: float = 1e-9) -> Grader:
    """1 when the answer's final number is the reference's within ``max(rel · |reference|, abs)``; no number is 0.

    See :func:`planner.text.checks.final_number` for which number that is; units are not read. Where only one of the two is a
    per cent, 12 and 0.12 both equal 12 %. A reference without a number is not graded.

    >>> numeric(rel=0.01).verdicts([Case("a", "m", "", 0, "", None, "So it is 1,203 km.", "1200")])[0].quality
    1.0
    """
    if not (rel >= 0 and abs >= 0):
        raise InputError(f"rel {rel}, abs {abs}", "numbers from 0 on")

    def verdict(c: Case) -> Grade:
        right, found = final_number(c.reference or ""), final_number(c.response)
        if right is None:
            return Grade(reason="no number in the reference", detail=(c.reference or "")[:80])
        if found is None:
            return Grade(0.0, checks={"number": None})
        factors = (1.0,) if right.percent == found.percent else (1.0, 100.0 if found.percent else 0.01)
        near = any(math.fabs(found.value * f - right.value) <= max(rel * math.fabs(right.value), abs) for f in factors)
        return Grade(float(near), checks={"number": found.value})

    return Grader(_name("numeric", rel=rel, abs=abs if abs != 1e-9 else 0), rowwise(verdict), needs_reference=True)


def regex(pattern: str, *, case: bool = True) -> Grader:
    r"""1 when ``pattern`` is found in the answer; with a group, when the last match's group is the reference.

    >>> letter = regex(r"answer is \(?([A-D])")
    >>> letter.verdicts([Case("a", "m", "", 0, "", None, "So the answer is (C).", "C")])[0].quality
    1.0
    """
    try:
        compiled = re.compile(pattern, 0 if case else re.IGNORECASE)
    except re.error as error:
        raise InputError(f"pattern {pattern!r}: {error}", "a regular expression") from error

    def verdict(c: Case) -> Grade:
        found = list(compiled.finditer(c.response))
        if not compiled.groups:
            return Grade(float(bool(found)))
        said = next((g for g in found[-1].groups() if g is not None), "") if found else ""
        return Grade(float(bool(found) and normalised(said, case=case) == normalised(c.reference or "", case=case)), checks={"found": said})

    return Grader(_name("regex", case=not case, pattern=digest(pattern)), rowwise(verdict), needs_reference=compiled.groups > 0)


def json_schema(schema: Mapping[str, Any] | bool = True, *, fenced: bool = True) -> Grader:
    """1 when the answer is JSON and valid under ``schema`` (true: any JSON); ``fenced`` accepts one code block around it.

    >>> json_schema({"type": "object"}).verdicts([Case("a", "m", "", 0, "", None, "[]", None)])[0].checks
    {'json': "$: [] is not of type 'object'"}
    """
    check = schema_check(schema)

    def verdict(c: Case) -> Grade:
        problem = check(unfenced(c.response) if fenced else c.response)
        return Grade(float(problem is None), checks={"json": problem or True})

    return Grader(_name("schema", strict=not fenced, schema=digest(json.dumps(schema, sort_keys=True))), rowwise(verdict))


def contains(required: str | Sequence[str] = (), *, case: bool = False) -> Grader:
    """1 when the answer holds every string of ``required`` and of its reference (a text, or a JSON list of texts).

    >>> contains(["refund"]).verdicts([Case("a", "m", "", 0, "", None, "A refund is due to Ada.", '["Ada", "12 EUR"]')])[0].checks
    {'missing': ['12 EUR']}
    """
    always = [required] if isinstance(required, str) else list(required)

    def verdict(c: Case) -> Grade:
        absent = missing(c.response, [*always, *_listed(c.reference)], case=case)
        return Grade(float(not absent), checks={"missing": absent})

    named = {"required": digest(json.dumps(always))} if always else {}
    return Grader(_name("contains", case=case, **named), rowwise(verdict), needs_reference=not always)


def grounded() -> Grader:
    """The share of the answer's numbers, quotations and names that the request's own text has.

    See :func:`planner.text.checks.grounding`. An answer that states none of these, and a request without text, are not graded.
    """

    def verdict(c: Case) -> Grade:
        context = conversation(c.messages).full if c.messages else ""
        if not context:
            return Grade(reason="no context")
        found = grounding(c.response, context)
        return Grade(found.share, checks={"absent": found.absent}) if found.share == found.share else Grade(reason="nothing to look up")

    return Grader(_name("grounded"), rowwise(verdict))


def _listed(reference: str | None) -> list[str]:
    try:
        value = json.loads(reference or "[]")
    except ValueError:
        return [reference or ""]
    return [str(v) for v in value] if isinstance(value, list) else [str(reference)]


def _name(kind: str, version: str = "v1", **settings: Any) -> str:
    """Return the name with the settings that differ from the usual.

    >>> _name("numeric", rel=0.01, case=False)
    'numeric@rel=0.01 v1'
    """
    said = ",".join(k if v is True else f"{k}={v}" for k, v in settings.items() if v)
    return f"{kind}{'@' if said else ''}{said} {version}"
