"""A plan that cannot hold together is refused before anything runs; so is one that the log or the price book does not know."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from planner.errors import InputError, NeedsError, PriceError
from planner.policies import (
    Batch,
    Cascade,
    Compress,
    ExactCache,
    Fallback,
    Hedge,
    Lever,
    MicroBatch,
    Plan,
    PromptCache,
    RateLimit,
    Retry,
    Route,
    SemanticCache,
    Stream,
    Timeout,
)
from planner.router import ALWAYS_TAU, AlwaysRule, Capability, Costs, Router

CHAT, SEARCH = ("chat",), ("search",)


def route(*apps: str) -> Route:
    """Route ``apps`` to ``b``."""
    costs = Costs(np.array([2.0, 1.0]), *(np.zeros(2) for _ in range(3)))
    router = Router(("a", "b"), "a", AlwaysRule.model(1, 0, 2), costs, (Capability(10**6),) * 2, tau=ALWAYS_TAU)
    return Route(router.with_apps(apps) if apps else router)


def cascade(*apps: str) -> Cascade:
    """Ask ``a``, then ``b``."""
    return Cascade("a", "b", ("json_schema",), apps=apps or None)


#: Two levers that contradict each other when they share an app, and what is said.
CONTRADICTIONS: list[tuple[Any, Any, str]] = [
    (lambda a: Hedge(800, apps=a), lambda a: Hedge(900, apps=a), "two levers for lever hedge in chat"),
    (lambda a: route(*a), lambda a: cascade(*a), r"two levers for model \(route and cascade\) in chat"),
    (lambda a: MicroBatch(a, 4, 100), lambda a: Batch(a, 60), r"two levers for submit_ms \(micro_batch and batch\)"),
    (lambda a: Batch(a, 60), lambda a: Hedge(2_000, apps=a), "hedge after 2,000 ms and a batch window of 60 minutes in chat"),
    (lambda a: Timeout(20_000, apps=a), lambda a: Batch(a, 60), "timeout of 20,000 ms and a batch window of 60 minutes in chat"),
    (lambda a: Batch(a, 60), lambda a: Stream(a), "stream and a batch, whose answers come in a file in chat"),
    (lambda a: cascade(*a), lambda a: MicroBatch(a, 4, 100), "an answer shared by several requests cannot be accepted for one"),
    (lambda a: MicroBatch(a, 4, 100), lambda a: Stream(a), r"two levers for stream \(micro_batch and stream\)"),
    (
        lambda a: MicroBatch(a, 4, 100),
        lambda a: Compress("lossless", apps=a),
        r"two levers for removed, variant \(micro_batch and compress\)",
    ),
    (lambda a: MicroBatch(a, 4, 100), lambda a: ExactCache(apps=a), "micro_batch and exact_cache: who sends what a call shares"),
    (lambda a: SemanticCache(0.9, apps=a), lambda a: MicroBatch(a, 4, 100), "micro_batch and semantic_cache: who sends what a call shares"),
    (lambda a: MicroBatch(a, 4, 100), lambda a: PromptCache(apps=a), "micro_batch and prompt_cache: who sends what a call shares"),
    (lambda a: Retry({"transport": 1}, deadline_ms=500, apps=a), lambda a: Timeout(900, apps=a), "deadline of 500 ms and a timeout of 900"),
    (lambda a: ExactCache(apps=a), lambda a: SemanticCache(0.9, apps=a), "exact_cache and semantic_cache"),
    (lambda a: Batch(a, 60), lambda a: route(*a), "batch before route in chat"),
    (lambda a: MicroBatch(a, 4, 100), lambda a: route(*a), "micro_batch before route in chat"),
]


@pytest.mark.parametrize(("first", "second", "said"), CONTRADICTIONS)
def test_contradictions_hold_where_apps_meet(first: Any, second: Any, said: str) -> None:
    """The two are refused in one app, in one sentence with what to do; in different apps they stand side by side."""
    with pytest.raises(InputError, match=said) as error:
        Plan((first(CHAT), second(("chat", "x"))), "mine")
    assert str(error.value).startswith("Got plan 'mine' with ")
    assert error.value.fix
    assert len(Plan((first(CHAT), second(SEARCH)), "mine").levers) == 2


def test_all_apps_contain_each_app() -> None:
    """A lever for all apps meets a lever for one; two for all say so."""
    with pytest.raises(InputError, match="two levers for lever timeout in chat"):
        Plan((Timeout(900), Timeout(800, apps=CHAT)))
    with pytest.raises(InputError, match="two levers for lever rate_limit in all apps"):
        Plan((RateLimit({"a": (1, 1, 1)}), RateLimit({"b": (1, 1, 1)})))


def test_settings_that_agree_are_accepted() -> None:
    """A slow tier with patient timeouts, a deadline beyond the timeout, a flex stream and a route before its batch hold together."""
    levers: tuple[Lever, ...] = (
        route("nightly"),
        Batch(("nightly",), 60),
        Timeout(3_600_000, apps=("nightly",)),
        Batch(("slow",), 0, tier="flex"),
        Stream(("slow",)),
        Retry({"cancelled": 1}, deadline_ms=3_600_000),
    )
    plan = Plan(levers)
    assert [x.key for x in plan.row_levers] == ["route", "batch", "batch", "stream"]
    assert len(plan.of_key("batch")) == 2


def check(*levers: Lever, **known: Any) -> None:
    """Check a plan against a small log."""
    facts = {"apps": ["chat", "search"], "models": ["gpt-5", "gpt-5-mini"], "columns": ["latency_ms"], **known}
    Plan(levers, "mine").check(**facts)


def test_unknown_apps_are_named_with_the_nearest() -> None:
    """An app that the log does not have is refused with the one that was meant, or with all there are."""
    with pytest.raises(InputError, match=r"plan 'mine': hedge for app 'serach'; expected an app of the log. Did you mean 'search'"):
        check(Hedge(800, apps=("serach",)))
    with pytest.raises(InputError, match="The log has chat, search"):
        check(Hedge(800, apps=("zzz",)))


def test_a_routes_apps_are_those_of_its_training() -> None:
    """A router may know more apps than the log has, but not only others."""
    known = {"models": ["a", "b"], "columns": ["messages"]}
    check(route("chat", "gone"), **known)
    with pytest.raises(InputError, match="route for app 'gone'"):
        check(route("gone"), **known)


@pytest.mark.parametrize(
    "lever", [Hedge(800, "gpt-5-mni"), Fallback(("gpt-5", "gpt-5-mni")), Cascade("gpt-5", "gpt-5-mni", ("grounding",))]
)
def test_unknown_models_are_named_with_their_neighbours(lever: Lever) -> None:
    """A model nobody knows is refused with the nearest known ones, wherever in the lever it stands."""
    with pytest.raises(PriceError, match=r"with model 'gpt-5-mni'; expected a known model. Did you mean 'gpt-5-mini', 'gpt-5'"):
        check(lever)


def test_limits_may_name_a_provider() -> None:
    """A rate limit is of a model or of a provider; another lever's model is no provider."""
    check(RateLimit({"openai": (1, 1, 1), "gpt-5": (1, 1, 1)}), providers=["openai"])
    with pytest.raises(PriceError, match=r"rate_limit with model 'opnai'.*'openai'"):
        check(RateLimit({"opnai": (1, 1, 1)}), providers=["openai"])
    with pytest.raises(PriceError, match="hedge with model 'openai'"):
        check(Hedge(1, "openai"), providers=["openai"])


def test_missing_columns_are_named() -> None:
    """A log without what a lever needs says which column and which lever."""
    with pytest.raises(NeedsError, match="stream needs ttft_ms, which this log does not have"):
        check(Stream(CHAT))
