"""Noise of grades: what is planted is found, what is not there is not, and intervals cover."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from planner.errors import InputError, NeedsError
from planner.labels.grade_noise import noise, orders, shares
from planner.labels.table import Labels


def graded_twice(truth: np.ndarray, flip: float, seed: int, repeats: int = 2, models: tuple[str, ...] = ("big", "small")) -> Labels:
    """Return labels whose true grades ``truth`` (n, K), 0 or 1, are each flipped with probability ``flip``, independently."""
    rng = np.random.default_rng(seed)
    n = len(truth)
    parts = []
    for r in range(repeats):
        seen = np.where(rng.random(truth.shape) < flip, 1 - truth, truth)
        parts += [
            pd.DataFrame({"request_id": [f"q{i}" for i in range(n)], "model": m, "repeat": r, "quality": seen[:, k], "grader": "g v1"})
            for k, m in enumerate(models)
        ]
    return Labels.of(pd.DataFrame({"request_id": [f"q{i}" for i in range(n)]}), pd.concat(parts))


def truth_of(n: int, seed: int = 0) -> np.ndarray:
    """Return true grades of a strong and a weak model."""
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.random(n) < 0.9, rng.random(n) < 0.6]).astype(float)


def test_planted_noise_is_found() -> None:
    """Flips with probability f make two gradings differ in 2f(1 − f), and the variance of gains noisy by 2f(1 − f) over all of it."""
    f, truth = 0.1, truth_of(20_000)
    found = noise(graded_twice(truth, f, 1), reference="big")
    assert found.differ is not None
    assert found.differ.value == pytest.approx(2 * f * (1 - f), abs=0.005)
    noisy = 2 * f * (1 - f)
    total = np.var((1 - 2 * f) * (truth[:, 1] - truth[:, 0])) + noisy
    assert found.gain_noise is not None
    assert found.gain_noise.value == pytest.approx(noisy / total, abs=0.01)
    assert (found.kind, found.reference, found.differ.evidence) == ("repeats", "big", "measured")


def test_the_headroom_of_coins_is_all_noise_and_that_of_the_truth_is_none() -> None:
    """Where grades are coins, the winners of one grading win nothing in the other; where they are certain, everything comes back."""
    coins = noise(graded_twice(truth_of(4_000), 0.5, 2), reference="big")
    assert coins.headroom_noise is not None
    assert coins.headroom_noise.value > 0.95
    assert coins.gain_noise is not None
    assert coins.gain_noise.value == pytest.approx(1, abs=0.04)
    certain = noise(graded_twice(truth_of(4_000), 0.0, 2), reference="big")
    assert certain.headroom_noise is not None
    assert certain.gain_noise is not None
    assert certain.differ is not None
    assert (certain.headroom_noise.value, certain.gain_noise.value, certain.differ.value) == (0, 0, 0)


def test_intervals_cover() -> None:
    """Of 60 draws the 95 % interval of the flip rate holds the truth in at least 52."""
    f = 0.07
    hits = 0
    for seed in range(60):
        found = noise(graded_twice(truth_of(300, seed), f, 1_000 + seed)).differ
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 2 * f * (1 - f) <= found.high
    assert hits >= 52


def test_the_slow_way_says_the_same() -> None:
    """Every share equals a loop over requests that follows the definition."""
    labels = graded_twice(truth_of(200), 0.03, 5)
    found = noise(labels, reference="big")
    table = labels.outcomes.pivot(index="request_id", columns=["model", "repeat"], values="quality")
    differ, gains, noisy, apparent, real = [], [], [], [], []
    for _, row in table.iterrows():
        for model in ("big", "small"):
            differ.append(abs(row[model, 0] - row[model, 1]) >= 0.5)
        gains.append((row["small"].sum() - row["big"].sum()) / 2)
        noisy.append(np.var(row["small"], ddof=1) + np.var(row["big"], ddof=1))
        for one, two in ((0, 1), (1, 0)):
            apparent.append(max(row["big", one], row["small", one]) - row["big", one])
            real.append(row["small", two] - row["big", two] if row["small", one] > row["big", one] else 0.0)
    assert found.differ is not None
    assert found.differ.value == pytest.approx(np.mean(differ))
    assert found.gain_noise is not None
    assert found.gain_noise.value == pytest.approx(np.mean(noisy) / (np.var(gains) + np.mean(noisy) / 2))
    assert found.headroom_noise is not None
    assert found.headroom_noise.value == pytest.approx(1 - np.sum(real) / np.sum(apparent))


def test_a_second_grading_of_the_same_answers() -> None:
    """Two gradings of the same answers are compared answer by answer, and the sentence says so."""
    truth = truth_of(2_000)
    one, two = (graded_twice(truth, 0.05, seed, repeats=1) for seed in (1, 2))
    found = noise(one, two)
    assert found.differ is not None
    assert found.differ.value == pytest.approx(2 * 0.05 * 0.95, abs=0.01)
    assert found.text.startswith("Two gradings of the same answer are graded half the scale or more apart in 1") or "9 %" in found.text
    assert found.text.endswith("Measured with g v1.")
    assert noise(one, one).differ == noise(two, two).differ


def judged(pairs: list[tuple[float, float]]) -> Labels:
    """Return a judge's comparisons of ``m`` with ``home`` in both orders."""
    n = len(pairs)
    ids = [f"q{i}" for i in range(n)]
    quality = [a if a == b else 0.5 for a, b in pairs]
    checks = [json.dumps({"first": a, "second": b}) for a, b in pairs]
    rows = pd.DataFrame({"request_id": ids, "model": "m", "quality": quality, "validators": checks, "grader": "judge v1"})
    home = pd.DataFrame(
        {"request_id": ids, "model": "home", "quality": 0.5, "validators": json.dumps({"reference": True}), "grader": "judge v1"}
    )
    return Labels.of(pd.DataFrame({"request_id": ids}), pd.concat([rows, home]), against="home")


def test_a_judges_orders() -> None:
    """A judge that half of the time goes by position disagrees with itself in that half, and the first shown wins 3 of 4."""
    labels = judged([(1.0, 1.0), (1.0, 0.0), (0.0, 0.0), (1.0, 0.0)] * 20)
    disagree, first = orders(labels)
    assert disagree is not None
    assert first is not None
    assert (disagree.value, first.value, disagree.n) == (0.5, 0.75, 80)
    found = noise(labels)
    assert found.differ is None
    assert "The judge's two orders disagree in 50 %" in found.text
    assert list(found.table.index) == ["orders_differ", "first_wins"]


def test_the_references_own_ties_are_no_evidence_of_certainty() -> None:
    """Grades that are 0.5 by definition are left out of the flip rate."""
    one = judged([(1.0, 1.0), (0.0, 0.0)] * 20)
    two = judged([(0.0, 0.0), (0.0, 0.0)] * 20)
    differ = noise(one, two).differ
    assert differ is not None
    assert (differ.value, differ.n) == (0.5, 40)


def test_nothing_twice_is_refused_with_what_to_do() -> None:
    """Labels without repeats say how to get some; an unknown reference is named."""
    single = graded_twice(truth_of(50), 0.1, 1, repeats=1)
    with pytest.raises(NeedsError, match=r"nothing was graded twice.*about 200 requests a second time"):
        noise(single)
    with pytest.raises(InputError, match=r"reference 'bgi'.*Did you mean 'big'"):
        noise(single, reference="bgi")


def test_never_seen_is_not_never() -> None:
    """A share that was 0 in 100 rows may be up to 3.6 % (Clopper and Pearson), and not just 0."""
    found = shares(np.arange(100), np.ones(100), np.column_stack([np.zeros(100), np.ones(100)]))
    assert found is not None
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(0.0362, abs=1e-4)


def test_few_clusters_have_no_interval() -> None:
    """Below ten effective clusters a share stands alone; no rows are no share."""
    alone = shares(np.zeros(5, np.int64), np.ones(5), np.ones((5, 2)))
    assert alone is not None
    assert (alone.value, alone.low) == (1.0, None)
    assert shares(np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 2))) is None
