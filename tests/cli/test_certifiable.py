"""What a sample of labels can certify, before any is bought."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from support.asked import CANDIDATES, log_of

from planner.cli.certifiable import certifiable
from planner.labels import Sample, sample_labels
from planner.prices import audit
from planner.training.before import FLOORS, calibration_labels

TEXTS = [f"question {i} {'why' * (i % 7)} {i * 7919 % 1009}" for i in range(1_600)]


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sample, dict[str, object]]:
    """Draw a sample of unequal weights, and say what it certifies."""
    weight = np.random.default_rng(0).choice([1.0, 4.0], len(TEXTS))
    traffic = log_of(tmp_path_factory.mktemp("log") / "log", TEXTS, weight=weight)
    found = sample_labels(traffic, CANDIDATES, 5.0, least=3)
    return found, certifiable(found, audit(traffic)).value


def test_the_loss_is_the_largest_that_these_labels_certify(sampled) -> None:
    """At the loss that is said the calibration rows are enough, a tenth of a point above it they are not; weights are counted."""
    found, said = sampled
    weight = found.items["weight"].to_numpy()
    effect = len(weight) * np.square(weight).sum() / weight.sum() ** 2
    assert effect > 1.05
    rows, known = len(weight) // 4, 0
    for line in said["table"].to_dict("records"):
        floor, loss = line["floor"], line["loses_at_most"]
        if math.isnan(loss):
            assert calibration_labels(floor, loss=floor - 1, design_effect=effect) > rows
            continue
        known += 1
        assert calibration_labels(floor, loss=loss, design_effect=effect) <= rows
        above = round(loss + 0.001, 6)
        assert above == floor or calibration_labels(floor, loss=above, design_effect=effect) > rows
    assert said["table"]["floor"].tolist() == list(FLOORS)
    assert known > 0


def test_labels_for_a_router_that_loses_nothing_are_priced_as_the_sample(sampled) -> None:
    """The labels it takes are four times the calibration rows, each at the mean price of a label of this sample."""
    found, said = sampled
    table = said["table"]
    assert (table["labels"] == np.ceil(table["calibration_labels"] / 0.25)).all()
    np.testing.assert_allclose(table["usd"], table["labels"] * found.price_usd / len(found.items))


def test_the_sentence_says_what_the_table_does(tmp_path: Path) -> None:
    """A small sample cannot certify two points of anybody, a large one of a router that is better, and both say so."""
    traffic = log_of(tmp_path / "log", TEXTS)
    small, large = (certifiable(sample_labels(traffic, CANDIDATES, usd, least=3), audit(traffic)) for usd in (0.02, 5.0))
    assert "cannot be certified of any router: they are too few" in small.value["text"]
    assert "a floor of 2 points can be certified only of a router that is really" in large.value["text"]
    assert max(map(len, (small.text + "\n" + large.text).splitlines())) <= 100
