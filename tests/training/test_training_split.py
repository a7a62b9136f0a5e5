"""The split: one unit never on both sides, and stable as labels are added."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.stats.resample import BUCKETS
from planner.training import Judged, split, units
from planner.training.split import LARGEST, MIN_UNITS, PARTS, bind

FEW = st.sampled_from([None, "a", "b", "c", "d", "e"])


def items(rows):
    """Return label items with the given (group, session, user)."""
    columns = {name: [r[j] if j < len(r) else None for r in rows] for j, name in enumerate(("group", "session_id", "user"))}
    return pd.DataFrame({"request_id": [f"r{i}" for i in range(len(rows))], **columns}, dtype=object)


@given(st.lists(st.tuples(FEW, FEW, FEW, st.sampled_from(["", "x", "X ", "y", "z"])), min_size=1, max_size=12))
def test_units_are_what_anything_links(rows):
    """Two items share a unit exactly when a chain of equal users, groups, sessions or texts leads from one to the other."""
    found = units(items(rows), [r[3] for r in rows])
    linked = np.eye(len(rows), dtype=bool)
    for i, left in enumerate(rows):
        for j, right in enumerate(rows):
            text = left[3].lower().strip() == right[3].lower().strip() != ""
            linked[i, j] |= any(left[c] == right[c] is not None for c in range(3)) or text
    for _ in rows:
        linked = (linked.astype(int) @ linked.astype(int)) > 0
    assert np.array_equal(found[:, None] == found[None, :], linked)


def people(n, users, largest=0):
    """Return ``n`` items in sessions of two and their texts; the first ``largest`` of one user, the others spread."""
    user = ["u0" if i < largest else f"u{i // 2 % users}" for i in range(n)]
    return items([(None, f"s{i // 2}", user[i]) for i in range(n)]), [f"text {i}" for i in range(n)]


def test_users_bind():
    """With enough users, each is of one part only, and nothing needs saying."""
    frame, texts = people(400, 80)
    found, note = bind(frame, texts, np.ones(400, bool))
    assert note == ""
    assert frame.assign(part=split(found)).groupby("user")["part"].nunique().eq(1).all()


@pytest.mark.parametrize(
    ("users", "largest", "counted", "why"),
    [
        (MIN_UNITS - 2, 0, 400, "only 48 units would remain"),
        (120, 200, 400, "the largest unit would hold"),
        (120, 0, 40, "only 20 units would remain"),
    ],
)
def test_too_few_users_are_left_out_and_said(users, largest, counted, why):
    """Where users leave fewer than MIN_UNITS units of the rows that count, or one unit too large, sessions bind, and it is said."""
    frame, texts = people(400, users, largest)
    found, note = bind(frame, texts, np.arange(400) < counted)
    assert np.array_equal(found, units(frame.assign(user=None), texts))
    assert why in note
    assert "only sessions and duplicates are never split" in note
    assert 0 < LARGEST < 1


def test_without_users_nothing_changes():
    """Items without users, and users who are one session each, are bound as by session and say nothing."""
    frame, texts = people(40, 80)
    for user in (None, frame["session_id"]):
        found, note = bind(frame.assign(user=user), texts, np.ones(40, bool))
        assert note == ""
        assert len(np.unique(found)) == 20


def test_the_units_of_a_part_fill_all_buckets():
    """The part of a unit says nothing of its bucket: each spreads over all of them evenly."""
    names = units(items([(None, f"s{i}") for i in range(20_000)]), [f"text {i}" for i in range(20_000)])
    for side in (split(names) == part for part in PARTS):
        n = int(side.sum())
        rows = Judged(np.zeros((n, 2)), np.zeros((n, 2)), np.ones(n), names[side], np.zeros(n, np.int64))
        count = np.bincount(rows.bucket, minlength=BUCKETS)
        assert len(count) == BUCKETS
        assert count.min() > 0
        assert np.square(count - n / BUCKETS).sum() / (n / BUCKETS) < 400  # χ² with 255 degrees of freedom


def test_more_labels_move_none():
    """Adding items leaves the part of every old one; half of them fit, a quarter each certify and judge."""
    frame = items([(None, f"s{i}") for i in range(2_000)])
    texts = [f"text {i}" for i in range(2_000)]
    whole, part = split(units(frame, texts)), split(units(frame[:700], texts[:700]))
    assert np.array_equal(whole[:700], part)
    assert all(abs((whole == p).mean() - share) < 0.03 for p, share in PARTS.items())
    assert not np.array_equal(whole, split(units(frame, texts), seed=1))


def test_units_hold_no_text():
    """A unit's name is a hash: no text of a request travels with it."""
    assert not any("secret" in u for u in units(items([(None, None)]), ["secret"]))
