"""Floors by app, a biased judge put right, and the price of a floor before anything is labelled."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.labels import made_labels

from planner.errors import InputError, NeedsError
from planner.labels import Labels
from planner.router import Scores
from planner.stats.betting import p_values
from planner.training import Judged
from planner.training.before import FLOORS, Stake, before, calibration_labels
from planner.training.by_app import certify_apps
from planner.training.guarantee import certify, sequence
from planner.training.rectified import correct, human_quality, rectified


def worlds(n, seed, easy=0.01, hard=0.2):
    """Return rows, scores and apps: in ``safe`` the cheap model loses ``easy`` of its answers, in ``risky`` it loses ``hard``."""
    rng = np.random.default_rng(seed)
    apps = np.where(rng.random(n) < 0.5, "safe", "risky")
    lost = rng.random(n) < np.where(apps == "safe", easy, hard)
    rows = Judged(
        np.column_stack([np.ones(n), 1.0 - lost]),
        np.tile([4.0, 1.0], (n, 1)),
        np.ones(n),
        np.arange(n).astype(str),
        np.zeros(n, np.int64),
    )
    gains = np.column_stack([np.zeros(n), rng.uniform(-0.2, 0.1, n)]).astype(np.float32)
    return rows, Scores(gains, rows.cost_usd, np.ones((n, 2), bool), np.zeros(n, np.int8), rows.reference), apps


def test_every_app_keeps_its_own_floor():
    """The app that can keep its floor is certified, the other stays with its model of today, and one τ serves the first alone."""
    found = certify_apps(worlds(4000, 1), worlds(4000, 2), {"safe": 0.03, "risky": 0.001, "unseen": 0.1}, grader="exact")
    assert found.parts["safe"].certified
    assert found.taus["safe"] > found.taus["risky"]
    tau, apps = found.common()
    assert apps == ("safe",)
    assert tau == found.taus["safe"]
    assert found.without == ("unseen",)
    assert "safe falls by at most 0.03" in found.text
    assert "stay risky, unseen." in found.text
    assert found.parts["safe"].delta == pytest.approx(0.05 / 3)
    assert found.table.loc["safe", "spend"] + found.table.loc["risky", "spend"] == pytest.approx(1)


def test_all_floors_hold_together():
    """With both apps exactly at their floors, at most 5 % of 80 sets certify any of them (within 3 SE)."""
    fit, wrong = worlds(600, 3, 0.05, 0.05), 0
    for seed in range(80):
        rows, scores, apps = worlds(600, 100 + seed, 0.05, 0.05)
        always = Scores(np.zeros_like(scores.gains), scores.cost_usd, scores.feasible, scores.abstain, scores.home)
        found = certify_apps((rows, always, apps), (fit[0], always, fit[2]), {"safe": 0.05, "risky": 0.05}, seed=seed)
        wrong += any(part.certified for part in found.parts.values())
    assert wrong <= 80 * 0.05 + 3 * math.sqrt(80 * 0.05 * 0.95)
    with pytest.raises(InputError, match="no app with a floor"):
        certify_apps(fit, fit, {})


def biased(n, people, seed):
    """Return loss by judge and by people (NaN beyond the first ``people`` units of 2 rows), and the truth: the judge favours the router."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(rng.choice([-1.0, 0.0, 1.0], n // 2, p=[0.1, 0.7, 0.2]), 2)
    flip = rng.random(n) < 0.3
    judge = np.where(flip, -1.0, truth)
    return judge, np.where(np.arange(n) < 2 * people, truth, np.nan), np.repeat(np.arange(n // 2), 2).astype(str)


def test_a_biased_judge_is_put_right():
    """The judge alone is off by a third of the answers; with 150 units graded by people the interval covers in 93 % of 600 worlds."""
    hits = alone = 0
    for seed in range(600):
        judge, human, unit = biased(1200, 150, seed)
        found = correct(judge, human, np.ones(1200), unit)
        hits += found.loss.low <= 0.1 <= found.loss.high
        alone += found.judged.low <= 0.1 <= found.judged.high
    assert hits >= 0.93 * 600
    assert alone == 0
    assert found.human_units == 150
    assert "150 units that people graded too" in found.text
    assert found.bias.value == pytest.approx(-0.33, abs=0.15)


def test_a_good_judge_narrows_the_interval():
    """A judge who agrees with people makes the interval narrower than people's grades alone; one who guesses never widens it by a tenth."""
    rng = np.random.default_rng(3)
    truth = rng.choice([-1.0, 0, 0, 1.0], 3000)
    human, unit = np.where(np.arange(3000) < 300, truth, np.nan), np.arange(3000).astype(str)
    width = [e.high - e.low for e in (correct(j, human, np.ones(3000), unit).loss for j in (truth, rng.permutation(truth)))]
    alone = 2 * 1.96 * truth[:300].std() / math.sqrt(300)
    assert width[0] < 0.6 * alone
    assert width[1] < 1.1 * alone
    with pytest.raises(NeedsError, match="Let people grade more"):
        correct(truth, np.where(np.arange(3000) < 10, truth, np.nan), np.ones(3000), unit)


@given(st.integers(1, 8), st.integers(1, 40), st.integers(0, 999))
def test_rectified_values_are_bounded_and_keep_the_mean(people, others, seed):
    """Each value stays above its bound, and with as many others in each batch their mean is people's less half the judge's gap."""
    rng = np.random.default_rng(seed)
    human, judge = rng.uniform(-0.9, 1.1, (people + others * people, 1)), rng.uniform(-0.9, 1.1, (people + others * people, 1))
    known = np.arange(len(human)) < people
    values, lowest = rectified(human, judge, known)
    assert (values >= -lowest).all()
    gap = judge[known].mean() - judge[~known].mean()
    assert values.mean() == pytest.approx(human[known].mean() - 0.5 * gap)


def test_a_certificate_corrected_by_people_holds_where_the_judges_does_not():
    """With a true loss at the floor and a judge who sees none, at most 5 % of 150 sets pass (within 3 SE); by the judge alone all do."""
    floor, wrong, blind = 0.1, 0, 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        loss = rng.random(1200) < floor
        judge = np.where(rng.random(1200) < 0.9, 0.0, loss)
        values, lowest = rectified((floor - loss)[:, None], (floor - judge)[:, None], np.arange(1200) < 300)
        wrong += p_values(values, lowest)[0] <= 0.05
        blind += p_values((floor - judge)[:, None], 1 - floor)[0] <= 0.05
    assert wrong <= 150 * 0.05 + 3 * math.sqrt(150 * 0.05 * 0.95)
    assert blind == 150


def test_a_statement_says_who_corrected_the_judge():
    """With grades by people of a random part, the statement counts their units and no longer says that nothing is verified."""
    rows, scores, _ = worlds(4000, 5, 0.0, 0.0)
    taus = sequence(*worlds(4000, 6, 0.0, 0.0)[:2], points=10)
    human = np.where(np.arange(4000)[:, None] % 4 == 0, rows.quality, np.nan)
    found = certify(rows, scores, taus, 0.05, human=human, grader="judge:a", verified=False)
    assert found.certified
    assert "The judge's grades are corrected by 1,000 units that people graded too." in found.text
    assert "Judge-preferred" in certify(rows, scores, taus, 0.05, grader="judge:a", verified=False).text
    with pytest.raises(InputError, match="human grades of shape"):
        certify(rows, scores, taus, 0.05, human=human[:5])


def test_human_grades_are_labels_of_some_of_the_same_requests():
    """Two graders of one answer are two Labels: grades are found by request, NaN elsewhere; a stranger is refused."""
    judged = made_labels(60)
    people = judged.take(np.array([5, 2, 9]))
    ids = judged.items["request_id"].tolist()
    found = human_quality(people, ids, judged.models)
    assert found[[5, 2, 9]].tolist() == people.quality(judged.models).tolist()
    assert np.isnan(np.delete(found, [5, 2, 9], axis=0)).all()
    stranger = Labels.of(pd.DataFrame({"request_id": ["x"]}), pd.DataFrame({"request_id": ["x"], "model": ["small"], "quality": [1.0]}))
    with pytest.raises(InputError, match="requests that the judge graded too"):
        human_quality(stranger, ids, judged.models)


@pytest.mark.parametrize(("floor", "differ"), [(0.05, 0.15), (0.03, 0.3), (0.05, 0.001)])
def test_as_many_labels_as_before_certify_in_eight_of_ten(floor, differ):
    """Of 600 sets of the stated size without a true loss, 76 to 92 % pass; where hardly anything differs, nearly all do."""
    n = calibration_labels(floor, math.sqrt(differ))
    u = np.random.default_rng(0).random((n, 600))
    loss = np.where(u < differ / 2, 1.0, np.where(u < differ, -1.0, 0.0))
    assert 0.76 <= (p_values(floor - loss, 1 - floor) <= 0.05).mean() <= (0.92 if differ > 0.01 else 1.0)


def test_a_table_before_labelling():
    """A line an app and floor; tighter floors and more apps cost more; labels in all are four times those that calibrate."""
    stakes = {"chat": Stake(100_000, 2000.0, 0.02), "mail": Stake(500, 10.0, 0.01, sd=0.2)}
    found = before(stakes)
    assert len(found.table) == 3 * len(FLOORS)
    chat = found.table[found.table["app"] == "chat"]
    assert chat["usd"].is_monotonic_decreasing
    assert (chat["labels"] == np.ceil(chat["calibration_labels"] / 0.25)).all()
    assert chat["usd"].tolist() == pytest.approx((chat["labels"] * 0.02).tolist())
    assert chat["share_of_month"].tolist() == pytest.approx((chat["usd"] / 2000).tolist())
    alone = before({"chat": stakes["chat"]}).table
    assert (alone["labels"] < chat["labels"].to_numpy()).all()
    assert not found.table[(found.table["app"] == "mail") & (found.table["floor"] == 0.005)]["within_traffic"].any()
    assert "spread assumed" in found.text
    assert "spread measured" in before(stakes, evidence="measured").text
    with pytest.raises(InputError, match="a floor above the loss"):
        before(stakes, loss=0.03)
    with pytest.raises(InputError, match="no app"):
        before({})
