"""A plan in LiteLLM's settings: every lever is written or said, LiteLLM's own classes take what is written, and no secret is in it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from planner.bundle.gateway_models import Group, groups_of, model_list, spelled
from planner.bundle.gateway_settings import falling_back, gateway_settings
from planner.bundle.nocode_litellm import _offline
from planner.policies import (
    Batch,
    Cascade,
    Compress,
    ExactCache,
    Fallback,
    Hedge,
    MicroBatch,
    Plan,
    PromptCache,
    RateLimit,
    Retry,
    SemanticCache,
    Stream,
    Timeout,
)
from planner.policies.base import FAILURES
from planner.prices import PriceBook

GROUPS = {"big": "anthropic", "middle": "openai", "small": "openai"}
APPS = ("chat", "desk")
WINDOWS = {"big": 200_000, "middle": 400_000, "small": 100_000}
#: One of every lever that a plan can have beside a route, by its key, given its apps.
LEVERS: dict[str, Callable[[tuple[str, ...] | None], Any]] = {
    "retry": lambda apps: Retry({"transport": 2, "rate_limit": 4}, apps=apps),
    "timeout": lambda apps: Timeout(20_000, apps),
    "fallback": lambda apps: Fallback(("middle",), apps=apps),
    "hedge": lambda apps: Hedge(800, apps=apps),
    "exact_cache": lambda apps: ExactCache(apps=apps),
    "semantic_cache": lambda apps: SemanticCache(0.93, apps=apps),
    "prompt_cache": lambda apps: PromptCache(apps),
    "rate_limit": lambda _: RateLimit({"small": (500, 200_000, None)}),
    "cascade": lambda apps: Cascade("small", "big", ("json_schema",), apps=apps),
    "compress": lambda apps: Compress("lossless", apps=apps),
    "batch": lambda apps: Batch(apps or APPS, 60),
    "micro_batch": lambda apps: MicroBatch(apps or APPS, 8, 500),
    "stream": lambda apps: Stream(apps or APPS),
}


def of(*levers: Any) -> Any:
    """Return the settings of a plan of ``levers``."""
    return gateway_settings(Plan(levers, "x"), APPS, GROUPS, WINDOWS)


@pytest.fixture(scope="module")
def litellm() -> Any:
    """Return LiteLLM itself, asked for no network."""
    with _offline():
        return importlib.import_module("litellm")


@pytest.mark.parametrize("key", LEVERS)
@pytest.mark.parametrize("apps", [None, ("chat",)])
def test_every_lever_is_written_or_said(key: str, apps: tuple[str, ...] | None) -> None:
    """Whatever a plan holds, it changes LiteLLM's settings or is named among what LiteLLM does otherwise, in its own words."""
    lever, empty = LEVERS[key](apps), of()
    found = of(lever)
    changed = (found.router, found.litellm, found.deployment) != (empty.router, empty.litellm, empty.deployment)
    said = [words for words, _ in found.unsaid]
    assert changed or lever.words() in said
    if apps is not None and key != "rate_limit":
        assert not changed, "a setting of one app alone would hold for the other too"


def test_equal_levers_of_all_apps_are_one_setting() -> None:
    """The same timeout in every app is LiteLLM's one timeout; two different ones are none, and both are said."""
    same = of(Timeout(9_000, ("chat",)), Timeout(9_000, ("desk",)))
    assert same.router["timeout"] == 9.0
    other = of(Timeout(9_000, ("chat",)), Timeout(8_000, ("desk",)))
    assert "timeout" not in other.router
    assert len(other.unsaid) == 2


@given(st.dictionaries(st.sampled_from(FAILURES), st.integers(0, 9), min_size=1), st.booleans())
def test_retries_are_those_of_the_kind(retries: dict[str, int], timed: bool) -> None:
    """Each exception class is retried as often as its kind of failure; without a lever of timeouts a timeout is a transport failure."""
    router = of(Retry(retries), *([Timeout(60_000)] if timed else [])).router
    policy, count = router["retry_policy"], lambda kind: retries.get(kind, 0)
    assert policy["RateLimitErrorRetries"] == count("rate_limit")
    assert (
        policy["InternalServerErrorRetries"] == policy["ServiceUnavailableErrorRetries"] == policy["DefaultRetries"] == count("transport")
    )
    assert policy["ContentPolicyViolationErrorRetries"] == count("content")
    assert policy["BadRequestErrorRetries"] == policy["AuthenticationErrorRetries"] == policy["NotFoundErrorRetries"] == count("validation")
    assert policy["TimeoutErrorRetries"] == count("cancelled" if timed else "transport")
    assert router["num_retries"] == max(retries.values())


def test_litellm_takes_every_setting(litellm: Any) -> None:
    """LiteLLM's own Router and RetryPolicy accept all that is written, key by key, and hold the values."""
    found = of(
        *(make(None) for key, make in LEVERS.items() if key not in ("semantic_cache", "cascade", "batch", "micro_batch", "compress"))
    )
    groups = tuple(Group(name, name, provider) for name, provider in GROUPS.items())
    models = [{**m, "litellm_params": {**m["litellm_params"], "api_key": "unused"}} for m in model_list(groups, found.deployment)]
    with _offline():
        router = litellm.Router(model_list=models, **found.router)
    assert (router.num_retries, router.timeout, router.max_fallbacks) == (4, 20.0, 1)
    assert router.retry_policy.RateLimitErrorRetries == 4
    fields = set(importlib.import_module("litellm.types.router").RetryPolicy.model_fields)
    assert {*found.router["retry_policy"]} == fields


def test_without_fallbacks_in_the_plan_nothing_says_where_a_failing_request_goes() -> None:
    """LiteLLM's lists hold for every request of a group, so none is written: what is not moved goes nowhere that it does not go today."""
    assert not [key for key in of(LEVERS["retry"](None)).router if "fallbacks" in key]


def test_too_long_goes_to_the_fallback_with_the_next_larger_window() -> None:
    """What does not fit goes to the plan's fallback with the next larger window, never to another model; unknown windows are left alone."""
    plan = Plan((Fallback(("middle",)),), "x")
    found = gateway_settings(plan, APPS, {**GROUPS, "odd": ""}, {**WINDOWS, "odd": None}).router["context_window_fallbacks"]
    assert found == [{"big": ["middle"]}, {"middle": []}, {"small": ["middle"]}, {"odd": []}]


def test_content_falls_back_only_where_the_plan_says_so() -> None:
    """Refused content has the lever's fallbacks where it names that kind, else an empty list, which LiteLLM takes for none."""
    named = of(Fallback(("middle",), ("transport", "rate_limit", "cancelled", "content"))).router
    silent = of(Fallback(("middle",))).router
    assert named["content_policy_fallbacks"] == named["fallbacks"] == [{"big": ["middle"]}, {"middle": []}, {"small": ["middle"]}]
    assert silent["content_policy_fallbacks"] == [{"big": []}, {"middle": []}, {"small": []}]


def test_a_threshold_of_our_embedding_stays_out() -> None:
    """The threshold tuned under planner's n-grams is a comment that says why; under an embedding of LiteLLM's it is a setting."""
    ours, theirs = of(SemanticCache(0.93)), of(SemanticCache(0.93, "text-embedding-3-small"))
    assert "similarity_threshold" not in ours.litellm["cache_params"]
    assert any("means nothing under another one" in line for line in ours.aside)
    assert theirs.litellm["cache_params"]["similarity_threshold"] == 0.93
    assert not theirs.aside


def test_prompts_are_marked_where_the_provider_wants_it() -> None:
    """Only Anthropic's models get marks, of the lever's lifetime; OpenAI caches by itself."""
    found = of(PromptCache(None, "1h")).deployment
    assert {*found} == {"big"}
    assert all(p["control"] == {"type": "ephemeral", "ttl": "1h"} for p in found["big"]["cache_control_injection_points"])


def test_every_prefix_is_litellms_and_every_secret_a_name(litellm: Any) -> None:
    """Each provider of the price book is spelled as LiteLLM knows it, and all but the model is the name of an environment variable."""
    known = {getattr(p, "value", p) for p in litellm.provider_list}
    for provider in (*PriceBook.load()._names.provider_ids, ""):
        found = spelled(Group("a", "a-model", provider))
        assert found["model"].partition("/")[0] in known, provider
        assert all(value.startswith("os.environ/") and value.isascii() for name, value in found.items() if name != "model"), provider


def test_groups_behind_another_name_are_deployed_too() -> None:
    """A group called otherwise than its model gets a deployment of that model, and the log's provider goes before the book's."""
    groups = groups_of(["gpt-5-mini", "chat"], PriceBook.load(), served={"gpt-5-mini": "azure"}, behind={"chat": "gpt-5-mini"})
    assert [m["litellm_params"]["model"] for m in model_list(groups)] == ["azure/gpt-5-mini", "azure/gpt-5-mini"]
    assert yaml.safe_load(yaml.safe_dump(model_list(groups))) == model_list(groups)


def test_a_model_is_never_its_own_fallback_under_another_name() -> None:
    """A group that stands for a model does not fall back to the group of that model's own name: that would be one more retry."""
    plan = Plan((Fallback(("gpt-5.4", "gpt-5.4-mini")),), "x")
    found = gateway_settings(plan, ["chat"], {"chat-default": "openai", "gpt-5.4": "openai"}, behind={"chat-default": "gpt-5.4"})
    assert found.router["fallbacks"] == [{"chat-default": ["gpt-5.4-mini"]}, {"gpt-5.4": ["gpt-5.4-mini"]}]


def test_a_way_back_is_one_model_and_litellm_takes_it(litellm: Any) -> None:
    """Where the plan has no fallbacks, each group has the one that is given, and no second is tried; LiteLLM takes it."""
    found = falling_back(gateway_settings(Plan(), APPS, GROUPS, WINDOWS), {"middle": "big", "small": "big"})
    assert found.router["fallbacks"] == [{"middle": ["big"]}, {"small": ["big"]}]
    assert any("not of the plan" in line for line in found.aside)
    models = model_list(tuple(Group(name, name, "openai") for name in GROUPS))
    for one in models:
        one["litellm_params"]["api_key"] = "unused"
    with _offline():
        router = litellm.Router(model_list=models, **found.router)
    assert (router.fallbacks, router.max_fallbacks) == (found.router["fallbacks"], 1)


def test_the_fallbacks_of_the_plan_stay_as_they_were_simulated() -> None:
    """A plan with a chain of its own runs as it was simulated: no group has a way back, and the fallback itself an empty list."""
    found = falling_back(of(Fallback(("middle",))), {"middle": "big", "small": "big"})
    assert found.router["fallbacks"] == [{"big": ["middle"]}, {"middle": []}, {"small": ["middle"]}]
    assert found.router["max_fallbacks"] == 1
