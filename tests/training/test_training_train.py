"""Training: finds what is there, finds nothing where nothing is, and says in one sentence what it cannot use."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.labels import COST, made_labels
from support.small import MODELS, world_of

from planner.errors import InputError, NeedsError, PlannerError
from planner.labels import Labels, read_labels
from planner.prices import PriceBook
from planner.router import Capability, features
from planner.training import Training, train

COST2 = {"large": 20.0, "small": 1.0}


@pytest.fixture(scope="module")
def training() -> Training:
    """Train once on made-up labels."""
    return train(made_labels(3_000), reference="large", cost=COST, floor=0.03)


def test_it_finds_what_is_there(training):
    """Where hard words decide, the router saves at least a quarter within the certified floor, and no random mix of its cost is as good."""
    table = training.table
    assert table.loc["learned", "usd_per_1k"] < 0.75 * table.loc["reference", "usd_per_1k"]
    assert table.loc["learned", "quality_diff"] > -0.03
    assert table.loc["learned", "quality"] > table.loc["shuffled", "quality"] + 0.03
    assert table.loc["oracle", "quality"] >= table["quality"].max() - 1e-12


def test_nothing_where_nothing_is():
    """Where gain is independent of the request, out-of-fold gains do not rank requests: APGR is near ½."""
    labels = made_labels(1_200, ("large", "small"))
    mixed = labels.outcomes.copy()
    small = (mixed["model"] == "small").to_numpy()
    mixed.loc[small, "quality"] = np.random.default_rng(0).permutation(mixed.loc[small, "quality"].to_numpy())
    large = (mixed["model"] == "large").to_numpy()
    mixed.loc[large, "quality"] = 1.0
    found = train(Labels.of(labels.items, mixed), cost=COST2)
    assert 0.42 < found.apgr["fit"] < 0.58


def test_rows_that_judge_did_not_fit(training):
    """Every item is of one part, the gains lie beside those that fit and those that judge, and no unit is of two parts."""
    fit, judges = training.split == "fit", training.split == "judge"
    assert (len(training.oof_gains), len(training.gains)) == (fit.sum(), judges.sum())
    assert pd.DataFrame({"unit": training.problem.unit, "part": training.split}).groupby("unit")["part"].nunique().eq(1).all()
    home = training.problem.reference_code
    assert not training.gains[:, home].any()
    assert not training.oof_gains[:, home].any()


def test_what_one_unit_said_is_not_kept(training):
    """What only one unit said has no place in the weights: each made-up request has a number of its own, and none is kept."""
    scorer, fit = training.router.scorer, training.problem.rows("fit")
    found = features(training.problem.requests.take(fit), scorer.spec)
    unit = np.repeat(np.unique(training.problem.unit[fit], return_inverse=True)[1], np.diff(found.indptr))
    units = pd.DataFrame({"bucket": found.indices, "unit": unit}).groupby("bucket")["unit"].nunique()
    alone = units.index[units == 1].to_numpy()
    assert len(alone) > 700
    assert not scorer.weighting.idf[alone].any()
    assert not scorer.weights[alone].any()
    assert (scorer.weighting.idf[units.index[units > 20].to_numpy()] > 0).all()


def test_rows_that_judge_do_not_train():
    """Turning all labels that judge around changes the table but neither the router nor any rule."""
    labels = made_labels(400, ("large", "small"))
    first = train(labels, reference="large", cost=COST2)
    held = set(labels.items["request_id"][first.split == "judge"])
    turned = labels.outcomes.copy()
    rows = turned["request_id"].isin(held)
    turned.loc[rows, "quality"] = 1 - turned.loc[rows, "quality"]
    second = train(Labels.of(labels.items, turned), reference="large", cost=COST2)
    assert first.router.version == second.router.version
    assert {n: r.version for n, r in first.rules.items()} == {n: r.version for n, r in second.rules.items()}
    assert not first.table.equals(second.table)


def test_what_is_certified_holds_for_the_rows_that_certified(training):
    """The learned router stands at the last τ certified; lower ones that passed are certified too, others are not."""
    own = training.guarantees["learned"]
    passed = own.table[own.table["certified"]]
    assert training.router.tau == own.tau
    assert len(passed) > 1
    assert "With 95 % confidence" in training.statement(training.router.with_tau(passed["tau"].iloc[0]))
    assert "nothing is certified" in training.statement(training.router.with_tau(own.tau + 0.2))
    assert training.rules["cheapest"].tau == np.inf, "a constant model is what it is"
    assert "Not certified" in training.statement(training.rules["cheapest"])


def test_the_same_seed_gives_the_same_router():
    """Training twice gives the same version."""
    labels = made_labels(300)
    assert train(labels, cost=COST, seed=3).router.version == train(labels, cost=COST, seed=3).router.version


def test_the_reference_is_the_best_single_model():
    """Without a reference the best model on the fit rows is taken."""
    assert train(made_labels(600), cost=COST).router.reference == "large"


def test_the_text_names_its_evidence(training):
    """The decision in words names the verdict, the certificate with its rows and grader, the basis of cost, and the interval."""
    rows = f"{training.notes['calibrate_rows']:,} requests; grader: "
    said = ["With 95 % confidence, quality falls by at most 0.03", rows, f"{training.notes['judged_rows']:,} labelled requests"]
    for phrase in (*said, "a ranking, not dollars", "measured", training.verdict.text):
        assert phrase in training.text
    assert "<table" in training._repr_html_()


def test_unlabelled_answers_are_left_out():
    """A candidate that answered only some requests is learned from those; only fully labelled rows judge."""
    labels = made_labels(900)
    some = labels.outcomes[(labels.outcomes["model"] != "middle") | (labels.outcomes.index % 2 == 0)]
    found = train(Labels.of(labels.items, some), reference="large", cost=COST)
    assert 0 < found.notes["judged_rows"] < found.notes["judge_rows"]
    assert np.isfinite(found.gains).all()


def test_costs_in_the_labels_come_first():
    """Labelled costs are used as they are for judging; the rates to decide with are fitted to them."""
    labels = made_labels(300, ("large", "small"))
    outcomes = labels.outcomes.assign(cost_usd=np.where(labels.outcomes["model"] == "large", 0.02, 0.001))
    found = train(Labels.of(labels.items, outcomes), reference="large", book=PriceBook.load())
    assert found.table.loc["reference", "usd_per_1k"] == pytest.approx(20)
    assert found.router.costs.usd(np.array([20]))[0] == pytest.approx([0.02, 0.001], rel=1e-6)


def test_prices_from_a_book():
    """With a book, rates come from it, dated, and answer lengths from the labels or the caller."""
    labels = made_labels(300, ("large", "small"))
    names = labels.outcomes["model"].map({"large": "gpt-5", "small": "gpt-5-mini"})
    renamed = Labels.of(labels.items, labels.outcomes.assign(model=names))
    with pytest.raises(NeedsError, match=r"no answer lengths for 'gpt-5'.*expected_output"):
        train(renamed, book=PriceBook.load())
    found = train(renamed, book=PriceBook.load(), expected_output={"gpt-5": 300, "gpt-5-mini": 100})
    assert found.router.costs.output_usd_per_mtok.tolist() == [10.0, 2.0]
    assert str(PriceBook.load().date) in found.router.costs.basis
    assert found.router.capabilities[0].context_tokens > 100_000


BAD = {
    "labels for 1 model .large.; expected at least two.*planner plan LOG": lambda: train(made_labels(200, ("large",))),
    "the same quality for all of large, small on every one of 200 requests": lambda: train(flat(200), cost=COST2),
    "20 different requests that all of large, small answered; expected at least 50": lambda: train(
        made_labels(20, ("large", "small")), cost=COST2
    ),
    "200 labelled requests that are all one session or duplicates": lambda: train(one_text(200), cost=COST2),
    "no cost of an answer for large, middle, small; expected a price book": lambda: train(made_labels(200)),
    "model 'smal' without labels.*Did you mean 'small'": lambda: train(made_labels(200), candidates=["large", "smal"]),
    "cost None for 'middle'; expected a number of at least 0": lambda: train(made_labels(200), cost=COST2),
    "floor 2; expected a loss of quality from 0 to below 1": lambda: train(made_labels(200), cost=COST, floor=2),
    "0 different requests that all of large, small answered": lambda: train(disjoint(200), cost=COST2),
    "200 labelled requests without any prompt text": lambda: train(mute(200), cost=COST2),
    "unit 'turn'; expected one of session, request": lambda: train(made_labels(200), cost=COST, unit="turn"),
}


def flat(n: int) -> Labels:
    """Return labels on which all models are equally good."""
    labels = made_labels(n, ("large", "small"))
    return Labels.of(labels.items, labels.outcomes.assign(quality=0.5))


def one_text(n: int) -> Labels:
    """Return labels whose requests are all the same."""
    labels = made_labels(n, ("large", "small"))
    return Labels.of(labels.items.assign(messages="the same words"), labels.outcomes)


def mute(n: int) -> Labels:
    """Return labels whose prompts were not logged."""
    labels = made_labels(n, ("large", "small"))
    return Labels.of(labels.items.assign(messages=None), labels.outcomes)


def disjoint(n: int) -> Labels:
    """Return labels where each request was answered by one model only."""
    labels = made_labels(n, ("large", "small"))
    odd = labels.outcomes["request_id"].str[-1].astype(int) % 2 == 1
    return Labels.of(labels.items, labels.outcomes[odd == (labels.outcomes["model"] == "large")])


@pytest.mark.parametrize("sentence", BAD)
def test_bad_input_is_one_sentence(sentence):
    """What cannot be trained on is refused with what was found, what was expected and the next step."""
    with pytest.raises(PlannerError, match=sentence) as caught:
        BAD[sentence]()
    assert isinstance(caught.value, (InputError, NeedsError))
    assert "\n" not in str(caught.value)


def test_mmlu(real_data: Path):
    """On RouteLLM's MMLU outcomes pooled out-of-fold APGR is at least 0.66 with the subject known, and 0.65 by text alone."""
    labels = read_labels(real_data / "routellm_mmlu.parquet", quality="correct_*")
    cost = {"gpt_4_1106_preview": 20, "mixtral_8x7b_instruct": 1}
    known = train(labels, reference="gpt_4_1106_preview", cost=cost)
    blind = train(Labels.of(labels.items.assign(app="default"), labels.outcomes), reference="gpt_4_1106_preview", cost=cost)
    sys.stdout.write(f"APGR fit/holdout: with subject {known.apgr}, text alone {blind.apgr}\n")
    assert known.apgr["fit"] >= 0.66
    assert blind.apgr["fit"] >= 0.65


def test_any_frame_of_items(training):
    """The table and the curves hold numbers only: finite quality, cost and shares that sum to one."""
    shares = training.table[[c for c in training.table if c.startswith("share ")]]
    assert np.allclose(shares.sum(axis=1), 1)
    assert np.isfinite(training.table[["quality", "usd_per_1k"]]).all(axis=None)
    assert isinstance(training.frontier, pd.DataFrame)
    assert set(training.frontier["method"]) == {"learned", "per app", "length"}


def test_each_app_is_measured_against_its_own_model(tmp_path):
    """With references per app, "reference" is each app's own model, and τ = −∞ sends every request there."""
    _, found = world_of(tmp_path)
    own = {"chat": MODELS[0], "search": MODELS[1]}
    done = train(found, reference=MODELS[0], references=own)
    requests = done.problem.requests
    codes, _ = done.router.with_tau(-np.inf).choose(done.router.scores(requests, ""))
    assert [done.router.candidates[c] for c in codes] == [own[a] for a in requests.app]
    held = done.split == "judge"
    quality = done.problem.quality[held][np.arange(held.sum()), codes[held]]
    assert done.table.loc["reference", "quality"] == pytest.approx(np.average(quality, weights=done.problem.weight[held]))
    assert done.table.loc["reference", "quality_diff"] == 0


def test_the_router_does_not_depend_on_today():
    """τ and versions follow from the day given, else the book's, else no day at all, and never from the clock."""
    labels, can = made_labels(300), {"max_input_tokens": 10_000}
    known = {"large": Capability(**can), "middle": Capability(**can), "small": Capability(**can, retires="2020-01-01")}

    def used(**day):
        return train(labels, reference="large", cost=COST, capabilities=known, **day).table.loc["cheapest", "share small"] > 0.9

    assert used(), "without any day nobody has retired"
    assert used(at=date(2019, 12, 31))
    assert not used(at=date(2020, 1, 1))
    assert not used(book=PriceBook.load())
    assert used(book=PriceBook.load(), at=date(2019, 12, 31))


def test_training_asks_no_clock(monkeypatch):
    """With a clock that refuses to answer, training works."""

    class Stopped:
        @classmethod
        def now(cls, *_):
            raise AssertionError("the clock was read")

    monkeypatch.setattr("planner.router.router.datetime", Stopped)
    assert train(made_labels(200), cost=COST).router.version


def test_one_user_is_on_one_side():
    """Users are never split where there are enough; too few are split, and text and notes say so."""
    labels = made_labels(400)
    many, few = (Labels.of(labels.items.assign(user=[f"u{i % n}" for i in range(400)]), labels.outcomes) for n in (100, 20))
    bound, loose = (train(found, reference="large", cost=COST) for found in (many, few))
    user, held = many.items["user"], bound.split == "judge"
    assert not set(user[held]) & set(user[~held])
    assert ("tied by user" in bound.text, bound.notes["units"]) == (False, "users, sessions and duplicates are never split")
    assert "tied by user, only 20 units would remain; only sessions and duplicates are never split" in loose.text
    assert loose.notes["units"] == "sessions and duplicates are never split"
    plain = train(labels, reference="large", cost=COST)
    assert np.array_equal(plain.split, loose.split)
    assert "tied by user" not in plain.text


def test_a_statement_is_of_that_router(training):
    """Each method's own router gets its own numbers; another level, app or set of candidates gets none."""
    assert training.statement(training.router) == training.text
    for name, rule in training.rules.items():
        line = training.table.loc[training.method(rule)]
        assert line.equals(training.table.loc[name].rename(line.name))
        assert f"{line['quality_diff']:+.4f} [{line['diff_low']:+.4f}, {line['diff_high']:+.4f}]" in training.statement(rule)
    for other in (
        training.router.with_tau(0.123),
        training.router.with_apps(["chat"]),
        training.router.with_candidates(["large", "small"]),
    ):
        assert training.method(other) is None
        assert training.statement(other) == "Not judged at this level, and nothing is certified of it."
