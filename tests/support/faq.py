"""A log of a help desk in which every question's true answer is known: paraphrases, near misses, and what the model says of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from planner.traffic import Traffic
from support.small import traffic_of

_FRAMES = ("how do i reset the {}", "how do i reset the {} please", "how do i reset the {} today", "tell me how do i reset the {}")
_LETTERS = np.array([*"abcdefghijklmnoprstuvwz"])


def topic_names(n: int, seed: int = 0) -> list[str]:
    """Return ``n`` made-up words of two times seven letters, which share next to nothing."""
    letters = np.random.default_rng(seed).choice(_LETTERS, (n, 14))
    return [f"{''.join(row[:7])} {''.join(row[7:])}" for row in letters.tolist()]


def faq(
    folder: Path, n: int = 4_000, topics: int = 600, users: int = 400, wrong: float = 0.0, noise: float = 0.0, seed: int = 0
) -> Traffic:
    """Make a log in which ``wrong`` of the paraphrases mean something else, and each answer is off by itself in ``noise`` of the cases.

    The answer is a label: ``a7`` for topic 7, ``b7`` where the paraphrase means something else (the last frame, in the topics
    that are drawn), and a label of its own where it is off. One second between requests; answers take 100 ms.
    """
    rng = np.random.default_rng(seed)
    topic, frame = rng.integers(0, topics, n), rng.integers(0, len(_FRAMES), n)
    other = (rng.random(topics) < wrong)[topic] & (frame == len(_FRAMES) - 1)
    off = rng.random(n) < noise
    names = topic_names(topics)
    return traffic_of(
        folder,
        {
            "timestamp": pd.date_range("2026-11-01", periods=n, freq="s", tz="UTC"),
            "app": "faq",
            "user": [f"u{u}" for u in rng.integers(0, users, n)],
            "model": "gpt-5.4",
            "messages": [messages(_FRAMES[f].format(names[t])) for t, f in zip(topic, frame, strict=True)],
            "text_state": "full",
            "response": [f"off {i}" if o else f"{'b' if w else 'a'}{t}" for i, (t, w, o) in enumerate(zip(topic, other, off, strict=True))],
            "latency_ms": 100.0,
            "status": "ok",
        },
    )


def messages(text: str, system: str = "Be brief.", *before: tuple[str, str]) -> str:
    """Return a conversation as the JSON that Traffic stores: system text, earlier (role, text) turns, and a user turn."""
    turns: list[dict[str, Any]] = [{"role": "system", "content": system}]
    turns += [{"role": role, "content": said} for role, said in before]
    return json.dumps([*turns, {"role": "user", "content": text}])
