"""A cascade in the simulator: who is asked again, what it costs, and how good the answers are, against closed forms."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pytest
from numpy.typing import NDArray
from support.small import MODELS, world_of

from planner.errors import InputError, NeedsError
from planner.labels import Labels
from planner.outcomes import Outcomes, fit_outcomes
from planner.outcomes.validators import gate
from planner.policies import Cascade, Plan, Stream
from planner.prices import PriceBook
from planner.schema import PURPOSES
from planner.simulation import World, run
from planner.simulation.replay import Replay
from planner.traffic.rows import Coded
from planner.training import train

DATE = dt.date(2026, 11, 1)
LARGE, VERIFIER, SMALL = MODELS
PLAN = Plan((Cascade(SMALL, LARGE, verifier=VERIFIER),), "cascade")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A log with labels whose verifier lets nine of ten right and two of ten wrong answers pass."""
    traffic, labels = world_of(tmp_path_factory.mktemp("cascade"), 3_000, 1_500)
    draw = np.random.default_rng(4).random(len(labels.outcomes))
    passed = draw < np.where(labels.outcomes["quality"] > 0.5, 0.9, 0.2)
    told = Labels.of(labels.items, labels.outcomes.assign(validators=[json.dumps({VERIFIER: bool(p)}) for p in passed]))
    book = PriceBook.load()
    return World(traffic, fit_outcomes(traffic, told, train(told, reference=LARGE, book=book, at=DATE)), book, DATE)


@pytest.fixture(scope="module")
def played(world: World) -> Replay:
    """What the cascade did."""
    return world.replayed(PLAN)


def calls(played: Replay, purpose: str) -> NDArray[np.bool_]:
    """Say which calls are of a purpose."""
    return np.asarray(played.calls.purpose == PURPOSES.index(purpose))


def predicted(world: World, model: str) -> NDArray[np.float64]:
    """Predicted quality of every row on one model."""
    return world.outcomes.quality(Coded(np.zeros(len(world.rows), np.int32), (model,)))


def test_as_many_are_asked_again_as_the_gate_refuses(world: World, played: Replay) -> None:
    """The share of first answers that are asked again is 1 − E[P(pass | q̂)], within Monte Carlo error."""
    answers = world.outcomes.answers
    assert answers is not None
    chance = gate(answers, SMALL, (VERIFIER,)).accepted(predicted(world, SMALL)[played.at])
    first = played.calls.row[calls(played, "main") & (played.calls.outcome == 0)]
    again = played.calls.row[calls(played, "escalation")]
    refused = 1 - chance[first]
    error = np.sqrt((refused * (1 - refused)).sum()) / len(first)
    assert len(np.unique(again)) / len(first) == pytest.approx(refused.mean(), abs=4 * error)
    assert {played.calls.model.values[c] for c in played.calls.model.codes[calls(played, "escalation")]} == {LARGE}


def test_every_first_answer_is_read_once(world: World, played: Replay) -> None:
    """The verifier reads each answer of the first model once, question and answer, and is billed for it as an assumption."""
    first = calls(played, "main") & (played.calls.outcome == 0)
    reads = calls(played, "verifier")
    assert sorted(played.calls.row[reads]) == sorted(played.calls.row[first])
    by_row = np.zeros(len(played.at), np.int64)
    by_row[played.calls.row[first]] = played.calls.tokens[first, :5].sum(axis=1)
    assert (played.calls.tokens[reads, 0] == by_row[played.calls.row[reads]]).all()
    assert (played.calls.evidence[reads] == 2).all()


def test_quality_is_that_of_who_answered_given_that_it_passed(world: World, played: Replay) -> None:
    """Accepted answers have Bayes' quality, those asked again the large model's, and one that is given although refused what is left."""
    answers = world.outcomes.answers
    assert answers is not None
    door, q = gate(answers, SMALL, (VERIFIER,)), predicted(world, SMALL)[played.at]
    large = predicted(world, LARGE)[played.at]
    again = np.zeros(len(q), bool)
    again[played.calls.row[calls(played, "escalation")]] = True
    answer = played.happened.answer
    better = again & (played.calls.model.decode()[answer] == LARGE) & (answer >= 0)
    expected = np.where(better, large, np.where(again, door.refused(q), np.where(answer >= 0, door.quality(q), q)))
    np.testing.assert_allclose(played.side.quality[played.at], expected)
    assert door.accepted(q) @ door.quality(q) + (1 - door.accepted(q)) @ door.refused(q) == pytest.approx(q.sum())


def test_a_cascade_is_dearer_than_its_first_model_and_slower(world: World, played: Replay) -> None:
    """Escalation and verifying are paid and waited for: each request asked again ends after its first answer."""
    first_end = np.full(len(played.at), np.nan)
    first = calls(played, "main") & (played.calls.outcome == 0)
    first_end[played.calls.row[first]] = played.calls.end_ms[first]
    again = played.calls.row[calls(played, "escalation")]
    assert (played.side.latency_ms[played.at][again] > first_end[again]).all()


def test_a_stream_shows_nothing_before_it_has_passed(world: World) -> None:
    """Streamed, an answer that the verifier reads is seen when it has passed, all at once; one asked again is seen as it is written."""
    found = world.replayed(Plan((*PLAN.levers, Stream(("chat", "search"))), "streamed"))
    side, answer = found.side, found.happened.answer
    purpose = np.where(answer >= 0, found.calls.purpose[np.maximum(answer, 0)], -1)
    passed, again = (np.flatnonzero(purpose == PURPOSES.index(name)) for name in ("main", "escalation"))
    begun = (found.happened.first_us[answer] - found.happened.arrived_us) / 1_000
    np.testing.assert_array_equal(side.perceived_ms[found.at[passed]], side.latency_ms[found.at[passed]])
    assert (begun[passed] < side.latency_ms[found.at[passed]]).all()
    np.testing.assert_array_equal(side.perceived_ms[found.at[again]], begun[again])


def test_what_is_missing_is_named(world: World) -> None:
    """Without labels, and without anything that says what the verifier would have said, a cascade is refused in one sentence."""
    with pytest.raises(NeedsError, match="needs labels"):
        run(World(world.traffic, Outcomes(), world.book, DATE), PLAN)
    with pytest.raises(InputError, match="validator 'gpt-5'"):
        run(world, Plan((Cascade(SMALL, LARGE, verifier="gpt-5"),)))
