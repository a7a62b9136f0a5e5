"""Apps labelled on different models train one router, each against its own model of today."""

from __future__ import annotations

import numpy as np
import pytest
from support.labels import COST, made_labels

from planner.errors import NeedsError
from planner.labels import Labels
from planner.training import train
from planner.training.labelled import able_in, best_known

HOMES = {"chat": "large", "maths": "middle"}


def by_app(n: int) -> Labels:
    """Return labels as a run of candidates makes them: each app's own model of today, and one candidate for all."""
    labels = made_labels(n)
    app = labels.outcomes["request_id"].map(labels.items.set_index("request_id")["app"])
    asked = (labels.outcomes["model"] == "small") | (labels.outcomes["model"] == app.map(HOMES))
    return Labels.of(labels.items, labels.outcomes[asked])


def test_each_app_is_judged_on_what_it_was_labelled_on():
    """Every request counts; no app's requests go to a model that was never tried there; the rest goes to its own reference."""
    found = train(by_app(3_000), references=HOMES, cost=COST, floor=0.05)
    assert found.notes["judged_rows"] == found.notes["judge_rows"]
    assert found.problem.reference == "small", "the only one that all requests know"
    scores = found.router.scores(found.problem.requests, "")
    codes, _ = found.router.choose(scores)
    app = np.array(found.problem.requests.app)
    for name, home in HOMES.items():
        picked = {found.router.candidates[c] for c in codes[app == name]}
        assert picked <= {home, "small"}
        assert home in picked
    quality = found.problem.quality[np.arange(len(app)), codes]
    assert np.isfinite(quality).all()
    assert found.guarantees["learned"].certified
    assert found.table.loc["learned", "usd_per_1k"] < found.table.loc["reference", "usd_per_1k"]
    own = np.array([found.router.candidates.index(HOMES[a]) for a in app])
    judges = found.problem.rows("judge")
    today = found.problem.quality[judges, own[judges]]
    assert found.table.loc["reference", "quality"] == pytest.approx(today.mean())


def test_a_stray_answer_makes_no_candidate():
    """A model that answered hardly any request of an app is not judged there, and does not empty the rows that are."""
    graded = np.ones((20, 3))
    graded[2:, 2] = np.nan
    home = np.zeros(20, np.int64)
    assert able_in(graded, ["chat"] * 20, home)[0].tolist() == [True, True, False]
    graded[2:10, 2] = 1
    assert able_in(graded, ["chat"] * 20, home)[0].tolist() == [True, True, True]


def test_the_common_reference_is_known_everywhere():
    """The best single model is taken among those with the most labels, not one that was only tried where it shines."""
    graded = np.array([[0.5, 1.0], [0.5, np.nan], [0.6, np.nan]])
    assert best_known(graded, np.ones(3)) == 0
    assert best_known(np.array([[0.5, 1.0], [0.5, 0.9]]), np.ones(2)) == 1


def test_nobody_to_compare_with_is_said():
    """When no app has a second model, the sentence names who should have answered."""
    labels = made_labels(400)
    app = labels.outcomes["request_id"].map(labels.items.set_index("request_id")["app"])
    alone = Labels.of(labels.items, labels.outcomes[labels.outcomes["model"] == app.map(HOMES)])
    with pytest.raises(NeedsError, match="0 different requests that all of large, middle answered"):
        train(alone, references=HOMES, cost=COST)
