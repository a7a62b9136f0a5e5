"""What a router looks at is what decided in the made-up labels, and the learning curve judges on rows that never fit."""

from __future__ import annotations

import numpy as np
import pytest
from support.labels import COST, EASY, HARD, made_labels

from planner.router import Scores
from planner.training import deciles, examples, first_move, learning_curve, looks_at, train
from planner.training.learning_curve import lift


@pytest.fixture(scope="module")
def training():
    """Train once on made-up labels."""
    return train(made_labels(1_500), reference="large", cost=COST, floor=0.03)


def test_the_words_that_decide_come_first(training):
    """Hard words go with a high predicted loss, easy ones with a low one, and no common word comes before them."""
    table = looks_at(training, 100)
    words = table[table["kind"] == "word"].head(12)
    assert set(words["what"]) == {*HARD, *EASY}
    assert (words.loc[words["what"].isin(HARD), "difference"] > 0).all()
    assert (words.loc[words["what"].isin(EASY), "difference"] < 0).all()


def test_deciles_hold_every_row_that_can_move(training):
    """The tenths are of equal size and ascending, and the last loses more than the first, as predicted and as measured."""
    table = deciles(training)
    assert table["decile"].tolist() == list(range(1, 11))
    assert table["requests"].sum() == (training.split == "judge").sum()
    assert table["requests"].max() - table["requests"].min() <= 1
    assert table["predicted"].is_monotonic_increasing
    assert table["measured"].iloc[-1] > table["measured"].iloc[0] + 0.2


def test_examples_are_of_their_tenth(training):
    """Each tenth has its examples, with what was measured of them."""
    table = examples(training, per_decile=3)
    assert table.groupby("decile").size().eq(3).all()
    assert table["prompt"].str.len().between(1, 160).all()
    assert examples(training, per_decile=3).equals(table)


def test_a_first_move_is_to_something_cheaper():
    """A dearer candidate is no move; nothing cheaper, or an abstention, has no loss; the first is the one that gives up least a dollar."""
    gains = np.array([[0, 0.3, -0.2, -0.1]] * 3, np.float32)
    cost = np.array([[2.0, 3.0, 1.0, 1.5]] * 3)
    can = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 1]], bool)
    found, code = first_move(Scores(gains, cost, can, np.array([0, 0, 1], np.int8), np.zeros(3, np.int64)))
    assert found == pytest.approx([0.2, np.inf, np.inf])
    assert code[0] == 2


def test_more_labels_help(training):
    """The learned router's lift grows with labels and passes the length rule's; every size was drawn as often as asked."""
    found = learning_curve(training, [100, 700], draws=3)
    table = found.pivot_table(index="labels", columns="method", values="lift")
    assert table.loc[700, "learned"] > table.loc[100, "learned"] + 0.01
    assert table.loc[700, "learned"] > table.loc[700, "length"] + 0.02
    assert (found["draws"] == 3).all()
    assert (found["low"] <= found["lift"]).all()
    assert (found["lift"] <= found["high"]).all()


def test_a_coin_has_no_lift(training):
    """A curve on the straight line between its ends has a lift of 0, one above it the mean height above."""
    import pandas as pd

    rows = type("Rows", (), {"cost_usd": np.array([[0.004, 0.001]]), "reference": np.array([0]), "weight": np.ones(1)})()
    line = pd.DataFrame({"usd_per_1k": [1.0, 2.5, 4.0], "quality": [0.5, 0.65, 0.8]})
    assert lift(line, rows) == pytest.approx(0)
    bent = line.assign(quality=[0.5, 0.75, 0.8])
    assert lift(bent, rows) == pytest.approx(0.05)
