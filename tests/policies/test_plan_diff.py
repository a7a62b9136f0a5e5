"""What changes between two plans is said in words, and nothing is said when nothing changes."""

from __future__ import annotations

import numpy as np
import pytest

from planner.policies import Batch, Cascade, Fallback, Hedge, Lever, Plan, RateLimit, Retry, Route, Stream, Timeout, diff
from planner.router import AlwaysRule, Capability, Costs, Router

CHAT = ("chat",)


def route(tau: float, to: int = 1, *apps: str) -> Route:
    """Route to one model."""
    costs = Costs(np.array([2.0, 1.0]), *(np.zeros(2) for _ in range(3)))
    router = Router(("a", "b"), "a", AlwaysRule.model(to, 0, 2), costs, (Capability(10**6),) * 2, tau=tau)
    return Route(router.with_apps(apps) if apps else router)


CHANGES: list[tuple[tuple[Lever, ...], tuple[Lever, ...], list[str]]] = [
    ((Hedge(2000, apps=CHAT),), (), ["hedge after 2,000 ms in chat, with the same model → off"]),
    ((), (Stream(CHAT),), ["off → stream answers in chat: people wait for the first token"]),
    ((route(0.4),), (route(0.6),), ["route τ 0.4 → 0.6 in all apps"]),
    ((route(0.4),), (route(0.4, 1, "chat"),), ["route apps all → chat"]),
    ((Hedge(2000),), (Hedge(3000, "b"),), ["hedge after 2,000 ms → 3,000 ms in all apps", "hedge model none → b in all apps"]),
    ((Timeout(9000, apps=CHAT),), (Timeout(9000, apps=("x", "y")),), ["timeout apps chat → x, y"]),
    ((Retry({"transport": 2}),), (Retry({"transport": 3}),), ["retry transport 2 → 3 in all apps"]),
    ((Retry({"transport": 2}),), (Retry({"transport": 2}, retry_after=False),), ["retry retry after yes → no in all apps"]),
    ((RateLimit({"a": (5, None, 7)}),), (RateLimit({"a": (5, 6, 7)}),), ["rate limit a input tpm none → 6 in all apps"]),
    ((Batch(CHAT, 60),), (Batch(CHAT, 90),), ["batch window 60 minutes → 90 minutes in chat"]),
    ((Fallback(("a",)),), (Fallback(("a", "b")),), ["fallback models a → a, b in all apps"]),
]


@pytest.mark.parametrize(("old", "new", "said"), CHANGES)
def test_changes_in_words(old: tuple[Lever, ...], new: tuple[Lever, ...], said: list[str]) -> None:
    """Each change is one sentence with the unit, before and after, and where."""
    assert diff(Plan(old), Plan(new)) == said


def test_nothing_changes() -> None:
    """A plan does what it does under any name; of itself there is nothing to say."""
    levers = (route(0.5, 1, "chat"), Timeout(900))
    assert diff(Plan(levers, "a"), Plan(levers, "b")) == []


def test_another_router_is_said_even_at_the_same_level() -> None:
    """Two routers that differ in more than τ and apps are two routers."""
    (line,) = diff(Plan((route(0.4, 0),)), Plan((route(0.4, 1),)))
    assert line.startswith("route router ")


def test_levers_of_one_key_are_paired_by_their_apps() -> None:
    """Of two timeouts only the one that changed is named, in whatever order they stand."""
    old = Plan((Timeout(900, apps=("x",)), Timeout(800, apps=("y",))))
    new = Plan((Timeout(700, apps=("y",)), Timeout(900, apps=("x",))))
    assert diff(old, new) == ["timeout 800 ms → 700 ms in y"]


def test_another_order_is_a_difference() -> None:
    """The same levers in another order are another plan, and the words say so."""
    small, other = Cascade("a", "b", ("grounding",), apps=("x",)), Timeout(900)
    (line,) = diff(Plan((small, other)), Plan((other, small)))
    assert line.startswith("order cascade in x")
    assert Plan((small, other)).hash != Plan((other, small)).hash
