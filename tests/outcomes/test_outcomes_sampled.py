"""Outcomes of a log that is too large to be fitted whole: a part tells what all of it would, and what is counted is of all of it."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from support.small import MODELS, world_of

from planner.labels import Labels
from planner.outcomes import Outcomes, fit_outcomes
from planner.outcomes import survey as surveys
from planner.outcomes.speed import whole_and_first
from planner.outcomes.survey import survey
from planner.schema import TRAFFIC
from planner.stats import draws
from planner.traffic import Traffic, TrafficWriter
from planner.traffic.rows import Coded, load_rows
from planner.training import train

N, MOST = 20_000, 4_000


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Traffic, Labels]:
    """Twenty thousand requests, 400 of them labelled: some given up, some that asked for an effort, some sent to a model by chance."""
    folder = tmp_path_factory.mktemp("large")
    bare, labels = world_of(folder / "bare", N)
    rng = np.random.default_rng(1)
    frame = bare.frame(*TRAFFIC.names)
    ended = rng.random(N)
    frame["status"] = np.where(ended < 0.02, "cancelled", frame["status"])
    frame["error_class"] = np.where(ended > 0.98, "ReadTimeout", None)
    frame["reasoning_effort"] = rng.choice(np.array([None, "", "low", "high"], object), N)
    frame["action_propensities"] = np.where(rng.random(N) < 0.3, '{"gpt-5.4": 0.9, "gpt-5.4-mini": 0.1}', None)
    frame["provider"] = np.where(frame["model"] == MODELS[1], rng.choice(["azure", "openai", "openai"], N), None)
    with TrafficWriter(folder / "log") as writer:
        writer.accept(pa.Table.from_pandas(frame, TRAFFIC.arrow(), preserve_index=False))
        return writer.close(source_format="test"), labels


@pytest.fixture(scope="module")
def both(world: tuple[Traffic, Labels]) -> tuple[Outcomes, Outcomes]:
    """The outcomes fitted on all requests, and those fitted on about MOST of them."""
    traffic, labels = world
    training = train(labels, reference=MODELS[0])
    whole = fit_outcomes(traffic, labels, training)
    shutil.rmtree(traffic.folder / "derived")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surveys, "MOST_ROWS", MOST)
        return whole, fit_outcomes(traffic, labels, training)


def median_ms(outcomes: Outcomes, model: str) -> float:
    """Return the median latency of a call of middling size."""
    assert outcomes.latency is not None
    speed = outcomes.latency.speed(model)
    return float(whole_and_first(np.array([[1_000, 0, 0, 0, 200, 0]]), speed.terms)[0][0] * speed.residual.at(np.zeros(1))[0])


def test_a_part_fits_within_its_sampling_error(both: tuple[Outcomes, Outcomes]) -> None:
    """Failure rates and median latencies (σ of their logs is ½) of the part differ from those of all as chance allows, and do differ."""
    whole, part = both
    for model, share in ((MODELS[0], 0.9), (MODELS[1], 0.1)):
        calls = share * MOST
        expected, off = whole.failures[model], part.failures[model] - whole.failures[model]
        assert np.abs(off).max() > 0
        assert (np.abs(off) <= 4 * np.sqrt(expected * (1 - expected) / calls)).all()
        assert abs(np.log(median_ms(part, model) / median_ms(whole, model))) <= 4 * 1.2533 * 0.5 / np.sqrt(calls)
        assert part.latency is not None
        assert part.latency.speed(model).calls == pytest.approx(calls, rel=0.15)


def test_what_is_of_all_rows_stays_so(world: tuple[Traffic, Labels], both: tuple[Outcomes, Outcomes]) -> None:
    """Evidence, efforts, calls that were cut short, providers, and what labels tell do not depend on which part was fitted on."""
    whole, part = both
    pd.testing.assert_frame_equal(part.evidence, whole.evidence)
    assert part.evidence.groupby(["app", "size"])["n_logged"].sum().sum() == len(world[0])
    assert part.providers == whole.providers
    assert part.efforts.key.tolist() == whole.efforts.key.tolist()
    assert part.efforts.effort.decode().tolist() == whole.efforts.effort.decode().tolist()
    assert whole.latency is not None
    assert part.latency is not None
    assert part.latency.cut.tolist() == whole.latency.cut.tolist()
    labelled = [key for key in whole.ratios if key[2:] == ()]
    assert labelled
    assert {key: part.ratios[key] for key in labelled} == {key: whole.ratios[key] for key in labelled}


def test_labelled_rows_are_found_wherever_they_are(both: tuple[Outcomes, Outcomes]) -> None:
    """The held-out requests are described as the log has them, though most of them were not fitted on."""
    whole, part = both
    assert whole.holdout is not None
    assert part.holdout is not None
    for name, values in vars(whole.holdout.rows).items():
        found = getattr(part.holdout.rows, name)
        first, second = (v.decode() if isinstance(v, Coded) else v for v in (values, found))
        assert repr(np.asarray(first).tolist()) == repr(np.asarray(second).tolist())
    assert {*whole.holdout.rows.model.values} == {*MODELS[:2]}


def test_every_row_is_predicted(world: tuple[Traffic, Labels], both: tuple[Outcomes, Outcomes]) -> None:
    """Predicted quality is that of the fit on all requests, to the bit, also where only some rows are asked for."""
    whole, part = both
    assert whole.predicted is not None
    assert part.predicted is not None
    assert part.predicted.values.shape == (N, len(MODELS))
    assert (part.predicted.values == whole.predicted.values).all()
    at = np.array([0, 7, N - 1])
    model = Coded(np.zeros(3, np.int32), (MODELS[1],))
    assert part.at(at).quality(model).tolist() == whole.predicted.values[at, 1].tolist()
    assert Outcomes().at(at).predicted is None


def test_a_survey_counts_every_row(world: tuple[Traffic, Labels]) -> None:
    """Counts, keys of calls that were cut short, and efforts are those of the columns; absent labelled requests are at −1."""
    traffic, labels = world
    frame, rows = traffic.frame(), load_rows(traffic)
    ids = ["r7", "elsewhere", *labels.items["request_id"][:5]]
    seen = survey(traffic, ids)
    assert seen.fitted is None
    assert seen.labelled.tolist() == pd.Index(rows.request_id).get_indexer(pd.Index(ids)).tolist()
    cut = (frame["status"] == "cancelled") | (frame["error_class"] == "ReadTimeout")
    assert seen.cut.tolist() == np.sort(rows.key[cut]).tolist()
    assert seen.efforts.find(rows.key).decode().tolist() == frame["reasoning_effort"].fillna("").tolist()
    chance = rows.steerable & frame["action_propensities"].notna().to_numpy()
    for column, flags in (("requests", np.ones(N, bool)), ("steerable", rows.steerable), ("randomised", chance)):
        expected = frame[flags].groupby(["model", "app"]).size()
        assert seen.counts.groupby(["model", "app"])[column].sum().to_dict() == expected.to_dict()
    assert seen.served == {MODELS[1]: "openai"}


def test_each_request_is_as_likely_to_be_fitted_on(world: tuple[Traffic, Labels]) -> None:
    """About as many are drawn as are asked for, by their ids alone: the same ones again, and others for another seed."""
    traffic, _ = world
    fitted, again, other = (survey(traffic, seed=seed, most=MOST).fitted for seed in (0, 0, 1))
    assert fitted is not None
    assert again is not None
    assert other is not None
    assert len(fitted) == pytest.approx(MOST, abs=4 * np.sqrt(MOST))
    assert fitted.tolist() == again.tolist()
    assert len(np.intersect1d(fitted, other)) == pytest.approx(MOST * MOST / N, abs=4 * np.sqrt(MOST * MOST / N))
    drawn = draws.uniform(0, load_rows(traffic, fitted).key, "fitted")
    assert drawn.max() < MOST / N
