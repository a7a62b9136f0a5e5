"""Design effects: of sessions that fail alone, in part or whole, rather too high than too low, and 1 where there are none."""

from __future__ import annotations

import numpy as np
import pytest

from planner.bundle.gateway_effects import Answers, design_effects


def drawn(rng: np.random.Generator, units: int, length: int, rate: float, together: float) -> Answers:
    """Draw units of random length whose answers share a fate with a chance."""
    unit = np.repeat(np.arange(units), rng.geometric(1 / length, units))
    fate, own = rng.random(units)[unit], rng.random(len(unit))
    return Answers(np.where(rng.random(len(unit)) < together, fate, own) < rate, unit)


@pytest.mark.parametrize(("length", "together"), [(1, 0.0), (10, 0.0), (10, 0.5), (10, 1.0), (20, 1.0)])
def test_it_is_the_variance_of_rates_over_that_of_single_answers(length: int, together: float) -> None:
    """Over 400 logs the measured one is above the true ratio, by simulation, in nine of ten, and on average less than 1.8 times it."""
    rng = np.random.default_rng(7)
    logs = [drawn(rng, 600, length, 0.1, together) for _ in range(400)]
    rates = np.array([log.bad.mean() for log in logs])
    true = rates.var() / np.mean([0.09 / len(log.bad) for log in logs])
    found = np.array([design_effects({"a": log})["a"] for log in logs])
    assert (found >= 1).all()
    assert (found >= 0.88 * true).mean() > 0.9, "the truth is simulated to some 7 %"
    assert found.mean() < 1.8 * true + 0.3


def test_an_app_that_tells_too_little_takes_the_correlation_of_all() -> None:
    """By its own length of sessions; where all tell too little, sessions count as if they failed whole, also where none failed."""
    rng = np.random.default_rng(3)
    long, short = drawn(rng, 900, 12, 0.1, 1.0), Answers(np.zeros(40, bool), np.repeat(np.arange(20), 2))
    found = design_effects({"long": long, "short": short})
    assert 20 < found["long"] < 30
    assert 1.9 < found["short"] < 2.3
    assert design_effects({"short": short, "none": Answers(np.zeros(0, bool), np.zeros(0, np.int64))}) == {"short": 2.0}
    assert design_effects({"all": Answers(np.ones(40, bool), short.unit)}) == {"all": 2.0}
    assert design_effects({"single": Answers(np.zeros(40, bool), np.arange(40))}) == {"single": 1.0}


def test_answers_that_are_drawn_from_many_tell_of_all() -> None:
    """A fifth of the answers, drawn one by one, tells the design effect of all of them, though they share sessions less."""
    rng = np.random.default_rng(5)
    whole = drawn(rng, 5_000, 10, 0.1, 1.0)
    some = rng.random(len(whole.bad)) < 0.2
    part = Answers(whole.bad[some], np.unique(whole.unit[some], return_inverse=True)[1], 0.2)
    assert design_effects({"a": part})["a"] == pytest.approx(design_effects({"a": whole})["a"], rel=0.15)
