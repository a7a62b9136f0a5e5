"""What owners state of their apps, and what people graded, reaches the certificate of a training."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from support.labels import COST, made_labels

from planner.labels import Labels
from planner.router import Scores
from planner.traffic import App, Apps
from planner.training import train
from planner.training.certified import OTHERS, app_floors, app_levels
from planner.training.guarantee import certify
from planner.training.judge import Judged
from planner.training.methods import judged_rows


def owners(**floors: float | None) -> Apps:
    """Return apps whose owners state these quality floors; ``guess`` among them is only drafted."""
    return Apps({name: App(quality_floor=level) for name, level in floors.items()})


def test_an_owners_floor_is_certified_app_by_app():
    """With a stated floor each app is certified by itself, and one that cannot keep its own stays with its model of today."""
    labels = made_labels(3_000)
    found = train(labels, reference="large", cost=COST, floor=0.03, apps=owners(chat=0.80, maths=0.97))
    assert found.by_app is not None
    assert found.by_app.table["certified"].to_dict() == {"chat": True, "maths": False}
    assert found.router.support.apps == ("chat",)
    assert found.by_app.text in found.statement(found.router)
    assert "quality in chat is at least 0.8" in found.by_app.text
    maths = [app == "maths" for app in found.problem.requests.app]
    codes, _ = found.router.choose(found.router.scores(found.problem.requests, ""))
    assert {found.router.candidates[c] for c in codes[maths]} == {"large"}


def test_a_level_for_one_app_leaves_the_others_to_the_common_floor():
    """Apps without a level are certified together at the floor: one that cannot keep its own takes the router from nobody else."""
    found = train(made_labels(3_000), reference="large", cost=COST, floor=0.1, apps=owners(maths=0.99))
    assert found.by_app is not None
    assert found.by_app.table["certified"].to_dict() == {OTHERS: True, "maths": False}
    assert found.router.support.apps == ("chat",)


def test_a_level_is_tested_itself():
    """What an owner states is tested exactly: at a true quality just below the level it is certified as rarely as δ says."""
    broken = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        quality = np.column_stack([rng.random(1500) < 0.9, rng.random(1500) < 0.795]).astype(float)
        home, unit = np.zeros(1500, np.int64), np.arange(1500).astype(str)
        rows = Judged(quality, np.tile([2.0, 1.0], (1500, 1)), np.ones(1500), unit, home)
        scores = Scores(np.zeros((1500, 2), np.float32), rows.cost_usd, np.ones((1500, 2), bool), np.zeros(1500, np.int8), home)
        broken += certify(rows, scores, np.array([np.inf]), 0.1, seed=seed, level=0.8).certified
    assert broken <= 60 * 0.05 + 3 * (60 * 0.05 * 0.95) ** 0.5


def test_a_level_says_where_to_begin():
    """A stated level gives each app the loss that today's model is above it on the fit rows, none below; a guess states nothing."""
    found = train(made_labels(900), reference="large", cost=COST, floor=0.03)
    rows, whole = judged_rows(found.problem, "fit", found.router)
    app = np.array(found.problem.requests.app)[found.problem.rows("fit")][whole]
    today = rows.quality_of(rows.reference)[app == "chat"].mean()
    groups = np.array([a if a == "chat" else OTHERS for a in found.problem.requests.app], object)
    assert app_floors(found.problem, groups, rows, {"chat": 0.5}, 0.03) == pytest.approx({"chat": today - 0.5, OTHERS: 0.03})
    assert app_floors(found.problem, groups, rows, {"chat": 0.999}, 0.03) == {"chat": 0.0, OTHERS: 0.03}
    assert app_levels(owners(chat=0.5, maths=None)) == {"chat": 0.5}
    assert app_levels(Apps({"chat": App(quality_floor=0.5, assumed=("quality_floor",))})) == app_levels(None) == {}


def test_people_who_graded_some_apps_on_fewer_models_count():
    """Where apps were labelled on different models, a unit is graded by people when all models of its own app are."""
    labels = made_labels(3_000)
    app = labels.outcomes["request_id"].map(labels.items.set_index("request_id")["app"])
    asked = labels.outcomes[(labels.outcomes["model"] != "large") | (app == "chat")]
    judged = Labels.of(labels.items, asked.assign(grader="judge:m"))
    people = Labels.of(labels.items, asked).take(np.arange(len(labels)) % 2 == 0)
    found = train(judged, references={"chat": "large", "maths": "middle"}, cost=COST, floor=0.05, human=people)
    graded = found.guarantees["learned"].human_units
    assert graded == pytest.approx((found.split == "calibrate").sum() / 2, rel=0.1)


def test_what_nobody_answered_is_said():
    """Requests that a model did not answer neither certify nor judge, and how many those are, and whose, is said."""
    labels = made_labels(1_500)
    gone = (labels.outcomes["model"] == "small") & (labels.outcomes["request_id"].str[-1] == "7")
    found = train(Labels.of(labels.items, labels.outcomes[~gone]), reference="large", cost=COST, floor=0.1)
    tested = (found.split != "fit").sum()
    silent = found.problem.quality[:, 2] != found.problem.quality[:, 2]
    missing = int((silent & (found.split != "fit")).sum())
    assert missing > 50
    assert (
        f"Of {tested:,} requests to certify and judge, {missing:,} are left out, not answered or graded for small ({missing:,})"
        in found.text
    )


def test_people_correct_a_judge():
    """A judge's grades alone are judge-preferred; with people's grades of a part the certificate rests on those, and says so."""
    labels = made_labels(3_000, ("large", "small"))
    judged = Labels.of(labels.items, labels.outcomes.assign(grader="judge:some-model"))
    alone = train(judged, reference="large", cost=COST, floor=0.05)
    assert not alone.guarantees["learned"].verified
    assert "Judge-preferred, not verified" in alone.text
    people = labels.take(np.arange(len(labels)) % 2 == 0)
    both = train(judged, reference="large", cost=COST, floor=0.05, human=people)
    assert both.guarantees["learned"].verified
    assert both.guarantees["learned"].human_units > 300
    assert "Judge-preferred" not in both.text


def test_no_log_no_harm():
    """Without a log nobody knows the volume, so no number of wrong answers a month is said."""
    found = train(made_labels(400), reference="large", cost=COST, floor=0.2)
    assert found.harm is None
    assert "wrong answers a month" not in found.text
    assert isinstance(found.table, pd.DataFrame)
