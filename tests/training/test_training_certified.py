"""What owners state of their apps, and what people graded, reaches the certificate of a training."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from support.labels import COST, made_labels

from planner.labels import Labels
from planner.traffic import App, Apps
from planner.training import train
from planner.training.certified import app_floors
from planner.training.methods import judged_rows


def owners(**floors: float | None) -> Apps:
    """Return apps whose owners state these quality floors; ``guess`` among them is only drafted."""
    return Apps({name: App(quality_floor=level) for name, level in floors.items()})


def test_an_owners_floor_is_certified_app_by_app():
    """With a stated floor each app is certified by itself, and one that cannot keep its own stays with its model of today."""
    labels = made_labels(3_000)
    found = train(labels, reference="large", cost=COST, floor=0.03, apps=owners(chat=0.80, maths=0.91))
    assert found.by_app is not None
    assert found.by_app.table["certified"].to_dict() == {"chat": True, "maths": False}
    assert found.router.support.apps == ("chat",)
    assert found.by_app.text in found.statement(found.router)
    maths = [app == "maths" for app in found.problem.requests.app]
    codes, _ = found.router.choose(found.router.scores(found.problem.requests, ""))
    assert {found.router.candidates[c] for c in codes[maths]} == {"large"}


def test_a_level_becomes_a_loss_on_the_rows_that_fitted():
    """The loss allowed is how far today's model is above the floor on the fit rows; below its own floor an app may lose nothing."""
    found = train(made_labels(900), reference="large", cost=COST, floor=0.03)
    rows, whole = judged_rows(found.problem, "fit", found.router)
    app = np.array(found.problem.requests.app)[found.problem.rows("fit")][whole]
    today = {a: rows.quality_of(rows.reference)[app == a].mean() for a in ("chat", "maths")}
    assert app_floors(found.problem, rows, owners(chat=0.5), 0.03) == pytest.approx({"chat": today["chat"] - 0.5, "maths": 0.03})
    assert app_floors(found.problem, rows, owners(chat=0.999), 0.03) == {"chat": 0.0, "maths": 0.03}
    assert app_floors(found.problem, rows, None, 0.03) == {}
    guessed = Apps({"chat": App(quality_floor=0.5, assumed=("quality_floor",))})
    assert app_floors(found.problem, rows, guessed, 0.03) == {}


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
