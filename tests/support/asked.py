"""Small logs from which requests are drawn for labelling, and work drawn from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from planner.labels import Work, sample_labels
from planner.prices import PriceBook
from planner.traffic import Traffic
from support.small import prompt, traffic_of

CANDIDATES = ("gpt-5.4-mini", "gpt-5.4-nano")


def log_of(folder: Path, texts: Sequence[str], **columns: Any) -> Traffic:
    """Write a log of one app in which gpt-5.4 answered every text; ``columns`` replace any of it."""
    usual: Mapping[str, Any] = {
        "app": "chat", "provider": "openai", "model": "gpt-5.4", "text_state": "full", "response": "an answer", "finish_reason": "stop",
        "input_tokens": 100, "output_tokens": 50, "max_tokens": 100, "latency_ms": 900.0,
    }  # fmt: skip
    return traffic_of(folder, {"messages": [prompt(t) for t in texts], **usual, **columns})


def mixed_log(folder: Path, n: int = 600, seed: int = 0) -> Traffic:
    """Write a log of four apps, sessions, near duplicates, weights, failures, tools, cut and absent texts."""
    rng = np.random.default_rng(seed)
    app = rng.choice(["big", "middle", "small", "acting"], n, p=[0.45, 0.3, 0.15, 0.1])
    topics = ["invoice", "parcel", "password", "refund", "camera", "contract"]
    texts = [f"{rng.choice(topics)} question {rng.integers(n // 2)}{'!' * rng.integers(3)}" for _ in range(n)]
    state = rng.choice(["full", "cut", "none"], n, p=[0.9, 0.06, 0.04])
    ok = rng.random(n) < 0.97
    return log_of(
        folder,
        texts,
        app=app,
        user=[f"u{u}" for u in rng.integers(0, 40, n)],
        session_id=[f"s{s}" if s < n // 4 else None for s in rng.integers(0, n, n)],
        text_state=state,
        messages=[None if s == "none" else prompt(t) for t, s in zip(texts, state, strict=True)],
        has_tools=(app == "acting") & (rng.random(n) < 0.7),
        status=np.where(ok, "ok", "transport"),
        cache_hit=rng.random(n) < 0.03,
        purpose=np.where(rng.random(n) < 0.02, "overhead", "user"),
        modalities=np.where(rng.random(n) < 0.02, "text,image", "text"),
        response_format=np.where(rng.random(n) < 0.03, "json_schema", "text"),
        input_tokens=np.where(app == "big", 4, 1) * rng.integers(50, 2_000, n),
        output_tokens=rng.integers(10, 400, n),
        max_tokens=500,
        prompt_version=rng.choice(["v1", "v2", "v3"], n),
        weight=np.where(rng.random(n) < 0.2, 3.0, 1.0),
    )


def work_of(folder: Path, texts: Sequence[str], book: PriceBook, budget_usd: float = 5.0, **columns: Any) -> Work:
    """Write work in which both candidates are asked about every text."""
    traffic = log_of(folder / "log", texts, **columns)
    return sample_labels(traffic, CANDIDATES, budget_usd, book=book, least=1).work.save(folder / "work")
