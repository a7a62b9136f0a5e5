"""A gap's parts add up to the integer, whatever two periods hold, and a single change goes to the part that is named after it."""

from __future__ import annotations

import numpy as np
import pytest
from followup.made_bills import anything, book, planted
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import InputError
from planner.followup.gap import PARTS, split_gap

#: A change of the bridge → the part of the gap that it is.
CHANGES = {
    "volume": "volume",
    "days": "volume",
    "app mix": "mix",
    "model mix": "mix",
    "input tokens": "tokens",
    "output tokens": "tokens",
    "list price": "price",
    "contract": "price",
    "prompt cache": "cache",
    "response cache": "cache",
    "failures": "failures",
}


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_parts_add_up_to_the_integer(one: int, other: int) -> None:
    """Parts add up to each app's gap and apps to all, as Python integers, for any two logs; the bills are the tables' own."""
    last, this = anything(one), anything(other)
    found = split_gap(last, this, book())
    parts = found[[f"{part}_pusd" for part in PARTS]]
    assert all(type(x) is int for x in found.drop(columns="app").to_numpy().ravel())
    assert parts.sum(axis=1).tolist() == found["gap_pusd"].tolist()
    assert (found["observed_pusd"] - found["predicted_pusd"]).tolist() == found["gap_pusd"].tolist()
    assert found.drop(columns="app").iloc[:-1].sum().tolist() == found.drop(columns="app").iloc[-1].tolist()
    assert found["app"].tolist() == [*sorted({*last["app"], *this["app"]}), "all"]
    if last["cost_pusd"].notna().all():
        assert found["predicted_pusd"].iloc[-1] == sum(np.rint(last["cost_pusd"] * last["weight"]).astype(int).tolist())


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_the_other_way_round_is_the_opposite(one: int, other: int) -> None:
    """With predicted and observed exchanged every part has the opposite sign, to the integer."""
    there, back = split_gap(anything(one), anything(other), book()), split_gap(anything(other), anything(one), book())
    names = [f"{part}_pusd" for part in PARTS]
    assert (there[names] + back[names]).to_numpy().ravel().tolist() == [0] * (len(there) * len(names))


@pytest.mark.parametrize("change", CHANGES)
def test_a_single_change_goes_to_its_own_part(change: str) -> None:
    """Where one thing alone differs, its part is the whole gap and every other part nothing."""
    whole = split_gap(*planted(change), book()).iloc[-1]
    assert whole["gap_pusd"] != 0
    others = [whole[f"{part}_pusd"] for part in PARTS if part != CHANGES[change]]
    assert np.abs(np.array(others, float)).max() < 1e-9 * abs(whole["gap_pusd"]) + 1
    assert whole[f"{CHANGES[change]}_pusd"] == pytest.approx(whole["gap_pusd"], rel=1e-9)


def test_an_app_that_one_side_lacks_is_volume() -> None:
    """An app that came or went is volume, in the size of its bill."""
    both = anything(3)
    only = both[both["app"] == both["app"].iloc[0]]
    found = split_gap(both, only, book()).set_index("app")
    for app in {*both["app"]} - {*only["app"]}:
        assert found.loc[app, "volume_pusd"] == found.loc[app, "gap_pusd"] == -found.loc[app, "predicted_pusd"]
        assert found.loc[app, "observed_pusd"] == 0


def test_equal_periods_have_no_gap() -> None:
    """A period against itself has parts of exactly 0."""
    found = split_gap(anything(5), anything(5), book())
    assert not found[["gap_pusd", *(f"{part}_pusd" for part in PARTS)]].to_numpy().any()


def test_what_is_no_table_of_requests_is_refused() -> None:
    """An empty side or a missing column is one sentence that names the columns."""
    with pytest.raises(InputError, match="0 requests"):
        split_gap(anything(1).iloc[:0], anything(1), book())
    with pytest.raises(InputError, match="without model"):
        split_gap(anything(1), anything(1).drop(columns="model"), book())
