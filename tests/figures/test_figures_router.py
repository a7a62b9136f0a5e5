"""Pictures of a router's evidence show exactly the numbers of the training they are given."""

from __future__ import annotations

import numpy as np
import pytest
from figures.conftest import Made
from support.labels import COST, made_labels

from planner import figures
from planner.figures.style import points
from planner.outcomes import reliability
from planner.training import Training, learning_curve, train


@pytest.fixture(scope="module")
def training() -> Training:
    """Train on made-up labels where a third can be saved."""
    return train(made_labels(3_000), reference="large", cost=COST, floor=0.05)


def _squares(picture: figures.Picture) -> list[tuple[float, float]]:
    lines = [line for line in picture.axes[0].lines if line.get_marker() == "s"]
    return [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in lines]


def test_verdict_shows_the_closest_comparisons(training: Training) -> None:
    """One square a comparison at its difference, the closest on top, and the title says what to use."""
    picture = figures.verdict(training.verdict, note="SYNTHETIC")
    own = training.verdict.table[training.verdict.table["method"] == "learned"].head(8)
    assert _squares(picture) == [(pytest.approx(100 * d), len(own) - 1 - i) for i, d in enumerate(own["diff"])]
    assert picture.title == "Use the learned router"
    assert [t.get_text() for t in picture.axes[0].get_yticklabels()] == own["vs"].tolist()
    assert "SYNTHETIC" in "".join(t.get_text() for t in picture.texts)


def test_certificate_ends_where_certification_ends(training: Training) -> None:
    """The square stands at the certified threshold's saving and loss; blue covers exactly the levels that passed."""
    found = training.guarantees["learned"]
    picture = figures.certificate(found)
    at = found.table[found.table["tau"] == found.tau].iloc[0]
    assert _squares(picture) == [(pytest.approx(100 * at["saving"]), pytest.approx(100 * at["loss"]))]
    passed = found.table[found.table["certified"]].sort_values("saving")
    assert any(np.array_equal(line.get_xdata(), 100 * passed["saving"].to_numpy()) for line in picture.axes[0].lines)
    assert picture.title.endswith(f"a loss of at most {points(0.05).lstrip('+')} points")
    assert figures.certificate(train(made_labels(300), reference="large", cost=COST, floor=0.0).guarantees["learned"]).title.startswith(
        "Nothing is certified"
    )


def test_reliability_draws_the_bins(made: Made) -> None:
    """The dots are predicted and realised quality of each bin, for the chosen answers or one model."""
    found = reliability(made.outcomes, made.training)
    for model in ("chosen", made.training.problem.models[0]):
        picture = figures.reliability(found, model=model)
        bins = found.bins[found.bins["model"] == model]
        dots = next(line for line in picture.axes[0].lines if line.get_marker() == "o")
        assert dots.get_xdata().tolist() == bins["predicted"].tolist()
        assert dots.get_ydata().tolist() == bins["realised"].tolist()
        assert picture.numbers.equals(bins)


def test_learning_curve_draws_every_method(training: Training) -> None:
    """A line a method over the number of labels, in points, with the last learned lift in the title."""
    table = learning_curve(training, [100, 400], draws=2)
    picture = figures.learning_curve(table)
    for line, (_, rows) in zip(picture.axes[0].lines, table.groupby("method", sort=False), strict=True):
        assert line.get_ydata().tolist() == pytest.approx((100 * rows["lift"]).tolist())
    last = table[table["method"] == "learned"].iloc[-1]
    assert picture.title.startswith("400 labels")
    assert points(last["lift"]) in picture.title
