"""The bundle: decides as the router it came from, says the same bytes twice, and refuses whatever is not as written."""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.labels import COST, EASY, HARD, made_labels

from planner.bundle import export
from planner.bundle.card import card
from planner.errors import BundleError, InputError
from planner.policies import Plan, Route
from planner.router import Requests, Router
from planner.router.load import MANIFEST, VECTORS, WEIGHTS, canonical
from planner.training import Training, train


@pytest.fixture(scope="module")
def training() -> Training:
    """Train once on made-up labels."""
    return train(made_labels(400), reference="large", cost=COST, floor=0.3)


@pytest.fixture(scope="module")
def bundle(training, tmp_path_factory) -> Path:
    """Write one bundle with everything in it."""
    folder = tmp_path_factory.mktemp("bundles") / "router"
    return export(
        training.router, folder, training=training, plan=Plan(), evaluation={"backtest": 0.01}, requests=training.problem.requests
    )


@pytest.fixture
def copy(bundle, tmp_path) -> Path:
    """Return a copy of the bundle that a test may damage."""
    return Path(shutil.copytree(bundle, tmp_path / "copy"))


def test_it_decides_as_trained(training, bundle):
    """On every labelled request the loaded bundle gives the training side's gains and decisions, bit for bit."""
    read, requests = Router.load(bundle), training.problem.requests
    ours, theirs = training.router.scores(requests, ""), read.scores(requests, "")
    assert np.array_equal(ours.gains, theirs.gains)
    assert np.array_equal(training.router.choose(ours)[0], read.choose(theirs)[0])
    assert (read.version, read.family) == (training.router.version, training.router.family)


@pytest.mark.parametrize("name", ["cheapest", "best", "per app", "length"])
def test_rules_ship_too(training, tmp_path, name):
    """Every simple rule is a router that exports, loads and decides the same."""
    rule, requests = training.rules[name], training.problem.requests
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


def test_settings_survive(training, tmp_path):
    """Per-app references and an infinite τ come back as they were."""
    router = training.router.with_references({"chat": "middle"}).with_tau(-np.inf)
    read = Router.load(export(router, tmp_path / "b"))
    assert (read.references, read.tau, read.version) == ((("chat", "middle"),), -np.inf, router.version)


def test_the_card_says_what_it_does(training):
    """The model card states the rule with its references, and an always-reference router as such."""
    router = training.router.with_references({"chat": "middle"}).with_tau(0.02)
    page = card(router, None, "")
    assert "gain over the reference (`large`, for chat `middle`), less 0.02 times its cost in USD, is largest" in page
    assert "a wrong answer" not in page, "stated costs are a ranking, not dollars"
    dollars = replace(router, costs=replace(router.costs, basis="book"))
    assert "a wrong answer is taken to cost $50" in card(dollars, None, "")
    assert "predicted to answer best, where its gain" in card(router.with_tau(-0.05), None, "")
    assert "Sends every request to the reference (`large`)" in card(training.router.with_tau(-np.inf), None, "")


def test_the_same_bytes(training, bundle, tmp_path):
    """Exporting twice writes the same bytes."""
    again = export(training.router, tmp_path / "again", training=training, plan=Plan(), evaluation={"backtest": 0.01})
    assert {p.name: p.read_bytes() for p in bundle.iterdir()} == {p.name: p.read_bytes() for p in again.iterdir()}


def test_no_customer_text(training, bundle):
    """No word of any labelled request is in any file, except where our own made-up text has the same word."""
    everything = set(re.findall(r"\w+", b" ".join(p.read_bytes() for p in bundle.iterdir()).decode("utf-8", "replace")))
    numbers = [w for u in training.problem.requests.user for w in u.split() if w.isdigit() and len(w) == 6]
    assert len(numbers) > 300
    assert not set(numbers) & everything
    assert set(EASY + HARD) & everything <= {"list", "name", "prove", "repeat"}


def test_no_objects(bundle):
    """Weights load without pickle, and hold numbers only."""
    with np.load(bundle / WEIGHTS, allow_pickle=False) as stored:
        assert {a.dtype.kind for a in stored.values()} <= {"f", "i"}


def test_the_manifest_says_where_it_comes_from(training, bundle):
    """The manifest names versions, hashes, models, rates, the evaluation and the statement."""
    manifest = json.loads((bundle / MANIFEST).read_bytes())
    assert (manifest["format"], manifest["version"]) == ("planner.bundle", 2)
    assert manifest["training"]["labels_hash"] == training.labels_hash
    assert manifest["router"]["candidates"] == ["large", "middle", "small"]
    assert manifest["router"]["costs"]["usd_per_request"] == [20.0, 5.0, 1.0]
    assert {row["method"] for row in manifest["training"]["table"]} >= {"learned", "reference", "oracle"}
    assert manifest["statement"] == training.text
    assert manifest["evaluation"] == {"backtest": 0.01}
    assert training.router.version in (bundle / "model_card.md").read_text("utf-8")


@pytest.mark.parametrize("name", ["cheapest", "best", "per app", "length"])
def test_a_rule_ships_with_its_own_numbers(training, tmp_path, name):
    """Card and manifest of an exported rule name that rule's own held-out numbers, not the learned router's."""
    folder = export(training.rules[name], tmp_path / "rule", training=training)
    line = training.table.loc[name]
    page, manifest = (folder / "model_card.md").read_text("utf-8"), json.loads((folder / MANIFEST).read_bytes())
    numbers = f"{line['quality_diff']:+.4f} [{line['diff_low']:+.4f}, {line['diff_high']:+.4f}]"
    stated = page.partition("## How it was judged")[2].partition("|")[0]
    assert numbers in stated
    assert "learned router" not in stated
    assert numbers in manifest["statement"]
    row = next(row for row in manifest["training"]["table"] if row["method"] == manifest["training"]["method"])
    assert row["quality_diff"] == line["quality_diff"]
    assert f"This router is the row {manifest['training']['method']!r}" in page


def test_another_level_is_not_certified(training, tmp_path):
    """A router at a level that no row judged says so in card and manifest, without a number of another router."""
    for number, router in enumerate((training.router.with_tau(0.123), training.router.with_apps(["chat"]))):
        folder = export(router, tmp_path / str(number), training=training)
        page, manifest = (folder / "model_card.md").read_text("utf-8"), json.loads((folder / MANIFEST).read_bytes())
        assert manifest["statement"] == "Not judged at this level, and nothing is certified of it."
        assert manifest["training"] == {"labels_hash": training.labels_hash, "method": None}
        judged = page.partition("## How it was judged")[2].partition("## ")[0]
        assert judged.strip() == manifest["statement"]


def test_the_plan_is_the_router(training, tmp_path):
    """A plan is stored when it routes by exactly this router; another level, app or router is refused and nothing is written."""
    router = training.router.with_apps(["chat"])
    for other in (training.router, router.with_tau(0.123), training.rules["cheapest"]):
        with pytest.raises(InputError, match=f"routes by router {other.version}; expected the exported one, {router.version}"):
            export(router, tmp_path / "b", plan=Plan((Route(other),), "x"))
    assert not list(tmp_path.iterdir())
    folder = export(router, tmp_path / "b", plan=Plan((Route(router),), "x"))
    lever = json.loads((folder / "plan.json").read_bytes())["levers"][0]
    read = Router.load(folder)
    assert (lever["router"], lever["apps"], lever["tau"]) == (read.version, list(read.support.apps), read.tau)
    kept = read.decide("please prove it", {"app": "maths", "model": "mine"})
    assert (kept.model, kept.reason) == ("mine", "abstained: keep what you asked for")


def test_export_asks_no_clock(training, tmp_path, monkeypatch):
    """With a clock that refuses to answer, a bundle is written and loads."""

    class Stopped:
        @classmethod
        def now(cls, *_):
            raise AssertionError("the clock was read")

    monkeypatch.setattr("planner.router.router.datetime", Stopped)
    assert Router.load(export(training.router, tmp_path / "b", training=training)).version == training.router.version


FILES = (MANIFEST, WEIGHTS, VECTORS, "model_card.md", "plan.json")


@given(st.sampled_from(FILES), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_any_changed_byte_is_refused(bundle, tmp_path_factory, name, where, change):
    """Whichever byte of whichever file changes, the bundle is refused, in one sentence."""
    copy = Path(shutil.copytree(bundle, tmp_path_factory.mktemp("damage") / "copy"))
    content = bytearray((copy / name).read_bytes())
    content[int(where * len(content))] ^= change
    (copy / name).write_bytes(content)
    with pytest.raises(BundleError, match=re.escape(copy.name)) as caught:
        Router.load(copy)
    assert "\n" not in str(caught.value)
    shutil.rmtree(copy)


@pytest.mark.parametrize("name", FILES)
def test_missing_files_are_refused(copy, name):
    """Without any one of its files the bundle is refused."""
    (copy / name).unlink()
    with pytest.raises(BundleError, match=r"readable manifest|missing"):
        Router.load(copy)


@pytest.mark.parametrize("name", FILES)
def test_cut_files_are_refused(copy, name):
    """A file cut short, or emptied, is refused."""
    for size in (0, 20):
        (copy / name).write_bytes((copy / name).read_bytes()[:size])
        with pytest.raises(BundleError, match=r"changed|readable"):
            Router.load(copy)


def test_extra_files_are_refused(copy):
    """A file or a folder that the manifest does not list is refused."""
    (copy / "extra").mkdir()
    with pytest.raises(BundleError, match=r"not listed \['extra'\]"):
        Router.load(copy)


def test_links_are_refused(copy, tmp_path):
    """A link in the place of a file is refused, even to the same bytes."""
    shutil.move(copy / WEIGHTS, tmp_path / "elsewhere")
    (copy / WEIGHTS).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match="expected a plain file"):
        Router.load(copy)


def rewrite(folder: Path, change) -> None:
    """Change the manifest as somebody would who knows how it is checked."""
    manifest = json.loads((folder / MANIFEST).read_bytes())
    change(manifest)
    del manifest["digest"]
    manifest["digest"] = sha256(canonical(manifest)).hexdigest()
    (folder / MANIFEST).write_bytes(canonical(manifest))


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/b", "..", "", "manifest.json", ".hidden", "a\\b"])
def test_paths_out_of_the_folder_are_refused(copy, name):
    """A manifest that lists anything but plain names inside the folder is refused before anything is read."""
    rewrite(copy, lambda m: m["files"].update({name: "0" * 64}))
    with pytest.raises(BundleError, match="plain file names inside the bundle"):
        Router.load(copy)


def test_a_newer_or_older_format_is_refused(copy):
    """A bundle of a newer format says that planner must be upgraded, one of an older format that it must be made again."""
    rewrite(copy, lambda m: m.update(version=3))
    with pytest.raises(BundleError, match=r"bundle version 3; expected at most 2.*upgrade"):
        Router.load(copy)
    rewrite(copy, lambda m: m.update(version=1))
    with pytest.raises(BundleError, match=r"bundle version 1; expected 2. Make it again"):
        Router.load(copy)


def replace_file(folder: Path, name: str, content: bytes) -> None:
    """Put other content into a bundle, with the right hash."""
    (folder / name).write_bytes(content)
    rewrite(folder, lambda m: m["files"].update({name: sha256(content).hexdigest()}))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda a: a["weights"].__setitem__((0, 1), np.nan), "'weights' hold what is no number"),
        (lambda a: a.pop("idf"), "the router cannot be built"),
        (lambda a: a["weights"].__setitem__((0, 1), 9.0), "the manifest says"),
        (lambda a: a.update(weights=a["weights"].astype(object)), "the router cannot be built"),
        (lambda a: a.update(buckets=a["buckets"] + 2**30), "the router cannot be built"),
    ],
)
def test_wrong_weights_are_refused(copy, change, sentence):
    """Weights with NaN, without an array, with other numbers, with objects, or out of range are refused, whatever their hash."""
    with np.load(copy / WEIGHTS) as stored:
        arrays = dict(stored)
    change(arrays)
    np.savez(copy / WEIGHTS, allow_pickle=True, **arrays)
    replace_file(copy, WEIGHTS, (copy / WEIGHTS).read_bytes())
    with pytest.raises(BundleError, match=sentence):
        Router.load(copy)


def test_a_test_vector_decided_otherwise_is_refused(copy):
    """When the runtime decides a stored request otherwise, or scores it differently, the bundle is refused."""
    vectors = json.loads((copy / VECTORS).read_bytes())["vectors"]
    models = {v["model"] for v in vectors}
    assert len(models) > 1
    for change in ({"model": "nobody"}, {"gains": ["0.0", "0.5", "0.5"]}):
        replace_file(copy, VECTORS, canonical({"vectors": [{**vectors[0], **change}, *vectors[1:]]}))
        with pytest.raises(BundleError, match="test vector 0 is decided otherwise here"):
            Router.load(copy)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"format": "planner.plan", "version": 1}'])
def test_something_else_is_refused(tmp_path, content):
    """A folder with any other manifest, or none, is refused."""
    with pytest.raises(BundleError, match="a bundle with a readable"):
        Router.load(tmp_path)
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(BundleError, match="manifest"):
        Router.load(tmp_path)


def test_other_folders_are_left_alone(training, bundle, tmp_path):
    """Export replaces an earlier bundle, and refuses a folder with anything else in it."""
    shutil.copytree(bundle, tmp_path / "old")
    assert Router.load(export(training.router.with_tau(0.5), tmp_path / "old")).tau == 0.5
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match="something other than a bundle"):
        export(training.router, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "x"


def test_files_that_score_differently_are_never_left(training, tmp_path, monkeypatch):
    """When the written weights give other scores than the router, nothing is written."""
    writing = sys.modules["planner.bundle.export"]
    real = writing.load

    def shifted(path: Path) -> Router:
        read = real(path)
        off = np.zeros(len(read.scorer.intercept), np.float32)
        off[1] = 1e-4
        return replace(read, scorer=replace(read.scorer, intercept=read.scorer.intercept + off))

    monkeypatch.setattr(writing, "load", shifted)
    with pytest.raises(BundleError, match="gains off by more than 1e-06"):
        export(training.router, tmp_path / "never")
    assert not list(tmp_path.iterdir())


def test_given_requests_are_scored_too(training, tmp_path):
    """Requests that the caller gives are part of the proof, of any unit and size, also none."""
    export(training.router, tmp_path / "a", requests=Requests.of([]))
    export(training.router, tmp_path / "b", requests=training.problem.requests)
    assert (tmp_path / "a" / WEIGHTS).read_bytes() == (tmp_path / "b" / WEIGHTS).read_bytes()
