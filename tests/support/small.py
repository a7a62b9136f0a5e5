"""Small logs and labels made by hand or by a seeded generator, for tests that must know every number."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from planner.labels import Labels
from planner.traffic import Traffic, TrafficWriter

MODELS = ("gpt-5.4", "gpt-5.4-mini", "gpt-5.4-nano")


def traffic_of(folder: Path, columns: Mapping[str, Any]) -> Traffic:
    """Write a log from columns; request ids and one-minute arrivals are made where absent."""
    frame = pd.DataFrame(columns)
    n = len(frame)
    frame["request_id"] = frame.get("request_id", pd.Series([f"r{i}" for i in range(n)]))
    frame["timestamp"] = frame.get("timestamp", pd.Series(pd.date_range("2026-11-01", periods=n, freq="min", tz="UTC")))
    with TrafficWriter(folder) as writer:
        writer.accept(pa.Table.from_pandas(frame, preserve_index=False))
        return writer.close(source_format="test")


def prompt(text: str) -> str:
    """One user message as the JSON that Traffic stores."""
    return json.dumps([{"role": "user", "content": text}])


def world_of(folder: Path, n: int = 1200, labelled: int = 400, seed: int = 0) -> tuple[Traffic, Labels]:
    """Make a log and labels in which hard questions need the dear model and easy ones do not.

    A prompt holds the word ``prove`` when it is hard; quality is Bernoulli, of the truth 0.9 (dear), 0.85 or 0.35 (mini),
    0.8 or 0.15 (nano) on easy or hard questions. 150 users.
    """
    rng = np.random.default_rng(seed)
    hard = rng.random(n) < 0.4
    words = np.array(["sum", "list", "table", "letter", "river", "price", "month", "stone", "paper", "wind", "light", "trade"])
    texts = [("prove that " if h else "list the ") + " ".join(rng.choice(words, 8)) + f" {i}" for i, h in enumerate(hard)]
    user = [f"u{u}" for u in rng.integers(0, 150, n)]
    tokens = rng.integers(50, 2000, n)
    failed = rng.random(n) < 0.02
    traffic = traffic_of(
        folder,
        {
            "user": user,
            "app": np.where(rng.random(n) < 0.5, "chat", "search"),
            "provider": "openai",
            "model": np.where(rng.random(n) < 0.9, MODELS[0], MODELS[1]),
            "messages": [prompt(t) for t in texts],
            "text_state": "full",
            "input_tokens": np.where(failed, 0, tokens),
            "output_tokens": np.where(failed, 0, rng.integers(10, 400, n)),
            "latency_ms": rng.lognormal(7, 0.5, n),
            "status": np.where(failed, "transport", "ok"),
            "source_cost_usd": 0.001,
        },
    )
    truth = np.where(hard[:, None], [0.9, 0.35, 0.15], [0.9, 0.85, 0.8])
    picked = np.sort(rng.choice(n, labelled, replace=False))
    items = pd.DataFrame(
        {
            "request_id": [f"r{i}" for i in picked],
            "app": traffic.frame("app")["app"].iloc[picked].to_numpy(),
            "user": [user[i] for i in picked],
            "messages": [prompt(texts[i]) for i in picked],
            "weight": n / labelled,
        }
    )
    outcomes = pd.DataFrame(
        [
            {
                "request_id": f"r{i}",
                "model": m,
                "quality": float(rng.random() < truth[i, k]),
                "grader": "exact",
                "input_tokens": int(tokens[i]),
                "output_tokens": 100 * (k + 1),
                "latency_ms": 1000.0 / (k + 1),
                "cost_usd": 0.01 / 5**k,
            }
            for i in picked
            for k, m in enumerate(MODELS)
        ]
    )
    return traffic, Labels.of(items, outcomes)
