"""A SYNTHETIC log whose true bill is known, and the exports that a provider would give of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from planner.prices import Audit, PriceBook, audit
from planner.schema import TOKEN_BUCKETS
from planner.traffic import Traffic, TrafficWriter

HEAD = "format: planner.contracts\nversion: 1\ncontracts:\n"
KINDS = {
    "input_tokens": ("input_tokens",),
    "cache_read_tokens": ("cache_read_tokens",),
    "cache_write_tokens": ("cache_write_5m_tokens", "cache_write_1h_tokens"),
    "output_tokens": ("output_tokens", "reasoning_tokens"),
}


def calls(n: int = 400, seed: int = 5) -> pd.DataFrame:
    """Draw ``n`` calls of October and November 2026 to two providers, caches and reasoning included."""
    random = np.random.default_rng(seed)
    tokens = {bucket: random.integers(0, 20_000, n) for bucket in TOKEN_BUCKETS}
    tokens["cache_write_1h_tokens"] *= 0
    frame = pd.DataFrame(
        {
            "request_id": [f"r{i}" for i in range(n)],
            "timestamp": pd.Timestamp("2026-10-01", tz="UTC") + pd.to_timedelta(random.integers(0, 61 * 86_400, n), unit="s"),
            "model": random.choice(["gpt-5-mini-2025-08-07", "gpt-5.4", "claude-haiku-4-5-20251001"], n),
            **tokens,
        }
    )
    frame["provider"] = np.where(frame["model"].str.startswith("gpt"), "openai", "anthropic")
    frame.loc[frame["provider"] == "openai", "cache_write_5m_tokens"] = 0
    return frame


def stored(frame: pd.DataFrame, folder: Path) -> Traffic:
    """Write rows as Traffic."""
    with TrafficWriter(folder) as writer:
        writer.accept(pa.Table.from_pandas(frame, preserve_index=False))
        return writer.close()


def audited(frame: pd.DataFrame, folder: Path, book: PriceBook) -> Audit:
    """Write rows as Traffic and price them."""
    return audit(stored(frame, folder), book)


def usd(pusd: int) -> str:
    """Write [pUSD] as USD, all digits."""
    return f"{'-' if pusd < 0 else ''}{abs(pusd) // 10**12}.{abs(pusd) % 10**12:012d}"


def plain_export(found: Audit, cost: np.ndarray | None = None, scale: Mapping[str, int] | None = None) -> str:
    """Return a plain CSV: what every day and model cost, to the pico-dollar, and its tokens by kind.

    ``cost``: [pUSD] of every call, by default the list price; ``scale``: times a model's cost.
    """
    frame = found.traffic.frame("timestamp", "provider", "model", *TOKEN_BUCKETS)
    frame["pusd"] = found.spend_pusd if cost is None else cost
    frame["pusd"] *= frame["model"].map(scale or {}).fillna(1).astype(int)
    frame["day"] = frame["timestamp"].dt.strftime("%Y-%m-%d")
    lines = [f"date,provider,model,usd,{','.join(KINDS)}"]
    for (day, provider, model), rows in frame.groupby(["day", "provider", "model"]):
        counts = [str(int(rows[list(members)].to_numpy().sum())) for members in KINDS.values()]
        lines.append(",".join([str(day), str(provider), str(model), usd(sum(rows["pusd"].tolist())), *counts]))
    return "\n".join(lines) + "\n"
