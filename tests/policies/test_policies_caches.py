"""The cache levers are plain values: checked field by field, and what they were after a round trip."""

from __future__ import annotations

import json
from typing import Any

import pytest

from planner.policies import Plan
from planner.policies.base import LeverError
from planner.policies.exact_cache import ExactCache
from planner.policies.semantic_cache import SemanticCache

LEVERS = [
    ExactCache(ttl_s=60, capacity=10, eviction="fifo", coalesce=True, hit_ms=1, apps=["chat"]),  # type: ignore[arg-type]
    SemanticCache(0.9, "wordllama", guard=False, across_users=False, ttl_s=60, capacity=10, eviction="fifo", apps=("faq",)),
    ExactCache(),
    SemanticCache(1),
]


@pytest.mark.parametrize("lever", LEVERS, ids=lambda lever: lever.words())
def test_a_payload_makes_the_same_lever(lever: ExactCache | SemanticCache) -> None:
    """A lever rebuilt from its payload, through JSON, equals it."""
    payload = json.loads(json.dumps(lever.payload()))
    assert (payload.pop("kind"), lever.phase, lever.needs) == (lever.key, "event", type(lever).needs)
    assert type(lever)(**payload) == lever


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        (ExactCache, {"ttl_s": 0}, "exact_cache ttl_s is 0; expected seconds, at least 1"),
        (ExactCache, {"capacity": 0.5}, "exact_cache capacity is 0.5; expected a number of entries"),
        (ExactCache, {"eviction": "lfu"}, "exact_cache eviction is 'lfu'; expected one of lru, fifo"),
        (ExactCache, {"coalesce": 1}, "exact_cache coalesce is 1; expected true or false"),
        (ExactCache, {"hit_ms": -1}, "exact_cache hit_ms is -1; expected milliseconds ≥ 0"),
        (ExactCache, {"apps": ()}, "exact_cache apps is"),
        (SemanticCache, {"threshold": 0}, "semantic_cache threshold is 0; expected a cosine above 0 and at most 1"),
        (SemanticCache, {"threshold": 1.01}, "semantic_cache threshold is 1.01"),
        (SemanticCache, {"threshold": 0.9, "embedding": ""}, "semantic_cache embedding is ''; expected the name of an embedding"),
        (SemanticCache, {"threshold": 0.9, "guard": "yes"}, "semantic_cache guard is 'yes'; expected true or false"),
        (SemanticCache, {"threshold": 0.9, "ttl_s": float("nan")}, "semantic_cache ttl_s is nan"),
    ],
)
def test_fields_that_cannot_be_are_refused(kind: Any, fields: dict[str, Any], said: str) -> None:
    """One sentence names the lever, the field, its value and what it may be."""
    with pytest.raises(LeverError, match=said):
        kind(**fields)


def test_a_plan_takes_both_and_tells_settings_apart() -> None:
    """Both caches stand in one plan for different apps, and a plan with another threshold has another hash."""
    plans = [Plan((ExactCache(apps=("chat",)), SemanticCache(t, apps=("faq",)))) for t in (0.9, 0.91)]
    assert plans[0].needs == ("messages|cache_key", "messages")
    assert plans[0].hash != plans[1].hash
