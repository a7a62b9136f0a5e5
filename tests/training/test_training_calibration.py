"""Calibration: what is calibrated passes as often as promised, what is not is named, and a choice that exploits noise is found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError
from planner.training.calibration import BINS, CHOSEN, calibration, holm

MODELS = ("a", "b", "c")


def drawn(n: int, seed: int, graded: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return predictions (n, 3), grades drawn as they say, and weights."""
    rng = np.random.default_rng(seed)
    p = rng.beta(2, 1.5, (n, 3))
    y = rng.beta(4 * p, 4 * (1 - p)) if graded else (rng.random(p.shape) < p).astype(float)
    return p, y, rng.uniform(0.5, 2, n)


def held(p: np.ndarray, y: np.ndarray, w: np.ndarray, seed: int = 0, **more: object):
    """Hold predictions against grades, each row its own unit, the best prediction chosen."""
    return calibration(y, p, w, np.arange(len(p)).astype(str), MODELS, p.argmax(1), seed=seed, **more)


@pytest.mark.parametrize("graded", [False, True])
def test_calibrated_predictions_pass_as_often_as_promised(graded):
    """Of 30 perfectly calibrated sets, Holm at 5 % sets aside few, whether grades are right or wrong or anything between."""
    failed = sum(bool((held(*drawn(300, s, graded)).table["holm"] < 0.05).any()) for s in range(30))
    assert failed <= 5


@pytest.mark.parametrize("graded", [False, True])
def test_a_model_that_is_off_is_named(graded):
    """One overrated model is named in the text, the others are not."""
    p, y, w = drawn(3_000, 1, graded)
    p[:, 1] = np.sqrt(p[:, 1])
    found = held(p, y, w)
    assert found.table.loc["b", "holm"] < 0.05
    assert found.table.loc["a", "holm"] > 0.05
    assert "not calibrated for b" in found.text
    assert found.table.loc["b", "ece"] > found.table.loc["b", "ece_limit"]


def test_choosing_by_ones_own_noise_is_found():
    """Predictions that hold on average, but are chosen by their noise, are overrated where chosen: the chosen line says so."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.4, 0.6, (4_000, 1)) * np.ones(3)
    noisy = np.clip(truth + rng.normal(0, 0.15, truth.shape), 0, 1)
    found = held(noisy, (rng.random(truth.shape) < truth).astype(float), np.ones(4_000))
    line = found.table.loc[CHOSEN]
    assert line["holm"] < 0.05
    assert line["mean_predicted"] - line["realised"] > 5 * line["se"]


def test_means_are_corrected_by_the_rows_that_correct():
    """A bias of all predictions is taken out by a random third of the rows, to within two standard errors."""
    p, y, w = drawn(3_000, 2)
    found = held(np.clip(p + 0.1, 0, 1), y, w, corrects=np.arange(3_000) % 3 == 0).table
    assert (found["mean_predicted"] - found["realised"] > 5 * found["se"]).all()
    assert ((found["corrected"] - found["realised"]).abs() < 2 * found["corrected_se"]).all()
    assert held(p, y, w).table["corrected"].isna().all()


def test_skill_is_against_always_predicting_the_mean():
    """The constant mean has no skill; the truth has; and a constant grade gives none to anybody."""
    p, y, w = drawn(2_000, 3)
    mean = np.tile(np.average(y, axis=0, weights=w), (2_000, 1))
    constant = calibration(y, mean, w, np.arange(2_000).astype(str), MODELS, np.zeros(2_000, int)).table
    assert constant["brier_skill"].abs().max() < 1e-9
    assert (held(p, y, w).table["brier_skill"] > 0.1).all()
    assert (held(p, np.ones_like(p), w).table["brier_skill"] == 0).all()


def test_bins_hold_equal_weight_and_add_up():
    """Fifteen bins of equal weight whose weighted means are the table's."""
    found = held(*drawn(1_500, 4))
    for model, bins in found.bins.groupby("model"):
        assert len(bins) == BINS
        assert bins["weight"].to_numpy() == pytest.approx(1 / BINS, abs=0.01)
        assert (bins["weight"] * bins["realised"]).sum() == pytest.approx(found.table.loc[model, "realised"])
        assert (bins["weight"] * (bins["realised"] - bins["predicted"]).abs()).sum() == pytest.approx(found.table.loc[model, "ece"])
        assert (bins["low"] < bins["predicted"]).all()
        assert (bins["predicted"] < bins["high"]).all()


def test_ungraded_answers_are_left_out():
    """Rows without a model's grade count for the others only."""
    p, y, w = drawn(600, 5)
    y[:200, 0] = np.nan
    found = held(p, y, w).table
    assert (found.loc["a", "n"], found.loc["b", "n"]) == (400, 600)


def test_the_same_seed_gives_the_same_limits():
    """The draws are those of the seed."""
    sample = drawn(300, 6)
    assert held(*sample, seed=1).table.equals(held(*sample, seed=1).table)
    assert not held(*sample, seed=1).table.equals(held(*sample, seed=2).table)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_the_textbook_loop(values):
    """Adjusted p-values equal the step-down definition, and never fall below what they were."""
    p = np.array(values)
    order = sorted(range(len(p)), key=lambda i: p[i])
    expected, running = np.empty(len(p)), 0.0
    for step, i in enumerate(order):
        running = max(running, (len(p) - step) * p[i])
        expected[i] = min(1.0, running)
    assert holm(p) == pytest.approx(expected)
    assert (holm(p) >= p).all()


def test_what_is_no_probability_is_refused():
    """Predictions outside [0, 1], or of another shape, are refused in one sentence."""
    p, y, w = drawn(50, 7)
    with pytest.raises(InputError, match="a probability"):
        held(p + 1, y, w)
    with pytest.raises(InputError, match="as many of each"):
        calibration(y[:, :2], p, w, np.arange(50).astype(str), MODELS, p.argmax(1))
