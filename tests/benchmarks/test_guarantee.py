"""The benchmark of the guarantee: every key is there, clusters are as correlated as they say, and both kinds of draw hold."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.labels import EASY, HARD, made_labels

from benchmarks.guarantee import clustered, correlation, main, measure, world
from benchmarks.routing.data import pose
from planner.labels import read_labels
from planner.training.learn import learn

KEYS = {"n", "violation_rate", "saving_vs_attainable", "saving_vs_clairvoyant"}


@pytest.fixture(scope="module")
def made():
    """Losses of 1,400 requests at the τ that 600 others fix: the small model fails where a word is hard."""
    labels = made_labels(2000, models=("large", "small"))
    return world(pose(labels, "made", reference="large", costs={"large": 20.0, "small": 1.0}), 0.05)


@pytest.mark.parametrize("clusters", [0, 20])
def test_a_floor_holds_for_single_and_clustered_draws(made, clusters):
    """Of 60 sets of 1,000 rows, or 150 clusters, at most 5 % break the floor (within 3 SE); a clairvoyant saves more than attainable."""
    line = measure(made, 150 * clusters or 1000, 60, 0.05, 0.05, 0, clusters, 0.1)
    assert set(line) >= KEYS
    assert line["violation_rate"] <= 0.05 + 3 * (0.05 * 0.95 / 60) ** 0.5
    assert line["attainable"] <= line["clairvoyant"]
    assert line["saving_vs_attainable"] > (0.2 if clusters else 0.8)


def test_clusters_have_the_stated_correlation(made):
    """The loss at the clairvoyant τ has an intraclass correlation of 0.1 in groups of 20; every row is in one group at most."""
    groups = clustered(made, 0.05, 20, 0.1, 0)
    fine = np.flatnonzero(made.dense_loss.mean(0) <= 0.05)[-1]
    assert correlation(made.dense_loss[:, fine][groups]) == pytest.approx(0.1, abs=0.01)
    assert len(np.unique(groups)) == groups.size


def test_what_is_certified_is_what_training_ships(monkeypatch: pytest.MonkeyPatch):
    """The benchmark's learner sees qualities beside gains, as that of ``train`` does: of the rows it is fitted on, and of no other."""
    data = pose(made_labels(600, models=("large", "small")), "made", reference="large", costs={"large": 20.0, "small": 1.0})
    seen = []

    def watched(requests, gain, *rest, quality):
        seen.append((gain, quality))
        return learn(requests, gain, *rest, quality=quality)

    monkeypatch.setattr("benchmarks.guarantee.learn", watched)
    world(data, 0.05)
    ((gain, quality),) = seen
    np.testing.assert_array_equal(quality - quality[:, [data.reference]], gain)
    assert 150 < len(quality) < 250


def test_it_runs_on_any_file_of_graded_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """``--labels FILE --reference M --json`` prints one object per size, then one per size with clusters."""
    rng = np.random.default_rng(0)
    hard = rng.random(900) < 0.4
    prompts = [f"{rng.choice(HARD if h else EASY)} {rng.choice(HARD if h else EASY)} {i}" for i, h in enumerate(hard)]
    columns = {"prompt": prompts, "correct_big": rng.random(900) < 0.9, "correct_small": rng.random(900) < np.where(hard, 0.3, 0.9)}
    pd.DataFrame(columns).to_csv(tmp_path / "own.csv", index=False)
    main(["--labels", str(tmp_path / "own.csv"), "--reference", "big", "--sizes", "200", "400", "--sets", "5", "--floor", "0.05", "--json"])
    lines = json.loads(capsys.readouterr().out)
    assert [(x["n"], x.get("clusters")) for x in lines] == [(200, None), (400, None), (200, 20), (400, 20)]
    assert all(set(x) >= KEYS for x in lines)


def test_a_missing_folder_is_one_sentence(tmp_path: Path):
    """Without data the way to it is said."""
    with pytest.raises(SystemExit, match="Pass --data DIR or --labels FILE"):
        main(["--data", str(tmp_path)])


def test_mmlu(real_data: Path):
    """On MMLU, 60 sets of 2,500 rows break a floor of two points in at most 5 % (within 3 SE) and save 90 % of what is attainable."""
    labels = read_labels(real_data / "routellm_mmlu.parquet")
    line = measure(world(pose(labels, "mmlu", reference="gpt_4_1106_preview"), 0.02), 2500, 60, 0.02, 0.05, 1)
    assert line["violation_rate"] <= 0.05 + 3 * (0.05 * 0.95 / 60) ** 0.5
    assert line["saving_vs_attainable"] >= 0.9
