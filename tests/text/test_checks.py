"""Checks of a text: numbers as people write them, JSON as the standard has it, wording that the context has."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError
from planner.text.checks import final_number, grounding, json_problem, missing, normalised, numbers, schema_check, unfenced

FINITE = st.floats(-1e12, 1e12).map(lambda x: round(x, 2))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,234.5 and 1.234,5 and 1'234 and 10 000 €", [1234.5, 1234.5, 1234.0, 10000.0]),
        ("1.234.567 and 3.000 and 3,000", [1234567.0, 3.0, 3000.0]),
        ("-$5, $-5$, −5, x-5, 5-7", [-5.0, -5.0, -5.0, 5.0, 5.0, 7.0]),
        ("- 5 apples", [5.0]),
        ("1,2,3 but 3,5", [1.0, 2.0, 3.0, 3.5]),
        ("50% to 60 per cent", [0.5, 0.6]),
        (r"\frac{3}{4}, 3/4, 1{,}000\%, 2/0", [0.75, 0.75, 10.0, 2.0]),
        (r"1e-3, 2×10^3, 2\times10^{-2}", [0.001, 2000.0, 0.02]),
        ("$1.5k, 2M, 3 bn, 4 million", [1500.0, 2e6, 3.0, 4e6]),
        ("v1.2.3 abc123 x", []),
        ("1e9999", []),
    ],
)
def test_numbers_as_people_write_them(text: str, values: list[float]) -> None:
    """Thousands, signs, currencies, fractions, powers and per cents are read; parts of versions and names are not."""
    assert [n.value for n in numbers(text)] == pytest.approx(values)


@given(FINITE)
def test_a_number_written_any_style_is_read_back(x: float) -> None:
    """English, continental, Swiss and plain spellings of one number have its value."""
    english = f"{x:,.2f}"
    continental = english.translate(str.maketrans(",.", ".,"))
    for written in (english, continental, english.replace(",", "'"), english.replace(",", "\u202f"), f"{x:.2f}", f"USD {english}."):
        found = numbers(f"so {written}")
        assert [n.value for n in found] == pytest.approx([x]), written


@given(st.text(max_size=300))
def test_reading_never_raises(text: str) -> None:
    """Whatever the text, numbers are finite and every check answers."""
    assert all(math.isfinite(n.value) for n in numbers(text))
    final_number(text)
    json_problem(text)
    share = grounding(text, text).share
    assert math.isnan(share) or share == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"First 3. \boxed{\frac{1}{2}} as of page 9", 0.5),
        ("3 + 4 = 7\n#### 7", 7.0),
        ("The answer is 1,200 km (see page 7). Not 8.", 1200.0),
        ("**Answer:** 42 apples of 50", 42.0),
        ("The answer is 5 + 3 = 8", 8.0),
        ("The answer is clear: I count 12, then 13", 12.0),
        ("Nothing said but 1 then 2", 2.0),
        ("no number", None),
    ],
)
def test_the_final_number(text: str, value: float | None) -> None:
    """A boxed number wins, then the one after "answer is", then the last."""
    found = final_number(text)
    assert (found.value if found else None) == value


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_what_json_writes_is_json(value: object) -> None:
    """Any dumped value passes, also inside a code block; the same with NaN inside does not."""
    text = json.dumps(value)
    assert json_problem(text) is None
    assert json_problem(unfenced(f"```json\n{text}\n```")) is None
    assert json_problem(f"[{text}, NaN]") == "not JSON: NaN is no JSON value"


def test_json_as_deep_as_the_sea_is_refused() -> None:
    """Nesting beyond what Python parses is a problem, not a crash."""
    assert "not JSON" in str(json_problem("[" * 100_000))


def test_a_schema_checks_types_and_words() -> None:
    """The first violation is named with its place."""
    check = schema_check({"type": "object", "properties": {"n": {"type": "integer", "minimum": 0}}, "required": ["n"]})
    assert [check(t) for t in ('{"n": 1}', '{"n": -1}', '{"n": "1"}', "{}")] == [
        None,
        "$.n: -1 is less than the minimum of 0",
        "$.n: '1' is not of type 'integer'",
        "$: 'n' is a required property",
    ]


def test_a_broken_schema_is_refused_and_nothing_is_fetched() -> None:
    """What is no schema raises at once; a reference to another document raises when it is needed, without a connection."""
    with pytest.raises(InputError, match="a schema that is none"):
        schema_check({"type": "thing"})
    with pytest.raises(InputError, match=r"refers to 'http://127\.0\.0\.1:9/x'"):
        schema_check({"$ref": "http://127.0.0.1:9/x"})("{}")


@given(st.text(), st.text())
def test_whatever_is_part_of_a_text_is_not_missing(a: str, b: str) -> None:
    """A text holds itself however spaced or written, and lacks what it has not."""
    assert missing(f"{a.upper()}\n {b}", [a.upper(), b]) == []
    assert missing(normalised(a), ["\u2603\u2603 not there"]) == ["\u2603\u2603 not there"]


def test_grounding_by_value_quotation_and_name() -> None:
    """Numbers are found by value, names by their words, quotations by their letters; openers and list marks are no claims."""
    context = "Invoice 4711: Dupont, Jean paid EUR 1,200.00, 12.5 % more, after a long delay, in Paris."
    answer = '1. The client Jean Dupont paid 1200.\n2. It was 0.125 more, "after a long  delay".\n3. Marie Curie in Paris owes 99.'
    found = grounding(answer, context)
    assert set(found.found) == {"1200", "0.125", "after a long  delay", "Jean Dupont", "Paris"}
    assert set(found.absent) == {"99", "Marie Curie"}
    assert found.share == pytest.approx(5 / 7)


def test_checks_import_only_the_standard_library() -> None:
    """Production may import the checks: nothing beyond the standard library comes along."""
    code = "import json, sys; old = {*sys.modules}; import planner.text.checks; print(json.dumps([*{*sys.modules} - old]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {n.partition(".")[0] for n in json.loads(done.stdout)} - sys.stdlib_module_names == {"planner"}


def test_steps_of_a_check_are_counted_for_each_text() -> None:
    """A check ends at its number of keywords, in one text after another, and says nothing of an answer that needs more."""
    check = schema_check({"items": {"type": "integer"}}, most_steps=10)
    for _ in range(3):
        assert check("[1, 2, 3]") is None
    with pytest.raises(InputError, match="at most 10 steps"):
        check(json.dumps([1] * 20))
    assert check('["x"]') == "$[0]: 'x' is not of type 'integer'"


#: Sixteen threads, one after the other, while every module takes long to be found: each other one imports the package as LiteLLM does.
_IMPORTS = """
import sys, threading, time
from planner.text.checks import schema_check

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name.startswith(("jsonschema", "referencing")):
            time.sleep(0.02)

def go(i):
    time.sleep(0.013 * i)
    if i % 2 == OTHERS:
        from jsonschema import Draft202012Validator, validate
    else:
        schema_check({"type": "object"})
    done.append(i)

sys.meta_path.insert(0, Slow())
done = []
threads = [threading.Thread(target=go, args=(i,)) for i in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(done))
"""


@pytest.mark.parametrize("others", [0, 1])
def test_first_imports_beside_each_other_fail_in_no_thread(others: int) -> None:
    """In a new process no thread that checks a schema, and none that imports jsonschema meanwhile, finds a module half made."""
    script = f"OTHERS = {others}{_IMPORTS}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("16", "")
