"""Integers of the SYNTHETIC sample under plans that need no fitted model: a change of any of them is a change of meaning."""

from __future__ import annotations

import pytest

from planner.labels import Labels
from planner.outcomes import Outcomes
from planner.policies import Batch, ExactCache, Plan, PromptCache
from planner.prices import PriceBook
from planner.simulation import World, run
from planner.traffic import Traffic

PLANS = {
    "today": Plan(),
    "exact cache": Plan((ExactCache(),), "exact cache"),
    "prompt cache": Plan((PromptCache(),), "prompt cache"),
    "both": Plan((ExactCache(ttl_s=3_600, capacity=500, eviction="fifo"), PromptCache(lifetime="1h")), "both"),
    "batch": Plan((Batch(("nightly-summary",), window_minutes=60),), "batch"),
}
#: plan → cost [pUSD], calls, tokens read from a provider's prompt cache.
GOLDEN = {
    "today": (211_625_180_400_000, 52_176, 18_243_289),
    "exact cache": (208_258_170_900_000, 51_141, 17_793_844),
    "prompt cache": (217_104_415_425_000, 52_176, 16_202_580),
    "both": (212_650_829_925_000, 52_096, 18_122_570),
    "batch": (194_173_692_900_000, 52_056, 18_243_289),
}


@pytest.fixture(scope="module")
def world(sample: tuple[Traffic, Labels]) -> World:
    """The sample at the prices of its own days, nothing fitted."""
    return World(sample[0], Outcomes(), PriceBook.load(), "as-logged")


@pytest.mark.parametrize("name", PLANS)
def test_integers_stay_what_they_were(world: World, name: str) -> None:
    """Cost, calls and cached tokens of the frozen log are the recorded integers."""
    summary = run(world, PLANS[name]).summary
    found = tuple(int(summary.measure(m).sum()) for m in ("cost_pusd", "calls", "cache_read_tokens"))
    assert found == GOLDEN[name]
