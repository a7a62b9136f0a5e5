"""The truth behind the sample: labels are draws around it, and what routing can gain lies in the text, not in the app."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge

from planner.errors import InputError
from planner.labels import Labels
from planner.stats import draws
from planner.synthetic import Ceiling, Truth, build, ceiling, read_truth, truth
from planner.synthetic.labels import answered, chosen, sample_labels
from planner.synthetic.log import Log
from planner.synthetic.world import DIMENSIONS, MODELS, visible_quality
from planner.text.messages import conversation

REQUESTS, LABELLED = 12_000, 4_000


@pytest.fixture(scope="module")
def log() -> Log:
    """Return a log of a few thousand requests."""
    return build(REQUESTS)


@pytest.fixture(scope="module")
def labels(log: Log) -> Labels:
    """Return its labels."""
    return sample_labels(log, LABELLED)


@pytest.fixture(scope="module")
def known(log: Log) -> Truth:
    """Return the truth of the labelled requests."""
    return truth(log, labelled=LABELLED)


@pytest.fixture(scope="module")
def best(known: Truth) -> Ceiling:
    """Return the frontiers."""
    return ceiling(known)


def test_labels_are_draws_around_the_truth(labels: Labels, known: Truth) -> None:
    """Every model's mean label lies within 4 standard errors of its mean true quality, overall and in every app."""
    error = labels.quality(known.models) - known.expected
    assert list(labels.items["request_id"]) == list(known.request_id)
    for rows in [np.full(len(known.app), True), *(known.app == a for a in np.unique(known.app))]:
        bound = 4 * error[rows].std(axis=0) / np.sqrt(rows.sum())
        assert (np.abs(error[rows].mean(axis=0)) < bound).all()


def test_what_the_text_shows_is_right_on_average(known: Truth) -> None:
    """Requests grouped by visible quality have that mean true quality: the quadrature integrates the hidden part out."""
    for m in range(len(known.models)):
        order = np.argsort(known.visible[:, m])
        for part in np.array_split(order, 8):
            gap = known.expected[part, m] - known.visible[part, m]
            assert abs(gap.mean()) < 4.5 * gap.std() / np.sqrt(len(part)) + 0.004


def test_weights_stand_for_the_eligible_traffic(log: Log, labels: Labels) -> None:
    """Weights of an app sum to its successful requests with whole text that reached a provider; others are not labelled."""
    everything, _ = chosen(log, 10**9)
    eligible = log.table.iloc[everything]
    assert labels.items["weight"].sum() == pytest.approx(len(eligible))
    assert "nightly-summary" not in set(labels.items["app"])
    assert "hr-helper" not in set(labels.items["app"])


def test_labels_of_the_logged_model_are_the_log(log: Log, labels: Labels) -> None:
    """Where the candidate is the model that answered, tokens, latency and finish reason are the log's."""
    rows, _ = chosen(log, LABELLED)
    logged = log.table.iloc[rows].set_index("request_id")
    names = np.array([m.name for m in MODELS])
    own = labels.outcomes[labels.outcomes["model"].to_numpy() == names[logged["model"].loc[labels.outcomes["request_id"]]]]
    same = logged.loc[own["request_id"]]
    assert len(own) == len(rows)
    assert (own["output_tokens"].to_numpy() == same["visible"].to_numpy()).all()
    assert np.allclose(own["latency_ms"].to_numpy(), same["total_ms"].to_numpy(), atol=0.051)
    assert ((own["finish_reason"] == "length").to_numpy() == same["runaway"].to_numpy()).all()


def test_answers_do_not_depend_on_order(log: Log) -> None:
    """What a model answers to a request is the same whichever other requests are asked about."""
    rows, _ = chosen(log, 300)
    order = np.random.default_rng(1).permutation(len(rows))
    whole, mixed = answered(log, rows, 3), answered(log, rows[order], 3)
    assert whole.iloc[order].reset_index(drop=True).equals(mixed)


def test_the_truth_beats_every_model(best: Ceiling) -> None:
    """The text's frontier reaches the best model's quality at a third less cost, and the oracle is cheaper still."""
    constants = best.table[best.table["policy"] == "constant"].sort_values("quality")
    top = constants.iloc[-1]
    assert best.cost_usd("oracle", top["quality"]) < best.cost_usd("visible", top["quality"]) < 0.67 * top["cost_usd"]
    for row in constants.itertuples():
        assert best.cost_usd("visible", row.quality) <= row.cost_usd * (1 + 1e-9)


def test_gains_are_realistic_and_not_in_the_app_alone(best: Ceiling) -> None:
    """At 1 to 2 points of quality the text allows savings of 40 to 75 %, a table by app at least 20 points less."""
    top = best.table[best.table["policy"] == "constant"].sort_values("quality").iloc[-1]
    for loss in (0.01, 0.02):
        text, app = (1 - best.cost_usd(p, top["quality"] - loss) / top["cost_usd"] for p in ("visible", "per app"))
        assert 0.40 < text < 0.75
        assert app < text - 0.20


def test_difficulty_varies_inside_every_app(known: Truth) -> None:
    """The gain of the reference over the smallest model varies more inside apps than between them."""
    gain = known.visible[:, known.models.index("gpt-5.4")] - known.visible[:, known.models.index("gpt-5.4-nano")]
    means = {a: gain[known.app == a].mean() for a in np.unique(known.app)}
    inside = [gain[known.app == a].std() for a in means]
    assert min(inside) > 0.08
    assert np.mean(inside) > 2 * np.std(list(means.values()))


def test_no_model_is_best_everywhere(known: Truth) -> None:
    """Each of three models is the best visible choice somewhere, and the cheap one is as good as the reference on a fifth."""
    winner = np.bincount(known.visible.argmax(axis=1), minlength=len(known.models)) / len(known.app)
    assert (winner > 0.03).sum() >= 3
    close = known.visible[:, known.models.index("gpt-5.4-mini")] >= known.visible[:, known.models.index("gpt-5.4")] - 0.015
    assert close.mean() > 0.2


def test_the_text_is_learnable_but_not_a_lookup(labels: Labels, known: Truth) -> None:
    """A plain TF-IDF ridge on half of the labels predicts the smallest model's shortfall with a correlation of 0.5 to 0.97."""
    text = [conversation(m).last for m in labels.items["messages"]]
    test = (draws.key(labels.items["group"]) & np.uint64(1)).astype(bool)
    quality = labels.quality(known.models)
    short = quality[:, -1] - quality[:, known.models.index("gpt-5.4")]
    truth_gain = known.visible[:, -1] - known.visible[:, known.models.index("gpt-5.4")]
    features = TfidfVectorizer(ngram_range=(1, 2), min_df=3, sublinear_tf=True).fit([t for t, x in zip(text, test, strict=True) if not x])
    x = features.transform(text)
    guess = Ridge(alpha=10.0).fit(x[~test], short[~test]).predict(x[test])
    assert 0.5 < np.corrcoef(guess, truth_gain[test])[0, 1] < 0.97


def test_more_demand_never_helps() -> None:
    """Raising any dimension's demand lowers every model's quality."""
    base = np.full((1, len(DIMENSIONS)), 0.4)
    for d in range(len(DIMENSIONS)):
        more = base.copy()
        more[0, d] += 1.0
        assert (visible_quality(more, np.array(["t"])) < visible_quality(base, np.array(["t"]))).all()


def test_truth_survives_a_file(known: Truth, best: Ceiling, tmp_path: Path) -> None:
    """Saving the table and reading it gives the same frontiers."""
    path = tmp_path / "truth.parquet"
    known.table.to_parquet(path, index=False)
    again = ceiling(read_truth(path)).table
    assert np.allclose(again["quality"], best.table["quality"])
    assert list(again["policy"]) == list(best.table["policy"])


def test_ceiling_says_what_it_is_and_refuses_unknown_policies(best: Ceiling) -> None:
    """Its text says SYNTHETIC, it has a notebook form, an unreachable quality costs inf, an unknown policy is an error."""
    assert best.text.startswith("SYNTHETIC")
    assert "<table" in best._repr_html_()
    assert best.cost_usd("oracle", 1.0) == np.inf
    with pytest.raises(InputError, match="Got policy 'random'; expected one of constant"):
        best.cost_usd("random", 0.9)
