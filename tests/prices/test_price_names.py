"""Names as logs spell them → the catalogue's ids, or the nearest names."""

from __future__ import annotations

import pytest

from planner.errors import PriceError
from planner.prices import PriceBook
from planner.prices.catalogue import PROVIDERS


@pytest.fixture(scope="module")
def book() -> PriceBook:
    """Load the bundled catalogue."""
    return PriceBook.load()


HAIKU_AWS = "regional.anthropic.claude-haiku-4-5-20251001-v1:0"
SPELLINGS = [
    ("gpt-5-mini", None, "openai", "gpt-5-mini"),
    ("openai/gpt-5-mini", None, "openai", "gpt-5-mini"),
    ("openai/gpt-5-mini", "litellm", "openai", "gpt-5-mini"),
    ("openai/gpt-5-mini", "openrouter", "openrouter", "openai/gpt-5-mini"),
    ("openrouter/openai/gpt-5-mini", None, "openrouter", "openai/gpt-5-mini"),
    ("gpt-5-mini-2025-08-07", "openai", "openai", "gpt-5-mini"),
    ("GPT-5-mini-20250807", "OpenAI", "openai", "gpt-5-mini"),
    ("azure/gpt-5-mini", None, "azure", "gpt-5-mini"),
    ("gpt-5-mini", "azure_openai", "azure", "gpt-5-mini"),
    ("gpt-5-mini", "azure.ai.openai", "azure", "gpt-5-mini"),
    ("gpt-35-turbo", "azure", "azure", "gpt-3.5-turbo"),
    ("ft:gpt-4o-mini-2024-07-18:acme::abc", "openai", "openai", "ft:gpt-4o-mini"),
    ("ft:gpt-4o-mini", "openai", "openai", "ft:gpt-4o-mini"),
    ("anthropic.claude-haiku-4-5-v1:0", "bedrock", "aws", HAIKU_AWS),
    ("anthropic.claude-haiku-4-5-20251001-v1:0", None, "aws", HAIKU_AWS),
    ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "bedrock_converse", "aws", HAIKU_AWS),
    ("bedrock/us-east-1/anthropic.claude-haiku-4-5-20251001-v1:0", None, "aws", HAIKU_AWS),
    ("arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-haiku-4-5-20251001-v1:0", None, "aws", HAIKU_AWS),
    ("global.anthropic.claude-haiku-4-5-20251001-v1:0", "aws.bedrock", "aws", HAIKU_AWS.replace("regional", "global")),
    ("us.amazon.nova-lite-v1:0", None, "aws", "amazon.nova-lite-v1:0"),
    ("claude-haiku-4-5@20251001", "vertex_ai", "google", "claude-haiku-4-5"),
    ("vertex_ai/claude-haiku-4-5@20251001", None, "google", "claude-haiku-4-5"),
    ("claude-haiku-4-5-20251001", "anthropic", "anthropic", "claude-haiku-4-5"),
    ("publishers/google/models/gemini-2.5-flash", "vertex_ai", "google", "gemini-2.5-flash"),
    ("projects/p/locations/l/publishers/google/models/gemini-2.5-flash", "gcp.vertex_ai", "google", "gemini-2.5-flash"),
    ("models/gemini-2.5-flash", None, "google", "gemini-2.5-flash"),
    ("gemini/gemini-2.5-flash", None, "google", "gemini-2.5-flash"),
    ("xai/grok-4", None, "x-ai", "grok-4-0709"),
    ("groq/llama-3.3-70b-versatile", None, "groq", "llama-3.3-70b-versatile"),
    ("together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo", None, "together", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
    ("command-r-plus", "cohere_chat", "cohere", "command-r-plus"),
]


@pytest.mark.parametrize(("model", "provider", "owner", "found"), SPELLINGS)
def test_spellings(book: PriceBook, model: str, provider: str | None, owner: str, found: str) -> None:
    """Every common spelling of a log or gateway finds the model that was billed."""
    assert book.resolve(model, provider) == (owner, found)


@pytest.mark.parametrize(
    ("model", "provider", "match"),
    [
        ("gpt-5-mni", None, r"model 'gpt-5-mni' of openai; expected .*Did you mean 'gpt-5-mini'.*; else give its rates in a file"),
        ("gpt_5_mini", None, "Did you mean 'gpt-5-mini'"),
        ("claude_haiku_4_5", "anthropic", "Did you mean 'claude-haiku-4-5'"),
        ("ft:gpt-5-mini:acme::abc", "openai", "model 'ft:gpt-5-mini:acme::abc' of openai"),
        ("llama-3.3-70b-versatile", None, "Name its provider: groq sells one"),
        (
            "zzzzqqqq",
            None,
            r"Name its provider, or give its rates in a file: PriceBook.load\('prices.yaml'\), in the shell --prices prices.yaml",
        ),
        ("zzzzqqqq", "openai", r"Give its rates in a file: PriceBook\.load"),
        ("gpt-4o", "opneai", r"provider 'opneai' \(of model 'gpt-4o'\).*'openai'"),
        ("gpt-4o", "zzzzqqqq", "Known are anthropic, "),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc123", None, "of aws"),
    ],
)
def test_unknown_names_say_what_is_near(book: PriceBook, model: str, provider: str | None, match: str) -> None:
    """An unknown model or provider is an error that names its neighbours, never a guess and never zero."""
    with pytest.raises(PriceError, match=match):
        book.resolve(model, provider)


def test_every_id_of_the_catalogue_finds_itself(book: PriceBook) -> None:
    """Each of the catalogue's own (provider, model) ids resolves to itself."""
    lost = [(p.id, m.id) for p in PROVIDERS for m in p.models if book.resolve(m.id, p.id) != (p.id, m.id)]
    assert lost == []
