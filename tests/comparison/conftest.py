"""A price book of invented rates, so that every dollar can be worked out by hand; and a small world with its training."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
import yaml
from support.small import MODELS, world_of

from planner import formats
from planner.outcomes import fit_outcomes
from planner.prices import PriceBook
from planner.simulation import World
from planner.training import Training, train

#: What every test of recommend prices at.
DATE = dt.date(2026, 11, 1)
_BUCKETS = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens", "reasoning_tokens")
#: (provider, model, tier, context window, USD per million tokens by bucket).
_RATES = (
    ("openai", "gpt-9", "standard", 100_000, (2, 0.2, 2, 2, 8, 8)),
    ("openai", "gpt-9", "batch", 100_000, (1, 0.1, 1, 1, 4, 4)),
    ("openai", "gpt-9", "flex", 100_000, (1.5, 0.1, 1.5, 1.5, 6, 6)),
    ("azure", "gpt-9", "standard", 100_000, (1, 0.1, 1, 1, 7, 7)),
    ("openai", "gpt-8-mini", "standard", 100_000, (1, 0.1, 1, 1, 4, 4)),
    ("openai", "gpt-8.1-mini", "standard", 100_000, (0.5, 0.1, 0.5, 0.5, 4, 4)),
    ("openai", "gpt-8.2-mini", "standard", 100_000, (0.1, 0.1, 0.1, 0.1, 4.5, 4.5)),
    ("openai", "gpt-8.3-mini", "standard", 50_000, (0.1, 0.1, 0.1, 0.1, 1, 1)),
    ("openai", "gpt-7-mini", "standard", 100_000, (0.1, 0.1, 0.1, 0.1, 1, 1)),
    ("anthropic", "claude-sonnet-4-9", "standard", 100_000, (4, 0.4, 5, 8, 20, 20)),
)


@pytest.fixture(scope="session")
def book(tmp_path_factory: pytest.TempPathFactory) -> PriceBook:
    """Load the catalogue with the invented rates on top."""
    rates = [
        {
            "provider": provider, "model": model, "tier": tier, "from": dt.date(2026, 1, 1), "source": "a test",
            "context_window": window, "usd_per_mtok": dict(zip(_BUCKETS, map(float, usd), strict=True)),
        }
        for provider, model, tier, window, usd in _RATES
    ]  # fmt: skip
    path: Path = tmp_path_factory.mktemp("prices") / "prices.yaml"
    path.write_text(yaml.safe_dump({**formats.header("prices"), "rates": rates}), "utf-8")
    return PriceBook.load(path)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Training]:
    """Make a world with labels, and its training."""
    traffic, labels = world_of(tmp_path_factory.mktemp("traffic"))
    training = train(labels, reference=MODELS[0])
    return World(traffic, fit_outcomes(traffic, labels, training), PriceBook.load(), DATE), training
