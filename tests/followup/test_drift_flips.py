"""The test behind drift: it is a permutation of users, it allows for days, and it finds what is there."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from followup.made_periods import made_pair
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from planner.followup import drift_flips
from planner.followup.drift_days import day_variance, weekday_weights
from planner.followup.drift_flips import changes, clusters, holm, p_values
from planner.followup.drift_tally import Pair, Tally

DRAWS, LOGS = 1_000, 100


def small(part_b: np.ndarray, part_n: np.ndarray, whole: float = 10.0) -> Pair:
    """Return one column of two periods of a day each, (groups,) counts of so many requests each."""
    sides = [
        Tally(p[None, :, None].astype(float), np.full((1, len(p), 1), whole), np.array([day], "datetime64[D]"))
        for p, day in ((part_b, "2026-10-01"), (part_n, "2026-10-08"))
    ]
    return Pair(sides[0], sides[1], ("x",))


def test_groups_bring_the_difference() -> None:
    """Where days say nothing, the score is what all groups bring together, which is the difference of the shares in its own unit."""
    rng = np.random.default_rng(0)
    found = changes(small(rng.integers(0, 6, 30), rng.integers(2, 9, 30)))
    assert np.square(found.flips).sum(0) == pytest.approx([1.0])
    assert found.score == pytest.approx(np.abs(found.flips.sum(0)))
    assert np.sign(found.flips.sum(0)) == np.sign(found.now - found.before)


def test_it_is_the_permutation_test() -> None:
    """With ten groups the p-value is the share of all 1,024 exchanges of a group's periods that move the share as far."""
    rng = np.random.default_rng(3)
    part_b, part_n = rng.integers(2, 6, 10), rng.integers(3, 8, 10)
    found = changes(small(part_b, part_n))
    moved = part_n - part_b
    signs = np.array([*itertools.product([-1, 1], repeat=10)])
    exact = (np.abs(signs @ moved) >= abs(moved.sum()) - 1e-9).mean()
    assert p_values([found], 60_000, 1)[0] == pytest.approx(exact, abs=0.01)


@pytest.mark.parametrize(
    "ordinary",
    [
        {},
        {"day": 0.15, "persistence": 0.0},
        {"day": 0.15},
        {"day": 0.3, "weekday": 0.4},
        {"before": 14, "day": 0.15},
        {"zipf": 1.3, "day": 0.1},
        {"now": 3, "weekday": 0.5, "first": 3},
        {"users": 30, "zipf": 0.3},
    ],
    ids=["users differ", "days differ", "spells", "weeks and spells", "two weeks before", "few users ask most", "three days", "few users"],
)
def test_ordinary_traffic_alarms_one_time_in_twenty_at_most(ordinary: dict[str, float]) -> None:
    """Whatever users, days and weekdays do, p ≤ 0.05 in at most 5 % of logs without a change, within what chance allows (99.9 %)."""
    low = sum(p_values([changes(made_pair(seed, **ordinary))], DRAWS, seed)[0] <= 0.05 for seed in range(LOGS))
    assert low <= binom.ppf(0.999, LOGS, 0.05)


def test_without_days_it_would_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Permuting users alone takes what moves everybody on a day for a change in most logs: why days are allowed for."""
    monkeypatch.setattr(drift_flips, "day_variance", lambda pair, _weights: (np.zeros(len(pair.said)), 0.0))
    low = sum(p_values([changes(made_pair(seed, day=0.3))], DRAWS, seed)[0] <= 0.05 for seed in range(30))
    assert low > 20


def test_a_change_is_found() -> None:
    """Log-odds that grow by 0.8 are found at p ≤ 0.001 in at least four logs of five in spite of days that differ, in their own column."""
    found = [changes(made_pair(seed, shift=0.8, day=0.1)) for seed in range(30)]
    hits = [p_values([c], 4_000, 0)[0] <= 0.001 and c.said[c.top] == "kind 0" for c in found]
    assert sum(hits) >= 24


def test_all_users_changing_has_the_least_p_there_is() -> None:
    """Where every user goes from never to always, no permutation comes near, whatever days do."""
    pair = small(np.zeros(40), np.full(40, 10.0))
    assert p_values([changes(pair)], 999)[0] == pytest.approx(1 / 1_000)


def test_one_user_is_one_witness() -> None:
    """A user who asks a third of everything and changes does not alarm; the same number of requests from many users does."""
    whole = np.append(np.full(40, 10.0), 200.0)
    rng = np.random.default_rng(0)
    usual = rng.binomial(whole.astype(int), 0.3).astype(float)
    one, many = usual.copy(), usual.copy()
    one[-1] = 190.0
    many[:-1] = 7.0
    found = []
    for now in (one, many):
        sides = [Tally(p[None, :, None], whole[None, :, None], np.array([d], "datetime64[D]")) for p, d in ((usual, 0), (now, 7))]
        found.append(p_values([changes(Pair(sides[0], sides[1], ("x",)))], 4_000)[0])
    assert found[0] > 0.2
    assert found[1] < 0.001


def test_weekdays_are_matched() -> None:
    """A now of Saturday and Sunday is compared with weekends alone; where the time before lacks a weekday, nothing is matched."""
    pair = made_pair(5, before=28, now=2, weekday=1.0, first=5)
    weights = weekday_weights(pair)
    weekend = np.isin(pair.before.days.astype("datetime64[D]").astype(int) % 7, pair.now.days.astype(int) % 7)
    assert weights is not None
    assert ((weights > 0) == weekend).all()
    found = changes(pair)
    mixed = (pair.before.part[weekend] * weights[weekend][:, None, None]).sum((0, 1))
    assert found.before == pytest.approx(mixed / mixed.sum())
    saturday = Tally(pair.before.part[:1], pair.before.whole[:1], pair.before.days[:1])
    assert weekday_weights(Pair(saturday, pair.now, pair.said)) is None


def test_the_variance_of_days_is_found() -> None:
    """Over many logs the estimated variance is that of the difference which days make: users alike, so that nothing else lasts."""
    pairs = [made_pair(seed, user=0.0, day=0.4, per_day=3_000) for seed in range(150)]
    differences = np.array(
        [p.now.part.sum((0, 1)) / p.now.whole.sum((0, 1)) - p.before.part.sum((0, 1)) / p.before.whole.sum((0, 1)) for p in pairs]
    )
    estimated = np.array([day_variance(p, weekday_weights(p))[0] for p in pairs])
    # each log has its own base shares, so that differences are set against their own estimate
    assert 0.7 < np.square(differences).mean() / estimated.mean() < 1.4


def test_one_day_a_side_says_nothing_of_days() -> None:
    """Two single days leave no freedom to tell days apart: the variance is 0 and the freedom says why."""
    effect, freedom = day_variance(small(np.full(20, 3.0), np.full(20, 4.0)), None)
    assert (effect == 0).all()
    assert freedom == 0


def test_intervals_hold_the_difference() -> None:
    """In logs without a change the 95 % intervals of all columns hold 0 in 92 to 98 % of cases."""
    found = [changes(made_pair(seed, day=0.15)) for seed in range(LOGS)]
    held = np.mean([(c.low <= 0) & (c.high >= 0) for c in found])
    assert 0.92 <= held <= 0.98


def test_groups_are_counted() -> None:
    """Only groups that ask count, of the period in which fewer do."""
    pair = small(np.full(12, 3.0), np.full(12, 3.0))
    empty = Tally(pair.now.part * (np.arange(12) < 5)[:, None], pair.now.whole * (np.arange(12) < 5)[:, None], pair.now.days)
    assert clusters(pair) == 12
    assert clusters(Pair(pair.before, empty, pair.said)) == 5


def test_what_one_period_does_not_have_is_no_change() -> None:
    """A measure, or a column of it, of which one period counts nothing is unknown, and never a surprise."""
    pair = small(np.full(12, 3.0), np.full(12, 6.0))
    nothing = Tally(pair.now.part * 0, pair.now.whole * 0, pair.now.days)
    gone = changes(Pair(pair.before, nothing, pair.said))
    assert np.isnan(gone.now).all()
    assert p_values([gone], 200)[0] == 1
    sides = [
        Tally(np.concatenate([t.part, u.part], 2), np.concatenate([t.whole, u.whole], 2), t.days)
        for t, u in ((pair.before, pair.before), (pair.now, nothing))
    ]
    half = changes(Pair(sides[0], sides[1], ("x", "y")))
    assert np.isnan(half.now).tolist() == [False, True]
    assert half.top == 0
    assert half.score[1] == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.01, 0.2))
def test_holm_steps_down(p: list[float], alpha: float) -> None:
    """Adjusted values reject what Holm's procedure, followed step by step, rejects."""
    named = {str(i): x for i, x in enumerate(p)}
    adjusted = holm(named)
    rejected = set()
    for rank, name in enumerate(sorted(named, key=lambda n: named[n])):
        if named[name] * (len(p) - rank) > alpha:
            break
        rejected.add(name)
    assert {n for n, x in adjusted.items() if x <= alpha} == rejected
    assert [*adjusted] == [*named]
