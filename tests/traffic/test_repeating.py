"""Remembered columns are those that the function gives, for any values of the fields it is given."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.traffic import repeating as module
from planner.traffic.repeating import repeating
from planner.traffic.values import Rejected

_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=3), st.datetimes()),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=2), inner, max_size=2)),
    max_leaves=4,
)


def _shown(record: Any, more: Any) -> dict[str, Any]:
    return {"shown": repr((dict(record), more))}


@given(st.lists(st.tuples(st.fixed_dictionaries({}, optional={"a": _JSON, "b": _JSON, "c": _JSON}), _JSON), max_size=8))
def test_it_gives_what_the_function_gives(calls: list[tuple[dict[str, Any], Any]]) -> None:
    """Called again and again, with values alike and of any kind, the memory answers as the function does without one."""
    known = repeating(_shown, ("a", "b"))
    for record, more in calls * 2:
        assert known(record, more) == _shown({"a": record.get("a"), "b": record.get("b")}, more)


def test_values_that_look_alike_are_told_apart() -> None:
    """A number is not its text, one not true, and a missing field not an empty one."""
    known = repeating(lambda record: {"kind": type(record["a"]).__name__}, ("a",))
    values: list[Any] = [1, "1", True, 1.0, None, float("nan"), None, "", [], {}]
    assert [known({"a": v})["kind"] for v in values] == [
        "int",
        "str",
        "bool",
        "float",
        "NoneType",
        "float",
        "NoneType",
        "str",
        "list",
        "dict",
    ]


def test_what_is_raised_is_raised_again() -> None:
    """A rejected record is rejected every time."""

    def make(record: Any) -> dict[str, Any]:
        raise Rejected(f"no {record['a']}")

    known = repeating(make, ("a",))
    for _ in range(2):
        with pytest.raises(Rejected, match="no x"):
            known({"a": "x"})


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """With more combinations than it may keep, it forgets, and still answers rightly."""
    monkeypatch.setattr(module, "_KNOWN", 3)
    calls: list[int] = []

    def make(record: Any) -> dict[str, Any]:
        calls.append(record["a"])
        return {"a": record["a"]}

    known = repeating(make, ("a",))
    assert [known({"a": i % 5})["a"] for i in range(20)] == [i % 5 for i in range(20)]
    assert len(calls) > 5
