"""What a provider's usage object says, whichever provider wrote it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.schema import TOKEN_BUCKETS
from planner.traffic.usage import inclusive, provider_usage
from planner.traffic.values import Rejected

_COUNT = st.integers(0, 5_000)


def _buckets(usage: dict[str, Any]) -> list[int]:
    row = provider_usage(usage)
    return [row[b] for b in TOKEN_BUCKETS]


@given(*[_COUNT] * 6)
def test_all_shapes_of_one_call_say_the_same(plain: int, read: int, five: int, hour: int, said: int, thought: int) -> None:
    """OpenAI's chat and Responses and Anthropic's usage of the same call become the same exclusive buckets."""
    prompt, completion = plain + read + five + hour, said + thought
    split = {"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour}
    details = {"cached_tokens": read, "cache_write_tokens": five + hour, "cache_creation_token_details": split}
    thoughts = {"reasoning_tokens": thought}
    chat = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    responses = {"input_tokens": prompt, "output_tokens": completion, "total_tokens": prompt + completion}
    anthropic = {"input_tokens": plain, "output_tokens": completion, "cache_read_input_tokens": read, "cache_creation": split}
    anthropic |= {"cache_creation_input_tokens": five + hour, "output_tokens_details": {"thinking_tokens": thought}}
    wanted = [plain, read, five, hour, said, thought]
    assert _buckets({**chat, "prompt_tokens_details": details, "completion_tokens_details": thoughts}) == wanted
    assert _buckets({**responses, "input_tokens_details": details, "output_tokens_details": thoughts}) == wanted
    assert _buckets(anthropic) == wanted


@given(*[_COUNT] * 4)
def test_gemini_thinks_outside_its_candidates(plain: int, cached: int, said: int, thought: int) -> None:
    """Gemini's prompt holds what was cached; thoughts stand beside candidates and are in the total."""
    usage = {
        "promptTokenCount": plain + cached,
        "cachedContentTokenCount": cached,
        "candidatesTokenCount": said,
        "thoughtsTokenCount": thought,
    }
    wanted = [plain, cached, 0, 0, said, thought]
    assert _buckets({**usage, "totalTokenCount": plain + cached + said + thought}) == wanted
    with pytest.raises(Rejected):
        provider_usage({**usage, "totalTokenCount": plain + cached + said + thought + 1})


@given(*[_COUNT] * 4, st.booleans())
def test_bedrocks_input_is_beside_the_cache(plain: int, read: int, written: int, said: int, whole: bool) -> None:
    """Converse counts cached tokens beside input ones, and some models leave them out of the total."""
    usage = {"inputTokens": plain, "cacheReadInputTokens": read, "cacheWriteInputTokens": written, "outputTokens": said}
    total = plain + said + (read + written if whole else 0)
    assert _buckets({**usage, "totalTokens": total}) == [plain, read, written, 0, said, 0]


@pytest.mark.parametrize("usage", [None, {}, [], "x", {"cost": 1}, {"prompt_tokens": None}])
def test_no_counts_are_no_columns(usage: Any) -> None:
    """What holds no counts gives none, so that a reader may look elsewhere."""
    assert provider_usage(usage) == {}


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 8},
        {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 6}},
        {"input_tokens": 5, "output_tokens": -1},
        {"inputTokens": 5, "outputTokens": 1, "totalTokens": 7},
    ],
)
def test_contradictions_are_rejected(usage: dict[str, Any]) -> None:
    """A total that is no sum, a part beyond its whole and a negative count are refused, never clipped."""
    with pytest.raises(Rejected):
        provider_usage(usage)


@given(*[_COUNT] * 4)
def test_inclusive_counts_sum_to_the_total(prompt: int, completion: int, inside: int, thought: int) -> None:
    """Whichever of the readings the total states, the counts returned sum to it; without one nothing changes."""
    for total in (prompt + completion, prompt + inside + completion, prompt + completion + thought, prompt + inside + completion + thought):
        assert sum(inclusive(prompt, completion, inside, thought, total)) == total
    assert inclusive(prompt, completion, inside, thought, None) == (prompt, completion)
