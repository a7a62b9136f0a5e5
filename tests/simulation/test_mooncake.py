"""The provider's prompt cache on a real trace of shared blocks, against arithmetic done with a dictionary."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from planner import read
from planner.outcomes import Outcomes
from planner.policies import Plan, PromptCache
from planner.prices import PriceBook
from planner.simulation import World
from planner.traffic.prints import TRACE_BLOCK_TOKENS

MODEL, LEAST, LIFE_US = "claude-sonnet-4-5", 1_024, 300_000_000


def test_cached_tokens_are_block_arithmetic(real_data: Path, tmp_path: Path) -> None:
    """Every request reads the leading blocks that an earlier one had written or used within five minutes, and no others."""
    traffic = read(
        real_data / "mooncake_conversation.jsonl", out=tmp_path, mapping={"model": f"={MODEL}", "provider": "=anthropic"}, text=True
    )
    world = World(traffic, Outcomes(), PriceBook.load(), "2026-11-01")
    side, prefixes = world.played(Plan((PromptCache(),), "cached")), world.prints.prefixes
    arrival = world.rows.timestamp.astype("datetime64[us]").astype(np.int64)
    order = sorted(range(len(arrival)), key=lambda i: (arrival[i], world.rows.request_id[i]))
    used: dict[int, int] = {}
    ready: dict[int, int] = {}
    often = dict(zip(*np.unique(prefixes.keys, return_counts=True), strict=True))
    expected = np.zeros(len(arrival), np.int64)
    for i in order:
        now, blocks = int(arrival[i]), prefixes.keys[prefixes.start[i] : prefixes.start[i + 1]].tolist()
        size = int(world.rows.tokens[i, :4].sum())
        warm = next((k for k, b in enumerate(blocks) if not (ready.get(b, 1 << 62) <= now and now - used[b] <= LIFE_US)), len(blocks))
        shared = next((k for k, b in enumerate(blocks) if often[b] == 1), len(blocks))
        warm = warm if warm * TRACE_BLOCK_TOKENS >= LEAST else 0
        expected[i] = size * min(warm * TRACE_BLOCK_TOKENS, size) // max(size, 1)
        for b in blocks[:warm]:
            used[b] = now
        for b in blocks[warm:shared] if shared * TRACE_BLOCK_TOKENS >= LEAST else ():
            alive = b in used and now - used[b] <= LIFE_US
            ready[b] = min(ready[b], now + 1) if alive else now + 1
            used[b] = now
    assert expected.sum() > 0
    np.testing.assert_array_equal(side.tokens[:, 1], expected)
