"""What a call to a model does: output tokens, latency, failure and retries, prompt-cache reads.

In: columns of requests and the keys of their draws. Out: columns for any model, pure functions of (seed, request, model),
so that the log and the labels tell the same story. Knows nothing of texts, prices or payloads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.stats import draws
from planner.synthetic.world import APPS, DAYS, MODELS

__all__ = ["ERRORS", "Ends", "ends", "first_and_total_ms", "length_factor", "prompt_cache", "reasoning_tokens", "runs_away"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Keys = NDArray[np.uint64]
#: status → (error class, HTTP code), most frequent first.
ERRORS: dict[str, tuple[tuple[str, str], ...]] = {
    "transport": (("Timeout", "408"), ("InternalServerError", "500"), ("ServiceUnavailableError", "503"), ("APIConnectionError", "500")),
    "rate_limit": (("RateLimitError", "429"),),
    "content": (("ContentPolicyViolationError", "400"),),
    "validation": (("BadRequestError", "400"), ("UnprocessableEntityError", "422"), ("ContextWindowExceededError", "400")),
}
#: Share of requests refused for their content, and for being invalid.
_CONTENT, _INVALID, _TRANSIENT = 0.002, 0.003, 0.022
#: P(the next attempt fails too), at most two retries.
_AGAIN = 0.45
#: OpenAI caches prefixes from 1,024 tokens in steps of 128; both providers drop them after minutes.
CACHE_FROM, CACHE_STEP, CACHE_US = 1024, 128, 300_000_000


@dataclass(frozen=True, eq=False)
class Ends:
    """How requests ended: status, error class, HTTP code (empty when well) and attempts made."""

    status: NDArray[np.object_]
    error: NDArray[np.object_]
    code: NDArray[np.object_]
    attempts: Ints


def ends(keys: Keys, hour: Ints, provider: NDArray[Any], seed: int) -> Ends:
    """Return the ends; three hours a week, by provider, are an incident in which a fifth of all attempts fail."""
    bad = draws.uniform(seed, draws.key(f"{p}/{h}" for p, h in zip(provider, hour, strict=True)), "incident") < 3 / (24 * 7)
    first = draws.uniform(seed, keys, "fails") < np.where(bad, 0.2, _TRANSIENT)
    second = first & (draws.uniform(seed, keys, "fails/1") < _AGAIN)
    third = second & (draws.uniform(seed, keys, "fails/2") < _AGAIN)
    limited = draws.uniform(seed, keys, "limited") < np.where(bad, 0.8, 0.4)
    other = draws.uniform(seed, keys, "refused")
    status = np.full(len(keys), "ok", object)
    status[other < _CONTENT + _INVALID] = "validation"
    status[other < _CONTENT] = "content"
    status[third & limited] = "rate_limit"
    status[third & ~limited] = "transport"
    final = third | (status == "ok")
    attempts = 1 + np.where(final, first.astype(np.int64) + second, 0)
    names = np.full((len(keys), 2), "", object)
    pick = draws.uniform(seed, keys, "error") ** 1.6
    for kind, classes in ERRORS.items():
        rows = np.flatnonzero(status == kind)
        names[rows] = np.array(classes, object)[(pick[rows] * len(classes)).astype(int)]
    return Ends(status, names[:, 0], names[:, 1], attempts)


def length_factor(keys: Keys, app: Ints, model: Ints, seed: int) -> Floats:
    """Return the factor from a request's base length to the visible output of ``model``: verbosity and its own noise.

    Apps whose answer is fixed by a schema (``output`` 0) vary by a few per cent only.
    """
    free = np.array([a.output > 0 for a in APPS])[app]
    verbosity = np.array([m.verbosity for m in MODELS])[model]
    noise = _by_model(keys, model, seed, "length")
    return np.where(free, verbosity * np.exp(0.25 * noise), np.exp(0.04 * noise))


def runs_away(keys: Keys, model: Ints, seed: int) -> NDArray[np.bool_]:
    """Return which answers do not stop until the output limit: 0.3 %, more of the small models."""
    rate = 0.002 + 0.004 * (np.array([m.per_second for m in MODELS])[model] > 100)
    return draws.uniform(seed, keys, "runaway") < rate


def reasoning_tokens(keys: Keys, app: Ints, model: Ints, visible: Ints, steps: Floats, seed: int) -> Ints:
    """Return reasoning tokens: only in apps that ask for it, growing with the steps of the task."""
    asked = np.array([a.reasons for a in APPS])[app]
    rate = np.array([m.reasoning for m in MODELS])[model]
    mean = rate * (40 + visible) * (0.5 + steps)
    return np.where(asked & (rate > 0), np.round(mean * np.exp(0.5 * _by_model(keys, model, seed, "reasoning"))), 0).astype(np.int64)


def first_and_total_ms(keys: Keys, model: Ints, hour: Ints, read: Ints, reasoning: Ints, visible: Ints, seed: int) -> tuple[Floats, Floats]:
    """Return the time to the first visible token and the whole latency [ms] of a call that works at once.

    Latency = request effect × provider-hour effect × residual; prefill grows with the ``read`` (uncached) input tokens.
    """
    models = MODELS
    load = np.exp(0.18 * _provider_hours(seed))[
        np.array([m.provider == "openai" for m in models], int)[model], np.minimum(hour, 24 * DAYS - 1)
    ]
    effect = load * np.exp(0.22 * draws.normal(seed, keys, "latency") + 0.18 * _by_model(keys, model, seed, "latency"))
    prefill = np.array([m.first_ms for m in models])[model] * (1 + read / 12_000)
    per_token = 1000 / np.array([m.per_second for m in models])[model]
    first = effect * (prefill + reasoning * per_token)
    return first, first + effect * visible * per_token


def _provider_hours(seed: int) -> Floats:
    keys = draws.key(f"{p}/{h}" for p in ("anthropic", "openai") for h in range(24 * DAYS))
    return draws.normal(seed, keys, "provider hour").reshape(2, -1)


def _by_model(keys: Keys, model: Ints, seed: int, purpose: str) -> Floats:
    out = np.empty(len(keys))
    for i in np.unique(model):
        rows = model == i
        out[rows] = draws.normal(seed, keys[rows], f"{purpose}/{MODELS[i].name}")
    return out


def prompt_cache(
    time_us: Ints,
    prefix: NDArray[Any],
    prefix_tokens: Ints,
    session: Ints,
    tokens: Ints,
    anthropic: NDArray[np.bool_],
    live: NDArray[np.bool_],
) -> tuple[Ints, Ints]:
    """Return (cached, written) input tokens of requests sorted by time.

    OpenAI: the longest prefix shared with a request of the last five minutes (the previous turn of the session, else the
    system prompt and tools), from 1,024 tokens in steps of 128; nothing is billed for writing. Anthropic: the marked
    system prompt is written, and read when it was used in the last five minutes.
    """
    cached, written = np.zeros(len(time_us), np.int64), np.zeros(len(time_us), np.int64)
    used: dict[Any, int] = {}
    last: dict[int, tuple[int, int]] = {}
    for i in np.flatnonzero(live):
        now, name = int(time_us[i]), prefix[i]
        warm = now - used.get(name, -CACHE_US) < CACHE_US
        when, shared = last.get(int(session[i]), (-CACHE_US, 0))
        used[name], last[int(session[i])] = now, (now, int(tokens[i]))
        if anthropic[i]:
            if prefix_tokens[i] >= CACHE_FROM:
                (cached if warm else written)[i] = prefix_tokens[i]
            continue
        common = max(int(prefix_tokens[i]) if warm else 0, min(shared, int(tokens[i])) if now - when < CACHE_US else 0)
        cached[i] = common // CACHE_STEP * CACHE_STEP if common >= CACHE_FROM else 0
    return cached, written
