"""What a log shows of today: models in use, and what each was seen to do."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.small import MODELS, traffic_of, world_of

from planner.errors import InputError
from planner.router import Capability, Requests
from planner.traffic import App, Apps
from planner.training import train
from planner.training.observed import allowed, models_today, seen_capabilities, widened


def test_today_is_the_last_week(tmp_path: Path) -> None:
    """After a switch of models, the app's model of today is the new one, however long the old one was used."""
    times = pd.date_range("2026-10-01", periods=28, freq="D", tz="UTC")
    traffic = traffic_of(tmp_path, {"timestamp": times, "app": "chat", "model": ["old"] * 21 + ["new"] * 7})
    assert models_today(traffic) == {"chat": "new"}
    assert models_today(traffic, among=["old"]) == {}


def test_capabilities_are_what_was_answered(tmp_path: Path) -> None:
    """Tools and formats count as seen only where the request ended well; an unseen model has no entry."""
    traffic = traffic_of(
        tmp_path,
        {
            "model": ["a", "a", "b"],
            "input_tokens": [10, 500, 30],
            "has_tools": [True, False, True],
            "response_format": ["text", "json_schema", "text"],
            "status": ["ok", "ok", "validation"],
        },
    )
    seen = seen_capabilities(traffic, ["a", "b", "c"])
    assert list(seen) == ["a"]
    assert (seen["a"].max_input_tokens, seen["a"].tools, seen["a"].formats) == (500, True, ("json_schema", "text"))


def test_widening_takes_the_union_and_keeps_limits() -> None:
    """What either source shows is possible, but a retirement date stays."""
    known = {"a": Capability(context_tokens=8000, retires="2027-01-01", source="catalogue")}
    wide = widened(known, {"a": Capability(max_input_tokens=500, tools=True, source="log"), "b": Capability(max_input_tokens=5)})
    assert wide["a"].max_input_tokens is None, "the context window is known"
    assert (wide["a"].context_tokens, wide["a"].tools, wide["a"].retires, wide["a"].source) == (8000, True, "2027-01-01", "catalogue; log")
    assert wide["b"].max_input_tokens == 5


def test_only_what_an_owner_states_forbids_a_model() -> None:
    """Stated candidates and providers keep a model from an app; the draft's own guesses keep nobody from anything."""
    apps = Apps(
        {
            "legal": App(allowed_providers=("anthropic",)),
            "chat": App(candidates=("large",)),
            "draft": App(candidates=("large",), allowed_providers=("openai",), assumed=("candidates", "allowed_providers")),
        }
    )
    able = [Capability(context_tokens=8000)] * 2
    large, small = allowed(["large", "small"], able, apps, {"large": "openai", "small": "anthropic"})
    assert large.apps == ("chat", "draft")
    assert small.apps == ("draft", "legal")
    assert allowed(["large"], able[:1], Apps({"free": App()}), {})[0].apps is None


def test_a_forbidden_model_is_never_chosen(tmp_path: Path) -> None:
    """A router trained for apps that keep search to the dear model sends no search request anywhere else, however cheap."""
    traffic, labels = world_of(tmp_path)
    apps = Apps({"chat": App(), "search": App(candidates=(MODELS[0],))})
    router = train(labels, traffic, apps=apps).router.with_tau(np.inf)
    requests = Requests.of(["list the rivers"] * 2, app=["chat", "search"])
    assert [d.model for d in router.decide_many(requests)] == [MODELS[2], MODELS[0]]


def test_candidates_nobody_labelled_are_named() -> None:
    """Stated candidates of which none has labels are a typo or a gap: the app, the names and the nearest ones are said."""
    apps = Apps({"legal": App(candidates=("lrge",))})
    with pytest.raises(InputError, match=r"candidates lrge of app 'legal'.*Did you mean 'large'"):
        allowed(["large", "small"], [Capability()] * 2, apps, {})
