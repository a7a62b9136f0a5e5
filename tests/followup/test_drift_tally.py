"""Tallies are counts: their sums are the shares that anybody would count, in a log as in the profile of a bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from benchmarks.drift import KINDS, asked, router, stored
from planner.bundle.profile import profile
from planner.followup.drift_pairs import with_profile
from planner.followup.drift_period import family, period
from planner.followup.drift_tally import Cells, Numbers, Parts, Words, among_kin, by_level, by_part, by_word, frequent, levels, mass
from planner.traffic.rows import Coded

N = 60
values = hnp.arrays(float, N, elements=st.sampled_from([0.0, 1.0, 2.5, 2.5, 7.0, np.nan]))


def cells(weight: np.ndarray | None = None) -> Cells:
    """Lay ``N`` requests out on three days and four groups."""
    days = np.arange("2026-10-01", "2026-10-04", dtype="datetime64[D]")
    return Cells(np.arange(N) % 3, days, np.arange(N) // 3 % 4, 4, np.ones(N) if weight is None else weight)


@given(values, values)
def test_a_number_is_the_share_that_reaches_each_level(first: np.ndarray, second: np.ndarray) -> None:
    """Over all days and groups, part and whole are the counts of values at or above each level of the first period, NaN aside."""
    edges = levels(first)
    assert (np.diff(edges) > 0).all()
    tally = by_level(cells(), Numbers(np.arange(N), second, str), edges)
    known = second[~np.isnan(second)]
    assert tally.part.sum((0, 1)).tolist() == [float((known >= e).sum()) for e in edges]
    assert tally.whole.sum((0, 1)).tolist() == [float(len(known))] * len(edges)
    assert tally.part.shape == (3, 4, len(edges))


@given(hnp.arrays(np.int32, N, elements=st.integers(0, 3)), hnp.arrays(float, N, elements=st.floats(0.5, 4)))
def test_a_word_is_its_weight(codes: np.ndarray, weight: np.ndarray) -> None:
    """Words that are not rare have a column each, the rest one together, and all columns add up to the weight of every cell."""
    made, column = cells(weight), Words(np.arange(N), Coded(codes, ("a-1", "a-2", "b-1", "c-1")), str)
    names = frequent([mass(made, column)])
    tally = by_word(made, column, names)
    for k, name in enumerate(names):
        assert tally.part[..., k].sum() == pytest.approx(weight[np.array(column.values.values)[codes] == name].sum())
    assert tally.part.sum(-1) == pytest.approx(tally.whole[..., 0])
    assert tally.whole[..., 0].sum() == pytest.approx(weight.sum())


def test_kin_are_shares_of_their_kind() -> None:
    """Dated versions are shares of their model's requests: they add up to one in every kind, however many requests other models have."""
    names = ("gpt-5-2026-01-01", "gpt-5", "mini", "mini-20260101")
    column = Words(np.arange(N), Coded(np.repeat([0, 1, 2, 3], [10, 20, 25, 5]).astype(np.int32), names), str, family)
    kept = frequent([mass(cells(), column)], family)
    tally = among_kin(by_word(cells(), column, kept), kept, family)
    shares = dict(zip(kept, tally.part.sum((0, 1)) / tally.whole.sum((0, 1)), strict=True))
    assert shares == pytest.approx({"gpt-5-2026-01-01": 1 / 3, "gpt-5": 2 / 3, "mini": 25 / 30, "mini-20260101": 5 / 30})


def test_a_part_is_a_ratio_of_sums() -> None:
    """A part of a whole is summed on both sides, cell by cell."""
    rng = np.random.default_rng(0)
    part, whole = rng.random(N), 1 + rng.random(N)
    tally = by_part(cells(), Parts(np.arange(N), part, whole, "x"))
    assert tally.part.sum() == pytest.approx(part.sum())
    assert tally.whole[1, 2, 0] == pytest.approx(whole[(np.arange(N) % 3 == 1) & (np.arange(N) // 3 % 4 == 2)].sum())


def test_a_profile_is_the_tally_of_its_log(tmp_path: Path) -> None:
    """What the profile of a log says, group by group, is what drift counts of the same log at the profile's levels."""
    log = stored(tmp_path / "log", asked(4, KINDS["days"], 14))
    made = profile(log, router())
    own = period(log, router(), groups=made["groups"])
    pairs = with_profile(made, 14.0, own)
    assert {"prompt length", "language", "router scores", "router decisions", "app mix", "model mix"} <= set(pairs)
    for measure, pair in pairs.items():
        assert pair.before.part.sum(0) == pytest.approx(pair.now.part.sum(0)), measure
        assert pair.before.whole.sum(0) == pytest.approx(pair.now.whole.sum(0)), measure
