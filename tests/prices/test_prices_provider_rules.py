"""Rules about calls: dated, sourced, and in agreement with the rates of the price book where both speak."""

from __future__ import annotations

import datetime as dt
import re

import pytest

from planner.errors import PriceError
from planner.policies import Batch
from planner.prices import PriceBook
from planner.prices import call_rules as rules

NOW = dt.date(2026, 11, 1)
TABLES = (rules.CANCELLED, rules.RETRIES, rules.RATE_LIMITS, rules.BATCHES, rules.BATCH_CACHES, rules.FLEX)


def test_every_rule_is_dated_and_sourced() -> None:
    """Each rule has a date on which it was read, begins before that date, belongs to a provider of the price book, and compiles."""
    providers = PriceBook.load().rates["provider"].unique()
    for rule in (r for table in TABLES for r in table):
        read = re.search(r"read (20\d\d-\d\d-\d\d)$", rule.source)
        assert read, rule
        assert rule.since <= dt.date.fromisoformat(read[1])
        assert rule.provider in providers
        re.compile(getattr(rule, "models", ""))
        assert len(rule.source) > 40


@pytest.mark.parametrize(
    ("provider", "streamed"), [("anthropic", "generated"), ("openai", "generated"), ("aws", "full"), ("google", "full"), ("groq", "full")]
)
def test_what_a_cancelled_call_pays(provider: str, streamed: str) -> None:
    """A streamed call pays what was generated only where generation stops; one that is not streamed runs on everywhere."""
    rule = rules.cancelled(provider, NOW)
    assert rule is not None
    assert (rule.streamed, rule.whole) == (streamed, "full")


@pytest.mark.parametrize(
    ("provider", "model", "counts"),
    [
        ("anthropic", "claude-sonnet-4-5", False),
        ("anthropic", "claude-3-5-haiku-latest", True),
        ("anthropic", "claude-3-haiku-20240307", True),
        ("openai", "gpt-5.4-mini", True),
        ("aws", "anthropic.claude-sonnet-4-5-20250929-v1:0", False),
    ],
)
def test_whether_cached_reads_count_towards_limits(provider: str, model: str, counts: bool) -> None:
    """Anthropic leaves cached reads out for all but its old models, Bedrock gives them back, OpenAI counts them."""
    rule = rules.rate_limits(provider, model, NOW)
    assert rule is not None
    assert rule.counts_cache_reads is counts


def test_limits_of_one_batch() -> None:
    """OpenAI takes 50,000 requests and 200 MB, Anthropic 100,000 and 256 MB, both within a day; the lever's defaults suit all."""
    openai, anthropic = rules.batches("openai", NOW), rules.batches("anthropic", NOW)
    assert openai is not None
    assert anthropic is not None
    assert (openai.max_requests, openai.max_bytes, openai.hours) == (50_000, 200_000_000, 24)
    assert (anthropic.max_requests, anthropic.max_bytes, anthropic.hours) == (100_000, 256_000_000, 24)
    lever = Batch(("x",), 60)
    assert all(lever.max_requests <= (r.max_requests or lever.max_requests) for r in rules.BATCHES)
    assert all(lever.max_bytes <= (r.max_bytes or lever.max_bytes) for r in rules.BATCHES)


def test_cached_reads_in_a_batch_agree_with_the_price_book() -> None:
    """No rule promises more of a cached read in a batch than the book's rates give, and for the models in use it says the same."""
    book, order = PriceBook.load(), ("none", "instead", "stacks")
    table, same = book.rates, set()
    for provider, model in table[table["tier"] == "batch"][["provider", "model"]].drop_duplicates().itertuples(index=False):
        rule = rules.batch_cache(provider, model, NOW)
        found = _in_batch(book, provider, model)
        if rule is not None and found is not None:
            assert order.index(rule.rate) <= order.index(found), (provider, model)
            same |= {(model, found)} if rule.rate == found else set()
    assert same >= {("claude-sonnet-4-5", "stacks"), ("gpt-5.4-mini", "stacks"), ("gpt-4o", "none")}
    assert same >= {("gemini-2.5-pro", "instead"), ("gemini-3.6-flash", "stacks"), ("grok-4.3", "stacks")}


def _in_batch(book: PriceBook, provider: str, model: str) -> str | None:
    """Read off the rates what a cached read in a batch pays; None where the book has no such rates or no cache."""
    try:
        usual, batch = (book.quote(model, provider, tier, NOW).usd_per_mtok for tier in ("standard", "batch"))
        read, cached = batch["cache_read_tokens"], usual["cache_read_tokens"]
    except (PriceError, KeyError):
        return None
    if cached == usual["input_tokens"]:
        return None
    return "none" if read >= batch["input_tokens"] else "stacks" if read < cached else "instead"


def test_retries_and_flex() -> None:
    """Neither Anthropic nor OpenAI answers a repeated call once, both say when to come back; a refusal by OpenAI's flex tier is free."""
    for provider in ("anthropic", "openai"):
        rule = rules.retries(provider, NOW)
        assert rule is not None
        assert (rule.idempotency, rule.retry_after) == (False, True)
    flex = rules.flex("openai", NOW)
    assert flex is not None
    assert (flex.wait_minutes, flex.free_refusal) == (15, True)


def test_no_rule_is_invented() -> None:
    """Unknown providers and days before a rule began have none."""
    assert rules.cancelled("nobody", NOW) is None
    assert rules.retries("mistral", NOW) is None
    assert rules.rate_limits("google", "gemini-2.5-pro", NOW) is None
    assert rules.batches("anthropic", dt.date(2024, 12, 16)) is None
    assert rules.batch_cache("openai", "gpt-5.4", dt.date(2025, 8, 6)) == rules.batch_cache("openai", "gpt-4o", NOW)
    assert rules.flex("anthropic", NOW) is None
