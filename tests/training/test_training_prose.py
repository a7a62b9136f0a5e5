"""What a method is worth, in words, follows from its line."""

from __future__ import annotations

import numpy as np
import pytest
from support.labels import COST, made_labels

from planner.training import train
from planner.training.prose import worth

HOME = {"usd_per_1k": 10.0, "quality_diff": 0.0, "diff_low": 0.0, "diff_high": 0.0}


@pytest.fixture(scope="module")
def router():
    """Return some router whose reference is called large."""
    return train(made_labels(200), reference="large", cost=COST).router.with_tau(0.1)


def line(usd, diff, low, high):
    """Return a line of the table."""
    return {"usd_per_1k": usd, "quality_diff": diff, "diff_low": low, "diff_high": high}


def test_saving_and_difference(router):
    """The saving, the interval, the rows and the basis of the rates are those of the line, with their evidence."""
    text = worth("the learned router", line(6, -0.002, -0.006, 0.002), HOME, router, 1234)
    for phrase in (
        "On 1,234 labelled requests that neither fitted nor certified it",
        "the learned router costs 40.0% less than large",
        "a ranking, not dollars",
        "-0.0020 [-0.0060, +0.0020] (measured; 95 % jackknife by unit)",
        "planner.simulate weighs the whole log",
    ):
        assert phrase in text


def test_what_cannot_be_said_is_said(router):
    """Dearer is "more", too few units have no interval, −∞ is always the reference, and a free reference saves nothing."""
    assert "costs 50.0% more than" in worth("it", line(15, 0, 0, 0), HOME, router, 9)
    assert "too few units for an interval" in worth("it", line(9, -0.1, np.nan, np.nan), HOME, router, 9)
    assert "always answers with the reference" in worth("it", line(10, 0, 0, 0), HOME, router.with_tau(-np.inf), 9)
    assert "costs no less than" in worth("it", line(0, 0, 0, 0), {**HOME, "usd_per_1k": 0.0}, router, 9)
