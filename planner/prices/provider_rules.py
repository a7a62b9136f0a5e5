"""What providers promise besides rates: when a prompt cache applies, how long it lives, how long a slow tier may take.

In: a provider's and a model's id of the price book, and a date. Out: the rule in force, or None where we know none: then
nothing is claimed. Rules are dated data with their source; append, never overwrite. Rates stay in the price book. Knows
nothing of logs.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

__all__ = ["PROMPT_CACHES", "SLOW_TIERS", "PromptCache", "SlowTier", "prompt_cache"]


@dataclass(frozen=True, slots=True)
class PromptCache:
    """A provider's prompt cache for the models whose id matches ``models``, from ``since`` on.

    Parameters
    ----------
    min_tokens: shortest prefix that is cached [tokens].
    step: cached prefixes are multiples of this many tokens.
    lifetimes: how long an entry lives after its last use [s], with the bucket its writing is billed in; several may be chosen from.
    explicit: the request must ask for it; otherwise the provider caches by itself and promises no hit.
    setting: what to do, for people.
    """

    provider: str
    models: str
    since: dt.date
    min_tokens: int
    step: int
    lifetimes: tuple[tuple[int, str], ...]
    explicit: bool
    setting: str
    source: str


@dataclass(frozen=True, slots=True)
class SlowTier:
    """A cheaper service tier: the caller must be able to wait ``wait_hours``; ``keeps_cache``: prompt-cache reads still happen."""

    tier: str
    wait_hours: float
    keeps_cache: bool
    setting: str
    source: str


_BOTH = ((300, "cache_write_5m_tokens"), (3_600, "cache_write_1h_tokens"))
_SHORT = ((300, "cache_write_5m_tokens"),)
_ANTHROPIC = "Anthropic, Prompt caching (docs.claude.com), and prompt_cache_min_tokens of litellm 1.108.7; read 2026-11-24"
_OPENAI = "OpenAI, Prompt caching guide (developers.openai.com): 1,024 tokens, steps of 128, 5 to 10 minutes of inactivity; read 2026-11-24"
_MARK = "mark the end of the shared part with cache_control"
_KEY = "send prompt_cache_key, shared text first and byte for byte the same"


def _claude(models: str, min_tokens: int) -> tuple[PromptCache, ...]:
    """Anthropic's own rules; Bedrock sells its models under the same ones."""
    return tuple(PromptCache(p, models, dt.date(2024, 12, 17), min_tokens, 1, _BOTH, True, _MARK, _ANTHROPIC) for p in ("anthropic", "aws"))


def _openai(provider: str) -> PromptCache:
    return PromptCache(provider, r"^(gpt-(4o|4\.1|[5-9])|o[1-9])", dt.date(2024, 10, 1), 1_024, 128, _SHORT, False, _KEY, _OPENAI)


#: The first match from the end that has begun is in force. Lifetimes are the shortest that the provider states.
PROMPT_CACHES: tuple[PromptCache, ...] = (
    *_claude("claude", 4_096),
    *_claude(r"claude.*(haiku-3|3-5-haiku|3-haiku|opus-4-7)", 2_048),
    *_claude(r"claude.*(sonnet-[345]|3-[57]-sonnet|opus-4-[018]$)", 1_024),
    *_claude(r"claude.*(fable-5|mythos-5|opus-5|sonnet-5-5|haiku-5-5)", 512),
    _openai("openai"),
    _openai("azure"),
)
SLOW_TIERS: tuple[SlowTier, ...] = (
    SlowTier(
        "batch", 24.0, False, "write a file of requests, send it to the batch endpoint, read the answers when it is done",
        "OpenAI and Anthropic Batch API documents: answers within 24 hours; prompt-cache hits inside a batch are best effort",
    ),
    SlowTier(
        "flex", 1.0, True, "set service_tier to flex, raise the timeout, and send again on 429",
        "OpenAI and Google flex processing documents: slower, may be refused for lack of capacity; one hour of patience is assumed",
    ),
)  # fmt: skip


def prompt_cache(provider: str, model: str, at: dt.date) -> PromptCache | None:
    """Return the rule in force for ``model`` (an id of the price book), None when none is known.

    >>> prompt_cache("anthropic", "claude-sonnet-4-5", dt.date(2026, 11, 1)).min_tokens
    1024
    >>> prompt_cache("openai", "gpt-3.5-turbo", dt.date(2026, 11, 1)) is None
    True
    """
    fits = (r for r in reversed(PROMPT_CACHES) if r.provider == provider and r.since <= at and re.search(r.models, model))
    return next(fits, None)
