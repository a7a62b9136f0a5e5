"""What providers promise besides rates: dated, sourced, the strictest where unsure."""

from __future__ import annotations

import datetime as dt
import re

import pytest

from planner.prices.provider_rules import PROMPT_CACHES, SLOW_TIERS, prompt_cache
from planner.prices.sheets import TIERS
from planner.schema import TOKEN_BUCKETS

NOW = dt.date(2026, 11, 1)


@pytest.mark.parametrize(
    ("provider", "model", "tokens"),
    [
        ("anthropic", "claude-haiku-4-5", 4096),
        ("anthropic", "claude-opus-4-6", 4096),
        ("anthropic", "claude-opus-4-7", 2048),
        ("anthropic", "claude-3-5-haiku-latest", 2048),
        ("anthropic", "claude-sonnet-4-5", 1024),
        ("anthropic", "claude-sonnet-5-5", 512),
        ("aws", "regional.anthropic.claude-sonnet-4-5-20250929-v1:0", 1024),
        ("anthropic", "claude-not-yet-known", 4096),
        ("openai", "gpt-5.4", 1024),
        ("azure", "gpt-4o", 1024),
    ],
)
def test_minimum_prefix_by_model(provider: str, model: str, tokens: int) -> None:
    """Each model needs at least its published number of tokens; an unknown Claude the largest."""
    rule = prompt_cache(provider, model, NOW)
    assert rule is not None
    assert rule.min_tokens == tokens


def test_no_rule_is_invented() -> None:
    """Providers and models without a published rule, and dates before it, have none."""
    assert prompt_cache("mistral", "mistral-large", NOW) is None
    assert prompt_cache("openai", "gpt-3.5-turbo", NOW) is None
    assert prompt_cache("openai", "gpt-4o", dt.date(2024, 9, 30)) is None


def test_rules_are_sound_data() -> None:
    """Every rule has a source with its reading date, a known bucket, a pattern that compiles; tiers are the price book's."""
    for rule in PROMPT_CACHES:
        re.compile(rule.models)
        assert "read 20" in rule.source
        assert all(seconds > 0 and bucket in TOKEN_BUCKETS for seconds, bucket in rule.lifetimes)
    assert {t.tier for t in SLOW_TIERS} <= set(TIERS)
