"""A gate passes right and wrong answers as often as held-out labels show, and never reads the label it is drawn for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from planner.errors import InputError
from planner.labels import Labels
from planner.outcomes.validators import gate


def labels(n: int = 400, seed: int = 0) -> Labels:
    """Answers of one model: right ones are JSON nine times in ten, wrong ones three times in ten."""
    draw = np.random.default_rng(seed)
    right = draw.random(n) < 0.6
    valid = draw.random(n) < np.where(right, 0.9, 0.3)
    ids = [f"r{i}" for i in range(n)]
    items = pd.DataFrame(
        {"request_id": ids, "messages": "give me JSON", "response_format": "json_object", "user": [f"u{i % 100}" for i in range(n)]}
    )
    outcomes = pd.DataFrame(
        {
            "request_id": ids,
            "model": "m",
            "quality": right.astype(float),
            "response": np.where(valid, '{"a": 1}', "sorry, no"),
            "grader": "g",
        }
    )
    return Labels.of(items, outcomes)


def test_rates_are_recovered_within_their_intervals() -> None:
    """The true rates of passing lie within the 95 % intervals of the gate."""
    found = gate(labels(), "m", ("json_schema",))
    for estimate, truth in ((found.passes_right, 0.9), (found.passes_wrong, 0.3)):
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low <= truth <= estimate.high
    assert found.n == 400


def test_bayes_holds_on_the_rows_themselves() -> None:
    """The expected quality of accepted answers, and how many are accepted, are exactly those of the rows the gate was made from."""
    made = labels()
    found = gate(made, "m", ("json_schema",))
    quality = made.outcomes["quality"].to_numpy()
    passed = made.outcomes["response"].str.startswith("{").to_numpy()
    chance = found.accepted(quality)
    assert chance.mean() == pytest.approx(passed.mean())
    assert (chance * found.quality(quality)).sum() / chance.sum() == pytest.approx(quality[passed].mean())


def test_only_the_named_rows_are_read() -> None:
    """Rows that chose the plan can be kept out: labels of other rows do not move the gate."""
    made = labels()
    some = [f"r{i}" for i in range(0, 400, 2)]
    changed = Labels.of(
        made.items, made.outcomes.assign(quality=np.where(made.outcomes["request_id"].isin(some), made.outcomes["quality"], 0.5))
    )
    assert (gate(made, "m", ("json_schema",), some).sums == gate(changed, "m", ("json_schema",), some).sums).all()


def test_what_the_labels_say_comes_before_what_the_answer_looks_like() -> None:
    """A stored verdict is taken, also from a validator that we do not have."""
    made = labels(40)
    stored = Labels.of(made.items, made.outcomes.assign(validators='{"ours": false}'))
    assert gate(stored, "m", ("ours",)).passes_right.value == 0.0


@pytest.mark.parametrize(("validators", "said"), [(("jsn",), "validator 'jsn'"), (("json_schema",), "no labelled answer of other")])
def test_bad_input_is_named(validators: tuple[str, ...], said: str) -> None:
    """An unknown validator, and a model without readable answers, are refused in one sentence."""
    with pytest.raises(InputError, match=said):
        gate(labels(40), "other" if "other" in said else "m", validators)


def test_an_answer_that_a_limit_cut_does_not_pass() -> None:
    """Whether an answer is whole shows in how it ended, also where the answers themselves were not kept."""
    made = labels(40)
    ended = np.where(np.arange(40) % 4 == 0, "length", "stop")
    cut = Labels.of(made.items, made.outcomes.assign(finish_reason=ended, response=None, quality=1.0))
    assert gate(cut, "m", ("constraints",)).passes_right.value == 0.75
