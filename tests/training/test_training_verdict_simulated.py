"""The verdict, from prompts to the end, where the truth is known; the full size is in benchmarks/verdict.py."""

from __future__ import annotations

import pytest

from benchmarks.verdict import bound_error, length_matters, said, shuffled, words_matter

RUNS = 20


@pytest.mark.parametrize("world", [shuffled, length_matters])
def test_nothing_is_seldom_called_a_learned_router(world):
    """On grades that prompts say nothing of, and on those that length alone decides, at most 3 of 20 (5 % allows 1) are wrong."""
    assert said(world, RUNS, 400, 0.6, ("large", "small"))["learned router"] <= 3


def test_what_is_there_is_found():
    """At a planted effect of about four standard errors at least 15 of 20 say so (nine in ten allow 18)."""
    found = said(words_matter, RUNS, 800, 0.62, ("large", "small"))
    assert 3.3 < found["effect_se"] < 4.7
    assert found["learned router"] >= 15


def test_few_moved_rows_are_not_taken_for_certainty():
    """Where one row in ten is moved and hardly any answer is wrong, the jackknife alone errs far too often; the bound does not."""
    found = bound_error("nearly all", 250, 0.1, 400)
    assert found["error"] <= 0.045
    assert found["error_jackknife_alone"] > 0.08
