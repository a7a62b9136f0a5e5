"""Names that a log and labels spell differently."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.labels import match_models, one_to_one

_NAMES = st.builds(
    lambda prefix, stem, date: prefix + stem + date,
    st.sampled_from(["", "openai/", "azure/"]),
    st.sampled_from(["gpt-5.4", "gpt-5.4-mini"]),
    st.sampled_from(["", "-2026-03-05", "-20260305", "@20260401"]),
)


@pytest.mark.parametrize(
    ("labelled", "logged", "pairs"),
    [
        (["gpt-5.4"], ["gpt-5.4-2026-03-05", "gpt-5.4-mini-2026-03-05"], {"gpt-5.4": "gpt-5.4-2026-03-05"}),
        (["gpt-5.4"], ["openai/GPT-5.4"], {"gpt-5.4": "openai/GPT-5.4"}),
        (["openai/gpt-5.4"], ["gpt-5.4"], {"openai/gpt-5.4": "gpt-5.4"}),
        (["claude-sonnet-4-5"], ["claude-sonnet-4-5@20250929"], {"claude-sonnet-4-5": "claude-sonnet-4-5@20250929"}),
        (["gpt-4o-2024-05-13"], ["gpt-4o-2024-08-06"], {}),
        (["openai/gpt-5.4"], ["azure/gpt-5.4"], {}),
        (["gpt-5.4"], ["gpt-5.4-mini", "gpt-5.4"], {}),
        (["gpt-5.4"], ["openai/gpt-5.4", "azure/gpt-5.4"], {}),
        (["gpt-5.4"], ["gpt-5.4", "openai/gpt-5.4"], {}),
        (["openai/gpt-5.4", "azure/gpt-5.4"], ["gpt-5.4"], {}),
    ],
)
def test_only_what_fits_nothing_else_is_a_pair(labelled: list[str], logged: list[str], pairs: dict[str, str]) -> None:
    """A prefix or a date that one side lacks makes a pair; two dates, two providers or two possible partners make none."""
    assert one_to_one(match_models(labelled, logged)) == pairs


@given(st.sets(_NAMES), st.sets(_NAMES))
def test_pairs_are_new_names_for_different_models(labelled: set[str], logged: set[str]) -> None:
    """Pairs go from a labelled name the log lacks to a logged one the labels lack, each once, so renaming can merge nothing."""
    pairs = one_to_one(match_models(labelled, logged))
    assert {*pairs} <= labelled - logged
    assert {*pairs.values()} <= logged - labelled
    assert len({*pairs.values()}) == len(pairs)
    again = one_to_one(match_models({pairs.get(m, m) for m in labelled}, logged))
    assert not {*again.values()} & {*pairs.values()}
