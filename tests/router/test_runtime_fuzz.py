"""The runtime on whatever a client sends: a decision always comes back, and it is the training side's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.labels import COST, made_labels

from benchmarks.runtime_fuzz import agrees, expected, measure
from benchmarks.runtime_inputs import inputs
from planner import export
from planner.router import REASONS, Capability, Decision, LengthRule, Router, Support
from planner.router.capabilities import KEEP, UNREADABLE
from planner.router.requests import FORMATS
from planner.training import train

INPUTS = 1_200


@pytest.fixture(scope="module")
def learned(tmp_path_factory) -> Router:
    """Train, export and load a router whose apps have models of today."""
    router = train(made_labels(400), reference="large", cost=COST, references={"chat": "middle"}).router
    return Router.load(export(router.with_tau(0.02), tmp_path_factory.mktemp("fuzz") / "bundle"))


def changed(router: Router, name: str) -> Router:
    """Return the router in another form."""
    rule = LengthRule(np.float32([0, 0.1, -0.6]), np.float32([0, -0.05, 0.1]))
    able = Capability(context_tokens=10**7, tools=True, formats=FORMATS, modalities=("text", "image", "audio", "file"))
    free = replace(router, capabilities=(able,) * 3, support=Support(cut_text=True))
    return {
        "learned": router,
        "by request, without limits": replace(free, unit="request"),
        "a rule without limits": replace(free, scorer=rule, tau=-0.05, references=()),
    }[name]


@pytest.mark.parametrize("name", ["learned", "by request, without limits", "a rule without limits"])
def test_any_input_is_decided_as_training_would(learned, name):
    """Of a thousand inputs of any kind none raises, and every decision equals choose over scores, alone and among many."""
    found = measure(changed(learned, name), INPUTS, seed=3)
    assert (found["raised"], found["differ"], found["differ_in_columns"]) == (0, 0, 0)
    assert sum(found["reasons"].values()) == INPUTS
    decided = sum(found["reasons"].get(REASONS[r], 0) for r in (0, 1))
    assert {REASONS[0], REASONS[1], REASONS[5], REASONS[UNREADABLE]} <= set(found["reasons"])
    assert REASONS[KEEP] in found["reasons"] if name == "learned" else decided > INPUTS / 3


class Faulty(Router):
    """A router that raises on long text, and is wrong about some short one."""

    def decide(self, messages, metadata=None, *, at=None):
        """Decide, sometimes wrongly."""
        size = len(repr(messages)[:10_000])
        if size > 5_000:
            raise ValueError("too long")
        right = super().decide(messages, metadata, at=at)
        return replace(right, score=right.score + 1e-9) if size % 10 == 0 else right


def test_a_fault_is_counted(learned):
    """A router that raises, or whose score is off by a billionth, is found out."""
    names = list(learned.__dataclass_fields__)
    found = measure(Faulty(*(getattr(learned, n) for n in names)), 300, seed=3)
    assert found["raised"] > 5
    assert found["first_raised"][0].startswith("ValueError on input")
    assert found["differ"] > 10
    assert found["differ_in_columns"] > 10


def test_what_cannot_be_read_may_not_go_anywhere(learned):
    """A request that training refuses must go to a reference, or keep what it asked for, with that reason and no score."""
    messages, beside = [{"role": "user", "content": 7, "tool_calls": np.array([1, 2])}], {"app": "maths", "model": "mine"}
    assert expected(learned, messages, beside) is None
    good = learned.decide(messages, beside)
    assert (good.model, good.reason) == ("large", REASONS[UNREADABLE])
    assert agrees(learned, good, None, beside)
    bad = [
        {"score": 0.1},
        {"reason": REASONS[0]},
        {"model": "mine"},
        {"version": "other"},
        {"model": None},
        {"reason": REASONS[KEEP], "model": "x"},
    ]
    assert not any(agrees(learned, replace(good, **change), None, beside) for change in bad)
    assert not agrees(learned, None, None, beside)
    assert agrees(learned, Decision("mine", 0.0, REASONS[KEEP], learned.version), None, beside)


def test_inputs_are_what_they_are_said_to_be():
    """The same seed makes the same inputs; among a few thousand are a million characters, surrogates, tools, rings and every kind."""
    made, again = list(inputs(2_000, 11, ["chat"])), list(inputs(200, 11, ["chat"]))
    plain = [i for i, (kind, *_) in enumerate(made) if kind == "a request"]
    assert [made[i] for i in plain if i < 200] == [again[i] for i in plain if i < 200]
    assert {kind for kind, *_ in made} == {"a request", "a spoilt request", "anything"}
    written = [repr(made[i][1]) for i in plain]
    assert max(map(len, written)) > 900_000
    for sign in ("\\ud8", "tool_calls", "tool_result", "input_text", "image_url", "developer"):
        assert any(sign in text for text in written), sign
