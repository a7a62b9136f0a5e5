"""The split: one unit never on both sides, and stable as labels are added."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from planner.training import split, units

FEW = st.sampled_from([None, "a", "b", "c", "d", "e"])


def items(rows):
    """Return label items with the given (group, session)."""
    return pd.DataFrame(
        {"request_id": [f"r{i}" for i in range(len(rows))], "group": [r[0] for r in rows], "session_id": [r[1] for r in rows]}, dtype=object
    )


@given(st.lists(st.tuples(FEW, FEW, st.sampled_from(["", "x", "X ", "y", "z"])), min_size=1, max_size=12))
def test_units_are_what_anything_links(rows):
    """Two items share a unit exactly when a chain of equal groups, sessions or texts leads from one to the other."""
    found = units(items(rows), [r[2] for r in rows])
    linked = np.eye(len(rows), dtype=bool)
    for i, left in enumerate(rows):
        for j, right in enumerate(rows):
            text = left[2].lower().strip() == right[2].lower().strip() != ""
            linked[i, j] |= (left[0] == right[0] is not None) or (left[1] == right[1] is not None) or text
    for _ in rows:
        linked = (linked.astype(int) @ linked.astype(int)) > 0
    assert np.array_equal(found[:, None] == found[None, :], linked)


def test_more_labels_move_none():
    """Adding items leaves the side of every old one; about thirty in a hundred are held out."""
    frame = items([(None, f"s{i}") for i in range(2_000)])
    texts = [f"text {i}" for i in range(2_000)]
    whole, part = split(units(frame, texts)), split(units(frame[:700], texts[:700]))
    assert np.array_equal(whole[:700], part)
    assert 0.26 < whole.mean() < 0.34
    assert not np.array_equal(whole, split(units(frame, texts), seed=1))


def test_units_hold_no_text():
    """A unit's name is a hash: no text of a request travels with it."""
    assert not any("secret" in u for u in units(items([(None, None)]), ["secret"]))
