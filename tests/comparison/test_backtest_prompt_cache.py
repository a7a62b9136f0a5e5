"""The simulated prompt cache in a back-test: a log that follows the provider's rule, and one that does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from comparison.test_backtest import row, run

#: Tokens of a block id, blocks that requests share, and how long a provider keeps them [s].
BLOCK, SHARED, TTL_S = 512, 4, 300


def cached(n: int = 3_000, forgotten: float = 0.0) -> pd.DataFrame:
    """Return a log of 20 prefixes in 14 days, read again within five minutes; a share of the reads is ``forgotten``."""
    rng = np.random.default_rng(1)
    bursts = np.repeat(np.sort(rng.random(n // 5)) * 14 * 86_400, 5)
    when = np.sort(bursts + rng.random(len(bursts)) * 900)
    prefix = rng.integers(0, 3, len(when))
    used: dict[int, float] = {}
    warm = np.zeros(len(when), bool)
    for i, (t, p) in enumerate(zip(when, prefix, strict=True)):
        warm[i] = t - used.get(p, -1e9) <= TTL_S
        used[p] = t
    read = np.where(warm & (rng.random(len(when)) >= forgotten), BLOCK * SHARED, 0)
    return pd.DataFrame(
        {
            "request_id": [f"r{i}" for i in range(len(when))],
            "timestamp": (pd.Timestamp("2026-11-01", tz="UTC") + pd.to_timedelta(when, unit="s")).round("ms"),
            "user": [f"u{u}" for u in rng.integers(0, 100, len(when))],
            "app": "chat",
            "provider": "openai",
            "model": "gpt-5.4",
            "prefix_blocks": [[1_000 * p + b for b in range(SHARED)] for p in prefix],
            "input_tokens": BLOCK * SHARED + 200 - read,
            "cache_read_tokens": read,
            "output_tokens": rng.integers(20, 200, len(when)),
            "latency_ms": 20.0,
        }
    )


def test_a_cache_that_keeps_its_rule_is_a_hit(tmp_path: Path) -> None:
    """Where the provider reads what was used in the last five minutes, simulated and logged reads agree within five per cent."""
    found = run(tmp_path, cached())
    reads = row(found, "chat", "prompt_cache_tokens")
    assert abs(reads["predicted"] / reads["actual"] - 1) < 0.05
    assert found.verdict("prompt_cache") == "hit"


def test_a_cache_that_forgets_is_a_miss_and_is_not_billed(tmp_path: Path) -> None:
    """Where half of the reads do not happen, the lever is off; the bill rests on the first period's share instead, and holds."""
    found = run(tmp_path, cached(forgotten=0.5))
    assert found.verdict("prompt_cache") == "miss"
    assert row(found, "chat", "prompt_cache_tokens")["predicted"] > 1.5 * row(found, "chat", "prompt_cache_tokens")["actual"]
    assert row(found, "chat", "cache_read_tokens")["hit"] is True
    assert row(found, "chat", "usd")["hit"] is True
