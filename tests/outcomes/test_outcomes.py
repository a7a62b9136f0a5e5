"""Outcome models: ratios from paired labels, evidence per call, and the observed outcome kept where nothing changes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.small import MODELS, traffic_of, world_of

from planner.labels import Labels
from planner.outcomes import Outcomes, Ratio, failure_rates, fit_outcomes, fit_ratios
from planner.schema import EVIDENCE
from planner.traffic.rows import Coded, load_rows
from planner.training import train

A, B = MODELS[:2]


def paired(n: int, **b: object) -> Labels:
    """Labels in which model A uses 100 input and 50 output tokens and 1,000 ms, and B what is given."""
    items = pd.DataFrame({"request_id": [f"r{i}" for i in range(n)], "messages": "hi"})
    rows = [
        {"request_id": r, "model": A, "quality": 1.0, "input_tokens": 100, "output_tokens": 50, "latency_ms": 1000.0}
        for r in items["request_id"]
    ]
    rows += [{"request_id": r, "model": B, "quality": 1.0, **b} for r in items["request_id"]]
    return Labels.of(items, pd.DataFrame(rows))


def test_ratios_are_ratios_of_sums() -> None:
    """Factors between two models are the ratio of their total tokens and latencies on the same requests."""
    found = fit_ratios(paired(40, input_tokens=120, output_tokens=25, reasoning_tokens=100, latency_ms=500.0))[A, B]
    assert found == Ratio(1.2, 0.5, 2.0, 0.5, 40)


def test_too_few_pairs_say_nothing() -> None:
    """Fewer than thirty common requests give no ratio at all."""
    assert (A, B) not in fit_ratios(paired(29, input_tokens=120, output_tokens=25))


def test_labels_without_tokens_give_no_ratio() -> None:
    """A source that stores no token counts leaves the ratios unknown instead of zero."""
    labels = paired(40)
    bare = Labels.of(labels.items, labels.outcomes.assign(input_tokens=0, output_tokens=0, latency_ms=np.nan))
    assert fit_ratios(bare)[A, B] == Ratio(None, None, None, None, 40)


def test_failure_rates_sum_to_one(tmp_path: Path) -> None:
    """Rates are the logged shares of each status, and a model seen too rarely has none."""
    status = ["ok"] * 270 + ["rate_limit"] * 30 + ["ok"] * 10
    rows = load_rows(traffic_of(tmp_path, {"model": [A] * 300 + [B] * 10, "status": status}))
    rates = failure_rates(rows)
    assert list(rates) == [A]
    np.testing.assert_allclose(rates[A], [0.9, 0, 0.1, 0, 0, 0])


def test_unchanged_requests_keep_what_was_observed(tmp_path: Path) -> None:
    """Sending every request to its logged model returns the log: tokens, latency, status, all measured."""
    traffic, _ = world_of(tmp_path)
    rows = load_rows(traffic)
    calls = Outcomes().calls(rows, rows.model, seed=0)
    np.testing.assert_array_equal(calls.tokens, rows.tokens)
    np.testing.assert_array_equal(calls.outcome, rows.status)
    np.testing.assert_array_equal(calls.end_ms, rows.latency_ms)
    assert {EVIDENCE[c] for c in np.unique(calls.evidence)} == {"measured"}


def test_evidence_of_a_moved_request(tmp_path: Path) -> None:
    """A moved request is estimated with paired labels, assumed without, and assumed where a warm prompt cache is taken along."""
    rows = load_rows(
        traffic_of(tmp_path, {"model": [A, A], "input_tokens": [1000, 200], "cache_read_tokens": [0, 800], "output_tokens": [100, 100]})
    )
    sent = Coded(np.zeros(2, np.int32), (B,))
    labels = paired(40, input_tokens=120, output_tokens=25, latency_ms=500.0)
    known = Outcomes(fit_ratios(labels)).calls(rows, sent, seed=0)
    assert [EVIDENCE[c] for c in known.evidence] == ["estimated", "assumed"]
    assert known.tokens.tolist() == [[1200, 0, 0, 0, 50, 0], [240, 960, 0, 0, 50, 0]]
    assert {EVIDENCE[c] for c in Outcomes().calls(rows, sent, seed=0).evidence} == {"assumed"}


def test_max_tokens_caps_a_longer_answer(tmp_path: Path) -> None:
    """An answer that would be longer elsewhere is still cut at the request's own limit."""
    rows = load_rows(traffic_of(tmp_path, {"model": [A], "output_tokens": [100], "max_tokens": [150]}))
    calls = Outcomes({(A, B): Ratio(1.0, 3.0, None, None, 99)}).calls(rows, Coded(np.zeros(1, np.int32), (B,)), seed=0)
    assert int(calls.tokens[0, 4]) == 150


def test_calls_table_has_the_contract_columns(tmp_path: Path) -> None:
    """Calls come out as the table that every folder knows, one row a call."""
    from planner.schema import CALLS

    rows = load_rows(traffic_of(tmp_path, {"model": [A, B]}))
    table = Outcomes().calls(rows, rows.model, seed=0).table(rows.request_id)
    assert tuple(table.columns) == CALLS.names
    assert table["request_id"].tolist() == ["r0", "r1"]


def test_quality_needs_labels(tmp_path: Path) -> None:
    """Without labels there is no prediction to report: every quality is NaN."""
    traffic, _ = world_of(tmp_path)
    assert np.isnan(fit_outcomes(traffic).quality(load_rows(traffic).model)).all()


def test_predictions_follow_the_text(tmp_path: Path) -> None:
    """On a log where a word tells hard questions, q̂ of the small model is lower on them by at least 0.3."""
    traffic, labels = world_of(tmp_path)
    outcomes = fit_outcomes(traffic, labels, train(labels, reference=A))
    assert outcomes.predicted is not None
    nano = outcomes.predicted.values[:, outcomes.predicted.models.index(MODELS[2])]
    hard = np.array(["prove" in m for m in traffic.frame("messages")["messages"]])
    assert nano[~hard].mean() - nano[hard].mean() > 0.3


def test_holdout_never_trained(tmp_path: Path) -> None:
    """The labels that correct predictions are exactly those that training held out."""
    traffic, labels = world_of(tmp_path)
    training = train(labels, reference=A)
    held = fit_outcomes(traffic, labels, training).holdout
    assert held is not None
    assert held.rows.request_id.tolist() == labels.items["request_id"][training.split == "judge"].tolist()


@pytest.mark.parametrize("text_state", ["full", "none"])
def test_requests_without_text_get_their_apps_mean(tmp_path: Path, text_state: str) -> None:
    """A request whose text was not logged is predicted by its app's mean alone."""
    traffic, labels = world_of(tmp_path / "a")
    training = train(labels, reference=A)
    blind = traffic_of(
        tmp_path / "b",
        {
            "app": "chat",
            "model": [A, A],
            "messages": ['[{"role":"user","content":"prove that"}]', '[{"role":"user","content":"list the"}]'],
            "text_state": text_state,
        },
    )
    predicted = fit_outcomes(blind, labels, training).predicted
    assert predicted is not None
    same = bool(np.allclose(predicted.values[0], predicted.values[1]))
    assert same is (text_state == "none")
    assert len(traffic)
