"""The kernel of the event phase against the slow reference: both follow ``docs/events.md``, neither knows the other."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation.made_worlds import LEVERS, made
from simulation.slow_events import slow

from planner.simulation.events.inputs import Happened, World
from planner.simulation.events.kernel import happen


def assert_equal(world: World) -> Happened:
    """Return what happened, after the kernel and the reference agreed on every array, types included."""
    fast, right = happen(world), slow(world)
    for field in fields(Happened):
        ours, theirs = getattr(fast, field.name), getattr(right, field.name)
        assert ours.dtype == theirs.dtype, field.name
        np.testing.assert_array_equal(ours, theirs, err_msg=field.name)
    return right


@given(st.integers(0, 2**31), st.integers(0, 60), st.sets(st.sampled_from(LEVERS)))
@settings(max_examples=400, deadline=None)
def test_kernel_equals_reference(seed: int, n: int, levers: set[str]) -> None:
    """Any of the levers together, on up to sixty requests that collide: every call and every end is the same."""
    assert_equal(made(seed, n, tuple(levers)))


@pytest.mark.parametrize("off", ["", *LEVERS])
def test_kernel_equals_reference_with_all_levers_but_one(off: str) -> None:
    """Twenty worlds of a hundred requests with all levers on, and with each one off: every call and every end is the same."""
    for seed in range(20):
        assert_equal(made(seed, 100, tuple(lever for lever in LEVERS if lever != off)))


def test_kernel_equals_reference_on_twenty_thousand_requests() -> None:
    """Cache, prompt cache, retries, hedges and rate limits over 20,000 requests: the same, and each of them did something."""
    happened = assert_equal(made(48, 20_000, ("failures", "retries", "jitter", "hedges", "limits", "cache", "coalesce", "prompts")))
    assert (happened.source >= 0).sum() > 1000
    assert (happened.warm > 0).sum() > 100
    assert set(happened.purpose.tolist()) >= {0, 1, 2}
    assert (happened.drawn < 0).sum() > 100
