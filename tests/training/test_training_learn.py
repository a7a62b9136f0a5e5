"""What is learned: the scorer is what its parts say, finds what is not linear, and does not mistake noise for it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from planner.router import FeatureSpec, LinearScorer, Requests, features, weigh
from planner.router.link import Link
from planner.training import learn
from planner.training.bend import fit_bend, targets
from planner.training.learn import design, refit
from planner.training.ridge import ridge_path
from planner.training.rules import fit_table

SMALL = FeatureSpec(token_bits=14)
SUBJECTS = ("sea", "law", "bread", "music", "rails", "stars", "tax", "wool")
WORDS = (
    "red",
    "green",
    "blue",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "stone",
    "paper",
    "glass",
    "river",
    "door",
    "window",
    "chair",
)


def made(n, p, seed=0, subjects=8, app=True):
    """Return requests of subjects with P(right) ``p`` (subjects, 2) of the reference and the other, their grades, and subjects."""
    rng = np.random.default_rng(seed)
    subject = rng.integers(0, subjects, n)
    texts = [" ".join([*rng.choice(WORDS, 6), SUBJECTS[s]]) for s in subject]
    quality = (rng.random((n, 2)) < np.asarray(p)[subject]).astype(float)
    apps = [SUBJECTS[s] for s in subject] if app else None
    return Requests.of(texts, app=apps), quality, subject


def learned(requests, quality, seed=0, spec=SMALL, known=True):
    """Learn with model 0 as the reference."""
    n = len(quality)
    return learn(requests, quality - quality[:, [0]], np.ones(n), np.arange(n), 0, seed, spec, quality=quality if known else None)


@pytest.fixture(scope="module")
def three():
    """Three models whose quality depends on the subject, and what was learned of them."""
    rng = np.random.default_rng(3)
    requests, _, subject = made(400, np.full((8, 2), 0.5))
    quality = np.clip(rng.uniform(0.2, 0.9, (8, 3))[subject] + rng.normal(0, 0.1, (400, 3)), 0, 1)
    return requests, quality, learned(requests, quality)


def test_equal_to_a_dense_reference(three):
    """Gains are, number by number, the weighted features times the weights, bent by the products of levels."""
    requests, _, result = three
    scorer = result.scorer
    found = features(requests, scorer.spec)
    values, shape = weigh(found, scorer.weighting)
    got = scorer.gains(requests)
    for i in range(20):
        row = np.zeros(scorer.spec.dim)
        row[found.indices[found.indptr[i] : found.indptr[i + 1]]] = values[found.indptr[i] : found.indptr[i + 1]]
        raw = row @ scorer.weights + shape[i] @ scorer.structure_weights + scorer.intercept
        level = raw[3:] - scorer.link.centre
        for k in range(3):
            a, b = level[k], level[0]
            assert got[i, k] == pytest.approx(raw[k] + np.dot(scorer.link.coef[k], [a * a, b * b, a * b]), abs=2e-6)


def test_state_and_back(three):
    """A scorer built from its state gives the same gains to the bit."""
    requests, _, result = three
    back = LinearScorer.of(*result.scorer.state())
    assert np.array_equal(back.gains(requests), result.scorer.gains(requests))
    assert np.array_equal(back.levels(requests), result.scorer.levels(requests))


def test_neighbours_do_not_matter(three):
    """The gains of a request are those it has alone."""
    requests, _, result = three
    every = result.scorer.gains(requests)
    for i in range(10):
        assert np.array_equal(result.scorer.gains(requests.take(np.array([i])))[0], every[i])


@pytest.mark.parametrize("columns", [[0, 2], [1, 0], [1, 2]])
def test_fewer_candidates_keep_their_gains(three, columns):
    """Candidates taken out change nothing for the others, even when the reference is taken out."""
    requests, _, result = three
    fewer = result.scorer.take(np.array(columns))
    assert np.array_equal(fewer.gains(requests), result.scorer.gains(requests)[:, columns])


def test_the_seed_decides(three):
    """The same rows and seed give the same scorer; the reference's gain is exactly 0."""
    requests, quality, result = three
    again = learned(requests, quality)
    assert np.array_equal(again.scorer.weights, result.scorer.weights)
    assert np.array_equal(again.oof, result.oof)
    assert not result.oof[:, 0].any()
    assert not result.scorer.gains(requests)[:, 0].any()


def test_the_hump_is_found():
    """Where gain is a product of two levels, the link predicts it and differences of levels do not."""
    rng = np.random.default_rng(0)
    n = 4_000
    x = rng.normal(size=(n, 2))
    level = np.column_stack([0.5 + 0.2 * x[:, 0], 0.5 + 0.2 * x[:, 1]])
    gain = np.column_stack([np.zeros(n), 0.4 * x[:, 0] * x[:, 1]]) + rng.normal(0, 0.1, (n, 2)) * [0, 1]
    text = ridge_path(sparse.csr_matrix(x), targets(level, gain), np.ones(n), np.arange(n), (0.1, 1.0))
    table = ridge_path(sparse.csr_matrix(x[:, :1]), level, np.ones(n), np.arange(n), (0.1, 1.0))
    bend = fit_bend(text, table, level, gain, np.ones(n), np.arange(n), 0, 0)
    assert bend.trials["bent"] < 0.2 * bend.trials["mixed"]
    assert bend.link.coef[1, 2] == pytest.approx(0.4 / 0.04, rel=0.1)


def test_a_bend_in_text_is_found():
    """Subjects where both fail or both succeed gain nothing; with words that add up in levels only, the bent fit is the better."""
    rng = np.random.default_rng(5)
    n = 3_000
    hard = rng.integers(0, 2, (n, 6))
    texts = [" ".join(w if h else "plain" for w, h in zip(SUBJECTS, row, strict=False)) for row in hard]
    ease = (3 - hard.sum(1)) * 1.6
    chance = 1 / (1 + np.exp(-np.column_stack([ease + 1.2, ease - 1.2])))
    quality = (rng.random((n, 2)) < chance).astype(float)
    result = learned(Requests.of(texts), quality)
    truth = chance[:, 1] - chance[:, 0]
    fresh = result.scorer.gains(Requests.of(texts))[:, 1]
    assert result.trials["bent"] < 0.99 * result.trials["mixed"]
    assert np.corrcoef(fresh, truth)[0, 1] > 0.9


def test_noise_is_left_alone():
    """On labels of pure noise neither the straight fit nor the bent one predicts left-out rows better than their mean."""
    requests, quality, _ = made(600, np.full((8, 2), 0.5), app=False)
    result = learned(requests, quality)
    gain = quality[:, 1] - quality[:, 0]
    assert np.square(result.oof[:, 1] - gain).mean() > 0.97 * gain.var()


def near(n, draws, told):
    """Return squared errors of the learned gains and of the app table's, (draws, 2); the text tells of the subject if ``told``."""
    p, found = np.column_stack([np.full(8, 0.85), np.linspace(0.15, 0.9, 8)]), []
    for seed in range(draws):
        requests, quality, _ = made(n, p, seed)
        fresh, _, subject = made(500, p, 100 + seed)
        if not told:
            requests, fresh = (Requests.of([t.rsplit(" ", 1)[0] for t in r.user], app=list(r.app)) for r in (requests, fresh))
        rule = fit_table(requests, quality - quality[:, [0]], np.ones(n))
        truth = p[subject, 1] - p[subject, 0]
        found.append([np.square(s.gains(fresh)[:, 1] - truth).mean() for s in (learned(requests, quality, seed).scorer, rule)])
    return np.array(found)


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("n", [60, 200, 400])
def test_few_labels_with_telling_apps(n, told):
    """Where the app explains the gain, the learned gains' squared error is at most 1.3 times the app table's, over ten draws."""
    ours, table = near(n, 10, told).mean(0)
    assert ours < 1.3 * table


def test_without_qualities_gains_are_learned_alone():
    """Gains alone give a scorer too."""
    requests, quality, _ = made(300, np.column_stack([np.full(8, 0.85), np.linspace(0.15, 0.9, 8)]))
    found = learned(requests, quality, known=False).scorer.gains(requests)
    assert np.corrcoef(found[:, 1], (quality[:, 1] - quality[:, 0]))[0, 1] > 0.3


def test_an_unlabelled_answer_teaches_nothing():
    """A row without any grade changes no weight beyond what its words weigh; a partly graded one is used where it is graded."""
    requests, quality, _ = made(300, np.column_stack([np.full(8, 0.85), np.linspace(0.15, 0.9, 8)]))
    partly = quality.copy()
    partly[::3, 1] = np.nan
    result = learned(requests, partly)
    assert np.isfinite(result.oof).all()
    assert np.isfinite(result.scorer.gains(requests)).all()


def test_any_target_on_the_same_features(three):
    """``refit`` is the ridge on the scorer's own features, without a link."""
    requests, quality, result = three
    scorer, oof = refit(result.scorer, requests, quality, np.ones(len(quality)), np.arange(len(quality)))
    assert scorer.link is None
    assert scorer.levels(requests) is None
    assert oof.shape == quality.shape
    dense = design(features(requests, scorer.spec), scorer.weighting).toarray()
    weights = np.concatenate([scorer.weights, scorer.structure_weights])
    assert np.allclose(scorer.gains(requests), dense @ weights + scorer.intercept, atol=1e-5)


def test_a_link_of_a_candidate_whose_reference_is_none():
    """Levels are looked up by position, so a reference outside the candidates still counts."""
    link = Link(np.array([1]), 0, np.zeros(2, np.float32), np.array([[0, 0, 2]], np.float32))
    assert link.gains(np.array([[0.1, 0.5, 0.25]])).tolist() == [[0.1 + 2 * 0.5 * 0.25]]
