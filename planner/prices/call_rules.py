"""What providers promise about single calls: cancelling, trying again, rate limits, batches and the flex tier.

In: a provider's id and, where it matters, a model's id of the price book, and a date. Out: the rule in force, or None where
we know none: then the caller takes the strictest, and what rests on that is assumed. Rules are dated data with their source;
append, never overwrite. Rates stay in the price book. Knows nothing of logs.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

__all__ = [
    "BATCHES",
    "BATCH_CACHES",
    "CANCELLED",
    "FLEX",
    "RATE_LIMITS",
    "RETRIES",
    "Batches",
    "CacheInBatch",
    "Cancelled",
    "Flex",
    "RateLimits",
    "Retries",
    "batch_cache",
    "batches",
    "cancelled",
    "flex",
    "rate_limits",
    "retries",
]


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Which output tokens of a call that the caller cancels are billed; its input always is.

    ``streamed`` and ``whole`` (a call that is not streamed): ``generated`` (until it was cancelled), ``full`` (all it would have
    written) or ``nothing``.
    """

    provider: str
    since: dt.date
    streamed: str
    whole: str
    source: str


@dataclass(frozen=True, slots=True)
class Retries:
    """``idempotency``: a repeated call with the same key is answered and billed once. ``retry_after``: a refusal says when to come back."""

    provider: str
    since: dt.date
    idempotency: bool
    retry_after: bool
    source: str


@dataclass(frozen=True, slots=True)
class RateLimits:
    """How limits are counted, for the models whose id matches ``models``.

    Parameters
    ----------
    counts_cache_reads: tokens read from the prompt cache count as input; what is written always does.
    bucket: the provider says that the limit is a bucket which refills all the time; otherwise that is assumed.
    """

    provider: str
    models: str
    since: dt.date
    counts_cache_reads: bool
    bucket: bool
    source: str


@dataclass(frozen=True, slots=True)
class Batches:
    """One batch: at most ``max_requests`` and ``max_bytes`` (None: not stated), at least ``min_requests``, done in ``hours``."""

    provider: str
    since: dt.date
    max_requests: int | None
    max_bytes: int | None
    min_requests: int
    hours: float
    source: str


@dataclass(frozen=True, slots=True)
class CacheInBatch:
    """What a prompt-cache read inside a batch pays, for the models whose id matches ``models``; no provider promises a hit there.

    ``rate``: ``stacks`` (less than a cached read outside), ``instead`` (the cached rate, without the batch's discount) or ``none``
    (a read pays what other input pays).
    """

    provider: str
    models: str
    since: dt.date
    rate: str
    source: str


@dataclass(frozen=True, slots=True)
class Flex:
    """The flex tier: an answer takes up to ``wait_minutes``; a refusal for lack of capacity is billed or (``free_refusal``) not."""

    provider: str
    since: dt.date
    wait_minutes: float
    free_refusal: bool
    source: str


_READ = "read 2026-11-28"
_ROUTED = f"OpenRouter, Streaming: which providers stop and bill until then, and that unstreamed calls run on and bill in full; {_READ}"
_SDK = f"client of openai 3.57.0: sends no idempotency key of its own accord, keeps retry-after up to two minutes; {_READ}"
_CAP = f"OpenAI, Prompt caching guide, FAQ: cached prompts contribute to TPM, caching does not affect rate limits; {_READ}"
_MAP = "cache_read_input_token_cost_batches of litellm 1.108.7"
#: From when rules without a date of their own are taken to hold.
_SINCE = dt.date(2025, 1, 1)


def _cancelled(providers: str, streamed: str) -> tuple[Cancelled, ...]:
    return tuple(Cancelled(p, _SINCE, streamed, "full", _ROUTED) for p in providers.split())


#: The last one that has begun is in force. No provider states it of itself: what rests on these is assumed.
CANCELLED: tuple[Cancelled, ...] = (
    *_cancelled("anthropic azure cohere deepseek fireworks novita openai together x-ai", "generated"),
    *_cancelled("aws google groq minimax mistral perplexity", "full"),
)
RETRIES: tuple[Retries, ...] = (
    Retries(
        "anthropic", _SINCE, False, True,
        f"Anthropic, Rate limits: 429 with retry-after; anthropic-sdk-typescript #1144: the API honours no idempotency key; {_READ}",
    ),
    Retries("openai", _SINCE, False, True, _SDK),
    Retries("azure", _SINCE, False, True, _SDK),
)  # fmt: skip
_ITPM = f"Anthropic, Rate limits: token bucket; cache reads count only for the models marked †; {_READ}"
#: The last one that matches and has begun is in force.
RATE_LIMITS: tuple[RateLimits, ...] = (
    RateLimits("anthropic", "claude", dt.date(2025, 3, 13), False, True, _ITPM),
    RateLimits("anthropic", r"claude-(3-haiku|haiku-3|3-opus|opus-3|3-5|sonnet-3-5)", dt.date(2024, 12, 17), True, True, _ITPM),
    RateLimits("openai", "", dt.date(2024, 10, 1), True, False, _CAP),
    RateLimits("azure", "", dt.date(2024, 10, 1), True, False, f"OpenAI's rule, taken for its models on Azure: {_CAP}"),
    RateLimits(
        "aws", "", _SINCE, False, False,
        f"Amazon Bedrock, How tokens are counted: input + cache writes + output; cache reads are reserved, then given back; {_READ}",
    ),
)  # fmt: skip
_FILE = f"openai 3.57.0, batch_create_params: up to 50,000 requests and 200 MB, completion window 24h; {_READ}"
BATCHES: tuple[Batches, ...] = (
    Batches("openai", _SINCE, 50_000, 200_000_000, 1, 24.0, _FILE),
    Batches("azure", _SINCE, 50_000, 200_000_000, 1, 24.0, f"Azure, Create a batch: as {_FILE}"),
    Batches(
        "anthropic", dt.date(2024, 12, 17), 100_000, 256_000_000, 1, 24.0,
        f"Anthropic, Batch processing: 100,000 requests or 256 MB, most done within an hour, expired after 24 hours; {_READ}",
    ),
    Batches(
        "google", dt.date(2025, 7, 7), None, 2_000_000_000, 1, 24.0,
        f"Gemini API, Batch API: input file up to 2 GB, target 24 hours; {_READ}",
    ),
    Batches(
        "aws", _SINCE, None, None, 100, 24.0,
        f"TrueFoundry, Batch predictions: at least 100 records on Bedrock; upper quotas differ by model and region; {_READ}",
    ),
)  # fmt: skip


def _openai_cache(models: str, since: dt.date, rate: str, source: str) -> tuple[CacheInBatch, ...]:
    return tuple(CacheInBatch(p, models, since, rate, f"{source}; {_READ}") for p in ("openai", "azure"))


#: The last one that matches and has begun is in force.
BATCH_CACHES: tuple[CacheInBatch, ...] = (
    CacheInBatch("anthropic", "claude", dt.date(2024, 12, 17), "stacks", f"{_MAP}: half the cached rate for all 21 models; {_READ}"),
    *_openai_cache("", dt.date(2024, 10, 1), "none", "OpenAI, Prompt caching guide until 2025, FAQ: no discount in the Batch API"),
    *_openai_cache(r"^gpt-([5-9]|\d\d)", dt.date(2025, 8, 7), "stacks", f"{_MAP}, from gpt-5 on"),
    CacheInBatch("aws", "", _SINCE, "none", f"{_MAP}: none for Claude and Nova on Bedrock; {_READ}"),
    CacheInBatch("google", "gemini", dt.date(2025, 7, 7), "instead", f"Vertex AI, Batch inference: the cache discount precedes; {_READ}"),
    CacheInBatch("google", r"gemini-(3\.(1-flash-lite|[5-9])|[4-9])", dt.date(2026, 1, 1), "stacks", f"{_MAP}: half; {_READ}"),
    CacheInBatch("x-ai", "grok", _SINCE, "stacks", f"{_MAP}: 0.8 of the cached rate; {_READ}"),
)
FLEX: tuple[Flex, ...] = (
    Flex(
        "openai", dt.date(2025, 4, 17), 15.0, True,
        f"OpenAI, Flex processing: raise the timeout to 15 minutes; not charged when 429 Resource Unavailable; {_READ}",
    ),
    Flex("google", dt.date(2026, 1, 1), 15.0, False, f"Gemini API, Optimization: target 1 to 15 minutes, sheddable; {_READ}"),
)  # fmt: skip


class _Dated(Protocol):
    @property
    def provider(self) -> str: ...
    @property
    def since(self) -> dt.date: ...


Rule = TypeVar("Rule", bound=_Dated)


def _in_force(rules: Sequence[Rule], provider: str, at: dt.date, model: str = "") -> Rule | None:
    fits = (r for r in reversed(rules) if r.provider == provider and r.since <= at and re.search(getattr(r, "models", ""), model))
    return next(fits, None)


def cancelled(provider: str, at: dt.date) -> Cancelled | None:
    """Return what a cancelled call of ``provider`` pays; None where unknown: take it as ``full``.

    >>> cancelled("openai", dt.date(2026, 11, 1)).streamed, cancelled("aws", dt.date(2026, 11, 1)).streamed
    ('generated', 'full')
    """
    return _in_force(CANCELLED, provider, at)


def retries(provider: str, at: dt.date) -> Retries | None:
    """Return what ``provider`` does with repeated calls; None where unknown: take it that it does nothing for them."""
    return _in_force(RETRIES, provider, at)


def rate_limits(provider: str, model: str, at: dt.date) -> RateLimits | None:
    """Return how limits are counted for ``model``; None where unknown: take it that cache reads count.

    >>> rate_limits("anthropic", "claude-sonnet-4-5", dt.date(2026, 11, 1)).counts_cache_reads
    False
    """
    return _in_force(RATE_LIMITS, provider, at, model)


def batches(provider: str, at: dt.date) -> Batches | None:
    """Return the limits of one batch; None where unknown.

    >>> batches("anthropic", dt.date(2026, 11, 1)).max_requests
    100000
    """
    return _in_force(BATCHES, provider, at)


def batch_cache(provider: str, model: str, at: dt.date) -> CacheInBatch | None:
    """Return what a cached read in a batch pays; None where unknown: take it as ``none``."""
    return _in_force(BATCH_CACHES, provider, at, model)


def flex(provider: str, at: dt.date) -> Flex | None:
    """Return the flex tier's terms; None where the provider has none that we know."""
    return _in_force(FLEX, provider, at)
