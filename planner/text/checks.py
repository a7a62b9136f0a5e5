"""Checks of a text that need no model: is it the JSON asked for, does it hold what is required, which number does it end on.

In: a text and what is expected of it. Out: what is wrong, in one phrase, or what was found. Pure functions on the standard
library, so that production may use them too; only a JSON schema needs the jsonschema package, imported when one is given.
Knows nothing of requests, models or grades.
"""

from __future__ import annotations

import json
import math
import re
import threading
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from planner.errors import InputError, MissingExtraError

__all__ = [
    "Grounding",
    "Number",
    "final_number",
    "grounding",
    "json_problem",
    "load_jsonschema",
    "missing",
    "normalised",
    "numbers",
    "schema_check",
    "unfenced",
]

_FENCED = re.compile(r"\s*```[\w+-]*\s*\n(.*?)\n?\s*```\s*", re.DOTALL)
_LATEX = ((re.compile(r"\\[dt]?frac\{(-?\d+)\}\{(\d+)\}"), r"\1/\2"), (re.compile(r"\{,\}"), ","), (re.compile(r"\\[,;! ]|\\(?=[$%])"), ""))
_NUMBER = re.compile(
    r"""(?<![\w.])(?P<sign>(?<![\w)\]])[-+−])?(?:[$€£¥]\s?)?(?P<inner>[-−])?
    (?P<body>\d{1,3}(?P<sep>['’_\u00a0\u2009\u202f ])\d{3}(?:(?P=sep)\d{3})*(?!\d)(?:[.,]\d+)?   # 1 234 567,8
      |\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?                                                        # 1,234,567.8
      |\d{1,3}(?:\.\d{3})+,\d+|\d{1,3}(?:\.\d{3}){2,}(?!\d)                                      # 1.234.567,8
      |(?<!\d,)\d+,\d+(?![,\d])|\d+(?:\.\d+)?|\.\d+)                                             # 3,5 but 1,2,3
    (?:/(?P<below>\d+)(?![\d/]))?
    (?:[eE](?P<e>[-+]?\d+)|\s?(?:[×x*·]|\\times|\\cdot)\s?10(?:\^|\*\*)\{?(?P<ten>[-+−]?\d+)\}?)?
    (?:\s?(?P<percent>%|per\s?cent\b)|(?P<scale>\s(?:thousand|million|billion|trillion)\b|k\b|M\b|bn\b))?""",
    re.VERBOSE,
)
_SCALES = {"k": 1e3, "thousand": 1e3, "M": 1e6, "million": 1e6, "bn": 1e9, "billion": 1e9, "trillion": 1e12}
_BOXED = re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}")
_SAID = re.compile(r"(?i)\b(?:answer|result)\W{0,4}(?:is|are|would be|equals|=|:)|####")
_SENTENCE = re.compile(r"(?:(?!\.\s|\n).)*", re.DOTALL)
_QUOTED = re.compile(r"[\"“„«`]([^\"“”„«»`\n]{2,200})[\"”“»`]")
_WORD = r"[^\W\d_a-zß-öø-ÿ][\w'’&-]*"
_NAME = re.compile(rf"(?<!\w){_WORD}(?:\s(?:(?:of|de|van|von|der|du)\s)?{_WORD})*")
_ENDS = re.compile(r"(?:^|[.!?:;\n*#>|([\"“„-])\s*$")
_MARKER = re.compile(r"(?m)^\s*(?:[-*•]\s+)?\(?\d{1,3}[.)]\s+")
#: Words that open an English sentence with a capital and are no part of a name.
_OPENERS = frozenset(
    re.findall(r"\w+", "the a an in on at for from to by with this that these those it its he she they we you i if when as")
)


def unfenced(text: str) -> str:
    r"""Return what stands inside a text that is one fenced block, else the text.

    >>> unfenced("```json\n{}\n```"), unfenced("plain")
    ('{}', 'plain')
    """
    found = _FENCED.fullmatch(text)
    return found[1] if found else text


def json_problem(text: str) -> str | None:
    """Return why ``text`` is not JSON, None when it is; NaN and Infinity, which Python would read, are not.

    >>> json_problem('{"a": 1}'), json_problem('{"a": NaN}')
    (None, 'not JSON: NaN is no JSON value')
    """
    try:
        json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        return f"not JSON: {error}"
    return None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def load_jsonschema() -> None:
    """Import jsonschema; MissingExtraError where there is none.

    The whole before its parts: who imports a part first, beside a thread that imports the whole, finds modules half made, and so does that.
    """
    try:
        import jsonschema  # type: ignore[import-untyped]  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"A JSON schema needs {error.name}, which is not installed", fix="run: pip install jsonschema") from error


def schema_check(schema: Mapping[str, Any] | bool, *, most_steps: int | None = None) -> Callable[[str], str | None]:
    """Return the check of a text against a JSON schema: why it is not valid, None when it is.

    The schema's own ``$schema`` decides the draft, else 2020-12. References outside it are never fetched. InputError when
    it is no schema, refers outside itself or, for one text, takes more than ``most_steps`` keywords, each counted as often as it is
    applied (None: any number); MissingExtraError without jsonschema.

    >>> check = schema_check({"type": "object", "required": ["city"]})
    >>> check('{"city": "Ulm"}'), check("{}"), check("Ulm")
    (None, "$: 'city' is a required property", 'not JSON: Expecting value: line 1 column 1 (char 0)')
    """
    load_jsonschema()
    from jsonschema.exceptions import SchemaError, best_match  # type: ignore[import-untyped]
    from jsonschema.validators import Draft202012Validator, extend, validator_for  # type: ignore[import-untyped]
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        raise InputError(f"a schema that is none: {error.message}", "a JSON schema") from error
    steps = _Steps(most_steps)
    validator = extend(kind, {name: steps.counted(apply) for name, apply in kind.VALIDATORS.items()})(schema, registry=Registry())

    def check(text: str) -> str | None:
        if problem := json_problem(text):
            return problem
        steps.begin()
        try:
            found = best_match(validator.iter_errors(json.loads(text)))
        except Unresolvable as error:
            raise InputError(f"a schema that refers to {error.ref!r}", "references inside the schema alone") from error
        return f"{found.json_path}: {found.message}" if found else None

    return check


class _Steps(threading.local):
    """Counts, in each thread by itself, how many keywords were applied, and ends what takes more than ``most``."""

    def __init__(self, most: int | None) -> None:
        self.most, self.left = most, most

    def begin(self) -> None:
        self.left = self.most

    def counted(self, apply: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        def one(*given: Any) -> Iterator[Any]:
            if self.left is not None:
                self.left -= 1
                if self.left < 0:
                    raise InputError("a schema, or a text, with too much to check", f"at most {self.most:,} steps")
            return apply(*given) or iter(())

        return one


def normalised(text: str, *, case: bool = False) -> str:
    r"""Return ``text`` in Unicode's NFKC with every run of white space as one space; with ``case`` kept, else folded.

    >>> normalised(" Yes,\n it  IS "), normalised(" Yes ", case=True)
    ('yes, it is', 'Yes')
    """
    plain = " ".join(_nfkc(text).split())
    return plain if case else plain.casefold()


def missing(text: str, required: Sequence[str], *, case: bool = False) -> list[str]:
    """Return those of ``required`` that ``text`` does not hold, white space and (unless ``case``) letter case aside.

    >>> missing("Refund of 12 EUR, order A-7", ["refund", "a-7", "sorry"])
    ['sorry']
    """
    whole = normalised(text, case=case)
    return [r for r in required if normalised(r, case=case) not in whole]


@dataclass(frozen=True, slots=True)
class Number:
    """A number in a text: its value (per cent already divided by 100), as it was written, where, and whether it was a per cent."""

    value: float
    text: str
    start: int
    percent: bool = False


def numbers(text: str) -> list[Number]:
    r"""Return every number of ``text`` in order, as people write them.

    Signs, currencies, thousands in English (``1,234.5``), continental (``1.234.567,8``), Swiss and spaced style, LaTeX's
    ``\frac{3}{4}`` and ``3/4``, exponents, per cent (divided by 100), thousand to trillion, ``k``, ``M``, ``bn``. Units are
    not read. One comma before three digits is a thousands mark, one point a decimal mark.

    >>> [n.value for n in numbers("-$1,234.50 of 1.234.567,8; 12.5 %, 3/4, 2×10^3, 1.5 million")]
    [-1234.5, 1234567.8, 0.125, 0.75, 2000.0, 1500000.0]
    """
    for pattern, plain in _LATEX:
        text = pattern.sub(plain, text)
    return [found for m in _NUMBER.finditer(text) if (found := _number(m)) is not None]


def _number(m: re.Match[str]) -> Number | None:
    sign = -1 if "-" in (signs := (m["sign"] or "").replace("−", "-") + (m["inner"] or "").replace("−", "-")) and len(signs) == 1 else 1
    value = _value(m["body"], m["sep"]) / (float(m["below"]) if m["below"] and float(m["below"]) else 1.0)
    power = (m["e"] or m["ten"] or "0").replace("−", "-")
    value *= 10.0 ** int(power) if len(power) < 4 else math.nan
    value *= _SCALES[m["scale"].strip()] if m["scale"] else 1.0
    if not math.isfinite(value):
        return None
    return Number(sign * (value / 100 if m["percent"] else value), m[0].strip(), m.start("body"), bool(m["percent"]))


def _value(body: str, separator: str | None) -> float:
    if separator:
        return float(body.replace(separator, "").replace(",", "."))
    comma, point = body.rfind(","), body.rfind(".")
    if comma > point >= 0 or (point < 0 <= comma and not re.fullmatch(r"\d{1,3}(,\d{3})+", body)):
        return float(body.replace(".", "").replace(",", "."))
    return float(body.replace("." if body.count(".") > 1 else ",", ""))


def final_number(text: str) -> Number | None:
    r"""Return the number that ``text`` gives as its answer: the last ``\boxed{}``, else after the last "answer is", else the last.

    >>> final_number("First 3, then 4. The answer is 1,200 km (see page 7).").value
    1200.0
    >>> final_number("12 + 30 = 42").value, final_number("none")
    (42.0, None)
    """
    if boxed := _BOXED.findall(text):
        return _last(numbers(boxed[-1]))
    said = list(_SAID.finditer(text))
    sentence = _SENTENCE.match(text, said[-1].end()) if said else None
    if sentence and (found := numbers(sentence[0].rpartition("=")[2])):
        return found[0]
    return _last(numbers(text))


def _last(found: Sequence[Number]) -> Number | None:
    return found[-1] if found else None


@dataclass(frozen=True, slots=True)
class Grounding:
    """What an answer states that can be looked up, split by whether the context has it."""

    found: tuple[str, ...]
    absent: tuple[str, ...]

    @property
    def share(self) -> float:
        """The share found; NaN when the answer states nothing that can be looked up."""
        n = len(self.found) + len(self.absent)
        return len(self.found) / n if n else math.nan


def grounding(answer: str, context: str) -> Grounding:
    """Look up the numbers, quoted spans and names of ``answer`` in ``context``.

    A number is found by its value, a quotation and a name by their letters, case and white space aside; the words of a name
    may stand apart. A single capitalised word that opens a sentence is not taken for a name. It is a check of wording, not of
    meaning: what is found may still be wrong.

    >>> grounding('Ms Ada Byron paid 1,200 EUR, "in full", to Babbage.', "Byron, Ada paid in full: 1200 EUR")
    Grounding(found=('1,200', 'in full', 'EUR'), absent=('Ms Ada Byron', 'Babbage'))
    """
    body, known = _MARKER.sub("\n", _nfkc(answer)), {round(n.value, 9) for n in numbers(_nfkc(context))}
    whole = normalised(context)
    words = _words(whole)
    quoted = [q.strip() for q in _QUOTED.findall(body)]
    stated = [(n.text, round(n.value, 9) in known) for n in numbers(body)]
    stated += [(q, normalised(q) in whole) for q in quoted]
    stated += [(name, _words(normalised(name)) <= words) for name in _names(_QUOTED.sub(" ", body))]
    split = dict(stated)
    return Grounding(tuple(s for s, ok in split.items() if ok), tuple(s for s, ok in split.items() if not ok))


def _nfkc(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


def _names(text: str) -> list[str]:
    """Return runs of capitalised words; of those that open a sentence only what follows an ordinary opener, or two words."""
    found = []
    for m in _NAME.finditer(text):
        parts = m[0].split()
        opens = _ENDS.search(text[max(0, m.start() - 4) : m.start()] if m.start() else "")
        if parts[0].casefold() in _OPENERS:
            parts = parts[1:]
        elif opens and len(parts) == 1:
            continue
        if parts and len("".join(parts)) > 1:
            found.append(" ".join(parts).removesuffix("'s").removesuffix("’s"))
    return found
