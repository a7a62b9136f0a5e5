"""Requests of two months as tables: random ones of every kind, and a regular month in which a single thing changes."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from planner.prices import PriceBook
from planner.schema import TOKEN_BUCKETS

#: A model whose rates double with December.
DATED = "gpt-5.4"
_RATES = """format: planner.prices
version: 1
rates:
  - {provider: openai, model: gpt-5.4, from: 2026-01-01, source: test, usd_per_mtok: {input_tokens: 2, output_tokens: 10}}
  - {provider: openai, model: gpt-5.4, from: 2026-12-01, source: test, usd_per_mtok: {input_tokens: 4, output_tokens: 20}}
"""
_APPS, _MODELS = ("chat", "search", "mail", "(odd) näme"), ("gpt-5", "gpt-5-mini", "gpt-5-nano", DATED, "nobody-knows")


@cache
def book() -> PriceBook:
    """Return the price book of all these months."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rates.yaml"
        file.write_text(_RATES, "utf-8")
        return PriceBook.load(file)


def anything(seed: int) -> pd.DataFrame:
    """Return 1 to 80 requests of any apps, models, tiers, endings, weights and lengths; costs are stated, are not, or some are."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 81))
    apps = rng.choice(_APPS, int(rng.integers(1, len(_APPS) + 1)), replace=False)
    tokens = rng.integers(0, 50_000, (n, len(TOKEN_BUCKETS))) * (rng.random((n, len(TOKEN_BUCKETS))) < 0.6)
    hit, stated = rng.random(n) < rng.choice([0.0, 0.2]), rng.random(n) < rng.choice([0.0, 0.5, 1.0])
    start = pd.Timestamp(rng.choice(["2026-11-01", "2026-12-01"]), tz="UTC")
    columns = {
        "app": rng.choice(apps, n),
        "provider": "openai",
        "model": rng.choice(_MODELS, n),
        "service_tier": rng.choice(["standard", "batch"], n),
        "timestamp": start + pd.to_timedelta(rng.integers(0, 28 * 86_400, n), unit="s"),
        "status": np.where(~hit & (rng.random(n) < 0.2), "transport", "ok"),
        "cache_hit": hit,
        "weight": rng.choice([1.0, 2.5], n),
        "calls": rng.integers(1, 4, n),
        "cost_pusd": np.where(stated, rng.integers(0, 10**12, n), np.nan),
    }
    return pd.DataFrame({**columns, **dict(zip(TOKEN_BUCKETS, tokens.T, strict=True))})


def month(start: str, days: int = 30, chat: int = 4, search: int = 4, model: str = "gpt-5", mini: str = "gpt-5-mini") -> pd.DataFrame:
    """Return equal days of equal requests: ``chat`` of the dear model, ``search`` of the cheap one, each day."""
    a_day = [{"app": "chat", "model": model, "input_tokens": 4_000, "output_tokens": 1_000}] * chat
    a_day += [{"app": "search", "model": mini, "input_tokens": 20_000, "output_tokens": 300}] * search
    frame = pd.DataFrame([*a_day] * days)
    first = pd.Timestamp(start, tz="UTC")
    frame["timestamp"] = first + pd.to_timedelta(np.repeat(np.arange(days), len(a_day)) * 24 + np.arange(len(frame)) % len(a_day), unit="h")
    empty = {name: 0 for name in TOKEN_BUCKETS if name not in frame}
    return frame.assign(provider="openai", status="ok", cache_hit=False, cost_pusd=np.nan, **empty)


def planted(change: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return November and a December that differs from it in ``change``, a line of the bridge, alone."""
    november, december = "2026-11-01", "2026-12-01"
    last, this = month(november), month(december)
    every_other = np.arange(len(this)) % 2 == 0
    if change == "volume":
        this = month(december, chat=8, search=8)
    elif change == "days":
        this = month(december, days=20)
    elif change == "app mix":
        this = month(december, chat=6, search=2)
    elif change == "model mix":
        this.loc[every_other & (this["app"] == "chat"), "model"] = "gpt-5-nano"
    elif change == "input tokens":
        this["input_tokens"] *= 3
    elif change == "output tokens":
        this["output_tokens"] *= 3
    elif change == "prompt cache":
        this["cache_read_tokens"] = this["input_tokens"] // 2
        this["input_tokens"] -= this["cache_read_tokens"]
    elif change == "response cache":
        this["cache_hit"] = every_other
    elif change == "failures":
        failed = {"status": np.where(every_other, "transport", "ok")}
        this = this.assign(**failed, **{name: np.where(every_other, 0, this[name]) for name in ("input_tokens", "output_tokens")})
    elif change == "list price":
        last, this = (month(start, model=DATED, mini=DATED) for start in (november, december))
    elif change == "contract":
        unit = book().price("openai", this["model"].tolist(), "standard", this[list(TOKEN_BUCKETS)].to_numpy(), this["timestamp"].array)
        this["cost_pusd"] = unit.cost_pusd * 1.25
    return last, this


def as_log(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of a log of the same requests."""
    log = table.drop(columns=["cost_pusd", "calls"], errors="ignore").assign(source_cost_usd=table["cost_pusd"] / 1e12)
    return log.reset_index(drop=True)
