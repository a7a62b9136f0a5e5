"""How far two answers are apart: by value where there is one, by words where there is not."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.text.disagreement import disagreement

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)


def one(a: str, b: str) -> float:
    """Return the disagreement of one pair."""
    return float(disagreement([a], [b])[0])


@given(st.text(max_size=60), st.text(max_size=60))
def test_it_is_symmetric_in_the_unit_interval_and_zero_on_itself(a: str, b: str) -> None:
    """Whatever the answers are, the order does not matter, the number is in [0, 1], and an answer agrees with itself."""
    assert 0 <= one(a, b) <= 1
    assert one(a, b) == one(b, a)
    assert one(a, a) == one(a, f" {a}\n") == 0


@given(JSON, JSON)
def test_json_disagrees_by_its_leaves(a: object, b: object) -> None:
    """Order of keys and layout do not count; the share is 0 only for equal content."""
    x, y = json.dumps({"k": a}), json.dumps({"k": b}, indent=3)
    same = json.dumps(a, sort_keys=True).casefold() == json.dumps(b, sort_keys=True).casefold()
    assert one(x, json.dumps({"k": a}, indent=2)) == 0
    assert not same or one(x, y) == 0


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ('{"total": 12.0, "items": ["x", "y"]}', '```json\n{"items": ["x", "z"], "total": 12}\n```', 1 / 3),
        ('{"ok": true}', '{"ok": 1}', 1),
        ("[]", '["a"]', 1),
        ("billing", "Billing", 0),
        ("billing", "refund", 1),
        ("1,200", "The total is 1200.00", 0),
        ("It costs 5 EUR.", "6", 1),
        ("", "No.", 1),
        ("The camera is covered by the warranty terms.", "The camera is not covered by the warranty terms.", 1),
    ],
)
def test_values_labels_and_negations(a: str, b: str, expected: float) -> None:
    """Numbers agree by value, labels by name, JSON by its share of leaves; a short answer with a negation is another one."""
    assert one(a, b) == pytest.approx(expected)


def test_prose_disagrees_by_words_and_figures() -> None:
    """Reworded prose is nearer than prose on something else, and other figures in the same words are no agreement."""
    base = "Your refund is sent to the original payment method within a few working days after the parcel has reached us"
    near = "The refund goes to your original payment method a few working days after the parcel reached us"
    far = "Open the app, choose devices, hold the button of the siren and wait for the amber light to go out again"
    assert one(base, near) < 0.5 < one(base, far)
    assert one(f"{base} on 12 May", f"{base} on 14 May") == 1
    assert np.array_equal(disagreement([base, far], [near, near]), [one(base, near), one(far, near)])


def test_deep_json_is_read_without_recursion() -> None:
    """JSON nested as deep as Python reads it is compared, not an error."""
    deep = "[" * 900 + "1" + "]" * 900
    assert one(deep, deep.replace("1", "2")) == 1
