"""A provider's own usage object → exclusive token buckets, whichever provider wrote it.

In: the ``usage`` of an answer of OpenAI (chat, Responses), Anthropic, Gemini or Bedrock's Converse, decoded. Out: the token
columns. Readers whose log holds whole answers ask here rather than trust a logger's own counts. Knows nothing of log formats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.traffic.reader import Row
from planner.traffic.shapes import first, usage_columns
from planner.traffic.values import Rejected, count

__all__ = ["inclusive", "provider_usage"]


def provider_usage(usage: Any) -> Row:
    """Return the token columns of ``usage``, none where it holds no counts.

    OpenAI's ``prompt_tokens`` (``input_tokens``) hold what was read from and written to the cache; Anthropic's and Bedrock's do not.
    Gemini's prompt holds what was cached, its candidates do not hold thoughts. Raises Rejected where a total or a part contradicts.

    >>> provider_usage({"input_tokens": 40, "cache_read_input_tokens": 100, "output_tokens": 3})["total_input_tokens"]
    140
    >>> provider_usage({"promptTokenCount": 9, "candidatesTokenCount": 2, "thoughtsTokenCount": 5})["reasoning_tokens"]
    5
    """
    if not isinstance(usage, dict):
        return {}
    if "promptTokenCount" in usage or "candidatesTokenCount" in usage:
        return _gemini(usage)
    if "inputTokens" in usage or "outputTokens" in usage:
        return _bedrock(usage)
    prompt = count(first(usage.get("prompt_tokens"), usage.get("input_tokens")), "input tokens")
    completion = count(first(usage.get("completion_tokens"), usage.get("output_tokens")), "output tokens")
    if prompt is None and completion is None:
        return {}
    prompt, completion = prompt or 0, completion or 0
    if "prompt_tokens" not in usage and not usage.get("input_tokens_details"):
        outside = (usage.get("cache_read_input_tokens"), usage.get("cache_creation_input_tokens"))
        prompt += sum(count(n, "cached tokens") or 0 for n in outside)
    _agree(prompt + completion, usage.get("total_tokens"))
    return usage_columns(prompt, completion, usage)


def inclusive(prompt: int, completion: int, inside: int, thought: int, total: int | None) -> tuple[int, int]:
    """Return ``prompt`` and ``completion`` so that they hold the ``inside`` (cached, written) and ``thought`` tokens.

    Where a source does not say whether they do, its own ``total`` decides; without one they do. Rejected where no reading fits.

    >>> inclusive(1200, 30, 1024, 12, 1230), inclusive(176, 30, 1024, 12, 1230), inclusive(1200, 18, 1024, 12, 1230)
    ((1200, 30), (1200, 30), (1200, 30))
    """
    if total is None or prompt + completion == total:
        return prompt, completion
    for more, thoughts in ((inside, 0), (0, thought), (inside, thought)):
        if prompt + more + completion + thoughts == total:
            return prompt + more, completion + thoughts
    raise Rejected(f"input and output tokens are {prompt + completion}, the source's total {total}")


def _gemini(usage: Mapping[str, Any]) -> Row:
    names = ("promptTokenCount", "toolUsePromptTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
    asked, tools, said, thought = (count(usage.get(n), n) or 0 for n in names)
    prompt = asked + tools
    _agree(prompt + said + thought, usage.get("totalTokenCount"))
    details = {"prompt_tokens_details": {"cached_tokens": usage.get("cachedContentTokenCount")}}
    return usage_columns(prompt, said + thought, {**details, "completion_tokens_details": {"reasoning_tokens": thought}})


def _bedrock(usage: Mapping[str, Any]) -> Row:
    names = ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens", "outputTokens")
    plain, read, written, said = (count(usage.get(n), n) or 0 for n in names)
    prompt = plain + read + written
    if count(usage.get("totalTokens"), "totalTokens") != plain + said:  # as some models count it
        _agree(prompt + said, usage.get("totalTokens"))
    return usage_columns(prompt, said, {"cache_read_input_tokens": read, "cache_creation_input_tokens": written})


def _agree(summed: int, total: Any) -> None:
    said = count(total, "total tokens")
    if said is not None and said != summed:
        raise Rejected(f"input and output tokens are {summed}, the source's total {said}")
