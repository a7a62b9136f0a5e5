"""The whole way, on the SYNTHETIC sample and on real public data: read → train → simulate → compare → export → load → decide."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from planner import audit, compare, export, fit_outcomes, frontier, read, read_labels, recommend, simulate, train
from planner.labels import as_traffic
from planner.policies import Plan, Route
from planner.prices import PriceBook
from planner.simulation import World

NAMES = {"gpt_4_1106_preview": "gpt-4-1106-preview", "mixtral_8x7b_instruct": "mixtral-8x7b-instruct"}


@pytest.fixture(scope="module")
def book() -> PriceBook:
    """The bundled catalogue."""
    return PriceBook.load()


def test_production_decides_as_planned_on_every_request(sample, book: PriceBook, tmp_path: Path) -> None:
    """A bare runtime that loads the bundle sends each of the sample's requests to the model that the simulation sent it to."""
    traffic, labels = sample
    training = train(labels, traffic, book=book)
    router = training.router.with_tau(0.05)
    world = World(traffic, fit_outcomes(traffic, labels, training), book, book.date)
    codes, _ = router.choose(world.block.scores(router))
    planned = np.array(router.candidates, object)[codes]
    folder = export(router, tmp_path / "bundle", training=training, plan=Plan((Route(router),), "chosen"))
    names = ("messages", "app", "has_tools", "response_format", "modalities", "max_tokens", "text_state")
    rows = traffic.arrow(*names).to_pylist()
    lines = "\n".join(json.dumps({"messages": r.pop("messages"), "metadata": r, "at": str(book.date)}) for r in rows)
    bare = [sys.executable, str(Path(__file__).parent / "support" / "bare.py"), str(folder)]
    decided = subprocess.run(bare, input=lines, capture_output=True, text=True, check=True, encoding="utf-8").stdout.split()
    assert len(decided) == len(traffic)
    assert (np.array(decided, object) == planned).all()
    assert len(set(decided)) > 2, "the chosen level routes"


def test_the_empty_plan_is_the_audit_on_the_sample(sample, book: PriceBook) -> None:
    """To the pico-dollar, the sample simulated as logged costs what its audit says."""
    traffic, _ = sample
    today = simulate(traffic, book=book, at="as-logged")
    assert int(today.summary.measure("cost_pusd").sum()) == int(audit(traffic, book).cost_pusd.sum())


def test_mmlu_labels_to_a_loaded_router(real_data: Path, book: PriceBook, tmp_path: Path) -> None:
    """On 14,042 real labels the router is above the best published one there (APGR 0.603), and its bundle decides alike."""
    labels = read_labels(real_data / "routellm_mmlu.parquet", models=NAMES)
    training = train(labels, reference=NAMES["gpt_4_1106_preview"], book=book, expected_output=dict.fromkeys(labels.models, 1))
    assert len(labels) == 14_042
    assert training.apgr["judge"] > 0.603
    traffic = as_traffic(labels, training.router.reference, tmp_path / "traffic", output_tokens=1)
    outcomes = fit_outcomes(traffic, labels, training)
    today = simulate(traffic, outcomes=outcomes, book=book)
    routed = simulate(traffic, Plan((Route(training.router),), "learned"), outcomes=outcomes, book=book)
    table = compare(today, routed).table.set_index("plan")
    assert table.loc["learned", "usd_per_month"] < table.loc["as logged", "usd_per_month"]
    assert today.cost().evidence == "assumed", "answer lengths are stated, not logged"
    curve = frontier(traffic, training.router, outcomes=outcomes, book=book).table
    assert curve["saving_share"].is_monotonic_increasing
    loaded = type(training.router).load(export(training.router, tmp_path / "bundle", training=training))
    part = training.problem.requests.take(np.arange(500))
    assert [d.model for d in loaded.decide_many(part)] == [d.model for d in training.router.decide_many(part)]


def test_an_unlabelled_trace_still_ends_in_a_decision(real_data: Path, book: PriceBook, tmp_path: Path) -> None:
    """The Azure trace has no models and no text: with a stated model every dollar is assumed, and what cannot be said is named."""
    traffic = read(
        real_data / "azure_llm_inference_conv_2023.csv",
        mapping={"model": "=gpt-4o", "provider": "=openai"},
        out=tmp_path / "azure",
        text=True,
    )
    assert (len(traffic), len(traffic.quarantine)) == (19_366, 0)
    advice = recommend(traffic, book=book)
    assert set(advice.table["evidence"]) <= {"assumed"}
    assert advice.spend.evidence == "assumed"
    assert "no whole text" in advice.text
