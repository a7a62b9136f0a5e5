"""``python -m benchmarks.routing_quality`` from a file to JSON, on the kinds of tables it meets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.labels import COST, made_labels

from benchmarks.routing.data import pose
from benchmarks.routing.roster import needs_met, roster
from benchmarks.routing_quality import main
from planner.labels import Labels

KEYS = {
    *("dataset", "method", "inputs", "apgr", "apgr_low", "apgr_high", "cpt50", "cpt80", "aiq"),
    *("quality_at_25", "quality_at_50", "quality_at_75", "cost_at_best_single", "decision_us", "costs", "cost_basis"),
}
PLANNER = {"best_peer", "diff_to_best_peer", "diff_to_best_peer_low", "diff_to_best_peer_high", "diff_to_peers", "diff_metric"}
QUICK = ("--repeats", "1", "--bootstrap", "50")


def written(folder: Path, n: int = 150, models: tuple[str, ...] = ("large", "small"), missing: float = 0.0, domain: bool = True) -> Path:
    """Write made labels as a wide table with some cells empty."""
    labels = made_labels(n, models)
    frame = pd.DataFrame({"prompt": [json.loads(m)[0]["content"] for m in labels.items["messages"]]})
    if domain:
        frame["domain"] = labels.items["app"].tolist()
    quality = labels.quality(models).copy()
    quality[np.random.default_rng(0).random(quality.shape) < missing] = np.nan
    for k, model in enumerate(models):
        frame[f"score_{model}"] = quality[:, k]
    path = folder / "made.parquet"
    frame.to_parquet(path)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    """Run the command and return what it printed as JSON."""
    assert main([*arguments, "--json"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def test_two_models_with_gaps_give_every_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each row has the promised keys; APGR lies in its interval, the oracle on top; costs are recorded as assumed."""
    path = written(tmp_path, missing=0.1)
    methods = ("oracle", "random", "length", "domain", "planner", "tfidf_ridge", "tfidf_diff")
    found = {line["method"]: line for line in run(capsys, "--labels", str(path), "--reference", "large", *QUICK, "--methods", *methods)}
    assert {"cheapest", "best", "planner_text", "planner_all", "shuffle_planner_all", "tfidf_ridge_text", "tfidf_ridge_all"} <= set(found)
    for line in found.values():
        assert set(line) >= KEYS
        assert line["rows_judged"] == line["rows"] < 150
        assert f"{150 - line['rows']} rows without a pair of grades left out" in line["data_notes"]
        assert line["cost_basis"].startswith("assumed")
    for name in ("planner_text", "planner_all"):
        line = found[name]
        assert set(line) >= PLANNER
        assert line["diff_metric"] == "apgr"
        assert line["apgr_low"] <= line["apgr"] <= line["apgr_high"] <= found["oracle"]["apgr"]
        assert line["diff_to_best_peer"] == line["diff_to_peers"][line["best_peer"]][0]
        assert line["decision_us"] > 0
    assert "domain_table" in found["planner_all"]["diff_to_peers"]
    assert "domain_table" not in found["planner_text"]["diff_to_peers"]
    assert found["random_mix"]["apgr"] == pytest.approx(0.5)


def test_four_models_without_domain_compare_by_aiq(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """APGR is null, AIQ is there, rows that need a domain say why they are not."""
    path = written(tmp_path, models=("large", "middle", "small"), domain=False)
    frame = pd.read_parquet(path)
    frame["score_other"] = frame["score_small"].rank(pct=True).round(2)
    frame.to_parquet(path)
    (tmp_path / "costs.yaml").write_text("{large: 20, middle: 5, small: 1, other: 2}")
    given = ("--labels", str(path), "--reference", "large", "--costs", str(tmp_path / "costs.yaml"))
    found = {line["method"]: line for line in run(capsys, *given, *QUICK, "--methods", "oracle", "planner", "domain", "tfidf_ridge")}
    line = found["planner_text"]
    assert line["apgr"] is None
    assert line["cpt50"] is None
    assert line["diff_metric"] == "aiq"
    assert line["aiq"] <= found["oracle"]["aiq"]
    assert line["costs"] == {"large": 20, "middle": 5, "other": 2, "small": 1}
    assert line["cost_basis"] == "stated per request"
    assert "no domain column" in found["domain_table"]["note"]
    assert main([*given, *QUICK, "--methods", "length", "planner_text"]) == 0
    assert "planner_text" in capsys.readouterr().out


def test_the_learning_curve_has_a_row_a_method_and_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Counts beyond four fifths of the rows are not drawn; a planner's row says how far it is from the best peer."""
    path = written(tmp_path, n=300)
    found = run(capsys, "--labels", str(path), "--curve", "--draws", "3", "--methods", "planner_all", "length", "domain")
    assert [(line["labels"], line["method"]) for line in found] == [(200, m) for m in ("length", "domain_table", "planner_all")]
    assert {"mean", "mean_low", "mean_high", "best_peer", "diff_to_best_peer", "diff_to_best_peer_low"} <= set(found[-1])


def test_what_cannot_be_measured_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown reference, one model, twenty rows, equal grades, missing costs: each says what to do."""
    path = written(tmp_path, n=60)
    (tmp_path / "costs.json").write_text('{"large": 1}')
    assert main(["--labels", str(path), "--reference", "larg"]) == 2
    assert "large" in capsys.readouterr().err
    assert main(["--labels", str(path), "--costs", str(tmp_path / "costs.json")]) == 2
    assert "costs without small" in capsys.readouterr().err
    assert main(["--labels", str(path), "--methods", "nonsense"]) == 2
    assert "nonsense" in capsys.readouterr().err
    frame = pd.read_parquet(path)
    for spoiled, said in (
        (frame.drop(columns="score_small"), "one model"),
        (frame.head(20), "20 rows"),
        (frame.assign(score_small=frame["score_large"]), "the same quality"),
    ):
        spoiled.to_parquet(path)
        assert main(["--labels", str(path)]) == 2
        assert said in capsys.readouterr().err


def test_models_that_share_too_few_rows_are_left_out_by_name() -> None:
    """With three models of which one answered a tenth, the other two are compared and the note counts."""
    labels = made_labels(200)
    gone = (labels.outcomes["model"] == "middle") & (labels.outcomes["request_id"] > "r00020")
    data = pose(Labels.of(labels.items, labels.outcomes[~gone]), "made")
    assert data.models == ("large", "small")
    assert data.notes[0].startswith("middle left out: graded on 21 of 200")


def test_costs_of_the_labels_are_taken_where_there_are_any() -> None:
    """A labelled cost is what an answer cost; decisions go by each model's mean."""
    labels = made_labels(100)
    cost = labels.outcomes["model"].map(COST) * np.linspace(0.5, 1.5, len(labels.outcomes))
    data = pose(Labels.of(labels.items, labels.outcomes.assign(cost_usd=cost)), "made")
    assert data.cost_basis.startswith("measured")
    assert data.cost.mean(0) == pytest.approx(data.rates)
    assert data.cost.std(0).min() > 0


def test_methods_that_need_what_is_not_installed_are_left_out_with_the_command(tmp_path: Path) -> None:
    """Without the extra the rows of embeddings are named with their reason, and the others run."""
    data = pose(made_labels(60, ("large", "small")), "made")
    from benchmarks.routing.minilm import absent

    _, kept, why = needs_met(data, roster(), tmp_path)
    assert ("llm-traffic-planner[bench]" in why.get("knn_minilm_text", "")) == bool(absent())
    assert {m.name for m in kept} >= {"oracle", "planner_all", "tfidf_svm_all"}


def test_kept_outcomes_of_peers_are_the_same_and_the_planner_is_always_fitted_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second run with --reuse takes the peers from the folder, to the digit, and nothing for other rows."""
    path = written(tmp_path, n=80)
    given = (
        "--labels",
        str(path),
        *QUICK,
        "--reuse",
        "--cache",
        str(tmp_path / "kept"),
        "--methods",
        "length",
        "domain_table",
        "tfidf_ridge_text",
        "planner_text",
    )
    first, second = run(capsys, *given), run(capsys, *given)
    kept = sorted(p.name for p in (tmp_path / "kept").rglob("*.npz"))
    assert kept == ["domain_table.npz", "length.npz", "tfidf_ridge_text.npz"]
    assert "ensemble_all" in {line["method"] for line in second}
    same = [[{k: v for k, v in line.items() if k not in ("decision_us", "fit_seconds")} for line in lines] for lines in (first, second)]
    assert same[0] == same[1]
    run(capsys, *given[:-1], "--max-rows", "70")
    assert len(list((tmp_path / "kept").rglob("*.npz"))) == 6
