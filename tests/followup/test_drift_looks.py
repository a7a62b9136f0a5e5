"""Repeated looks spend one chance of a false alarm, and the file that keeps them is checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner import formats
from planner.errors import InputError
from planner.followup.drift_looks import Looks, spent


@given(st.integers(1, 400), st.floats(0.001, 0.5))
def test_all_looks_together_spend_alpha(planned: int, alpha: float) -> None:
    """The levels of all planned looks are above 0, fall, and add up to alpha, so that any dependence among looks is covered."""
    looks = Looks("r", alpha, planned)
    levels = [looks.level(k) for k in range(1, planned + 1)]
    assert min(levels) > 0
    assert levels == sorted(levels, reverse=True)
    assert sum(levels) == pytest.approx(alpha)
    assert spent(planned, planned, alpha) == pytest.approx(alpha)


def test_looks_are_kept_and_the_same_one_is_free(tmp_path: Path) -> None:
    """A new log is the next look; the same log again is the look that it was, at its level; the file is its owner's."""
    file = tmp_path / "deep" / "looks.json"
    first = Looks.open(file, ("log", "router"), 0.05, 4)
    first.with_look(first.number("monday"), {"key": "monday", "alarms": []}).save(file)
    again = Looks.open(file, ("log", "router"), 0.05, 4)
    assert (again.number("monday"), again.number("tuesday")) == (1, 2)
    again.with_look(1, {"key": "monday", "alarms": ["prices"]}).save(file)
    kept = json.loads(file.read_text())
    assert [look["alarms"] for look in kept["looks"]] == [["prices"]]
    assert (kept["format"], kept["version"]) == ("planner.looks", formats.VERSIONS["looks"])
    assert file.stat().st_mode & 0o077 == 0


def test_no_more_looks_than_planned(tmp_path: Path) -> None:
    """After the last planned look the next is refused: nothing is left to spend."""
    full = Looks("r", 0.05, 2, ({"key": "a"}, {"key": "b"}))
    assert full.number("b") == 2
    with pytest.raises(InputError, match="look 3 of 2"):
        full.number("c")


@pytest.mark.parametrize(
    ("reference", "alpha", "planned", "says"),
    [(("other", "router"), 0.05, 4, "another reference"), (("log", "router"), 0.1, 4, "0.05"), (("log", "router"), 0.05, 8, "4 at 0.05")],
)
def test_a_file_of_other_looks_is_refused(tmp_path: Path, reference: tuple[str, str], alpha: float, planned: int, says: str) -> None:
    """Looks at another reference, level or number would break the promise; each is refused in a sentence."""
    file = tmp_path / "looks.json"
    Looks.open(file, ("log", "router"), 0.05, 4).save(file)
    with pytest.raises(InputError, match=says):
        Looks.open(file, reference, alpha, planned)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"format": "planner.looks", "version": 1}', '{"format": "planner.looks", "version": 99}']
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    """What is no file of looks, or a newer one, is refused and not overwritten."""
    file = tmp_path / "looks.json"
    file.write_text(content)
    with pytest.raises(InputError):
        Looks.open(file, ("log", "router"), 0.05, 4)
    assert file.read_text() == content


@pytest.mark.parametrize(("alpha", "planned"), [(0.0, 4), (1.0, 4), (0.05, 0)])
def test_a_level_that_cannot_be_is_refused(alpha: float, planned: int) -> None:
    """A chance of 0 or 1 and no looks at all are refused."""
    with pytest.raises(InputError, match="a chance between 0 and 1"):
        Looks("r", alpha, planned)
