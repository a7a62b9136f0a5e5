"""What stands behind a cell is said: nothing is estimated where no label pairs it and no chance sent a request there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.small import MODELS, traffic_of, world_of

from planner.labels import Labels
from planner.outcomes import Outcomes, fit_outcomes
from planner.schema import EVIDENCE
from planner.traffic.rows import Coded, load_rows
from planner.training import train

A, B, C = MODELS


def paired(app: str, n: int = 40, tokens: int = 100) -> Labels:
    """Make labels of A and B in one app."""
    items = pd.DataFrame({"request_id": [f"q{i}" for i in range(n)], "app": app, "messages": "hi"})
    row = {"quality": 1.0, "input_tokens": tokens, "output_tokens": 50}
    return Labels.of(items, pd.DataFrame([{"request_id": r, "model": m, **row} for r in items["request_id"] for m in (A, B)]))


def test_cells_without_labels_are_assumed(tmp_path: Path) -> None:
    """Labels of small requests of one app: there B is estimated; in the other app, at another size and for C all is assumed."""
    columns = {"model": A, "app": ["chat", "chat", "mail"] * 40, "input_tokens": [100, 5000, 100] * 40, "output_tokens": 10}
    traffic = traffic_of(tmp_path, columns)
    outcomes = fit_outcomes(traffic, paired("chat"))
    table = outcomes.evidence.set_index(["model", "app", "size"])
    assert table.loc[(B, "chat", "< 500")].to_dict() == {
        "n_paired": 40, "n_logged": 0, "n_randomised": 0, "n_requests": 40, "evidence": "estimated"
    }  # fmt: skip
    assert table.loc[(B, "chat", "2k – 8k"), "evidence"] == "assumed"
    assert table.loc[(B, "mail", "< 500"), "evidence"] == "assumed"
    assert table.loc[(A, "mail", "< 500"), "evidence"] == "measured"
    rows = load_rows(traffic)
    evidence = outcomes.calls(rows, Coded(np.zeros(120, np.int32), (B,)), 0).evidence
    assert [EVIDENCE[e] for e in evidence[:3]] == ["estimated", "assumed", "assumed"]
    assert {EVIDENCE[e] for e in outcomes.calls(rows, Coded(np.zeros(120, np.int32), (C,)), 0).evidence} == {"assumed"}
    assert {EVIDENCE[e] for e in outcomes.calls(rows, rows.model, 0).evidence} == {"measured"}


def test_labels_of_one_model_pair_nothing(tmp_path: Path) -> None:
    """Answers of a single model to a question are no pairs."""
    labels = paired("chat")
    alone = Labels.of(labels.items, labels.outcomes[labels.outcomes["model"] == B])
    table = fit_outcomes(traffic_of(tmp_path, {"model": A, "app": ["chat"] * 10, "input_tokens": 100}), alone).evidence
    assert (table["n_paired"] == 0).all()
    assert set(table.loc[table["model"] == B, "evidence"]) == {"assumed"}


def test_counts_add_up_to_the_log(tmp_path: Path) -> None:
    """Over models, logged requests of a cell are all its requests."""
    traffic, labels = world_of(tmp_path)
    table = fit_outcomes(traffic, labels).evidence
    sums = table.groupby(["app", "size"]).agg({"n_logged": "sum", "n_requests": "first"})
    assert (sums["n_logged"] == sums["n_requests"]).all()
    assert sums["n_requests"].sum() == len(traffic)
    assert Outcomes().evidence.empty


def test_rows_that_trained_are_predicted_out_of_fold(tmp_path: Path) -> None:
    """q̂ of logged rows that fitted the router is nearer to their grades when fitted on them; what is used is not fitted on them."""
    traffic, labels = world_of(tmp_path)
    training = train(labels, reference=A)
    outcomes = fit_outcomes(traffic, labels, training)
    assert outcomes.predicted is not None
    fitted = training.split == "fit"
    place = pd.Index(load_rows(traffic).request_id).get_indexer(pd.Index(labels.items["request_id"][fitted]))
    used = outcomes.predicted.values[place]
    inside = np.load(next(traffic.folder.glob("derived/quality-*/values.npy")))
    remembered = inside[place]
    grades = training.problem.quality[fitted]
    assert np.square(remembered - grades).mean() < np.square(used - grades).mean()
    others = np.setdiff1d(np.arange(len(traffic)), place)
    assert (outcomes.predicted.values[others] == inside[others]).all()


def test_measured_grades_are_found_by_request(tmp_path: Path) -> None:
    """A labelled request's grade on the model it is sent to is its label; others, and unlabelled models, have none."""
    traffic, labels = world_of(tmp_path)
    rows, outcomes = load_rows(traffic), fit_outcomes(traffic, labels)
    known = labels.outcomes[labels.outcomes["model"] == B].set_index("request_id")["quality"]
    found = pd.Series(outcomes.measured(rows, Coded(np.zeros(len(rows), np.int32), (B,))), rows.request_id)
    assert found[known.index].tolist() == pytest.approx(known.tolist())
    assert found.drop(known.index).isna().all()
    assert np.isnan(outcomes.measured(rows, Coded(np.zeros(len(rows), np.int32), ("other",)))).all()


def test_held_out_answers_are_kept_for_gates(tmp_path: Path) -> None:
    """The labels that validators are judged on are exactly those that neither trained nor calibrated the router."""
    traffic, labels = world_of(tmp_path)
    training = train(labels, reference=A)
    answers = fit_outcomes(traffic, labels, training).answers
    assert answers is not None
    assert answers.items["request_id"].tolist() == labels.items["request_id"][training.split == "judge"].tolist()
    assert fit_outcomes(traffic, labels).answers is None
