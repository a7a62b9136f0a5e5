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
    assert text.startswith("Within a loss of 0.01 by its 95 % interval, use the learned router, 40.0% less than today.")
    assert "On 1,234 labelled requests" in text
    assert "costs 40.0% less than large" in text
    assert "-0.0020 [-0.0060, +0.0020] (measured" in text
    assert "'length', costs 50.0% more than the learned router" in text


def test_a_missed_floor_is_said_first():
    """A learned router whose interval reaches below the floor is no recommendation: the text leads with what would decide."""
    found = table(reference=(10, 0, 0, 0), learned=(6, -0.002, -0.018, 0.014), length=(9, 0, -0.005, 0.005))
    text = decision(found, ROUTER.with_tau(0.1), ("length",), 0.01, 1000)
    assert text.startswith("Within a loss of 0.01 by its 95 % interval, use the simple rule 'length', 10.0% less than today. ")
    assert "not shown to keep it; about 4,000 judging labels would, not 1,000" in text, "(0.016 / 0.008)² times as many"
    worse = table(reference=(10, 0, 0, 0), learned=(6, -0.05, -0.07, -0.03), length=(9, -0.2, -0.3, -0.1))
    lost = decision(worse, ROUTER.with_tau(0.1), ("length",), 0.01, 1000)
    assert lost.startswith("Keep today's models: nothing cheaper has its 95 % interval above −0.01. The learned router seems to lose more")


def test_nothing_is_surely_good_enough():
    """Where no threshold and no rule will do, or units are too few for an interval, the text says so."""
    found = table(reference=(10, 0, 0, 0), learned=(10, 0, np.nan, np.nan), length=(9, -0.2, -0.3, -0.1))
    text = decision(found, ROUTER.with_tau(-np.inf), ("length",), 0.01, 20)
    for phrase in (
        "costs 0.0% less",
        "too few units for an interval",
        "always answers with the reference",
        "No simple rule has its interval above −0.01",
        "Keep today's models",
    ):
        assert phrase in text
