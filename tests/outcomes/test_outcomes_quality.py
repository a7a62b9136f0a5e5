"""Predicted quality: calibrated on rows it has not seen, for every model and for the chosen one; noise stays noise."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from support.labels import COST, made_labels
from support.small import MODELS, world_of

from benchmarks.verdict import tau_at
from planner.labels import Labels, read_labels
from planner.outcomes import fit_outcomes
from planner.outcomes.quality import fit_quality
from planner.outcomes.recalibrate import logistic, recalibrate
from planner.policies import Plan, Route
from planner.prices import PriceBook
from planner.router import LinearScorer, Scores, choose
from planner.simulation import World, run
from planner.training import Problem, learn, pose, train
from planner.training.calibration import Calibration, calibration
from planner.training.learn import Learned

DATE = dt.date(2026, 11, 1)


def fitted(problem: Problem) -> tuple[Learned, np.ndarray]:
    """Learn gains on the fit rows; return them with the mask of those rows."""
    rows = problem.part == "fit"
    gain, weight, unit = problem.gain[rows], problem.weight[rows], problem.unit[rows]
    return learn(problem.requests.take(rows), gain, weight, unit, problem.reference_code, quality=problem.quality[rows]), rows


def picked(problem: Problem, gains: np.ndarray, rows: np.ndarray, share: float) -> np.ndarray:
    """Return the model chosen for each of ``rows`` where about ``share`` of them leave the reference."""
    n = len(gains)
    home = np.full(n, problem.reference_code)
    scores = Scores(gains.astype(np.float32), problem.cost_usd[rows], np.ones(gains.shape, bool), np.zeros(n, np.int8), home)
    return choose(scores.gains, scores.cost_usd, scores.feasible, home, tau_at(scores, share))


def out_of_fold(problem: Problem, share: float) -> Calibration:
    """Hold out-of-fold predictions of the fit rows against their grades, ``share`` of the requests leaving the reference."""
    learned, rows = fitted(problem)
    model = fit_quality(problem, learned.scorer, rows)
    chosen = picked(problem, learned.oof, rows, share)
    return calibration(problem.quality[rows], model.oof, problem.weight[rows], problem.unit[rows], problem.models, chosen)


def fresh(problem: Problem, share: float) -> Calibration:
    """Hold predictions of the rows that fitted nothing against their grades, ``share`` of the requests leaving the reference."""
    learned, rows = fitted(problem)
    part = problem.requests.take(~rows)
    gains, predicted = learned.scorer.gains(part), fit_quality(problem, learned.scorer, rows).predict(part)
    chosen = picked(problem, gains, ~rows, share)
    return calibration(problem.quality[~rows], predicted, problem.weight[~rows], problem.unit[~rows], problem.models, chosen)


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_it_is_calibrated_where_words_decide(share):
    """On fresh made-up labels every model and the chosen one are calibrated, with skill; the chosen is not overrated."""
    found = fresh(pose(made_labels(3_000, seed=4), reference="large", cost=COST), share).table
    assert (found["holm"] > 0.05).all()
    assert (found.loc[["middle", "small"], "brier_skill"] > 0.1).all()
    assert (found["realised"] - found["mean_predicted"]).abs().iloc[-1] < 2 * found["se"].iloc[-1]


def test_noise_has_no_skill_and_no_winner():
    """Where grades are coins, predictions are flat, and choosing among them is not overrated by half a point."""
    problem = pose(made_labels(2_000), reference="large", cost=COST)
    noise = (np.random.default_rng(0).random(problem.quality.shape) < 0.7).astype(float)
    found = out_of_fold(replace(problem, quality=noise), 0.5).table
    assert found["brier_skill"].abs().max() < 0.02
    assert abs(found.loc["chosen", "mean_predicted"] - 0.7) < 3 * found.loc["chosen", "se"]


def test_a_routed_plan_on_noise_is_worth_the_best_model(tmp_path: Path):
    """Labels that know nothing: simulated, a routed plan's quality is the best single model's within its interval."""
    traffic, labels = world_of(tmp_path, n=1500, labelled=1200)
    covered = 0
    for seed in range(3):
        quality = (np.random.default_rng(seed).random(len(labels.outcomes)) < 0.8).astype(float)
        noise = Labels.of(labels.items, labels.outcomes.assign(quality=quality))
        training = train(noise, reference=MODELS[0], book=PriceBook.load(), at=DATE, seed=seed)
        held = training.problem.requests.take(training.split == "judge")
        routed = training.router.with_tau(tau_at(training.router.scores(held, ""), 0.5))
        world = World(traffic, fit_outcomes(traffic, noise, training), PriceBook.load(), DATE)
        found = run(world, Plan((Route(routed),), "routed"))
        worth = found.quality()
        covered += worth.low <= 0.8 <= worth.high
        assert abs(worth.value - 0.8) < 0.06
    assert covered >= 2


def test_recalibration_is_penalised_logistic_regression():
    """Newton's method finds what scikit-learn's solver finds."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(800, 3)) * [1, 5, 0.1]
    y = (rng.random(800) < 1 / (1 + np.exp(-(x @ [1, -0.2, 3])))).astype(float)
    z = (x - x.mean(0)) / x.std(0)
    peer = LogisticRegression(C=1 / 3, tol=1e-10).fit(z, y)
    intercept, slopes = logistic(x, y, np.ones(800), np.full(3, 3.0))
    assert slopes * x.std(0) == pytest.approx(peer.coef_[0], abs=1e-5)
    assert intercept + slopes @ x.mean(0) == pytest.approx(peer.intercept_[0], abs=1e-5)


@pytest.mark.parametrize("grade", [0.0, 1.0])
def test_a_model_that_is_always_right_or_wrong(grade):
    """Constant grades and constant scores give a flat, finite prediction near that grade."""
    scores = np.column_stack([np.zeros(300), np.random.default_rng(0).normal(size=300)])
    found = recalibrate(scores, np.full((300, 2), grade), np.ones(300), 0).apply(scores)
    assert np.abs(found - grade).max() < 0.02


def test_scores_beyond_those_seen_give_no_bolder_prediction():
    """Far outside the scores of the fit rows the prediction stays at that of the outermost one."""
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(500, 1))
    found = recalibrate(scores, (rng.random((500, 1)) < 1 / (1 + np.exp(-scores))).astype(float), np.ones(500), 0)
    edge = found.apply(np.array([[scores.min()], [scores.max()]]))
    assert found.apply(np.array([[-50.0], [50.0]])) == pytest.approx(edge)


@pytest.mark.parametrize(("file", "rows"), [("routellm_mmlu.parquet", 5_000), ("llmrouter_train.parquet", 3_000)])
def test_it_is_calibrated_on_public_labels(real_data: Path, file: str, rows: int):
    """On public labels of two and of nine models, all models and the chosen answer are calibrated out of fold, with skill."""
    labels = read_labels(real_data / file).take(np.arange(rows))
    order = pd.Series(labels.quality().mean(0), labels.models).sort_values()
    problem = pose(labels, cost={m: 2.0**i for i, m in enumerate(order.index)})
    found = out_of_fold(problem, 0.3).table
    assert (found["holm"] > 0.05).all()
    assert (found["brier_skill"] > 0).all()


def test_the_scorer_is_linear():
    """The quality model reads the router's features, so it can be kept beside it."""
    problem = pose(made_labels(300), reference="large", cost=COST)
    learned, rows = fitted(problem)
    model = fit_quality(problem, learned.scorer, rows)
    assert isinstance(model.scorer, LinearScorer)
    assert model.predict(problem.requests).shape == (300, 3)
    assert model.version == fit_quality(problem, learned.scorer, rows).version
