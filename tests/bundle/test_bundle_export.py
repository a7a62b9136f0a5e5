"""Writing a bundle: it decides as the router it came from, says the same bytes twice, and is left only when its files prove that."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.labels import COST, made_labels

from planner.bundle import export
from planner.bundle.card import card
from planner.errors import BundleError, InputError
from planner.policies import Plan, Route
from planner.router import Requests, Router, steps
from planner.router.load import MANIFEST, VECTORS, WEIGHTS
from planner.router.rescore import rescore
from planner.training import train


def test_it_decides_as_trained(made_training, made_bundle):
    """On every labelled request the loaded bundle gives the training side's gains and decisions, bit for bit."""
    read, requests = Router.load(made_bundle), made_training.problem.requests
    ours, theirs = made_training.router.scores(requests, ""), read.scores(requests, "")
    assert np.array_equal(ours.gains, theirs.gains)
    assert np.array_equal(made_training.router.choose(ours)[0], read.choose(theirs)[0])
    assert (read.version, read.family) == (made_training.router.version, made_training.router.family)


@pytest.mark.parametrize("name", ["cheapest", "best", "per app", "length"])
def test_rules_ship_too(made_training, tmp_path, name):
    """Every simple rule is a router that exports, loads and decides the same."""
    rule, requests = made_training.rules[name], made_training.problem.requests
    read = Router.load(export(rule, tmp_path / "rule"))
    assert np.array_equal(rule.choose(rule.scores(requests, ""))[0], read.choose(read.scores(requests, ""))[0])
    assert read.version == rule.version


def test_a_router_of_requests_ships_too(tmp_path):
    """A router that decides every turn on its own decides the same turns the same way from its files."""
    router = train(made_labels(200), reference="large", cost=COST, unit="request").router.with_tau(0.9)
    read = Router.load(export(router, tmp_path / "b"))
    talk = [{"role": "user", "content": "greet"}, {"role": "assistant", "content": "hi"}, {"role": "user", "content": "please prove it"}]
    assert read.unit == "request"
    assert read.decide(talk, {"app": "maths"}) == router.decide(talk, {"app": "maths"})
    assert read.decide(talk, {"app": "maths"}).score != read.decide(talk[:1], {"app": "maths"}).score


def test_settings_survive(made_training, tmp_path):
    """Per-app references and an infinite τ come back as they were."""
    router = made_training.router.with_references({"chat": "middle"}).with_tau(-np.inf)
    read = Router.load(export(router, tmp_path / "b"))
    assert (read.references, read.tau, read.version) == ((("chat", "middle"),), -np.inf, router.version)


def test_the_card_says_what_it_does(made_training):
    """The model card states the rule with its references, and an always-reference router as such."""
    router = made_training.router.with_references({"chat": "middle"}).with_tau(0.02)
    page = card(router, None, "")
    assert "gain over the reference (`large`, for chat `middle`), less 0.02 times its cost in USD, is largest" in page
    assert "a wrong answer" not in page, "stated costs are a ranking, not dollars"
    dollars = replace(router, costs=replace(router.costs, basis="book"))
    assert "a wrong answer is taken to cost $50" in card(dollars, None, "")
    assert "predicted to answer best, where its gain" in card(router.with_tau(-0.05), None, "")
    assert "Sends every request to the reference (`large`)" in card(made_training.router.with_tau(-np.inf), None, "")


WRITE = """
import datetime, os, sys, time
folder, umask, later = sys.argv[1], int(sys.argv[2], 8), float(sys.argv[3])
os.umask(umask)
clock, local = time.time, time.localtime
time.time = lambda: clock() + later
time.localtime = lambda seconds=None: local(time.time() if seconds is None else seconds)
from support.labels import COST, made_labels
from planner.bundle import export
from planner.policies import Plan, Route
from planner.training import train
class Later(datetime.datetime):
    @classmethod
    def now(cls, zone=None):
        return datetime.datetime.now(zone) + datetime.timedelta(seconds=later)
for module in [m for n, m in sys.modules.items() if n.startswith("planner") and getattr(m, "datetime", None) is datetime.datetime]:
    module.datetime = Later
training = train(made_labels(400), reference="large", cost=COST, floor=0.3)
export(training.router, folder, training=training, plan=Plan((Route(training.router),), "x"), evaluation={"b": 1, "a": {"d": 2, "c": 3}})
"""


def test_the_same_bytes(tmp_path):
    """Two processes with other hash seeds, clocks two years apart, time zones, umasks and folders write the same bytes."""
    worlds = (("1", "022", "0", "UTC"), ("2", "077", "63072000", "Asia/Kolkata"))
    tests = str(Path(__file__).parents[1])
    started = []
    for seed, umask, later, zone in worlds:
        (tmp_path / seed).mkdir()
        names = {"PYTHONHASHSEED": seed, "TZ": zone, "PYTHONPATH": tests, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", WRITE, str(tmp_path / seed / "router"), umask, later]
        started.append(subprocess.Popen(command, env={**os.environ, **names}, cwd=tmp_path / seed, stderr=subprocess.PIPE, text=True))
    assert [(run.communicate()[1], run.returncode) for run in started] == [("", 0)] * 2
    one, other = ({p.name: p.read_bytes() for p in (tmp_path / w[0] / "router").iterdir()} for w in worlds)
    assert one == other
    assert set(one) == {MANIFEST, WEIGHTS, VECTORS, "model_card.md", "plan.json"}


def test_no_objects(made_bundle):
    """Weights load without pickle, and hold numbers only."""
    with np.load(made_bundle / WEIGHTS, allow_pickle=False) as stored:
        assert {a.dtype.kind for a in stored.values()} <= {"f", "i"}


def test_the_manifest_says_where_it_comes_from(made_training, made_bundle):
    """The manifest names versions, hashes, models, rates, the evaluation and the statement."""
    manifest = json.loads((made_bundle / MANIFEST).read_bytes())
    assert (manifest["format"], manifest["version"]) == ("planner.bundle", 3)
    assert manifest["training"]["labels_hash"] == made_training.labels_hash
    assert manifest["router"]["candidates"] == ["large", "middle", "small"]
    assert manifest["router"]["costs"]["usd_per_request"] == [20.0, 5.0, 1.0]
    assert {row["method"] for row in manifest["training"]["table"]} >= {"learned", "reference", "oracle"}
    assert manifest["statement"] == made_training.text
    assert manifest["evaluation"] == {"backtest": 0.01}
    assert made_training.router.version in (made_bundle / "model_card.md").read_text("utf-8")


@pytest.mark.parametrize("name", ["cheapest", "best", "per app", "length"])
def test_a_rule_ships_with_its_own_numbers(made_training, tmp_path, name):
    """Card and manifest of an exported rule name that rule's own held-out numbers, not the learned router's."""
    folder = export(made_training.rules[name], tmp_path / "rule", training=made_training)
    line = made_training.table.loc[name]
    page, manifest = (folder / "model_card.md").read_text("utf-8"), json.loads((folder / MANIFEST).read_bytes())
    numbers = f"{line['quality_diff']:+.4f} [{line['diff_low']:+.4f}, {line['diff_high']:+.4f}]"
    stated = page.partition("## How it was judged")[2].partition("|")[0]
    assert numbers in stated
    assert "learned router" not in stated
    assert numbers in manifest["statement"]
    row = next(row for row in manifest["training"]["table"] if row["method"] == manifest["training"]["method"])
    assert row["quality_diff"] == line["quality_diff"]
    assert f"This router is the row {manifest['training']['method']!r}" in page


def test_another_level_is_not_certified(made_training, tmp_path):
    """A router at a level that no row judged says so in card and manifest, without a number of another router."""
    for number, router in enumerate((made_training.router.with_tau(0.123), made_training.router.with_apps(["chat"]))):
        folder = export(router, tmp_path / str(number), training=made_training)
        page, manifest = (folder / "model_card.md").read_text("utf-8"), json.loads((folder / MANIFEST).read_bytes())
        assert manifest["statement"] == "Not judged at this level, and nothing is certified of it."
        assert manifest["training"] == {"labels_hash": made_training.labels_hash, "method": None}
        judged = page.partition("## How it was judged")[2].partition("## ")[0]
        assert judged.strip() == manifest["statement"]


def test_the_plan_is_the_router(made_training, tmp_path):
    """A plan is stored when it routes by exactly this router; another level, app or router is refused and nothing is written."""
    router = made_training.router.with_apps(["chat"])
    for other in (made_training.router, router.with_tau(0.123), made_training.rules["cheapest"]):
        with pytest.raises(InputError, match=f"routes by router {other.version}; expected the exported one, {router.version}"):
            export(router, tmp_path / "b", plan=Plan((Route(other),), "x"))
    assert not list(tmp_path.iterdir())
    folder = export(router, tmp_path / "b", plan=Plan((Route(router),), "x"))
    lever = json.loads((folder / "plan.json").read_bytes())["levers"][0]
    read = Router.load(folder)
    assert (lever["router"], lever["apps"], lever["tau"]) == (read.version, list(read.support.apps), read.tau)
    kept = read.decide("please prove it", {"app": "maths", "model": "mine"})
    assert (kept.model, kept.reason) == ("mine", "abstained: keep what you asked for")


def test_export_asks_no_clock(made_training, tmp_path, monkeypatch):
    """With a clock that refuses to answer, a bundle is written and loads."""

    class Stopped:
        @classmethod
        def now(cls, *_):
            raise AssertionError("the clock was read")

    monkeypatch.setattr("planner.router.router.datetime", Stopped)
    assert Router.load(export(made_training.router, tmp_path / "b", training=made_training)).version == made_training.router.version


def test_other_folders_are_left_alone(made_training, made_bundle, tmp_path):
    """Export replaces an earlier bundle, and refuses a folder with anything else in it."""
    shutil.copytree(made_bundle, tmp_path / "old")
    assert Router.load(export(made_training.router.with_tau(0.5), tmp_path / "old")).tau == 0.5
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match="something other than a bundle"):
        export(made_training.router, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "x"


def moved(router: Router, by: float) -> Router:
    """Return ``router`` with the second candidate's gain moved."""
    off = np.zeros(len(router.scorer.intercept), np.float32)
    off[1] = by
    return replace(router, scorer=replace(router.scorer, intercept=router.scorer.intercept + off))


def sabotage(monkeypatch, other) -> None:
    """Let the files be those of another router, sound in themselves."""
    writing = sys.modules["planner.bundle.export"]
    real = writing._write
    monkeypatch.setattr(writing, "_write", lambda path, router, *rest: real(path, other(router), *rest))


@pytest.mark.parametrize("by", [1e-2, 2e-6])
def test_files_that_score_differently_are_never_left(made_training, tmp_path, monkeypatch, by):
    """When a gain by the written files is off by more than 1e-6, nothing is left behind, and an earlier bundle stays."""
    before = export(made_training.router, tmp_path / "b").joinpath(MANIFEST).read_bytes()
    sabotage(monkeypatch, lambda router: moved(router, by))
    with pytest.raises(BundleError, match=r"\d{3,} gains off by more than 1e-06 in 1000 requests scored with the written files"):
        export(made_training.router, tmp_path / "b")
    assert [p.name for p in tmp_path.iterdir()] == ["b"]
    assert (tmp_path / "b" / MANIFEST).read_bytes() == before


def test_one_flipped_decision_is_enough(made_training, tmp_path, monkeypatch):
    """With equal gains, a single request of all that is sent elsewhere by the written files refuses them."""
    router, requests = made_training.router, made_training.problem.requests
    scores = router.scores(requests, "")
    codes = router.choose(scores)[0]
    taus = np.unique(steps(scores.gains, scores.cost_usd, scores.feasible, scores.home)[0])
    flips = np.array([(router.choose(scores, t)[0] != codes).sum() for t in taus])
    tau = taus[np.flatnonzero(flips == 1)[0]]
    sabotage(monkeypatch, lambda router: router.with_tau(float(tau)))
    with pytest.raises(BundleError, match=r"Got 1 decisions flipped and 0 gains off .* in 400 requests"):
        export(router, tmp_path / "never", training=made_training)
    assert not list(tmp_path.iterdir())


def test_the_proof_is_made_by_a_process_that_knows_nothing(made_training, made_bundle):
    """A thousand requests and more are decided in a new process, as by the router, and one that cannot load the files says so."""
    router, requests = made_training.router, made_training.problem.requests
    singles = [([{"role": "user", "content": u}], {"app": a}) for u, a in zip(requests.user, requests.app, strict=True)] * 3
    alone, (scored,) = rescore(made_bundle, singles, [requests], "2026-01-01")
    ours = router.scores(requests, "2026-01-01")
    assert len(alone) >= 1_000
    assert alone == scored.models * 3 == [router.candidates[c] for c in router.choose(ours)[0].tolist()] * 3
    assert np.array_equal(scored.gains, ours.gains)
    with pytest.raises(BundleError, match=r"a new process cannot score with: planner.errors.BundleError: Got .*gone; expected a bundle"):
        rescore(made_bundle.parent / "gone", [], [], "")


def test_given_requests_are_scored_too(made_training, tmp_path):
    """Requests that the caller gives are part of the proof, of any size, also none, and leave nothing in the files."""
    export(made_training.router, tmp_path / "a", requests=Requests.of([]))
    export(made_training.router, tmp_path / "b", requests=made_training.problem.requests)
    assert (tmp_path / "a" / WEIGHTS).read_bytes() == (tmp_path / "b" / WEIGHTS).read_bytes()
