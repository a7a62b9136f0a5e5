"""Operating points, budgets and intervals of the routing benchmark."""

from __future__ import annotations

import numpy as np
import pytest
from support.labels import COST, made_labels

from benchmarks.routing import frontier
from benchmarks.routing.data import Data, pose
from benchmarks.routing.evaluate import Setting, evaluate, single
from benchmarks.routing.folds import Task, tasks
from benchmarks.routing.method import Fitted, Method, tuned
from benchmarks.routing.rules import RULES

RATES = np.array([10.0, 4.0, 1.0])


def made(n: int = 200, seed: int = 0, models: tuple[str, ...] = ("large", "middle", "small")) -> Data:
    """Return made labels as the benchmark's data."""
    return pose(made_labels(n, models, seed), "made", reference="large", costs=COST)


def test_corners_lie_on_the_hull_of_decisions_tried_one_by_one() -> None:
    """The sweep over thresholds finds the cost and quality that deciding at each threshold gives."""
    rng = np.random.default_rng(0)
    gains = np.column_stack([np.zeros(60), rng.normal(-0.1, 0.2, (60, 2)).round(2)])
    quality, cost, weight = rng.random((60, 3)), rng.uniform(0.5, 2, (60, 3)) * RATES, rng.uniform(1, 2, 60)
    points = frontier.corners(gains, RATES, cost, quality, weight, 0)
    rows = np.arange(60)
    for point in points:
        codes = frontier.decide(point, gains, RATES, 0)
        assert point.cost == pytest.approx(np.average(cost[rows, codes], weights=weight))
        assert point.quality == pytest.approx(np.average(quality[rows, codes], weights=weight))
    line = np.interp
    for tau in np.unique(-gains):
        codes = frontier.decide(frontier.Point(float(tau), 0, 0), gains, RATES, 0)
        paid, got = (np.average(x[rows, codes], weights=weight) for x in (cost, quality))
        assert line(paid, [p.cost for p in points], [p.quality for p in points]) >= got - 1e-9


def test_budgets_are_spent_and_beyond_the_last_point_nothing_changes() -> None:
    """On the rows that chose the points every budget between their ends is met exactly."""
    data = made()
    gains = np.nan_to_num(data.gain)
    points = frontier.corners(gains, data.rates, data.cost, data.quality, data.weight, data.reference)
    limits = np.linspace(points[0].cost, points[-1].cost, 7)
    cost, quality = frontier.walk(points, gains, data.rates, data.cost, data.quality, data.reference, np.append(limits, np.inf))
    assert cost.mean(0)[:-1] == pytest.approx(limits)
    assert quality.mean(0)[-1] == pytest.approx(quality.mean(0)[-2]) == pytest.approx(points[-1].quality)
    share = frontier.shares(points, gains, data.rates, data.reference, limits)
    assert share.sum(1) == pytest.approx(1)
    assert share @ data.rates == pytest.approx(limits)


def test_no_group_is_on_both_sides_of_a_fold_and_every_row_is_tested_once_a_repeat() -> None:
    """Outer and inner folds keep groups whole; repeats differ."""
    unit = np.arange(120) // 3
    repeats = tasks(unit, 2)
    for folds in repeats:
        np.testing.assert_array_equal(np.sort(np.concatenate([t.test for t in folds])), np.arange(120))
        for task in folds:
            assert not set(unit[task.train]) & set(unit[task.test])
            for fit, out in task.inside:
                assert not set(unit[task.train][fit]) & set(unit[task.train][out])
    assert any(set(a.test.tolist()) != set(b.test.tolist()) for a, b in zip(*repeats, strict=True))


def test_tuning_never_sees_the_test_rows() -> None:
    """The rows a peer is fitted on are training rows, and each cross-fitted gain comes from a fit without its row."""
    data = made()
    task = tasks(data.unit, 1)[0][0]
    seen: list[np.ndarray] = []

    def run(fit: np.ndarray, out: np.ndarray, grid: object) -> list[np.ndarray]:
        assert not set(fit.tolist()) & set(out.tolist())
        seen.append(fit)
        return [np.tile(data.gain[fit].mean(0), (len(out), 1)) + shift for shift in grid]  # type: ignore[attr-defined]

    inside, outside, chosen = tuned(data, task, run, (0.5, 0.0))
    assert chosen == 0.0
    assert inside.shape == (len(task.train), 3)
    assert outside == pytest.approx(np.tile(data.gain[task.train].mean(0), (len(task.test), 1)))
    assert not set(np.concatenate(seen).tolist()) & set(task.test.tolist())


def test_paired_intervals_of_a_method_against_itself_are_zero_and_against_the_oracle_are_not() -> None:
    """Differences use the same replicates; an interval covers its value; the truth beats chance."""
    data = made(300, models=("large", "small"))
    setting = Setting(tasks(data.unit, 2), bootstrap=200)
    oracle, chance = (evaluate(data, m, setting)[0] for m in RULES if m.name in ("oracle", "random_mix"))
    assert oracle.interval("apgr", oracle) == (0, 0, 0)
    value, low, high = oracle.interval("apgr", chance)
    assert 0 < low < value < high
    assert chance.interval("apgr") == pytest.approx((0.5, 0.5, 0.5))
    assert oracle.value["quality_max"] == pytest.approx(data.quality.max(1).mean())


def test_bootstrap_spread_is_that_of_new_samples() -> None:
    """The standard error of APGR over replicates is near its spread over fresh data of the same size."""

    def noisy(data: Data, task: Task) -> Fitted:
        score = np.char.str_len(np.array(data.text)).astype(float) / 100
        gain = np.column_stack([np.zeros(len(data)), score])
        return Fitted(gain[task.train], gain[task.test])

    method = Method("noisy", "text", "peer", noisy)
    values, errors = [], []
    for seed in range(16):
        data = made(300, seed, ("large", "small"))
        found = evaluate(data, method, Setting(tasks(data.unit, 1), bootstrap=60))[0]
        values.append(found.value["apgr"])
        errors.append(found.draws["apgr"].std())
    assert 0.55 < np.mean(errors) / np.std(values) < 1.8


def test_a_single_models_row_is_its_mean() -> None:
    """Quality of the cheapest model, its cost beside the best one's, no curve."""
    data = made()
    found = single(data, "cheapest", 2, Setting(tasks(data.unit, 1), bootstrap=20))
    assert found.value["quality_max"] == pytest.approx(data.quality[:, 2].mean())
    assert found.value["matched_cost_share"] == pytest.approx(COST["small"] / COST["large"])


def test_apgr_counts_the_better_models_share_whichever_the_reference_is() -> None:
    """Naming the weaker model as reference changes neither the oracle's APGR nor a ranking's."""
    labels = made_labels(300, ("large", "small"))
    found = []
    for reference in ("large", "small"):
        data = pose(labels, "made", reference=reference, costs=COST)
        oracle = evaluate(data, RULES[0], Setting(tasks(data.unit, 1), bootstrap=10))[0]
        found.append((data.models[data.strong], oracle.value["apgr"], oracle.value["cpt50"]))
    assert found[0] == found[1]
    assert found[0][1] > 0.8
