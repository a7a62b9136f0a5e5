"""Token counts: exact, total, and refused for an encoding that nobody published."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError
from planner.text.tokens import ENCODINGS, count_tokens


def test_known_counts():
    """Counts equal those that OpenAI's own tokenizer gives for its published encodings."""
    texts = ["hello world", "antidisestablishmentarianism", "2 + 2 = 4", "お誕生日おめでとう", ""]
    assert count_tokens(texts, "cl100k_base").tolist() == [2, 6, 7, 9, 0]
    assert count_tokens(texts, "o200k_base").tolist() == [2, 6, 7, 8, 0]


@given(st.lists(st.text(st.characters()), max_size=4), st.sampled_from(ENCODINGS))
def test_any_text_has_a_count(texts, encoding):
    """Any text, lone surrogates too, has at most as many tokens as bytes, and none only when it is empty."""
    for text, count in zip(texts, count_tokens(texts, encoding), strict=True):
        assert (text != "") <= count <= len(text.encode("utf-8", "replace"))


def test_other_encodings_are_refused():
    """An encoding without a published vocabulary is refused by name, with those there are."""
    with pytest.raises(InputError, match="encoding 'claude'; expected one of o200k_base, cl100k_base"):
        count_tokens(["x"], "claude")
