"""What a released planner wrote must load for ever; what a newer one wrote is refused.

``v1/`` holds one saved thing of each format as version 1 wrote it. Never write these files again: add ``v2/`` beside them.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from planner import formats
from planner.errors import BundleError, InputError
from planner.labels import Answers, Labels, Work
from planner.policies import Plan, Route
from planner.prices import Contract, PriceBook
from planner.router import AlwaysRule, Capability, Costs, Router
from planner.traffic import Apps, Traffic
from planner.traffic.rows import load_rows

V1 = Path(__file__).parent / "v1"


def plan_at(path: Path) -> Plan:
    """Rebuild a plan; its router is named, not contained, so it must be found by its version."""
    costs = Costs(np.array([2.0, 1.0]), *(np.zeros(2) for _ in range(3)))
    router = Router(("a", "b"), "a", AlwaysRule.model(1, 0, 2), costs, (Capability(10**6),) * 2, tau=-0.5).with_apps(["chat"])
    known = {router.version: router}
    return Plan.of(json.loads(path.read_text()), {"route": lambda p: Route(known[p["router"]])}, str(path))


def test_traffic_of_version_1() -> None:
    """Every column of a version 1 log is there, and it simulates."""
    traffic = Traffic.open(V1 / "traffic")
    assert traffic.frame("prefix_blocks")["prefix_blocks"].iloc[0].tolist() == [1, 2]
    assert load_rows(traffic).tokens[:, 0].tolist() == [1000, 200, 50]
    assert len(traffic.frame()) == len(traffic) == 3


def test_rows_of_a_log_of_version_1_have_no_evidence_of_their_own() -> None:
    """Version 1 logs lack the rows' evidence: however it is loaded, it is the default, in all rows; version 2 keeps what rows say."""
    old, at = Traffic.open(V1 / "traffic"), np.array([0, 2])
    pieces = (old.arrow("evidence"), old.take(at, "weight", "evidence"), *old.batches(("evidence",)))
    assert [piece["evidence"].to_pylist() for piece in pieces] == [["measured"] * n for n in (3, 2, 3)]
    assert load_rows(Traffic.open(V1.parent / "v2" / "traffic")).evidence.tolist() == [0, 2, 0]


def test_labels_of_version_1() -> None:
    """Version 1 labels come back as the same quality matrix."""
    assert Labels.open(V1 / "labels").quality().tolist() == [[1.0, 1.0], [1.0, 0.0]]


def test_work_and_answers_of_version_1() -> None:
    """Version 1 work still says whom to ask what, and version 1 answers what they said."""
    work, answers = Work.open(V1 / "label_work"), Answers.open(V1 / "answers")
    assert sorted(work.items["request_id"]) == ["r0", "r1"]
    assert {*work.asks["model"]} == {"gpt-5.4-mini", "gpt-5.4-nano"}
    assert answers.table["answered"].tolist() == [2, 2, 2]
    assert {*answers.rows["response"]} == {"an answer", "the answer is four words"}


def test_plan_apps_and_prices_of_version_1() -> None:
    """A version 1 plan, apps.yaml and overrides file mean what they meant."""
    plan = plan_at(V1 / "plan.json")
    stored = json.loads((V1 / "plan.json").read_text())
    assert (plan.name, plan.payload()) == ("mine", stored)
    assert set(Apps.load(V1 / "apps.yaml").apps) == {"chat", "search"}
    book = PriceBook.load(V1 / "prices.yaml")
    assert book.quote("gpt-5-mini", "openai", "batch", dt.date(2026, 8, 1)).usd_per_mtok["output_tokens"] == 0.8


def test_contract_of_version_1() -> None:
    """A version 1 contract still has every term it had."""
    contract = Contract.load(V1 / "contracts.yaml")
    assert [d.keep_ppm for d in contract.discounts] == [900_000, 850_000]
    assert (contract.commitments[0].pusd, contract.commitments[0].months) == (20_000 * 10**12, 3)
    assert (contract.capacities[0].tokens, contract.capacities[0].seconds, contract.capacities[0].output_counts) == (300_000, 60, 4.0)
    assert (contract.credits[0].pusd, contract.credits[0].end) == (2_500 * 10**12, dt.date(2026, 12, 31))


@pytest.mark.parametrize(
    ("name", "file", "load"),
    [
        ("traffic", "traffic/traffic.json", lambda p: Traffic.open(p.parent)),
        ("labels", "labels/labels.json", lambda p: Labels.open(p.parent)),
        ("plan", "plan.json", plan_at),
        ("apps", "apps.yaml", Apps.load),
        ("prices", "prices.yaml", PriceBook.load),
        ("contracts", "contracts.yaml", Contract.load),
        ("label_work", "label_work/work.json", lambda p: Work.open(p.parent)),
        ("answers", "answers/answers.json", lambda p: Answers.open(p.parent)),
    ],
)
def test_newer_is_refused(name: str, file: str, load: Callable[[Path], Any], tmp_path: Path) -> None:
    """A file one version ahead is refused in one sentence that says to upgrade."""
    shutil.copytree(V1, tmp_path / "v")
    path = tmp_path / "v" / file
    text = path.read_text()
    ahead = formats.VERSIONS[name] + 1
    newer = text.replace("version: 1", f"version: {ahead}").replace('"version": 1', f'"version": {ahead}')
    assert newer != text
    path.write_text(newer)
    with pytest.raises(InputError, match=rf"{name} version {ahead}.*upgrade this one"):
        load(path)


@pytest.mark.parametrize("version", [0, -1, True, "1", None])
def test_nonsense_versions_are_not_ours(version: Any) -> None:
    """A version that is no positive whole number is not a file of ours."""
    with pytest.raises(InputError, match=r"a planner\.traffic file"):
        formats.migrate("traffic", {"format": "planner.traffic", "version": version}, "x")


def test_older_summaries_and_bundles_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Summaries and bundles are not migrated: an older one says to make it again."""
    monkeypatch.setattr(formats, "VERSIONS", {**formats.VERSIONS, "bundle": 3, "summary": 2})
    with pytest.raises(BundleError, match="Make it again"):
        formats.migrate("bundle", {"format": "planner.bundle", "version": 1}, "x")
    with pytest.raises(InputError, match="Make it again"):
        formats.migrate("summary", {"format": "planner.summary", "version": 1}, "x")


def test_migrations_run_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A payload two versions old passes through both steps in order and ends in today's version."""
    monkeypatch.setattr(formats, "VERSIONS", {**formats.VERSIONS, "plan": 3})
    steps = {1: lambda p: {**p, "trail": "a"}, 2: lambda p: {**p, "trail": p["trail"] + "b"}}
    monkeypatch.setattr(formats, "MIGRATIONS", {"plan": steps})
    found = formats.migrate("plan", {"format": "planner.plan", "version": 1}, "x")
    assert (found["trail"], found["version"]) == ("ab", 3)
