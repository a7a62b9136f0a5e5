"""What a training says in words follows from its table."""

from __future__ import annotations

import numpy as np
import pandas as pd
from support.labels import COST, made_labels

from planner.training import train
from planner.training.prose import decision

ROUTER = train(made_labels(200), reference="large", cost=COST).router


def table(**lines):
    """Return a table of (usd_per_1k, quality_diff, diff_low, diff_high)."""
    return pd.DataFrame.from_dict(lines, orient="index", columns=["usd_per_1k", "quality_diff", "diff_low", "diff_high"])


def test_saving_and_rival():
    """The saving, the interval and the cheapest rule within the floor are those of the table."""
    found = table(
        reference=(10, 0, 0, 0), learned=(6, -0.002, -0.006, 0.002), length=(9, 0, -0.005, 0.005), cheapest=(1, -0.3, -0.35, -0.25)
    )
    text = decision(found, ROUTER.with_tau(0.1), ("length", "cheapest"), 0.01, 1234)
    assert "On 1,234 labelled requests" in text
    assert "costs 40.0% less than large" in text
    assert "-0.0020 [-0.0060, +0.0020] (measured" in text
    assert "'length', costs 50.0% more than the learned router" in text


def test_nothing_is_surely_good_enough():
    """Where no threshold and no rule will do, or units are too few for an interval, the text says so."""
    found = table(reference=(10, 0, 0, 0), learned=(10, 0, np.nan, np.nan), length=(9, -0.2, -0.3, -0.1))
    text = decision(found, ROUTER.with_tau(-np.inf), ("length",), 0.01, 20)
    for phrase in (
        "costs 0.0% less",
        "too few units for an interval",
        "always answers with the reference",
        "No simple rule's loss is surely",
    ):
        assert phrase in text
